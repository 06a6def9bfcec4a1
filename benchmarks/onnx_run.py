"""How much of an ONNX model's own speed a run keeps, and what its int8 version gains and changes.

    python -m benchmarks.onnx_run MODEL.onnx CLIP... [--frames 60] [--rounds 3] [--line 0.1,0.6,0.9,0.6] [--int8 FILE]

Per round and in turns: a bare ONNX Runtime session with its own defaults, fed with one prepared frame; the same with
threads that sleep while they wait, whose CPU time is that of the work alone; `OnnxSegmenter`, from planes to instances;
and `tallycam run` without video, whose rate is that of its summary, and whose CPU time is that of all its processes
between the third frame and the last. With `--int8` also the counts and the rate of that file on each whole clip, beside
those of MODEL.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: `import pipeline` must not find the neighbour of that name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

from benchmarks.measure import cpu_s, medians, save, table
from pipeline.config.schema import ModelConfig
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from pipeline.transport.planes import Planes
from pipeline.video.spread_frames import spread_frames

SCORE = 0.3
BARE = "bare session"
START = 2
"""Frames of a run that shows what the start costs."""
Rate = tuple[float, float]
"""Frames a second, CPU-ms a frame."""


def bare(path: Path, frame: Planes, count: int, *, spin: bool) -> Rate:
    """ONNX Runtime with the threads and settings that it chooses itself; nothing is prepared or decoded."""
    import onnxruntime

    feed = OnnxSegmenter(ModelConfig(path=path, device="cpu", score=SCORE)).feeds(frame)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, feed)
    began_s, cpu_began_s = time.perf_counter(), cpu_s()
    for _ in range(count):
        session.run(None, feed)
    return _rate(count, began_s, cpu_began_s)


def segmenter(path: Path, frames: list[Planes], count: int) -> Rate:
    """Planes to instances in this process."""
    model = OnnxSegmenter(ModelConfig(path=path, device="cpu", score=SCORE))
    model.warm_up()
    began_s, cpu_began_s = time.perf_counter(), cpu_s()
    for number in range(count):
        model.segment([frames[number % len(frames)]])
    return _rate(count, began_s, cpu_began_s)


def _rate(count: int, began_s: float, cpu_began_s: float) -> Rate:
    return count / (time.perf_counter() - began_s), 1e3 * (cpu_s() - cpu_began_s) / count


def run(path: Path, clip: Path, line: str, count: int | None) -> dict[str, Any]:
    """`tallycam run` on a clip, or on its first frames; the stream's part of the summary."""
    numbers = [float(number) for number in line.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "model": {"path": str(path.absolute()), "device": "cpu", "score": SCORE},
            "streams": {
                "clip": {
                    "source": str(_first(clip, count, Path(folder)) if count else clip.absolute()),
                    "lines": {"line": {"points": [numbers[:2], numbers[2:]]}},
                }
            },
            "output": {"video": {"codec": "none"}},
        }
        file = Path(folder, "run.yaml")
        file.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "pipeline", "run", str(file), "--out", f"{folder}/out"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        summary: dict[str, Any] = json.loads(Path(f"{folder}/out/summary.json").read_text())
        return summary["streams"]["clip"]


def whole_run(path: Path, clip: Path, line: str, count: int) -> Rate:
    """The rate of a run on the first frames of a clip."""
    begun = cpu_s(resource.RUSAGE_CHILDREN)
    run(path, clip, line, START)
    between = cpu_s(resource.RUSAGE_CHILDREN)
    fps = run(path, clip, line, count)["fps"]
    spent_s = cpu_s(resource.RUSAGE_CHILDREN) - between - (between - begun)
    return fps, 1e3 * spent_s / (count - START)


def _first(clip: Path, count: int, folder: Path) -> Path:
    """The first frames of a clip, as they are."""
    part = folder / f"part{clip.suffix}"
    cut = ["ffmpeg", "-v", "error", "-i", str(clip), "-frames:v", str(count), "-c", "copy", str(part)]
    subprocess.run(cut, check=True, stdin=subprocess.DEVNULL)
    return part


def speed(path: Path, clip: Path, line: str, frames: int, rounds: int) -> dict[str, Any]:
    """The three ways in turns."""
    pictures = spread_frames(str(clip), 8)
    ways: dict[str, Callable[[], Rate]] = {
        BARE: lambda: bare(path, pictures[0], frames, spin=True),
        f"{BARE}, sleeping threads": lambda: bare(path, pictures[0], frames, spin=False),
        "segmenter": lambda: segmenter(path, pictures, frames),
        "run, no video": lambda: whole_run(path, clip, line, frames),
    }
    fps: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rate = way()
            fps[name].append(rate[0])
            cpu[name].append(rate[1])
            print(f"{name}: {rate[0]:.2f} fps, {rate[1]:.0f} CPU-ms", flush=True)
    ratios = {
        name: float(np.median([a / b for a, b in zip(values, fps[BARE], strict=True)]))
        for name, values in fps.items()
    }
    table(
        f"{path.name}: {frames} frames of {clip.name}, medians of {rounds} rounds",
        ("way", "fps", "of the bare session", "CPU-ms a frame"),
        [(n, f"{v:.2f}", f"{ratios[n]:.2f}", f"{medians(cpu)[n]:.0f}") for n, v in medians(fps).items()],
    )
    return {"clip": clip.name, "fps": medians(fps), "cpu_ms": medians(cpu), "ratios": ratios, "rounds": fps}


def int8(path: Path, smaller: Path, clips: list[Path], line: str) -> list[dict[str, Any]]:
    """Counts and rate of both models on whole clips."""
    rows: list[dict[str, Any]] = []
    for clip in clips:
        one, other = (run(file, clip, line, None) for file in (path, smaller))
        rows.append(
            {
                "clip": clip.name,
                "fps": [one["fps"], other["fps"]],
                "unique": [one["unique"], other["unique"]],
                "line": [one["lines"]["line"], other["lines"]["line"]],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--line", default="0.1,0.6,0.9,0.6")
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--nice", type=int, default=0)
    given = parser.parse_args()
    os.nice(given.nice)
    result: dict[str, Any] = {
        "model": given.model.name,
        "frames": given.frames,
        "speed": speed(given.model, given.clips[0], given.line, given.frames, given.rounds),
    }
    if given.int8:
        result["int8_speed"] = speed(given.int8, given.clips[0], given.line, given.frames, given.rounds)
        result["int8"] = int8(given.model, given.int8, given.clips, given.line)
    save("onnx_run", result)


if __name__ == "__main__":
    main()
