"""Minutes of endless rendered traffic: does the memory of any process grow, is anything leaked?

    python -m benchmarks.soak [--minutes 10] [--warm-up 2]

Runs `tallycam run` on `synthetic:` with the model that ships and with video, reads memory and open files of every
process once a second, and fits a line through what comes after the warm-up. At the end nothing may be left.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time

import numpy as np
import psutil
import yaml

from benchmarks.measure import save, table

CONFIG = {
    "streams": {
        "street": {
            "source": "synthetic:3",
            "realtime": True,
            "lines": {"middle": {"points": [[0.5, 1.0], [0.5, 0.2]]}},
            "zones": {"left": {"points": [[0.0, 0.3], [0.5, 0.3], [0.5, 1.0], [0.0, 1.0]]}},
        }
    },
    "output": {"video": {"preset": "ultrafast"}},
}


def name_of(process: psutil.Process) -> str:
    words = process.cmdline()
    return words[0].split()[1] if words and words[0].startswith("tallycam ") else "supervisor"


def private_mb(process: psutil.Process) -> float:
    """Anonymous memory of the process: neither frames in shared memory nor the pages of libraries, which
    other programs come to share and leave again."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise psutil.NoSuchProcess(process.pid)


def watch(root: psutil.Process, minutes: float) -> dict[str, list[tuple[float, float, int]]]:
    """Process -> [(seconds, private MB, open files)]."""
    series: dict[str, list[tuple[float, float, int]]] = {}
    start_s = time.monotonic()
    while (at_s := time.monotonic() - start_s) < 60 * minutes:
        if not root.is_running() or root.status() == psutil.STATUS_ZOMBIE:
            raise SystemExit("the run ended early")
        for process in [root, *root.children()]:
            try:
                series.setdefault(name_of(process), []).append((at_s, private_mb(process), process.num_fds()))
            except (psutil.NoSuchProcess, OSError):
                continue
        time.sleep(1.0)
    return series


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory and leaks over minutes of endless traffic.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=2, help="minutes left out of the slope")
    parser.add_argument("--set", action="append", default=[], help="passed on to the run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runtime = Path(folder) / "runtime"
        runtime.mkdir()
        path = Path(folder) / "street.yaml"
        path.write_text(yaml.safe_dump(CONFIG))
        command = [sys.executable, "-m", "pipeline", "run", str(path), "--out", f"{folder}/out"]
        for one in given.set:
            command += ["--set", one]
        run = subprocess.Popen(
            command, env=os.environ | {"XDG_RUNTIME_DIR": str(runtime)}, stdout=subprocess.DEVNULL
        )
        series = watch(psutil.Process(run.pid), given.minutes)
        pids = [child.pid for child in psutil.Process(run.pid).children()]
        run.send_signal(signal.SIGINT)
        code = run.wait(60)
        left = [pid for pid in pids if psutil.pid_exists(pid)]
        files = [str(file) for file in runtime.iterdir()]
        stream = json.loads(Path(f"{folder}/out/summary.json").read_text())["streams"]["street"]
    rows, result = [], {}
    for name, values in series.items():
        after = np.array([v for v in values if v[0] > 60 * given.warm_up])
        slope = float(np.polyfit(after[:, 0] / 3600, after[:, 1], 1)[0])
        result[name] = {
            "mb_after_warm_up": round(float(after[0, 1]), 1),
            "mb_at_end": round(float(after[-1, 1]), 1),
            "mb_an_hour": round(slope, 1),
            "files_after_warm_up": int(after[0, 2]),
            "files_at_end": int(after[-1, 2]),
        }
        rows.append((name, *result[name].values()))
    table(
        f"{given.minutes:g} minutes, {stream['frames']['processed']} frames counted, exit code {code}",
        ("process", "MB after warm-up", "MB at end", "MB an hour", "files after warm-up", "files at end"),
        rows,
    )
    print(f"\nprocesses left: {left or 'none'}; sockets and folders left: {files or 'none'}")
    save("soak", {"minutes": given.minutes, "processes": result, "frames": stream["frames"], "exit_code": code,
                  "left": {"processes": left, "files": files}})  # fmt: skip


if __name__ == "__main__":
    main()
