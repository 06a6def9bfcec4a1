"""Speed of counting a log again, where the time goes, and what tampered logs do.

    python -m benchmarks.recount [LOG CONFIG] [--objects 10] [--seconds 40] [--lines 2] [--rounds 3]
    python -m benchmarks.recount [LOG CONFIG] --profile
    python -m benchmarks.recount --hostile 5000

Without LOG and CONFIG (`DIR/log/STREAM` and `DIR/config.json` of a run), a log is made: objects that walk over a
full-HD frame at 25 frames a second, with elliptic masks, 5 % of the detections missing. Figures are of CPU time: frames
a second, times real time at the log's own rate, and milliseconds a frame for reading alone and for the whole.
`--hostile` counts so many logs that were tampered with, half of them with right checksums, and prints each kind of
traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import cProfile
import json
import pstats
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np

from benchmarks.measure import medians, save, table
from benchmarks.tracker import FPS, HEIGHT, WIDTH, traffic
from pipeline.config.schema import Config
from pipeline.errors import TallycamError
from pipeline.geometry.masks import MASK_SIZE
from pipeline.records.log import LogHeader, LogWriter, read_log
from pipeline.runtime.recount import recount
from pipeline.transport.messages import Instances

CLASSES = ("person", "car")


def make_log(path: Path, objects: int, frames: int) -> None:
    """A log of objects that walk."""
    rows, columns = np.mgrid[:MASK_SIZE, :MASK_SIZE] / (MASK_SIZE - 1) * 2 - 1
    mask = np.where(rows**2 + columns**2 < 1, 255, 0).astype(np.uint8)
    header = LogHeader(stream="gate", classes=CLASSES, width=WIDTH, height=HEIGHT)
    with LogWriter(path, header) as log:
        for seq, (boxes, scores) in enumerate(traffic(objects, frames, life_s=20.0)):
            count = len(boxes)
            log.append(
                Instances(
                    stream="gate",
                    epoch=0,
                    seq=seq,
                    index=seq,
                    pts_s=seq / FPS,
                    wall_s=1.7e9 + seq / FPS,
                    width=WIDTH,
                    height=HEIGHT,
                    boxes_px=boxes.astype(np.float32),
                    scores=scores.astype(np.float32),
                    class_ids=np.zeros(count, np.int16),
                    masks=np.repeat(mask[None], count, axis=0),
                    appearances=np.full((count, 24), 10, np.uint8),
                )
            )


def made_config(lines: int) -> Config:
    """A stream with so many vertical lines and a zone."""
    places = [(number + 1) / (lines + 1) for number in range(lines)]
    return Config.model_validate({
        "streams": {"gate": {
            "source": "gate.mp4",
            "lines": {
                f"line{number}": {"points": [[x, 0.0], [x, 1.0]], "directions": ["in", "out"]}
                for number, x in enumerate(places)
            },
            "zones": {"middle": {"points": [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]]}},
        }},
    })  # fmt: skip


def read(log: Path) -> tuple[int, float]:
    """Frames of a log and its media seconds; reads all of it."""
    frames, last_s = 0, 0.0
    for record in read_log(log)[1]:
        frames, last_s = frames + 1, record.pts_s
    return frames, last_s


def cpu_of(call: Callable[[], object]) -> float:
    """CPU seconds that a call takes."""
    start_s = time.process_time()
    call()
    return time.process_time() - start_s


def measure(log: Path, config: Config, rounds: int) -> dict[str, float]:
    """CPU figures, medians of rounds in turns."""
    frames, media_s = read(log)
    recount(log, config)  # warm
    taken: dict[str, list[float]] = {"read": [], "recount": []}
    for _ in range(rounds):
        taken["read"].append(cpu_of(lambda: read(log)))
        taken["recount"].append(cpu_of(lambda: recount(log, config)))
    median = medians(taken)
    rate = frames / media_s if media_s else FPS
    return {
        "frames": frames,
        "frames_per_s": round(frames / median["recount"], 1),
        "times_real_time": round(frames / median["recount"] / rate, 1),
        "recount_ms": round(1e3 * median["recount"] / frames, 3),
        "read_ms": round(1e3 * median["read"] / frames, 3),
    }


def profile(log: Path, config: Config) -> None:
    """Prints where the time goes, by file of the package."""
    recount(log, config)
    profiler = cProfile.Profile()
    profiler.runcall(recount, log, config)
    statistics = pstats.Stats(profiler)
    statistics.sort_stats("cumulative").print_stats("pipeline", 40)
    statistics.sort_stats("tottime").print_stats(30)


def hostile(count: int) -> int:
    """Counts logs that were tampered with. How many kinds of traceback came of it."""
    from tests.records.logs import VERSION_1
    from tests.records.mutations import damaged, mutated

    warnings.simplefilter("error")
    data, config = VERSION_1.read_bytes(), made_config(2)
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.log"
        for number in range(count):
            path.write_bytes((mutated, damaged)[number % 2](data, number))
            try:
                recount(path, config)
                outcomes["counted"] += 1
            except TallycamError as error:
                outcomes["one line" if str(error).isprintable() else "several lines"] += 1
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                outcomes["traceback"] += 1
                kinds[f"{type(error).__name__} {where.filename.rpartition('/')[2]}:{where.lineno}"] += 1
    table(f"{count} logs that were tampered with", ["outcome", "logs"], list(outcomes.items()))
    if kinds:
        table("Tracebacks", ["kind", "logs"], kinds.most_common())
    save("recount_hostile", {"logs": count, "outcomes": dict(outcomes), "tracebacks": dict(kinds)})
    return len(kinds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", type=Path, nargs="?")
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--lines", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--hostile", type=int, metavar="LOGS")
    options = parser.parse_args()
    if options.hostile:
        sys.exit(min(1, hostile(options.hostile)))
    with tempfile.TemporaryDirectory() as folder:
        log, config = options.log, made_config(options.lines)
        if log is None:
            log = Path(folder) / "gate.log"
            make_log(log, options.objects, round(options.seconds * FPS))
        if options.config is not None:
            config = Config.model_validate(json.loads(options.config.read_text()))
        if options.profile:
            profile(log, config)
            return
        figures = measure(log, config, options.rounds)
    table("Counting a log again", list(figures), [list(figures.values())])
    save("recount", {"objects": options.objects, "lines": options.lines, **figures})


if __name__ == "__main__":
    main()
