"""What a number of streams costs: a real run of them, watched while it goes on."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.run import NotStartedError, run

SETTLED_FRAMES = 10
"""Frames that every stream has to have counted before costs are taken."""
SUPERVISOR = "supervisor"
_TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class StreamCosts:
    """Of some streams at once.

    Attributes:
        streams: Number of them.
        frames: Counted since the start of the run.
        fps: Frames counted a second, all streams together.
        slowest_fps: Of the slowest stream.
        cores: Busy on the average.
        cpu_ms: Milliseconds of a core for one frame, by stage.
        memory_mb: Proportional set size, by stage, megabytes; frames in shared memory are in it.
        log_bytes: Of the instances log, for one frame.
    """

    streams: int
    frames: int
    fps: float
    slowest_fps: float
    cores: float
    cpu_ms: dict[str, float]
    memory_mb: dict[str, float]
    log_bytes: float

    @property
    def frame_cpu_ms(self) -> float:
        """Milliseconds of a core for one frame, all stages together."""
        return sum(self.cpu_ms.values())

    @property
    def total_mb(self) -> float:
        """Memory of all processes, megabytes."""
        return sum(self.memory_mb.values())


def unpaced(clip: Path, log: Path, streams: int) -> Config:
    """Streams that play a clip again and again, as fast as they go, with recorded instances.

    Args:
        clip: The clip.
        log: The instances.
        streams: Number of streams.
    """
    return _played(clip, log, streams, {"loop": True})


def paced(clip: Path, log: Path, streams: int, fps: float, *, video: bool = False) -> Config:
    """Streams that play a clip as cameras would.

    Args:
        clip: The clip.
        log: The instances.
        streams: Number of streams.
        fps: Frames a second of each that are counted.
        video: Whether the annotated video is written.
    """
    settings = {"loop": True, "realtime": True, "fps": fps, "watch_picture": False}
    return _played(clip, log, streams, settings, video=video)


def _played(clip: Path, log: Path, streams: int, settings: dict[str, Any], *, video: bool = False) -> Config:
    stream = {"source": str(clip), **settings}
    return Config.model_validate({
        "model": {"name": f"replay:{log}"},
        "streams": {f"camera{number}": stream for number in range(streams)},
        "output": {"video": {"codec": "h264" if video else "none"}},
    })  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Within, nothing below an error is logged: the runs are not the user's."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@dataclass(slots=True)
class _Watch:
    """Takes samples of a run, and ends it."""

    seconds: float
    began_s: float = 0.0
    frames: dict[str, int] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    spent_s: float = 0.0
    counted: dict[str, int] = field(default_factory=dict)
    used_s: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)

    def tick(self, entries: list[ProcessState]) -> None:
        if self.spent_s:
            return
        counted = {name: totals.frames for entry in entries for name, totals in entry.report.streams.items()}
        streams = sum(entry.process.stage.name == "decode" for entry in entries)
        if len(counted) < streams or min(counted.values()) < SETTLED_FRAMES:
            return
        if not self.began_s:
            self.began_s, self.frames, self.cpu_s = time.monotonic(), counted, _cpu_s(entries)
        elif time.monotonic() - self.began_s >= self.seconds:
            self.counted, self.used_s = counted, _cpu_s(entries)
            self.spent_s = time.monotonic() - self.began_s
            self.memory_mb = _memory_mb(entries)
            os.kill(os.getpid(), signal.SIGINT)  # the run ends as by Ctrl-C


def measure(config: Config, out: Path, seconds: float) -> StreamCosts:
    """Runs streams for a while.

    Args:
        config: With streams that do not end within that time.
        out: Folder for the results of the run.
        seconds: For how long costs are taken.

    Raises:
        TallycamError: The run did not start, or was stopped.
    """
    watch = _Watch(seconds)
    run(config, out, on_tick=watch.tick)
    if not watch.spent_s:
        raise NotStartedError("stopped before the costs were known")
    frames = {name: watch.counted[name] - watch.frames[name] for name in watch.counted}
    total = max(1, sum(frames.values()))
    used_s = {stage: used - watch.cpu_s[stage] for stage, used in watch.used_s.items()}
    log_bytes = sum(path.stat().st_size for path in (out / "log").glob("*/*.log"))
    return StreamCosts(
        streams=len(frames),
        frames=sum(watch.counted.values()),
        fps=total / watch.spent_s,
        slowest_fps=min(frames.values()) / watch.spent_s,
        cores=sum(used_s.values()) / watch.spent_s,
        cpu_ms={stage: 1e3 * seconds_ / total for stage, seconds_ in sorted(used_s.items())},
        memory_mb=dict(sorted(watch.memory_mb.items())),
        log_bytes=log_bytes / max(1, sum(watch.counted.values())),
    )


def _cpu_s(entries: list[ProcessState]) -> dict[str, float]:
    """Processor time so far, by stage."""
    times = os.times()
    used = defaultdict(float, {SUPERVISOR: times.user + times.system})
    for entry in entries:
        fields = Path(f"/proc/{entry.handle.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        used[entry.process.stage.name] += (int(fields[11]) + int(fields[12])) / _TICKS_S
    return used


def _memory_mb(entries: list[ProcessState]) -> dict[str, float]:
    """Proportional set size, by stage: memory that several processes share is divided among them."""
    found: dict[str, float] = defaultdict(float)
    stages = [(entry.process.stage.name, entry.handle.pid) for entry in entries]
    for name, pid in ((SUPERVISOR, os.getpid()), *stages):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith("Pss:"))
        found[name] += int(line.split()[1]) / 1024
    return found
