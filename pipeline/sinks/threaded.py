"""A file sink of a live source in a thread of its own: an encoder that is too slow costs frames of the video alone.

A frame that waits for its sink holds a slot of the ring, and without a free slot the decoder of a live source drops
frames before they are counted. So its pixels are copied, and what does not fit into a short queue is left out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from pipeline.logs.sums import SumLog
from pipeline.sinks.guard import SinkCounts
from pipeline.sinks.sink import ManagedFrameSink, VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes
from pipeline.video.sources.frame_sampler import FrameSampler

log = logging.getLogger(__name__)

QUEUE_BYTES = 48 << 20
"""Pixels that may wait."""
WAITING = 2, 32
"""Least and largest number of frames that may wait."""
DEFAULT_FPS = 25.0
TOO_SLOW = "encoder too slow"


class ThreadedSink:
    """Hands frames to a sink in another thread.

    Args:
        name: For the log.
        sink: Used in the thread only, once `begin` was called.
        counts: Counts lost frames.
        fps: Frames per second that the sink wants; None: all.

    Attributes:
        annotated, silence_every_s: As of the sink.
    """

    def __init__(
        self, name: str, sink: ManagedFrameSink, counts: SinkCounts, fps: float | None = None
    ) -> None:
        self._name, self._sink, self._counts, self._fps = name, sink, counts, fps
        self.annotated, self.silence_every_s = sink.annotated, sink.silence_every_s
        self._calls: deque[Callable[[], None]] = deque()
        self._capacity = WAITING[0]
        self._changed = threading.Condition()
        self._closing = False
        self._error: Exception | None = None
        self._lost = 0
        self._lost_log = SumLog("frames missing in the video", time.monotonic())
        self._sampler = FrameSampler(fps, 0)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def begin(self, video: VideoInfo) -> None:
        """Passes on what is known of the frames.

        Args:
            video: What is known of the frames.
        """
        pixels = video.width * video.height * 3 // 2
        self._capacity = max(WAITING[0], min(WAITING[1], QUEUE_BYTES // max(1, pixels)))
        self._sampler = FrameSampler(self._fps, 0, video.fps or DEFAULT_FPS)
        self._offer(lambda: self._sink.begin(video))

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether there is room for the frame, and `fps` lets it through.

        Args:
            tracks: Of the frame that is due.

        Raises:
            Exception: Whatever the sink has raised.
        """
        self._check()
        if self._sampler.reason_to_skip(0, tracks.pts_s):
            return False
        with self._changed:
            if len(self._calls) < self._capacity:
                return True
        self._lost += 1
        self._counts.lost(1)
        if line := self._lost_log.due({TOO_SLOW: self._lost}, time.monotonic()):
            log.warning(line)
        return False

    def ready(self) -> bool:
        """Always: what does not fit is left out."""
        return True

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Copies one frame for the sink.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.
        """
        copy = planes.copy()
        self._offer(lambda: self._write(copy, tracks))

    def close(self) -> None:
        """Lets the sink finish what waits."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if line := self._lost_log.due({TOO_SLOW: self._lost}, time.monotonic(), at_once=True):
            log.warning(line)

    def closed(self) -> bool:
        """Whether it has.

        Raises:
            Exception: Whatever the sink has raised.
        """
        if self._thread.is_alive():
            return False
        self._check()
        return self._sink.closed()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _offer(self, call: Callable[[], None]) -> None:
        with self._changed:
            self._calls.append(call)
            self._changed.notify()

    def _work(self) -> None:
        """The thread."""
        try:
            while (call := self._next()) is not None:
                call()
            self._sink.close()
        except Exception as error:  # raised where the next frame is offered
            self._error = error

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._closing)
            return self._calls.popleft() if self._calls else None

    def _write(self, planes: Planes, tracks: FrameTracks) -> None:
        if self._sink.wants(tracks):
            self._sink.write_frame(planes, tracks)
