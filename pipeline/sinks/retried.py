"""A file sink of a stream without end: it stops while the disk takes nothing, and is opened again when there is room.

Counting goes on meanwhile. A recording has no such second chance: its video is to be complete, or the run fails.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable

from pipeline.errors import OutputError
from pipeline.sinks.guard import SinkCounts
from pipeline.sinks.sink import ManagedFrameSink, VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes

log = logging.getLogger(__name__)

RETRY_S = 10.0


class RetriedSink:
    """A sink that is made anew after it failed.

    Args:
        name: For the log.
        make: Makes the sink; gets the number of attempts before.
        counts: Counts failures and lost frames.
        clock: Monotonic seconds.
        has_room: Whether it is worth while to try again; a file on a full disk can be opened, and fails later.

    Attributes:
        annotated, silence_every_s: As of the sink.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[int], ManagedFrameSink],
        counts: SinkCounts,
        clock: Callable[[], float] = time.monotonic,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._has_room = has_room
        self._name, self._make, self._counts, self._clock = name, make, counts, clock
        self._attempts = 0
        self._sink: ManagedFrameSink | None = make(0)
        self.annotated, self.silence_every_s = self._sink.annotated, self._sink.silence_every_s
        self._video: VideoInfo | None = None
        self._failed_s = 0.0
        self._lost = 0

    def begin(self, video: VideoInfo) -> None:
        """Passes on what is known of the frames.

        Args:
            video: What is known of the frames.

        Raises:
            OutputError: The sink of a recording cannot be opened.
        """
        self._video = video
        assert self._sink is not None
        try:
            self._sink.begin(video)
        except OutputError as error:
            self._failed(error)

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether the sink wants a frame; one that has stopped is opened again here, at intervals.

        Args:
            tracks: Of the frame that is due.
        """
        if self._sink is None:
            self._try_again()
        if self._sink is None:
            self._lost += 1
            self._counts.lost(1)
            return False
        return self._sink.wants(tracks)

    def ready(self) -> bool:
        """As the sink."""
        return self._sink is None or self._sink.ready()

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Writes a frame, unless the sink has stopped.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.

        Raises:
            OutputError: The sink of a recording failed.
        """
        if self._sink is None:
            return
        try:
            self._sink.write_frame(planes, tracks)
        except OutputError as error:
            self._failed(error)

    def close(self) -> None:
        """Closes the sink.

        Raises:
            OutputError: The sink of a recording failed.
        """
        if self._sink is not None:
            try:
                self._sink.close()
            except OutputError as error:
                self._failed(error)
        if self._lost:
            log.error("%s has stopped; frames missing in it: %d", self._name, self._lost)

    def closed(self) -> bool:
        """As the sink."""
        return self._sink is None or self._sink.closed()

    def _failed(self, error: OutputError) -> None:
        if self._video is None or not self._video.live:
            raise error
        if not self._lost:
            log.error("%s; %s stops, counting goes on", error, self._name)
        self._counts.failed()
        self._counts.lost(1)
        self._lost += 1
        sink, self._sink = self._sink, None
        if sink is not None:
            with contextlib.suppress(OutputError):
                sink.close()
        self._failed_s = self._clock()

    def _try_again(self) -> None:
        if self._clock() - self._failed_s < RETRY_S or self._video is None:
            return
        if not self._has_room():
            self._failed_s = self._clock()
            return
        self._attempts += 1
        try:
            self._sink = self._make(self._attempts)
            self._sink.begin(self._video)
        except OutputError:
            self._sink, self._failed_s = None, self._clock()
            return
        log.warning("%s goes on; frames missing in it: %d", self._name, self._lost)
        self._lost = 0
