"""Frames a second of the whole pipeline, with a model that returns recorded instances.

    python -m benchmarks.pipeline [--frames 1200] [--rounds 3] [--size 1920x1080] [--supervision PYTHON]

Without video: beside a bare PyAV decode loop in one process. With x264 veryfast: beside
`ffmpeg -i in -c:v libx264 -preset veryfast -threads 2`. Both: beside a single-process loop that decodes, tracks,
draws and encodes with supervision (`--supervision` names a Python that has it; it brings its own OpenCV,
so it lives in an environment of its own). The rate of the pipeline is that of its sink from the first frame
to the last; start-up is told apart.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable

import av
import numpy as np
import yaml

from benchmarks.measure import cpu_s, medians, save, table
from pipeline.demo.clip import write_clip
from pipeline.demo.scene.world import CLASSES, Rendered, Scene
from pipeline.geometry.masks import MASK_SIZE
from pipeline.records.log import LogHeader, LogWriter, read_log
from pipeline.transport.messages import Instances

CACHE = Path(tempfile.gettempdir()) / "tallycam-bench"
RENDERED = 300
Rate = tuple[float, float]
"""Frames a second, CPU-ms a frame."""


def make_clip(size: tuple[int, int], frames: int) -> tuple[Path, Path]:
    """A rendered street of that size and the log of its true instances; both are made once.

    At most `RENDERED` frames are rendered; a longer clip plays them again and again, and so does the model.
    """
    rendered = min(frames, RENDERED)
    name = f"street-{size[0]}x{size[1]}-{rendered}"
    video, log = CACHE / f"{name}.mp4", CACHE / f"{name}.log"
    if not log.exists():
        print(f"rendering {name}", flush=True)
        CACHE.mkdir(exist_ok=True)
        scene = Scene.from_seed(11, width=size[0], height=size[1], duration_s=rendered / 25)
        write_clip(scene, CACHE / f"{name}.tmp.mp4", CACHE / f"{name}.json.gz", crf=23)
        write_log(scene, log.with_suffix(".tmp"))
        (CACHE / f"{name}.tmp.mp4").rename(video)
        log.with_suffix(".tmp").rename(log)
    longer = CACHE / f"{name}-{frames}.mp4"
    times = round(frames / rendered)
    loop = ["-stream_loop", str(times - 1), "-i", str(video), "-c", "copy", str(longer)]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *loop], check=True, stdin=subprocess.DEVNULL)
    return longer, log


def write_log(scene: Scene, path: Path) -> None:
    """The true instances as if a model had found them."""
    path.unlink(missing_ok=True)
    header = LogHeader(stream="street", classes=CLASSES, width=scene.width, height=scene.height, run="truth")
    with LogWriter(path, header) as log:
        for index in range(scene.frame_count):
            log.append(instances_of(scene.frame(index), index, scene.fps))


def instances_of(rendered: Rendered, index: int, fps: float) -> Instances:
    """The clearly visible instances of a rendered frame."""
    import cv2

    height, width = rendered.image.shape[:2]
    seen = [t for t in rendered.instances if t.visible > 0.25]
    masks = np.zeros((len(seen), MASK_SIZE, MASK_SIZE), np.uint8)
    for row, one in enumerate(seen):
        x0, y0, x1, y1 = map(int, one.box_px)
        inside = (rendered.labels[y0:y1, x0:x1] == one.label).astype(np.uint8) * 255
        masks[row] = cv2.resize(inside, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA)
    return Instances(
        stream="street",
        epoch=0,
        seq=index,
        index=index,
        pts_s=index / fps,
        wall_s=0.0,
        width=width,
        height=height,
        boxes_px=np.array([t.box_px for t in seen], np.float32).reshape(-1, 4),
        scores=np.full(len(seen), 0.9, np.float32),
        class_ids=np.array([CLASSES.index(t.class_name) for t in seen], np.int16),
        masks=masks,
    )


def bare_decode(video: Path, threads: str) -> Rate:
    """PyAV alone, in this process: `for frame in container.decode(...)`, nothing done with the frames.

    `threads`: SLICE is PyAV's default, which has one thread busy for most files; AUTO decodes frames in parallel, as
    the pipeline's decoder does.
    """
    start_s, cpu_start_s = time.perf_counter(), cpu_s()
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = threads
        frames = sum(1 for _ in container.decode(stream))
    return frames / (time.perf_counter() - start_s), 1e3 * (cpu_s() - cpu_start_s) / frames


def ffmpeg(video: Path) -> Rate:
    """FFmpeg decodes and encodes; nothing is drawn."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out.mp4"
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(video), "-c:v", "libx264"]
        return _rate_of([*command, "-preset", "veryfast", "-threads", "2", out], video)


def supervision(python: str, video: Path, log: Path, draw: bool) -> Rate:
    """One process with supervision's tracker and annotators."""
    with tempfile.TemporaryDirectory() as folder:
        boxes = Path(folder) / "boxes.npz"
        _, records = read_log(log)
        rows = [(i.boxes_px, i.scores, i.class_ids, i.masks) for i in records]
        np.savez(boxes, *[array for row in rows for array in row])
        script = Path(__file__).parent / "peers" / "supervision_loop.py"
        result = subprocess.run(
            [python, str(script), str(video), str(boxes), f"{folder}/out.mp4" if draw else "-"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    answer = json.loads(result.stdout.splitlines()[-1])
    return answer["fps"], answer["cpu_ms"]


def _rate_of(command: list[str], video: Path) -> Rate:
    with av.open(str(video)) as container:
        frames = container.streams.video[0].frames
    start_s, cpu_start_s = time.perf_counter(), cpu_s(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    spent_s = time.perf_counter() - start_s
    return frames / spent_s, 1e3 * (cpu_s(resource.RUSAGE_CHILDREN) - cpu_start_s) / frames


def ours(video: Path, log: Path, codec: str) -> tuple[Rate, float]:
    """The four processes; CPU with start-up, and how long start-up took."""
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "model": {"name": f"replay:{log}", "batch": 8},
            "streams": {
                "street": {
                    "source": str(video),
                    "lines": {"middle": {"points": [[0.5, 1.0], [0.5, 0.0]]}},
                }
            },
            "output": {"video": {"codec": codec, "preset": "veryfast"}},
            "metrics": {"enabled": True},
        }
        path = Path(folder) / "street.yaml"
        path.write_text(yaml.safe_dump(config))
        start_s, cpu_start_s = time.perf_counter(), cpu_s(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "pipeline", "run", str(path), "--out", f"{folder}/out"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        spent_s = time.perf_counter() - start_s
        used_s = cpu_s(resource.RUSAGE_CHILDREN) - cpu_start_s
        stream = json.loads(Path(f"{folder}/out/summary.json").read_text())["streams"]["street"]
    frames = stream["frames"]["processed"]
    return (stream["fps"], 1e3 * used_s / frames), spent_s - frames / stream["fps"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--supervision", metavar="PYTHON")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    video, log = make_clip((width, height), given.frames)
    starts: list[float] = []

    def run_ours(codec: str) -> Rate:
        rate, start = ours(video, log, codec)
        starts.append(start)
        return rate

    ways: dict[str, Callable[[], Rate]] = {
        "bare PyAV decode": lambda: bare_decode(video, "SLICE"),
        "bare PyAV decode, frame threads": lambda: bare_decode(video, "AUTO"),
        "ours, no video": lambda: run_ours("none"),
        "ffmpeg x264 veryfast": lambda: ffmpeg(video),
        "ours, x264 veryfast": lambda: run_ours("h264"),
    }
    if given.supervision:
        ways["supervision, no video"] = lambda: supervision(given.supervision, video, log, False)
        ways["supervision, x264 veryfast"] = lambda: supervision(given.supervision, video, log, True)
    fps: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            rate = way()
            fps[name].append(rate[0])
            cpu[name].append(rate[1])
            print(f"{name}: {rate[0]:.1f} fps, {rate[1]:.2f} CPU-ms", flush=True)
    ratios = {
        "no video / bare decode": _ratio(fps["ours, no video"], fps["bare PyAV decode"]),
        "no video / bare decode, frame threads": _ratio(
            fps["ours, no video"], fps["bare PyAV decode, frame threads"]
        ),
        "x264 / ffmpeg": _ratio(fps["ours, x264 veryfast"], fps["ffmpeg x264 veryfast"]),
    }
    table(
        f"{given.frames} frames of {given.size}, median of {given.rounds} interleaved rounds",
        ("way", "fps", "CPU-ms a frame"),
        [(name, f"{value:.1f}", f"{medians(cpu)[name]:.2f}") for name, value in medians(fps).items()],
    )
    if given.supervision:
        for codec, ours_name in (("no video", "ours, no video"), ("x264 veryfast", "ours, x264 veryfast")):
            ratios[f"{codec} / supervision"] = _ratio(fps[ours_name], fps[f"supervision, {codec}"])
    table("ratios of frames a second", ("ratio", "value"), [(k, f"{v:.2f}") for k, v in ratios.items()])
    print(f"\nstart-up and end of ours: {np.median(starts):.1f} s")
    save("pipeline", {"size": given.size, "frames": given.frames, "fps": medians(fps), "cpu_ms": medians(cpu),
                      "ratios": ratios, "start_s": float(np.median(starts)), "rounds": fps})  # fmt: skip


def _ratio(ours_fps: list[float], other_fps: list[float]) -> float:
    return float(np.median([a / b for a, b in zip(ours_fps, other_fps, strict=True)]))


if __name__ == "__main__":
    main()
