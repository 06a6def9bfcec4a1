"""`sink`, one process a stream: hands each tracked frame, with its pixels from the ring, to the stream's sinks."""

from __future__ import annotations

import logging
import time

import cv2
import msgspec

from pipeline.config.time_zone import zone_of
from pipeline.logs.libav import show_libav_warnings
from pipeline.logs.sums import SumLog
from pipeline.metrics.rejected import UNKNOWN_STREAM, reject
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.sinks.frame_writer import FrameWriter
from pipeline.sinks.sink import ManagedFrameSink, SinkContext, VideoInfo
from pipeline.sinks.sink_table import frame_sinks
from pipeline.stages.context import HELLO_S, StageContext, now
from pipeline.stages.heartbeat import Heartbeat
from pipeline.stages.ring_reader import RingReader
from pipeline.stages.sink_backlog import SinkBacklog
from pipeline.stages.stream_pace import PaceMeter
from pipeline.transport.messages import EndOfStream, FrameTracks, Hello, Released, Report, RingInfo, Want
from pipeline.transport.sockets import DealerSocket, Endpoints, Poller
from pipeline.video.overlay import Overlay
from pipeline.video.overlay.condition_banner import NO_SIGNAL

log = logging.getLogger(__name__)

PIXELS_GONE = "pixels_gone"
"""The frame belongs to an earlier incarnation of the decoder, whose ring went with it: it is missing in the video."""


SLOW = "slow"
"""The sinks are slower than a live source: the frame is counted, and missing in the video."""
WRITE_S = 0.05
"""Frames of a live source are written for this long before messages are looked for again."""
SILENT_S = 3.0
"""A source that sends no frame for this long has no signal."""


class SinkStage:
    """Serves the sinks of one stream, frame after frame, until it is stopped."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._name, self._config = context.stream()
        self._sinks: list[ManagedFrameSink] = []
        self._writer: FrameWriter | None = None
        self._info: RingInfo | None = None
        self._rings = RingReader()
        self._size = (0, 0)
        self._next_seq = -1
        """Next frame to write; -1 until the decoder has said where to go on."""
        self._pending = SinkBacklog(self._config.slots)
        self._looked_s = now()
        """When messages were looked for last."""
        self._more = False
        """Frames wait that could be written now."""
        self._last: FrameTracks | None = None
        self._end: EndOfStream | None = None
        self._closing = False
        self._closed = False
        self._hello_s = 0.0
        self._asked_s = 0.0
        self._asked_to = 0
        """First frame beyond the last request."""
        self._pace = PaceMeter()
        self._dropped: dict[str, int] = {}
        self._drop_log = SumLog("frames missing in the video", now())

    def run(self, endpoints: Endpoints) -> None:
        """Runs the stage until the supervisor stops it.

        Args:
            endpoints: Sockets of the run.
        """
        cv2.setNumThreads(1)
        show_libav_warnings()
        context = self._context
        metrics = StageMetrics("sink")
        self._metrics = metrics.stream(self._name, (PIXELS_GONE, SLOW))
        heartbeat = Heartbeat(context, endpoints, metrics)
        where = SinkContext(
            "", self._name, context.index, context.incarnation, context.out, context.run, context.classes
        )
        self._sinks = [] if context.bare else frame_sinks(context.config, where, metrics.sink)
        decoder = DealerSocket(endpoints.stream(context.index), context.identity)
        track = DealerSocket(endpoints.track(context.places.tracker_of(self._name)), context.identity)
        poller = Poller([decoder, track])
        heartbeat.ready()
        while heartbeat.beat(self._report, now()) and not heartbeat.orphaned_and_idle(self._closed, now()):
            self._say_hello(decoder)
            self._ask(track)
            poller.wait(0.0 if self._more else 0.02 if self._pending else 0.1)
            looked_s, self._looked_s = self._looked_s, now()
            for message in decoder.receive_all():
                if isinstance(message, RingInfo):
                    self._attach(message)
            for message in track.receive_all():
                if getattr(message, "stream", None) != self._name:
                    reject(UNKNOWN_STREAM)
                elif isinstance(message, FrameTracks):
                    self._pending.add(message, looked_s)
                elif isinstance(message, EndOfStream):
                    self._end = message
            self._write_pending(decoder)
            self._write_silence()
            self._finish(decoder)
            self._log_drops()
        self._close_sinks()
        while not self._all_closed():
            heartbeat.beat(self._report, now())
            time.sleep(0.02)
        self._log_drops(at_once=True)
        heartbeat.done(self._report())

    def _say_hello(self, decoder: DealerSocket) -> None:
        """Reports the position every `HELLO_S`, since the decoder may have been restarted, and the end until it is
        known to have arrived."""
        if now() - self._hello_s < HELLO_S:
            return
        self._hello_s = now()
        hello = Hello(
            stage="sink",
            stream=self._name,
            incarnation=self._context.incarnation,
            next_seq=self._next_seq,
        )
        decoder.send(hello.after(self._last))
        if self._closed and self._end is not None:
            decoder.send(self._end)

    def _attach(self, info: RingInfo) -> None:
        """Maps the decoder's ring; after a restart of the decoder it is another one."""
        if self._next_seq < 0:
            self._next_seq = info.next_seq
        self._info = info
        if self._sinks and not self._rings.attach(info):
            self._info = None
        elif self._sinks and self._writer is None:
            self._begin_size(info, (info.width, info.height))

    def _begin_size(self, info: RingInfo, size: tuple[int, int]) -> FrameWriter:
        """Prepares for the first frames, and for those of another size."""
        self._size = size
        video = VideoInfo(*size, info.fps, info.sample_aspect, info.live)
        output = self._context.config.output.video
        zone = zone_of(self._context.config.time_zone)
        overlay = Overlay(self._config, output, self._context.classes, *size, zone)
        self._writer = FrameWriter(self._sinks, overlay, video)
        return self._writer

    def _ask(self, track: DealerSocket) -> None:
        """Asks for the next tracks well before the last ones have come, and again if the request may be lost."""
        if self._next_seq < 0:
            return
        credit = self._config.slots
        half_used = self._asked_to - self._next_seq <= credit // 2
        if half_used or now() - self._asked_s > HELLO_S:
            self._asked_s = now()
            self._asked_to = self._next_seq + credit
            self._metrics.credits(credit)
            track.send(
                Want(
                    stream=self._name,
                    incarnation=self._context.incarnation,
                    next_seq=self._next_seq,
                    credit=credit,
                )
            )

    def _write_pending(self, decoder: DealerSocket) -> None:
        """Writes pending frames in sequence as far as their pixels are there and the sinks take them.

        Slots are released several at once, since every message wakes the decoder.
        """
        together = max(1, self._config.slots // 4)
        released_to, began_s, self._more = self._next_seq, now(), False
        while self._info is not None and (tracks := self._pending.next(self._next_seq)) is not None:
            start_s = now()
            if self._info.live and start_s - began_s > WRITE_S:
                self._more = True
                break
            if self._sinks and self._info.live and self._pending.is_late(start_s):
                self._drop(SLOW)
            elif self._sinks and not self._write(tracks):
                break
            self._pending.pop()
            self._next_seq += 1
            self._last = tracks
            if self._next_seq - released_to >= together:
                decoder.send(Released(stream=self._name, seq=tracks.seq))
                released_to = self._next_seq
            self._metrics.frames_in()
            self._count(tracks, start_s)
        if self._next_seq > released_to:
            decoder.send(Released(stream=self._name, seq=self._next_seq - 1))

    def _drop(self, reason: str) -> None:
        """Counts a frame that is missing in the video."""
        self._dropped[reason] = self._dropped.get(reason, 0) + 1
        self._metrics.dropped(reason)

    def _write(self, tracks: FrameTracks) -> bool:
        """Writes one frame. False: its pixels are yet to come, or a sink has no room for it."""
        writer = self._writer
        if self._info is None or writer is None or not writer.ready():
            return False
        planes = self._rings.find(tracks.seq)
        if planes is not None:
            size = planes.width, planes.height
            if size != self._size:
                writer = self._begin_size(self._info, size)
            writer.write(planes, tracks)
            return True
        if tracks.seq >= self._info.first_seq:
            return False
        self._drop(PIXELS_GONE)
        return True

    def _write_silence(self) -> None:
        """Shows that no signal comes, once the last frame that came has been written."""
        info, last = self._info, self._last
        if info is None or last is None or self._pending or self._writer is None:
            return
        silent_s = time.time() - info.silent_since_s
        if not info.silent_since_s or silent_s < SILENT_S or self._next_seq < info.end_seq or self._closing:
            return
        planes = self._rings.find(last.seq)
        if planes is None or self._size != (planes.width, planes.height):
            return
        shown = msgspec.structs.replace(
            last,
            pts_s=last.pts_s + silent_s,
            condition=NO_SIGNAL,
            condition_since_s=info.silent_since_s,
        )
        self._writer.write_silence(planes, shown, now())

    def _finish(self, decoder: DealerSocket) -> None:
        """Closes the sinks after the last frame, and then tells the decoder that it may end."""
        if self._end is None or self._next_seq < self._end.frames or self._closed:
            return
        self._close_sinks()
        if self._all_closed():
            self._closed = True
            decoder.send(self._end)

    def _close_sinks(self) -> None:
        if not self._closing:
            self._closing = True
            for sink in self._sinks:
                sink.close()

    def _all_closed(self) -> bool:
        return all(sink.closed() for sink in self._sinks)

    def _count(self, tracks: FrameTracks, start_s: float) -> None:
        self._metrics.frames_out()
        self._metrics.processing(now() - start_s)
        self._metrics.end_to_end(self._pace.frame(tracks.wall_s, tracks.pts_s))
        self._metrics.queue(len(self._pending))

    def _log_drops(self, *, at_once: bool = False) -> None:
        if line := self._drop_log.due(self._dropped, now(), at_once=at_once):
            log.info(line)

    def _report(self) -> Report:
        pace = self._pace.pace()
        addresses = [address for sink in self._sinks if (address := getattr(sink, "address", ""))]
        return Report(
            frames_in=pace.frames,
            frames_out=pace.frames,
            dropped=dict(self._dropped),
            texts={"live": addresses[0]} if addresses else {},
            paces={self._name: pace},
        )
