"""What every source is: its facts, its frames, its counters, and the two rules of time they share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.config.schema import StreamConfig
from pipeline.transport.planes import Planes

DEFAULT_FPS = 25.0
"""Frame rate where a source states none."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source once it is open.

    Attributes:
        kind: `file`, `images`, `camera`, `rtsp`, `url` or `synthetic`.
        live: frames come at their own pace and are lost if nobody takes them.
        width, height: pixels as shown, rotation applied; the same for every frame.
        fps: nominal frames of one second; None where unknown.
        duration_s: seconds that will be played, start and stop time applied; None where unknown or endless.
        frames: estimate of the frames that will come, for progress; None where unknown or endless.
    """

    kind: str
    live: bool
    width: int
    height: int
    fps: float | None = None
    duration_s: float | None = None
    frames: int | None = None


@dataclass(slots=True)
class SourceStats:
    """Counters of a source, written by its reader, read by anyone.

    Attributes:
        decoded: frames that left the decoder.
        errors: damaged packets, frames and images, and ends that came too early.
        reconnects: times that a live source came back.
        resized: frames whose size differed from the first one's and that were scaled to it.
        skipped: reason -> frames that were decoded and not handed on: `fps`, `skip`, `late`.
        last_error: one line on the newest trouble, without passwords; empty where there was none.
    """

    decoded: int = 0
    errors: int = 0
    reconnects: int = 0
    resized: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    last_error: str = ""

    def skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def damage(self, what: str) -> None:
        self.errors += 1
        self.last_error = what


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame, its pixels still with the decoder.

    Attributes:
        index: number of the frame in the source, from 0; gaps where frames were skipped.
        pts_s: media time in seconds since the first frame of the source (a file's own time, also with `start_s`);
            never falls.
        wall_s: Unix time at which it was decoded (for `realtime`: at which it was due).
        epoch: rises when a source reconnects, starts again or its clock jumps.
        width, height: pixels as shown.
        copy_to: writes the pixels into planes of that size, once; by one thread at a time.
    """

    index: int
    pts_s: float
    wall_s: float
    epoch: int
    width: int
    height: int
    copy_to: Callable[[Planes], None]


@dataclass(frozen=True, slots=True)
class Position:
    """A frame that a source handed on in an earlier life: lets a file be entered again there."""

    index: int
    pts_s: float
    epoch: int = 0


class Source(Protocol):
    """An open source."""

    @property
    def info(self) -> SourceInfo: ...

    @property
    def stats(self) -> SourceStats: ...

    def frames(self) -> Iterator[SourceFrame]:
        """The frames, once; waits for them. Ends soon after `close` or the `stop` event of `open_source`."""
        ...

    def close(self) -> None:
        """Ends `frames`; any thread may call it, more than once."""
        ...


class BaseSource:
    """What all sources do alike.

    Args:
        stop: ends the frames when set, as `close` does.
    """

    _info: SourceInfo

    def __init__(self, config: StreamConfig, stop: threading.Event) -> None:
        self._config = config
        self._stop = stop
        self._closed = threading.Event()
        self._stats = SourceStats()

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def stats(self) -> SourceStats:
        return self._stats

    def close(self) -> None:
        self._closed.set()

    def _ended(self) -> bool:
        return self._closed.is_set() or self._stop.is_set()


def wait_until(due_s: float, ended: Callable[[], bool]) -> None:
    """Waits for `due_s` of the monotonic clock, or until `ended`, looked at ten times a second."""
    while (left_s := due_s - time.monotonic()) > 0 and not ended():
        time.sleep(min(left_s, 0.1))


class FrameSampler:
    """Which frames are used: after `skip` frames left out each, at most `fps` of one second.

    Whether a frame is used depends on it and the frame before alone, so that a file entered in the middle
    picks the same frames as a file played from its start.

    Args:
        source_fps: nominal rate of the source; its frames may come half a frame too early or too late.
    """

    def __init__(self, fps: float | None, skip: int, source_fps: float = DEFAULT_FPS) -> None:
        self._fps = fps
        self._every = skip + 1
        self._slack_s = 0.5 * self._every / source_fps
        self._bucket: int | None = None

    def reason_to_skip(self, index: int, pts_s: float) -> str:
        """`skip`, `fps`, or empty if the frame is used."""
        if index % self._every:
            return "skip"
        if self._fps is None:
            return ""
        bucket = int(pts_s * self._fps + min(0.5, self._slack_s * self._fps))
        same = bucket == self._bucket
        self._bucket = bucket
        return "fps" if same else ""


class MediaClock:
    """Media time that never falls, made of what containers say of time.

    A missing timestamp continues at the nominal rate. A fall of more than a second is a jump: time goes on from
    where it was and the epoch rises.

    Args:
        fps: nominal rate.
        zero_s: the container's time at which media time is 0; None: that of the first frame.
    """

    JUMP_S = 1.0

    def __init__(self, fps: float, *, zero_s: float | None = None) -> None:
        self._step_s = 1.0 / fps
        self._offset_s = None if zero_s is None else -zero_s
        self._gap_s: float | None = None
        self.pts_s: float | None = None
        self.epoch = 0

    def restart(self, gap_s: float) -> None:
        """A new epoch begins with the next frame, `gap_s` after the last one, whatever its timestamp is."""
        self.epoch += 1
        self._gap_s = gap_s

    def next(self, raw_s: float | None) -> float:
        """Media time of the next frame, whose container says `raw_s`."""
        if self.pts_s is None:
            pts_s = 0.0 if raw_s is None or self._offset_s is None else max(0.0, raw_s + self._offset_s)
        elif self._gap_s is not None:
            pts_s, self._gap_s, self._offset_s = self.pts_s + self._gap_s, None, None
        elif raw_s is None or self._offset_s is None:
            pts_s = self.pts_s + self._step_s
        elif raw_s + self._offset_s < self.pts_s - self.JUMP_S:
            self.epoch += 1
            pts_s, self._offset_s = self.pts_s + self._step_s, None
        else:
            pts_s = max(self.pts_s, raw_s + self._offset_s)
        if raw_s is not None and self._offset_s is None:
            self._offset_s = pts_s - raw_s
        self.pts_s = pts_s
        return pts_s
