"""Files that were tampered with: what becomes of them, and each kind of traceback.

    python -m benchmarks.hostile --files 5000

As many of each kind: MOTChallenge detections and truth, marks of an audit, configurations, heat maps, checkpoints.
Logs are the matter of `benchmarks/recount.py --hostile`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import tempfile
import traceback
import warnings
from collections import Counter

from benchmarks.measure import save, table
from pipeline.errors import TallycamError
from tests.hostile_files import KINDS, Kind


def outcomes_of(kind: Kind, count: int, folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Outcomes, and kinds of traceback, of files of one kind.

    Args:
        kind: Which files.
        count: How many.
        folder: Where they may be written.
    """
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    data, path = kind.make(), folder / kind.name
    for seed in range(count):
        path.write_bytes(kind.change(data, seed))
        try:
            kind.use(path)
            outcomes["used"] += 1
        except TallycamError as error:
            printable = all(line.isprintable() for line in str(error).splitlines())
            outcomes["refused" if printable else "refused, not printable"] += 1
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            outcomes["traceback"] += 1
            kinds[
                f"{type(error).__name__} {where.filename.rpartition('/')[2]}:{where.lineno}, seed {seed}"
            ] += 1
    return outcomes, kinds


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS])
    options = parser.parse_args()
    warnings.simplefilter("error")
    rows, tracebacks = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            if options.kind not in (None, kind.name):
                continue
            outcomes, found = outcomes_of(kind, options.files, Path(folder))
            rows.append([kind.name, outcomes["used"], outcomes["refused"], outcomes["traceback"]])
            tracebacks[kind.name] = dict(found)
    table(f"{options.files} files of each kind", ["file", "used", "refused", "traceback"], rows)
    for name, kinds in tracebacks.items():
        for line, number in sorted(kinds.items(), key=lambda one: -one[1])[:10]:
            print(name, number, line)
    save("hostile", {"files": options.files, "outcomes": rows, "tracebacks": tracebacks})
    sys.exit(1 if any(tracebacks.values()) else 0)


if __name__ == "__main__":
    main()
