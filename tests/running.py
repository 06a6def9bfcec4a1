"""Real runs for tests: `tallycam run` as a process, its stages found and killed by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import yaml

from pipeline.geometry.masks import MASK_SIZE
from pipeline.records.log import LogHeader, LogWriter
from pipeline.transport.messages import Instances

ROOT = Path(__file__).parent.parent
STAGES = ("decode", "segment", "track", "sink")
WIDTH, HEIGHT, FPS = 320, 180, 25


def wait_until(
    condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "", every_s: float = 0.005
) -> Any:
    """The condition's value once it is true; looks again every `every_s`."""
    ticks = threading.Event()
    for _ in range(round(timeout_s / every_s)):
        if value := condition():
            return value
        ticks.wait(every_s)
    raise TimeoutError(f"not within {timeout_s} s: {what or condition}")


def write_clip(path: Path, frames: int, width: int = WIDTH, height: int = HEIGHT) -> None:
    """A grey clip with a moving bar, H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            image = np.full((height, width, 3), 90, np.uint8)
            image[:, (index * 3) % width :][:, :6] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


def walkers(index: int) -> np.ndarray:
    """Boxes of people who walk over the frame at different heights, to the right and to the left."""
    boxes = []
    for lane in range(6):
        phase = (index * (3 + lane % 3) + lane * 57) % (WIDTH + 60) - 30
        x = phase if lane % 2 == 0 else WIDTH - phase
        boxes.append((x - 8, 10 + lane * 25, x + 8, 42 + lane * 25))
    kept = [box for box in boxes if box[0] > 1 and box[2] < WIDTH - 1]
    return np.array(kept, np.float32).reshape(-1, 4)


def write_log(
    path: Path, frames: int, stream: str = "gate", boxes_of: Callable[[int], np.ndarray] = walkers
) -> None:
    """An instances log of walkers, for the model `replay:PATH`."""
    header = LogHeader(stream=stream, classes=("person", "car"), width=WIDTH, height=HEIGHT, run="made")
    with LogWriter(path, header) as log:
        for index in range(frames):
            boxes = boxes_of(index)
            log.append(
                Instances(
                    stream=stream, epoch=0, seq=index, index=index, pts_s=index / FPS, wall_s=0.0,
                    width=WIDTH, height=HEIGHT, boxes_px=boxes, scores=np.full(len(boxes), 0.9, np.float32),
                    class_ids=np.zeros(len(boxes), np.int16),
                    masks=np.full((len(boxes), MASK_SIZE, MASK_SIZE), 255, np.uint8),
                )
            )  # fmt: skip


def scene(folder: Path, frames: int, **changes: Any) -> Path:
    """A clip, the log that the model replays, and a configuration. `changes` go into the stream."""
    write_clip(folder / "clip.mp4", frames)
    write_log(folder / "made.log", frames)
    lines = {
        "middle": {"points": [[0.5, 1.0], [0.5, 0.0]], "directions": ["right", "left"]},
        "early": {"points": [[0.25, 1.0], [0.25, 0.0]], "directions": ["right", "left"], "anchor": "center"},
    }
    zones = {"square": {"points": [[0.3, 0.0], [0.6, 0.0], [0.6, 1.0], [0.3, 1.0]]}}
    stream = {"source": str(folder / "clip.mp4"), "lines": lines, "zones": zones} | changes
    config = {
        "model": {"name": f"replay:{folder / 'made.log'}"},
        "streams": {"gate": stream},
        "output": {"video": {"preset": "ultrafast"}},
    }
    path = folder / "gate.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run_log(out: Path) -> str:
    """The log of a run; empty while there is none."""
    path = out / "log" / "run.log"
    return path.read_text() if path.exists() else ""


def log_size(out: Path, stream: str = "gate") -> int:
    """Bytes in the instances log of a stream."""
    return sum(path.stat().st_size for path in (out / "log" / stream).glob("*.log"))


class Command:
    """A running `tallycam` command.

    Args:
        runtime: folder for its sockets.
        folder: the working folder; the checkout if None.
    """

    def __init__(
        self, *arguments: str | Path, runtime: Path | None = None, folder: Path | None = None
    ) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        python = [sys.executable]
        if (
            folder is not None
        ):  # as the installed `tallycam` does it: nothing is imported from the working folder
            python.append("-P")
            environment["PYTHONPATH"] = os.pathsep.join(
                filter(None, (str(ROOT), environment.get("PYTHONPATH")))
            )
        if runtime is not None:
            environment["XDG_RUNTIME_DIR"] = str(runtime)
        self.popen = subprocess.Popen(
            [*python, "-m", "pipeline", *map(str, arguments)],
            cwd=folder or ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.runtime = runtime

    def stage(self, name: str, *, not_pid: int = 0) -> int:
        """The pid of a stage, once it runs; `not_pid` waits for its next life."""

        def find() -> int:
            for pid in self.children():
                words = command_line(pid)
                if name in words and pid != not_pid:
                    return pid
            return 0

        return int(wait_until(find, what=name))

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def kill(self, name: str) -> int:
        """Kills a stage for real; the pid that it had."""
        pid = self.stage(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def finish(self, timeout_s: float = 120.0) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        out, err = self.popen.communicate(timeout=timeout_s)
        return self.popen.returncode, out, err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.popen.poll() is None:
            for pid in self.children():
                os.kill(pid, signal.SIGKILL)
            self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                pipe.close()


def command_line(pid: int) -> list[str]:
    """Words of a process's title, e.g. `tallycam decode/gate 0`."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").split()
    except OSError:
        return []


def tallycam(
    *arguments: str | Path, timeout_s: float = 120.0, folder: Path | None = None
) -> tuple[int, str, str]:
    """Runs a command to its end: exit code, standard output, standard error."""
    with Command(*arguments, folder=folder) as command:
        return command.finish(timeout_s)


def summary(out: Path, stream: str = "gate") -> dict[str, Any]:
    """A stream's part of the summary."""
    result: dict[str, Any] = json.loads((out / "summary.json").read_text())["streams"][stream]
    return result


def counts(out: Path) -> dict[str, Any]:
    """What must be the same with and without a crash."""
    whole = summary(out)
    return {key: whole[key] for key in ("unique", "uncertain", "doubtful", "lines", "zones")} | {
        "processed": whole["frames"]["processed"]
    }


def frames_of(path: Path) -> int:
    """Frames that can be decoded."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))
