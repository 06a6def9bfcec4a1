"""Live sources: RTSP, endless HTTP, cameras. A thread of their own reads them and reconnects as long as needed.

The thread keeps only the newest frame, so a slow consumer gets fresh frames; and the frames end promptly when the
source is closed, even while the network is silent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import av
from av.container import InputContainer

from pipeline.errors import SourceError
from pipeline.video.convert import Converter, shown_size
from pipeline.video.sources.backoff import FIRST_S, retry_delay_s
from pipeline.video.sources.decoder import decode_packet, live_packets, reason, video_stream
from pipeline.video.sources.frame_sampler import FrameSampler
from pipeline.video.sources.live_timeline import LiveTimeline
from pipeline.video.sources.pacing import Pacer
from pipeline.video.sources.source import BaseSource, SourceFrame, SourceInfo, SourceRequest, SourceStats
from pipeline.video.sources.stream_info import fps_or_default, nominal_fps, raw_time_s, sample_aspect

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 20.0
"""Longest wait for the first picture: cameras that save bandwidth send a keyframe only every ten seconds or so."""
NO_PICTURE_S = 30.0
"""A connection that delivers packets but no picture for this long is given up and replaced."""
NEW_SIZE_S = 1.0
"""Frames of another size are scaled for this long; then frames have that size."""
_TIMED_ON_ARRIVAL = ("mpjpeg", "mjpeg")
"""Formats without timestamps: FFmpeg's demuxer invents them at 25 fps, so frames are timed as they arrive."""


class LiveSource(BaseSource):
    """Frames of a source that has no end. The counters count from its opening.

    Args:
        request: what is opened.
        open_input: opens the input, once for each connection. Raises `SourceError`.
        first: an input that is already open, for the first connection.
        open_timeout_s: longest wait for the first picture.
        paced: frames come in bursts, and are delivered at the speed of their timestamps.
        ends: the end of the input is that of the source: it is not opened again.

    Raises:
        SourceError: the input cannot be opened, or yields no picture within `open_timeout_s`.
    """

    def __init__(
        self,
        request: SourceRequest,
        open_input: Callable[[], InputContainer],
        *,
        first: InputContainer | None = None,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        paced: bool = False,
        ends: bool = False,
    ) -> None:
        super().__init__(request)
        self._open_input, self._ends = open_input, ends
        self._pacer = Pacer() if paced else None
        self._changed = threading.Condition()
        self._newest: SourceFrame | None = None
        self._failure: Exception | None = None
        self._timeline: LiveTimeline | None = None
        self._converter: Converter | None = None
        self._sample_aspect = (1, 1)
        self._other_size: tuple[tuple[int, int], float] | None = None
        """Size of the newest frames, and since when they have it, where it is not that of the converter."""
        self._index = 0
        self._waited_s = 0.0
        """For how long the network was waited for since the last frame."""
        self._lost_s: float | None = None
        thread = threading.Thread(
            target=self._run, args=(first,), name=f"source {request.shown}", daemon=True
        )
        thread.start()
        self._wait_for_first(open_timeout_s)
        assert self._converter is not None  # created with the first frame, as is the timeline
        assert self._timeline is not None
        self.info = self._properties(self._converter, self._timeline)

    def close(self) -> None:
        """Ends `frames()`, also while it waits for the network."""
        super().close()
        with self._changed:
            self._changed.notify_all()

    def frames(self) -> Iterator[SourceFrame]:
        """Yields the newest frame each time; see `Source.frames`."""
        while True:
            with self._changed:
                while self._newest is None and not self.ended:
                    if self._failure is not None:
                        raise self._failure
                    self._changed.wait(0.1)  # setting `stop` notifies nobody, so poll it ten times a second
                frame, self._newest = self._newest, None
                self._changed.notify_all()
            if frame is None or self.ended:
                return
            if self.config.stop_s is not None and frame.pts_s >= self.config.stop_s:
                self.close()
                return
            yield frame

    def _wait_for_first(self, timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while self._newest is None and self._failure is None and not self.ended:
                if time.monotonic() >= end_s:
                    self._failure = SourceError(
                        f"{self.request.shown}: no picture arrived within {timeout_s:g} s of opening"
                    )
                self._changed.wait(0.1)
        if self._newest is None:
            self._closed.set()
            raise self._failure or SourceError(f"{self.request.shown}: stopped before the first picture")

    def _properties(self, converter: Converter, timeline: LiveTimeline) -> SourceInfo:
        return SourceInfo(
            kind=self.request.kind,
            live=True,
            width=converter.width,
            height=converter.height,
            fps=timeline.stated_fps,
            duration_s=self.config.stop_s,
            sample_aspect=self._sample_aspect,
        )

    # From here on: the reading thread.

    def _run(self, container: InputContainer | None) -> None:
        try:
            self._keep_connected(container)
        except Exception as error:  # a bug: raised where the frames are consumed
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def _keep_connected(self, container: InputContainer | None) -> None:
        while not self.ended:
            began_s = time.monotonic()
            try:
                with container or self._open_input() as connection:
                    lost = SourceError(f"{self.request.shown}: {self._read(connection)}")
            except SourceError as error:
                lost = error
            container = None
            if self._converter is None:
                self._fail(lost)
                return
            if self._ends:
                self._drain()
                return
            self.stats.last_error = str(lost)
            self.stats.lost_why = str(lost)
            if self._lost_s is None and not self.ended:  # failed attempts to come back are not news
                self._lost_s, self.stats.lost_s = time.monotonic(), time.time()
                log.warning("source lost: %s", lost)
            now_s = time.monotonic()
            delay_s = retry_delay_s(now_s - (self._lost_s or now_s))
            self._closed.wait(max(FIRST_S, delay_s - (now_s - began_s)))  # from one attempt to the next

    def _drain(self) -> None:
        """Ends the source once its last frame has been taken."""
        with self._changed:
            while self._newest is not None and not self.ended:
                self._changed.wait(0.1)
        self.close()

    def _read(self, container: InputContainer) -> str:
        """Reads one connection until it ends, and returns why it ended."""
        stream = video_stream(container, self.request.shown)
        stream.thread_type = "AUTO"
        stream.thread_count = 1  # each further thread would delay the frames by one
        timed_on_arrival = container.format.name in _TIMED_ON_ARRIVAL
        # Before the first keyframe the decoder reports missing references, which is not damage: not counted.
        stats = SourceStats()
        picture_s = asked_s = time.monotonic()
        try:
            for packet, arrived_s in live_packets(container, stream, self.config.timeout_s):
                self.stats.bytes += packet.size
                self._waited_s += max(0.0, arrived_s - asked_s)
                for frame in decode_packet(packet, stream, stats):
                    picture_s = arrived_s
                    raw_s = picture_s if timed_on_arrival else raw_time_s(frame, stream)
                    if self._has_new_size(frame, picture_s):
                        self._sample_aspect = sample_aspect(stream, frame)
                        self._use_size(frame)
                    if self._pacer is not None and raw_s is not None:
                        self._closed.wait(self._pacer.wait_s(raw_s, picture_s))
                        picture_s = time.monotonic()
                    reconnected = stats is not self.stats
                    self._deliver(frame, raw_s, nominal_fps(stream), picture_s, reconnected=reconnected)
                    stats = self.stats
                if self.ended:
                    return "closed"
                asked_s = time.monotonic()
                if time.monotonic() > picture_s + NO_PICTURE_S:
                    return f"no picture could be decoded for {NO_PICTURE_S:g} s"
        except (av.error.FFmpegError, OSError) as error:
            return f"the connection was lost ({reason(error)})"
        return "the stream ended"

    def _has_new_size(self, frame: av.VideoFrame, now_s: float) -> bool:
        """Whether frames are to have the size of this one from now on."""
        if self._converter is None:
            return True
        size = shown_size(frame)
        if size == (self._converter.width, self._converter.height):
            self._other_size = None
            return False
        if self._other_size is None or self._other_size[0] != size:
            self._other_size = size, now_s
        return now_s - self._other_size[1] >= NEW_SIZE_S

    def _use_size(self, frame: av.VideoFrame) -> None:
        before, self._converter = self._converter, Converter(*shown_size(frame))
        self._other_size = None
        if before is None or self._timeline is None:
            return
        size = f"{self._converter.width}x{self._converter.height}"
        log.warning("the picture has another size: %s instead of %dx%d", size, before.width, before.height)
        self.info = self._properties(self._converter, self._timeline)

    def _deliver(
        self,
        frame: av.VideoFrame,
        raw_s: float | None,
        fps: float | None,
        now_s: float,
        *,
        reconnected: bool,
    ) -> None:
        """Makes a decoded frame the newest one, unless the sampler leaves it out."""
        assert self._converter is not None
        if self._timeline is None:
            self._timeline = LiveTimeline(fps)
            self._sampler = FrameSampler(self.config.fps, self.config.skip, fps_or_default(fps))
        elif reconnected:
            self.stats.reconnects += 1
            if self._lost_s is not None:  # a warning, too: it ends what the one before began
                log.warning("source back after %.1f s", now_s - self._lost_s)
                self._lost_s, self.stats.lost_s, self.stats.lost_why = None, 0.0, ""
        converter, timeline = self._converter, self._timeline
        ratio, waited_s, self._waited_s = timeline.ratio, self._waited_s, 0.0
        pts_s = timeline.next(raw_s, now_s, reconnected=reconnected, waited_s=waited_s)
        self.stats.retimed, self.stats.clock_ratio = timeline.retimed, timeline.ratio
        if timeline.ratio != ratio:
            log.warning("a second of its timestamps is %.3f s: its times are corrected", timeline.ratio)
        self.stats.decoded += 1
        index, self._index = self._index, self._index + 1
        if shown_size(frame) != (converter.width, converter.height):
            self.stats.resized += 1
        skipped = self._sampler.reason_to_skip(index, pts_s)
        if skipped:
            self.stats.count_skipped(skipped)
            return
        newest = SourceFrame(
            index=index,
            pts_s=pts_s,
            wall_s=time.time() - (time.monotonic() - now_s),
            epoch=timeline.epoch,
            width=converter.width,
            height=converter.height,
            copy_to=lambda planes: converter.copy(frame, planes),
        )
        with self._changed:
            if self._newest is not None:
                self.stats.count_skipped("late")
            self._newest = newest
            self._changed.notify_all()
