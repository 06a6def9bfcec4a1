"""What the benchmarks share: CPU time of processes, medians of interleaved rounds, JSON and a table."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    """User and system seconds of this process (or of its ended children)."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Name -> median over the rounds."""
    return {name: statistics.median(values) for name, values in rounds.items()}


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Writes `benchmarks/results/NAME.json` with the machine and the time."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    whole = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **result}
    path.write_text(json.dumps(whole, indent=2) + "\n")
    return path


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table in columns."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
