"""Unique counts and line crossings on 500 made scenes of growing difficulty, beside plain Norfair and others.

    python -m benchmarks.counting [--scenes 500] [--peers PYTHON]

`--peers` is a Python with `trackers` and `supervision` (ByteTrack and C-BIoU at their defaults). Every tracker gets the
same detections, and its rows are scored alike: unique-count error is the sum over scenes of |counted - true| over the
sum of true; a crossing is right when one of the same line and direction lies within a second. Writes
benchmarks/results/counting.json.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import json
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from norfair.tracker import Detection, Tracker

from benchmarks.counting_scenes import (
    DENSITY,
    DROPOUTS,
    HEIGHT,
    LEVELS,
    NOISE,
    POSTS,
    RATES,
    WIDTH,
    Scene,
    scene,
)
from benchmarks.measure import save, table
from pipeline.config.schema import LineConfig, StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.evaluation.matching import PixelLine, crossings, match
from pipeline.evaluation.report import f1
from pipeline.transport.messages import Instances

PEERS = ("bytetrack", "cbiou")
SCRIPT = Path(__file__).parent / "peers" / "trackers_rows.py"
LINES = {
    "left": ((1 / 3, 1.0), (1 / 3, 0.0)),
    "right": ((2 / 3, 1.0), (2 / 3, 0.0)),
    "across": ((0.0, 0.6), (1.0, 0.6)),
}
"""Two upright lines and a level one, relative."""


def chains() -> list[PixelLine]:
    """The lines in pixels."""
    return [
        PixelLine(name, tuple((x * WIDTH, y * HEIGHT) for x, y in points), ("forward", "back"), endless=True)
        for name, points in LINES.items()
    ]


def ours(one: Scene) -> tuple[np.ndarray, list[tuple[float, tuple[str, str]]], dict[str, Any]]:
    """Rows of the pipeline's own counter at its defaults, the crossings it counts: (frame, (line, direction)), and
    its totals."""
    lines = {name: LineConfig(points=points) for name, points in LINES.items()}
    counter = StreamCounter("made", StreamConfig(source="made", lines=lines), TrackerConfig(), ("person",))
    rows, events = [], []
    for index, found in enumerate(one.found):
        step = counter.update(
            Instances(
                stream="made", epoch=0, seq=index, index=index, pts_s=index / one.fps, wall_s=0.0, width=WIDTH,
                height=HEIGHT, boxes_px=found[:, :4], scores=found[:, 4], class_ids=np.zeros(len(found), np.int16),
                masks=np.full((len(found), 28, 28), 255, np.uint8),
            )
        )  # fmt: skip
        rows += step.rows
        events += step.events
    events += counter.finish()
    rows += counter.last_rows()
    final = counter.final_ids()
    table = [
        (row.index + 1, final.get(row.track, row.track), row.box_px[0], row.box_px[1],
         row.box_px[2] - row.box_px[0], row.box_px[3] - row.box_px[1])
        for row in rows
    ]  # fmt: skip
    counted = [(event.index + 1.0, (event.name, event.direction)) for event in events if event.kind == "line"]
    return np.array(table, float).reshape(-1, 6), counted, counter.totals().summary


def plain_norfair(one: Scene) -> np.ndarray:
    """Rows of Norfair as its examples use it for boxes: distance `iou`, threshold 0.7, everything else by default."""
    tracker = Tracker("iou", 0.7)
    rows = []
    for frame, found in enumerate(one.found, start=1):
        given = [Detection(box[:4].reshape(2, 2), scores=np.repeat(box[4], 2)) for box in found.astype(float)]
        for item in tracker.update(given or None):
            if item.last_detection in given:
                (x0, y0), (x1, y1) = item.estimate
                rows.append((frame, item.id, x0, y0, x1 - x0, y1 - y0))
    return np.array(rows, float).reshape(-1, 6)


def figures(one: Scene, rows: np.ndarray) -> dict[str, float]:
    """What one tracker counted in one scene, beside the truth."""
    counted = [
        (float(event.frame), (event.line, event.direction))
        for line in chains()
        for event in crossings(rows, line)
    ]
    return {"unique": len(np.unique(rows[:, 1])), **line_figures(one, counted)}


def line_figures(one: Scene, counted: list[tuple[float, tuple[str, str]]]) -> dict[str, float]:
    true = [
        (float(event.frame), (event.line, event.direction))
        for line in chains()
        for event in crossings(one.truth, line)
    ]
    hits = len(match(true, counted, float(one.fps)))
    off = sum(
        abs(sum(kind[0] == name for _, kind in true) - sum(kind[0] == name for _, kind in counted))
        for name in LINES
    )
    return {"true": len(true), "counted": len(counted), "hits": hits, "off": off}


def measured(number: int) -> dict[str, dict[str, float]]:
    """One scene, by our own counter and by plain Norfair."""
    one = scene(number)
    began_s = time.process_time()
    rows, events, totals = ours(one)
    middle_s = time.process_time()
    other = plain_norfair(one)
    ended_s = time.process_time()
    result = {"tallycam": figures(one, rows), "norfair": figures(one, other)}
    result["tallycam, own lines"] = {"unique": result["tallycam"]["unique"], **line_figures(one, events)}
    result["tallycam"]["cpu_s"], result["norfair"]["cpu_s"] = middle_s - began_s, ended_s - middle_s
    unique, margin = totals["unique"].get("person", 0), totals["uncertain"].get("person", 0)
    result["margin"] = {"margin": margin, "within": float(abs(unique - one.unique) <= margin)}
    result["scene"] = {"level": one.level, "fps": one.fps, "unique": one.unique, "frames": len(one.found)}
    return result


def with_peers(python: str, results: list[dict[str, dict[str, float]]], folder: Path) -> list[str]:
    """Adds what the peers counted; gives their names."""
    scenes = folder / f"scenes-{len(results)}.npz"
    if not scenes.exists():
        data: dict[str, np.ndarray] = {}
        for number in range(len(results)):
            one = scene(number)
            data[f"fps_{number}"] = np.array([one.fps, len(one.found)])
            frames = np.repeat(np.arange(1, len(one.found) + 1), [len(found) for found in one.found])
            data[f"found_{number}"] = np.column_stack([frames, np.concatenate(one.found)])
        np.savez(scenes, **data)
    for name in PEERS:
        rows = folder / f"{name}-{len(results)}.npz"
        if not rows.exists():
            subprocess.run([python, str(SCRIPT), str(scenes), name, str(rows)], check=True)
        found = np.load(rows)
        for number, result in enumerate(results):
            result[name] = figures(scene(number), found[f"rows_{number}"])
    return list(PEERS)


def all_measured(count: int, jobs: int, folder: Path) -> list[dict[str, dict[str, float]]]:
    """Every scene by our own counter and by Norfair; those that an interrupted run has left are not done again."""
    kept = folder / "scenes.jsonl"
    done = {}
    if kept.exists():
        done = {row["number"]: row["result"] for row in map(json.loads, kept.read_text().splitlines())}
    left = [number for number in range(count) if number not in done]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool, kept.open("a") as file:
        for number, result in zip(left, pool.imap(measured, left), strict=True):
            done[number] = result
            file.write(json.dumps({"number": number, "result": result}) + "\n")
            file.flush()
    return [done[number] for number in range(count)]


def summary(results: list[dict[str, dict[str, float]]], name: str) -> dict[str, float]:
    """Errors of one tracker over some scenes, percent."""
    parts = [result[name] for result in results]
    total = {key: sum(part[key] for part in parts) for key in ("unique", "true", "counted", "hits", "off")}
    true = sum(result["scene"]["unique"] for result in results)
    wrong = sum(abs(result[name]["unique"] - result["scene"]["unique"]) for result in results)
    return {
        "unique_error": round(100 * wrong / true, 2),
        "line_f1": round(f1(int(total["hits"]), int(total["counted"]), int(total["true"])), 2),
        "line_error": round(100 * total["off"] / total["true"], 2),
    }


def groups(
    results: list[dict[str, dict[str, float]]],
) -> Iterator[tuple[str, list[dict[str, dict[str, float]]]]]:
    for level in range(LEVELS):
        words = f"{level + 1}: {DENSITY[level]} at a time, {POSTS[level]} posts, {100 * DROPOUTS[level]:g} % dropouts, "
        words += f"noise {100 * NOISE[level]:g} %"
        yield words, [result for result in results if result["scene"]["level"] == level]
    for fps in RATES:
        yield f"{fps} fps, all levels", [result for result in results if result["scene"]["fps"] == fps]
    yield "all", results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--peers", metavar="PYTHON", help="a Python with trackers and supervision")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="keeps what is done: an interrupted run goes on"
    )
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        results = all_measured(given.scenes, given.jobs, folder)
        names = ["tallycam", "tallycam, own lines", "norfair"]
        if given.peers:
            names += with_peers(given.peers, results, folder)
    kept = {}
    for words, part in groups(results):
        if part:
            kept[words] = {name: summary(part, name) for name in names}
            kept[words]["scenes"] = {
                "scenes": len(part),
                "unique": sum(one["scene"]["unique"] for one in part),
            }
            kept[words]["margin"] = {
                "of_unique": round(
                    100
                    * sum(one["margin"]["margin"] for one in part)
                    / sum(one["scene"]["unique"] for one in part),
                    1,
                ),
                "truth_within": round(100 * sum(one["margin"]["within"] for one in part) / len(part), 1),
            }
    for key, title in (
        ("unique_error", "Unique-count error, %"),
        ("line_f1", "Line F1, %"),
        ("line_error", "Line-count error, %"),
    ):
        rows = [(words, *(f"{part[name][key]:.1f}" for name in names)) for words, part in kept.items()]
        table(title, ("scenes", *names), rows)
    table(
        "What stands behind the sign of a unique count, as in 34 ± 2",
        ("scenes", "margin, % of unique", "truth within, % of scenes"),
        [(words, *part["margin"].values()) for words, part in kept.items()],
    )
    frames = sum(result["scene"]["frames"] for result in results)
    speed = {
        name: round(1000 * sum(result[name]["cpu_s"] for result in results) / frames, 3)
        for name in ("tallycam", "norfair")
    }
    print(f"\nCPU-ms a frame: {speed}")
    save(
        "counting",
        {"scenes": given.scenes, "trackers": names, "by_difficulty": kept, "cpu_ms_per_frame": speed},
    )


if __name__ == "__main__":
    main()
