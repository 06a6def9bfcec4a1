"""Live sources: RTSP, endless HTTP, cameras. They are read by a thread of their own, which reconnects for ever.

The thread hands over the newest frame only, so that a slow taker gets fresh frames; and the frames end at once
when they are to end, even while the network is silent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import av
from av.container import InputContainer

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.convert import Converter, shown_size
from pipeline.video.sources.decoder import (
    decode_packet,
    fps_or_default,
    live_packets,
    nominal_fps,
    raw_time_s,
    reason,
    video_stream,
)
from pipeline.video.sources.source import (
    BaseSource,
    FrameSampler,
    MediaClock,
    SourceFrame,
    SourceInfo,
    SourceStats,
)

BACKOFF_S = (0.25, 0.5, 1.0)
"""Waits between attempts to reconnect; the last one for ever: a server is soon found again."""
OPEN_TIMEOUT_S = 20.0
"""Wait for the first picture: cameras that save bandwidth send a keyframe every ten seconds or so."""
NO_PICTURE_S = 30.0
"""Packets without a picture for so long, and the connection is given up for a new one."""
CLOCK_LEAP_S = 5.0
"""Timestamps that leap so much farther than the time that went by are a jump of the source's clock."""
_TIMED_ON_ARRIVAL = ("mpjpeg", "mjpeg")
"""Formats without timestamps: the demuxer makes them up at 25 fps."""


class LiveSource(BaseSource):
    """Frames of a source that has no end; the counters count from its opening.

    Args:
        shown: the address without secrets, for messages.
        open_input: opens the input, for every connection again. Raises `SourceError`.
        first: an input already open, for the first connection.

    Raises:
        SourceError: the input cannot be opened, or gives no picture within `open_timeout_s`.
    """

    def __init__(
        self,
        kind: str,
        shown: str,
        open_input: Callable[[], InputContainer],
        config: StreamConfig,
        *,
        stop: threading.Event,
        first: InputContainer | None = None,
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        super().__init__(config, stop)
        self._shown = shown
        self._open_input = open_input
        self._changed = threading.Condition()
        self._newest: SourceFrame | None = None
        self._failure: Exception | None = None
        self._timeline: _Timeline | None = None
        self._converter: Converter | None = None
        self._index = 0
        thread = threading.Thread(target=self._run, args=(first,), name=f"source {shown}", daemon=True)
        thread.start()
        self._wait_for_first(open_timeout_s)
        assert self._converter is not None  # made with the first frame, as is the timeline
        assert self._timeline is not None
        self._info: SourceInfo = SourceInfo(
            kind,
            True,
            self._converter.width,
            self._converter.height,
            self._timeline.stated_fps,
            config.stop_s,
        )

    def close(self) -> None:
        super().close()
        with self._changed:
            self._changed.notify_all()

    def frames(self) -> Iterator[SourceFrame]:
        while True:
            with self._changed:
                while self._newest is None and not self._ended():
                    if self._failure is not None:
                        raise self._failure
                    self._changed.wait(0.1)  # nobody notifies when `stop` is set: look ten times a second
                frame, self._newest = self._newest, None
            if frame is None or self._ended():
                return
            if self._config.stop_s is not None and frame.pts_s >= self._config.stop_s:
                self.close()
                return
            yield frame

    def _wait_for_first(self, timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while self._newest is None and self._failure is None and not self._ended():
                if time.monotonic() >= end_s:
                    self._failure = SourceError(
                        f"{self._shown}: no picture came within {timeout_s:g} s of opening"
                    )
                self._changed.wait(0.1)
        if self._newest is None:
            self._closed.set()
            raise self._failure or SourceError(f"{self._shown}: stopped before the first picture came")

    # From here on: the reading thread.

    def _run(self, container: InputContainer | None) -> None:
        try:
            self._connect_for_ever(container)
        except Exception as error:  # a fault of the program: told where the frames are taken
            self._tell_failure(error)

    def _tell_failure(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def _connect_for_ever(self, container: InputContainer | None) -> None:
        attempt = 0
        while not self._ended():
            decoded_before = self._stats.decoded
            try:
                with container or self._open_input() as connection:
                    lost = SourceError(f"{self._shown}: {self._read(connection)}")
            except SourceError as error:
                lost = error
            container = None
            if self._converter is None:
                self._tell_failure(lost)
                return
            self._stats.last_error = str(lost)
            attempt = 0 if self._stats.decoded > decoded_before else attempt + 1
            self._closed.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])

    def _read(self, container: InputContainer) -> str:
        """Reads one connection to its end; why it ended."""
        stream = video_stream(container, self._shown)
        stream.thread_type = "AUTO"
        stream.thread_count = 1  # more would hold frames back
        arrival = container.format.name in _TIMED_ON_ARRIVAL
        # Until the first keyframe the decoder complains of what it has missed: no damage.
        stats = SourceStats()
        picture_s = time.monotonic()
        try:
            for packet in live_packets(container, stream, self._config.timeout_s):
                for frame in decode_packet(packet, stream, stats):
                    picture_s = time.monotonic()
                    raw_s = picture_s if arrival else raw_time_s(frame, stream)
                    self._take(frame, raw_s, nominal_fps(stream), picture_s, joined=stats is not self._stats)
                    stats = self._stats
                if self._ended():
                    return "closed"
                if time.monotonic() > picture_s + NO_PICTURE_S:
                    return f"no picture could be decoded for {NO_PICTURE_S:g} s"
        except (av.error.FFmpegError, OSError) as error:
            return f"the connection was lost ({reason(error)})"
        return "the stream ended"

    def _take(
        self, frame: av.VideoFrame, raw_s: float | None, fps: float | None, now_s: float, *, joined: bool
    ) -> None:
        if self._converter is None or self._timeline is None:
            self._converter = Converter(*shown_size(frame))
            self._timeline = _Timeline(
                fps, FrameSampler(self._config.fps, self._config.skip, fps_or_default(fps))
            )
        elif joined:
            self._stats.reconnects += 1
        converter, timeline = self._converter, self._timeline
        pts_s = timeline.next(raw_s, now_s, joined=joined)
        self._stats.decoded += 1
        index, self._index = self._index, self._index + 1
        if shown_size(frame) != (converter.width, converter.height):
            self._stats.resized += 1
        skipped = timeline.sampler.reason_to_skip(index, pts_s)
        if skipped:
            self._stats.skip(skipped)
            return
        taken = SourceFrame(
            index=index,
            pts_s=pts_s,
            wall_s=time.time(),
            epoch=timeline.clock.epoch,
            width=converter.width,
            height=converter.height,
            copy_to=lambda planes: converter.copy(frame, planes),
        )
        with self._changed:
            if self._newest is not None:
                self._stats.skip("late")
            self._newest = taken
            self._changed.notify_all()


class _Timeline:
    """Media time over all connections: gaps between them are as long as on the clock of this host."""

    def __init__(self, stated_fps: float | None, sampler: FrameSampler) -> None:
        self.stated_fps = stated_fps
        self.sampler = sampler
        self.clock = MediaClock(fps_or_default(stated_fps))
        self._last_raw_s: float | None = None
        self._last_s: float | None = None

    def next(self, raw_s: float | None, now_s: float, *, joined: bool) -> float:
        """Media time of a frame stamped `raw_s` that came at `now_s`; `joined`: first of a new connection."""
        if self._last_s is not None:
            gap_s = now_s - self._last_s
            leapt = (
                raw_s is not None
                and self._last_raw_s is not None
                and raw_s - self._last_raw_s > gap_s + CLOCK_LEAP_S
            )
            if joined or leapt:
                self.clock.restart(gap_s)
        self._last_raw_s, self._last_s = raw_s, now_s
        return self.clock.next(raw_s)
