"""Messages that lie or are none, thrown at each endpoint of a run: what is rejected, and do the counts stay the same?

    python -m benchmarks.messages --messages 10000

The run is compared with one of the same clip that nobody disturbs. Exit code 1 if anything differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import tempfile
import time

from benchmarks.measure import save, table
from tests.running import Command, counts, log_size, scene, tallycam, wait_until
from tests.test_hostile_messages import attack

ENDPOINTS, NAMES = 3, 4
"""Endpoints that are attacked, and names under which each of them is."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=10_000, help="mutated messages for each endpoint")
    parser.add_argument("--frames", type=int, default=1500, help="length of the clip")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="t") as short, tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        config = scene(path, options.frames)
        if tallycam("run", config, "--out", path / "calm")[0] != 0:
            sys.exit("The run that nobody disturbs failed.")
        out = path / "out"
        with Command("run", config, "--out", out, runtime=Path(short)) as command:
            wait_until(lambda: log_size(out) > 20_000)
            start_s = time.monotonic()
            sent = attack(Path(short), -(-options.messages // NAMES), options.seed)
            attack_s = time.monotonic() - start_s
            running = command.popen.poll() is None
            code, _, err = command.finish()
        equal = code == 0 and counts(out) == counts(path / "calm")
        restarts, tracebacks = err.count("restarted"), err.count("Traceback")
    row = [sent, round(attack_s, 1), running, code, equal, restarts, tracebacks]
    heads = [
        "messages",
        "seconds",
        "still running after",
        "exit code",
        "counts equal",
        "restarts",
        "tracebacks",
    ]
    table(f"{options.messages} and more at each of {ENDPOINTS} endpoints", heads, [row])
    save("messages", {"seed": options.seed, **dict(zip(heads, row, strict=True))})
    sys.exit(0 if equal and running and not restarts and not tracebacks else 1)


if __name__ == "__main__":
    main()
