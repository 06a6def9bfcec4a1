"""What a source is: its properties, frames and counters, and the base class that sources share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Protocol

import numpy as np

from pipeline.config.schema import StreamConfig
from pipeline.redact import redact
from pipeline.transport.planes import Planes, planes_bytes


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Properties of an open source. Only those of the picture can change, in a live source.

    Attributes:
        kind: name of its row in the table of sources (`pipeline.video.sources.source_registry`), e.g. `file` or `rtsp`.
        live: frames arrive at their own pace and are lost if they are not taken.
        width, height: displayed size in pixels, rotation applied; of a recording the same for every frame.
        fps: nominal frame rate in Hz; None if unknown.
        duration_s: seconds between start and stop time that will be played; None if unknown or endless.
        frames: estimated number of frames to come, for progress reports; None if unknown or endless.
        sample_aspect: width and height of a displayed pixel relative to each other (sample aspect ratio, SAR); not
            1:1 in anamorphic video, such as 720x576 shown as 16:9.
    """

    kind: str
    live: bool
    width: int
    height: int
    fps: float | None = None
    duration_s: float | None = None
    frames: int | None = None
    sample_aspect: tuple[int, int] = (1, 1)


CONNECTING, CONNECTED, STALLED, RETRYING, ENDED = STATES = (
    "connecting",
    "connected",
    "stalled",
    "retrying",
    "ended",
)
"""States of a source: opened for the first time; frames come; none come, but the connection stands; away, and tried
again; over."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """State of a source.

    Attributes:
        name: one of `STATES`.
        since_s: Unix time.
        why: of `retrying`: one line, without passwords.
    """

    name: str
    since_s: float
    why: str = ""


@dataclass(slots=True)
class SourceStats:
    """Counters of a source; written by the thread that reads it, readable from any thread.

    Attributes:
        decoded: frames that left the decoder.
        bytes: size of the video packets that a live source has sent.
        errors: damaged packets, frames and images, and files that ended before their stated end.
        reconnects: connections of a live source that were re-established.
        resized: frames that were scaled because their size differed from that of the frames before.
        retimed: frames whose media time is interpolated, since their timestamps repeated or went back.
        skipped: reason -> frames decoded but not delivered: `fps`, `skip`, `late`.
        last_error: the most recent problem in one line, without passwords; empty if there was none.
        clock_ratio: seconds of the clock for a second of the timestamps of a live source, by which they are corrected.
        lost_s: Unix time at which the connection of a live source was lost that has not come back; 0 otherwise.
        lost_why: why, and why it cannot be re-established; one line without passwords.
    """

    decoded: int = 0
    bytes: int = 0
    errors: int = 0
    reconnects: int = 0
    resized: int = 0
    retimed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    last_error: str = ""
    clock_ratio: float = 1.0
    lost_s: float = 0.0
    lost_why: str = ""

    def count_skipped(self, reason: str) -> None:
        """Counts one frame that was decoded but is not delivered.

        Args:
            reason: Why; a key of `skipped`.
        """
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def record_error(self, message: str) -> None:
        """Counts one piece of damaged or missing data.

        Args:
            message: One line, without passwords.
        """
        self.errors += 1
        self.last_error = message


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame whose pixels are still in the decoder.

    Attributes:
        index: number of the frame in the source, from 0; skipped frames leave gaps.
        pts_s: media time in seconds since the source's first frame (with `start_s`, since the start of the file);
            never decreases.
        wall_s: Unix time at which the frame was decoded (with `realtime`, at which it was due).
        epoch: increases when a source reconnects, loops, or its clock jumps.
        width, height: displayed size in pixels.
        copy_to: writes the pixels into planes of that size. May be called once, by one thread at a time.
    """

    index: int
    pts_s: float
    wall_s: float
    epoch: int
    width: int
    height: int
    copy_to: Callable[[Planes], None]

    def pixels(self) -> Planes:
        """The pixels in memory of their own, by `copy_to`."""
        buffer = np.empty(planes_bytes(self.width, self.height), np.uint8)
        planes = Planes.view(buffer, self.width, self.height)
        self.copy_to(planes)
        return planes


@dataclass(frozen=True, slots=True)
class FramePosition:
    """Index, media time and epoch of a frame that a source delivered earlier: enough to seek to it."""

    index: int
    pts_s: float
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """What a source's factory is asked to open.

    Attributes:
        kind: name of the row whose factory is called; becomes `SourceInfo.kind`.
        target: the address without its scheme (`7?fps=10` of `synthetic:7?fps=10`); for files and folders the
            path, for URLs the whole URL.
        config: settings of the stream, `config.source` being the address as it was written.
        stop: ends the source's frames when set.
        first_index: first frame wanted from a source with an end or a reproducible one; earlier frames are not
            delivered, later ones are those of an uninterrupted playback.
        seek_hint: a frame at or before `first_index`; lets a file seek instead of decoding from its beginning.
        decoder_threads: threads of the video decoder; None lets the source choose.
        zone: of times in file names; None: that of this machine.
    """

    kind: str
    target: str
    config: StreamConfig
    stop: threading.Event
    first_index: int = 0
    seek_hint: FramePosition | None = None
    decoder_threads: int | None = None
    zone: tzinfo | None = None

    @property
    def shown(self) -> str:
        """The address for messages, without its password."""
        return redact(self.config.source)


class Source(Protocol):
    """An open source."""

    @property
    def info(self) -> SourceInfo:
        """Properties; those of the picture change with the frames of a live source."""
        ...

    @property
    def stats(self) -> SourceStats:
        """Counters; they keep changing while frames are read."""
        ...

    def frames(self) -> Iterator[SourceFrame]:
        """Yields the frames once, blocking until each is available.

        Ends soon after `close()`, or after the request's `stop` event is set.
        """
        ...

    def close(self) -> None:
        """Ends `frames()`. Any thread may call it, any number of times."""
        ...


class BaseSource:
    """Base class of sources: settings, counters and shutdown. Subclasses set `info` and implement `frames()`.

    Args:
        request: what to open.
    """

    info: SourceInfo

    def __init__(self, request: SourceRequest) -> None:
        self.request = request
        self.config = request.config
        self.stats = SourceStats()
        self._closed = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether `close()` was called or the request's `stop` event is set."""
        return self._closed.is_set() or self.request.stop.is_set()

    def close(self) -> None:
        """Ends `frames()`."""
        self._closed.set()

    def wait_until(self, due_s: float) -> None:
        """Sleeps until `due_s` on the monotonic clock, or until the source ended (checked ten times a second).

        Args:
            due_s: Monotonic seconds.
        """
        while (left_s := due_s - time.monotonic()) > 0 and not self.ended:
            self._closed.wait(min(left_s, 0.1))
