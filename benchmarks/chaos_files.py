"""Recordings whose processes are killed at random moments: are the rows those of a run without a fault?

    python -m benchmarks.chaos_files [--runs 100] [--seed 0]

All processes of a run, or one of its stages, are killed at a random moment, up to the last one, until the run has come
to its end. The rows in the database are then compared with those of a run without a fault, field by field, but for the
time of day.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.measure import save
from tests.running import Command, scene, tallycam


def files(count: int, seed: int) -> None:
    """So many recordings, each with kills at random moments until it has come to its end."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        config = scene(folder, 250)
        calm = folder / "calm"
        began_s = time.monotonic()
        if tallycam("run", config, "--out", calm)[0]:
            raise SystemExit("the run without a fault failed")
        whole_s = time.monotonic() - began_s
        expected = events(calm)
        kills, different = 0, []
        for number in range(count):
            out = folder / f"out-{number}"
            killed = 0
            while killed < 10:
                # anywhere from the start to beyond the end
                moment_s = (
                    random.uniform(0, 1.1) * whole_s if killed == 0 else random.uniform(0.3, 1.0) * whole_s
                )
                resume = ("--resume",) if out.exists() else ()
                with Command("run", config, "--out", out, *resume) as command:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        command.popen.wait(moment_s)
                        break
                    kill_some(command, random)
                    killed += 1
                    if command.popen.poll() is None and random.random() < 0.5:
                        command.finish(300)
                        break
            with Command("run", config, "--out", out, *(("--resume",) if out.exists() else ())) as command:
                command.finish(300)
            kills += killed
            if events(out) != expected:
                different.append(number)
            print(f"{number}: {killed} kills, {'DIFFERENT' if number in different else 'equal'}", flush=True)
            shutil.rmtree(out, ignore_errors=True)
    print(f"{count} runs, {kills} kills, {len(different)} with other rows, {len(expected)} rows each")
    save(
        "chaos_files",
        {"runs": count, "kills": kills, "seed": seed, "rows": len(expected), "different": different},
    )


def kill_some(command: Command, random: np.random.Generator) -> None:
    """Kills all processes, or one of the stages."""
    stages = command.children()
    victims = (
        [command.popen.pid, *stages] if not stages or random.random() < 0.5 else [int(random.choice(stages))]
    )
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def events(out: Path) -> list[tuple[Any, ...]]:
    """All rows of a run, without what is of the day or of the run."""
    with contextlib.closing(sqlite3.connect(out / "events.db")) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(events)")]
        kept = ", ".join(name for name in names if name not in ("id", "run", "time"))
        return sorted(database.execute(f"SELECT {kept} FROM events"), key=repr)


def main() -> None:
    """Prints a line for each run and writes the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files(options.runs, options.seed)


if __name__ == "__main__":
    main()
