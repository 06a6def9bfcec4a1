"""Cost of tracking by the number of objects, beside other trackers; and memory over an hour of traffic.

    python -m benchmarks.tracker [--frames 150] [--rounds 3] [--peers PYTHON]
    python -m benchmarks.tracker --hour [--fps 5]
    python -m benchmarks.tracker --lines [--frames 150]

Objects walk over a full-HD frame, 5 % of the detections are missing, boxes shake by a pixel. All trackers see the
same boxes, in turns; the figure is CPU-ms a frame of the call that links, at their defaults. `--peers` names a Python
that has the packages trackers and supervision. `--hour` counts an hour of traffic, 200 objects at a time, each there
for half a minute, as fast as it goes, with lines, a zone and rows of a track file, and reads the memory meanwhile.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
from norfair.tracker import Detection, Tracker

from benchmarks.measure import medians, save, table
from pipeline.config.schema import LineConfig, StreamConfig, TrackerConfig, ZoneConfig
from pipeline.counting.counter import StreamCounter
from pipeline.geometry.masks import MASK_SIZE
from pipeline.geometry.plane import Floats
from pipeline.tracking.factory import make_tracker
from pipeline.transport.messages import Instances

WIDTH, HEIGHT, FPS = 1920, 1080, 25.0
SIZES = (10, 100, 500)
Frame = tuple[Floats, Floats]
"""(N, 4) boxes, (N,) scores."""


def traffic(
    objects: int, frames: int, fps: float = FPS, life_s: float = np.inf, seed: int = 0
) -> Iterator[Frame]:
    """Objects that walk at up to two widths of theirs a second; one whose life is over gives way to another one."""
    random = np.random.default_rng(seed)
    frame = np.array([WIDTH, HEIGHT])

    def begin(count: int) -> tuple[Floats, Floats, Floats]:
        return (
            random.uniform(0, 1, (count, 2)) * frame,
            random.normal(0, 60, (count, 2)),
            random.uniform(30, 60, count)[:, None] * [1.0, 2.0],
        )

    place, speed, size = begin(objects)
    left_s = random.uniform(0, 1, objects) * life_s if np.isfinite(life_s) else np.full(objects, np.inf)
    for _ in range(frames):
        place = place + speed / fps
        turned = ((place < 0) & (speed < 0)) | ((place > frame) & (speed > 0))
        speed = np.where(turned, -speed, speed)
        left_s = left_s - 1 / fps
        expired = np.flatnonzero(left_s < 0)
        if len(expired):
            place[expired], speed[expired], size[expired] = begin(len(expired))
            left_s[expired] = life_s
        seen = random.random(objects) >= 0.05
        centre = place[seen] + random.normal(0, 1, (int(seen.sum()), 2))
        boxes = np.concatenate([centre - size[seen] / 2, centre + size[seen] / 2], axis=1)
        yield np.clip(boxes, 0, [WIDTH, HEIGHT] * 2), random.uniform(0.5, 1, len(boxes))


def as_instances(frame: Frame, seq: int, fps: float) -> Instances:
    boxes, scores = frame
    return Instances(
        stream="traffic",
        epoch=0,
        seq=seq,
        index=seq,
        pts_s=seq / fps,
        wall_s=seq / fps,
        width=WIDTH,
        height=HEIGHT,
        boxes_px=boxes.astype(np.float32),
        scores=scores.astype(np.float32),
        class_ids=np.zeros(len(boxes), np.int16),
        masks=np.broadcast_to(np.uint8(255), (len(boxes), MASK_SIZE, MASK_SIZE)),
    )


def ours(frames: list[Frame], config: TrackerConfig) -> float:
    """CPU-ms a frame of our tracker."""
    tracker = make_tracker(config, ("object",))
    messages = [as_instances(frame, seq, FPS) for seq, frame in enumerate(frames)]
    start_s = time.process_time()
    for message in messages:
        tracker.update(message, 1 / FPS)
    return 1000 * (time.process_time() - start_s) / len(messages)


def plain_norfair(frames: list[Frame]) -> float:
    """CPU-ms a frame of Norfair with its vectorised distance."""
    tracker = Tracker(distance_function="iou", distance_threshold=0.7)
    seen = [
        [
            Detection(points=box.reshape(2, 2), scores=np.array([score] * 2))
            for box, score in zip(*frame, strict=True)
        ]
        for frame in frames
    ]
    start_s = time.process_time()
    for detections in seen:
        tracker.update(detections)
    return 1000 * (time.process_time() - start_s) / len(seen)


def peer(python: str, frames: list[Frame], name: str) -> float:
    """CPU-ms a frame of a tracker in another environment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "boxes.npz"
        np.savez(
            path,
            edges=np.cumsum([0, *(len(boxes) for boxes, _ in frames)]),
            boxes=np.concatenate([boxes for boxes, _ in frames]).astype(np.float32),
            scores=np.concatenate([scores for _, scores in frames]).astype(np.float32),
        )
        script = Path(__file__).parent / "peers" / "trackers_speed.py"
        told = subprocess.run(
            [python, str(script), str(path), name], check=True, capture_output=True, text=True
        )
    return float(told.stdout.split()[-1])


def speeds(frames: int, rounds: int, peers: str | None) -> None:
    ways: dict[str, Callable[[list[Frame]], float]] = {
        "tallycam": lambda walk: ours(walk, TrackerConfig()),
        "tallycam on norfair": lambda walk: ours(walk, TrackerConfig(engine="norfair")),
        'norfair "iou"': plain_norfair,
    }
    if peers:
        ways["trackers SORT"] = lambda walk: peer(peers, walk, "sort")
        ways["trackers ByteTrack"] = lambda walk: peer(peers, walk, "bytetrack")
    found: dict[str, dict[str, float]] = {name: {} for name in ways}
    for objects in SIZES:
        walk = list(traffic(objects, max(10, frames if objects < 500 else frames // 3)))
        told: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                told[name].append(way(walk))
        for name, value in medians(told).items():
            found[name][str(objects)] = round(value, 3)
    rows = [[name, *by.values(), f"{by['500'] / by['100']:.1f} x"] for name, by in found.items()]
    table("CPU-ms a frame", ["tracker", *(f"{size} objects" for size in SIZES), "500 / 100"], rows)
    save("tracker", {"frames": frames, "rounds": rounds, "cpu_ms_per_frame": found})


def resident_mb() -> float:
    """Memory of this process that is its own: anonymous pages."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no Anonymous line in smaps_rollup")


def hour(fps: float, objects: int = 200) -> None:
    line = LineConfig(points=((0.5, 1.0), (0.5, 0.0)), directions=("right", "left"))
    zone = ZoneConfig(points=((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)))
    stream = StreamConfig(source="traffic", lines={"middle": line}, zones={"centre": zone})
    counter = StreamCounter("traffic", stream, TrackerConfig(), ("person",))
    told: list[tuple[int, float, float, int]] = []
    spent_s, frames = 0.0, int(3600 * fps)
    for seq, frame in enumerate(traffic(objects, frames, fps, life_s=30.0)):
        message = as_instances(frame, seq, fps)
        start_s = time.process_time()
        counter.update(message)
        spent_s += time.process_time() - start_s
        if (seq + 1) % (frames // 12) == 0:
            unique = counter.totals().summary["unique"]["person"]
            told.append(((seq + 1) * 60 // frames, resident_mb(), 1000 * spent_s / (frames // 12), unique))
            spent_s = 0.0
    table(
        f"An hour of traffic, {objects} objects at {fps:g} fps",
        ("minute", "memory, MB", "CPU-ms a frame", "unique"),
        [(minute, f"{memory:.1f}", f"{cost:.1f}", unique) for minute, memory, cost, unique in told],
    )
    save(
        "tracker_hour",
        {
            "objects": objects,
            "fps": fps,
            "minutes": [minute for minute, *_ in told],
            "anonymous_mb": [round(memory, 2) for _, memory, _, _ in told],
            "cpu_ms_per_frame": [round(cost, 2) for _, _, cost, _ in told],
        },
    )


def with_lines(frames: int, rounds: int, objects: int = 10) -> None:
    messages = [
        as_instances(frame, seq, FPS) for seq, frame in enumerate(traffic(objects, frames, life_s=20.0))
    ]

    def cost(lines: int) -> float:
        """CPU-ms a frame with so many upright lines."""
        places = np.linspace(0, 1, lines + 2)[1:-1].tolist()
        stream = StreamConfig(
            source="traffic",
            lines={
                f"{x:.3f}": LineConfig(points=((x, 1.0), (x, 0.0)), directions=("right", "left"))
                for x in places
            },
        )
        counter = StreamCounter("traffic", stream, TrackerConfig(), ("person",), rows=False, pictures=False)
        start_s = time.process_time()
        for message in messages:
            counter.update(message)
        return 1000 * (time.process_time() - start_s) / frames

    told: dict[str, list[float]] = {str(lines): [] for lines in (0, 2, 20)}
    for _ in range(rounds):
        for lines, costs in told.items():
            costs.append(cost(int(lines)))
    found = medians(told)
    table(
        f"Counting with lines, {objects} objects",
        ("lines", "CPU-ms a frame", "of none"),
        [(lines, f"{value:.3f}", f"{value / found['0']:.2f}") for lines, value in found.items()],
    )
    save("tracker_lines", {"objects": objects, "frames": frames, "rounds": rounds, "cpu_ms_per_frame": found})


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of tracking, and memory over an hour.")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--lines", action="store_true", help="cost of 0, 2 and 20 lines")
    parser.add_argument("--fps", type=float, default=5.0, help="frames per second of the hour")
    given = parser.parse_args()
    if given.lines:
        with_lines(10 * given.frames, given.rounds)
    elif given.hour:
        hour(given.fps)
    else:
        speeds(given.frames, given.rounds, given.peers)


if __name__ == "__main__":
    main()
