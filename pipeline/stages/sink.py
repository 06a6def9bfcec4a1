"""`sink`: one a stream. Draws what was tracked on the frame's own pixels and writes the video."""

from __future__ import annotations

import logging
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from pipeline.logs.libav import show_libav_warnings
from pipeline.logs.sums import SumLog
from pipeline.metrics.quantiles import QuantileSketch
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.records.heat import view_path
from pipeline.stages.context import HELLO_S, StageContext, now
from pipeline.stages.heartbeat import Heartbeat
from pipeline.stages.topology import tracker_of
from pipeline.transport.messages import EndOfStream, Hello, Released, Report, Tracks, Want
from pipeline.transport.messages import Ring as RingMessage
from pipeline.transport.planes import Planes
from pipeline.transport.ring import Ring, RingError
from pipeline.transport.sockets import DealerSocket, Endpoints, Poller
from pipeline.video.heatmap import save_background
from pipeline.video.overlay import Overlay
from pipeline.video.video_parts import concat_parts, part_path
from pipeline.video.writer import VideoWriter

if TYPE_CHECKING:
    from pipeline.web.live_view import LiveView

log = logging.getLogger(__name__)

GONE = "pixels_gone"
DEFAULT_FPS = 25.0


class Output:
    """The annotated video of one stream. A sink that was killed leaves a part; the parts become one at the end."""

    def __init__(self, context: StageContext, name: str, ring: RingMessage, live: LiveView | None) -> None:
        self._path = context.out / f"{name}.mp4"
        self._parts = _earlier_parts(self._path, context.incarnation)
        view = view_path(context.out, name)
        self._view = None if view.exists() else view
        video = context.config.output.video
        self._live = live
        self._writer = (
            VideoWriter(
                self._path, ring.width, ring.height, ring.fps or DEFAULT_FPS, video, ring.sample_aspect
            )
            if video.codec != "none"
            else None
        )
        self._overlay = Overlay(context.config.streams[name], video, context.classes, ring.width, ring.height)

    def wants(self, tracks: Tracks) -> bool:
        """Whether a frame is due in the video (`output.video.fps`), or without a video in the live view.

        Args:
            tracks: Of the frame; frames come in sequence.
        """
        if self._writer is None:
            return self._live is not None and self._live.watched
        return self._writer.wants(tracks.pts_s)

    def write(self, ring: Ring, slot: int, tracks: Tracks) -> None:
        """Draws the overlay and encodes the frame: in place, since the sink is its last reader.

        Args:
            ring: Mapped writable.
            slot: Of the frame.
            tracks: Of the frame.
        """
        if self._writer is None:
            pixels = ring.pixels(slot).copy()
            planes = Planes.view(pixels, ring.width, ring.height)
        else:
            frame, planes = self._writer.frame_on(ring.pixels(slot))
        if self._view is not None:
            save_background(self._view, planes)
            self._view = None
        self._overlay.draw(planes, tracks)
        if self._live is not None:
            self._live.show(planes)
        if self._writer is not None:
            self._writer.encode(frame, tracks.pts_s)

    def close(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        last = [self._path] if self._path.exists() else []
        if self._parts and concat_parts([*self._parts, *last], self._path):
            for part in self._parts:
                part.unlink()
        log.info("video %s closed", self._path)


def _earlier_parts(path: Path, incarnation: int) -> list[Path]:
    """Lists the pieces that earlier incarnations of this sink left, in order.

    The incarnation before may have been killed, and left a torn `.part`, or have been stopped in order, and left a
    finished video; either becomes one more numbered piece.
    """
    found = sorted(path.parent.glob(f"{path.stem}.[0-9][0-9][0-9].mp4"))
    number = 1 + (int(found[-1].suffixes[-2][1:]) if found else 0)
    for left in (path, part_path(path)) if incarnation > 0 else ():
        if left.exists():
            found.append(left.rename(path.with_suffix(f".{number:03d}.mp4")))
            number += 1
    return found


class Sink:
    """Writes the video of one stream, frame after frame, until it is stopped."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._name, _ = context.stream()
        self._video = context.config.output.video.codec != "none" or context.config.output.live.enabled
        self._live: LiveView | None = None
        self._next_seq = -1
        self._where: RingMessage | None = None
        self._ring: Ring | None = None
        self._output: Output | None = None
        self._pending: deque[Tracks] = deque()
        self._last: Tracks | None = None
        self._end: EndOfStream | None = None
        self._closed = False
        self._said_s = 0.0
        self._wanted_s = 0.0
        self._wanted_to = 0
        self._latency_s = QuantileSketch()
        self._frames = 0
        self._first_s = self._last_s = 0.0
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
        self._metrics = metrics.stream(self._name, (GONE,))
        heartbeat = Heartbeat(context, endpoints, metrics)
        if context.config.output.live.enabled:
            from pipeline.web.live_view import open_view  # a server, which most runs do not need

            self._live = open_view(context.config.output.live, self._name, context.index)
        decoder = DealerSocket(endpoints.stream(context.index), context.identity)
        track = DealerSocket(endpoints.track(tracker_of(context.index, context.config)), context.identity)
        poller = Poller([decoder, track])
        heartbeat.ready()
        while heartbeat.beat(self._report, now()) and not heartbeat.orphaned_and_idle(self._closed, now()):
            self._say(decoder)
            self._want(track)
            poller.wait(0.02 if self._pending else 0.1)
            for message in decoder.receive_all():
                if isinstance(message, RingMessage):
                    self._meet(message)
            for message in track.receive_all():
                if isinstance(message, Tracks):
                    self._pending.append(message)
                elif isinstance(message, EndOfStream):
                    self._end = message
            self._work(decoder)
            if line := self._drop_log.due(self._dropped, now()):
                log.info(line)
            if self._end is not None and self._next_seq >= self._end.frames and not self._closed:
                if self._output is not None:
                    self._output.close()
                self._closed = True
                decoder.send(self._end)
        if not self._closed and self._output is not None:
            self._output.close()
        if self._live is not None:
            self._live.close()
        if line := self._drop_log.due(self._dropped, now(), at_once=True):
            log.info(line)
        heartbeat.done(self._report())

    def _say(self, decoder: DealerSocket) -> None:
        """Reports the position to the decoder, repeatedly, since the decoder may have been restarted."""
        if now() - self._said_s < HELLO_S:
            return
        self._said_s = now()
        last = self._last
        hello = Hello(
            stage="sink",
            stream=self._name,
            incarnation=self._context.incarnation,
            next_seq=self._next_seq,
            last_index=last.index if last else -1,
            epoch=last.epoch if last else 0,
            pts_s=last.pts_s if last else 0.0,
            wall_s=last.wall_s if last else 0.0,
        )
        decoder.send(hello)
        if self._closed and self._end is not None:
            decoder.send(self._end)

    def _meet(self, where: RingMessage) -> None:
        """Maps the decoder's ring, which is another one after a restart of the decoder."""
        if self._next_seq < 0:
            self._next_seq = where.next_seq
        if self._where is not None and self._where.path == where.path:
            return
        self._where = where
        if not self._video:
            return
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        try:
            self._ring = Ring.attach(where.path, draw=True)
        except RingError:
            self._where = None  # the decoder ended meanwhile: the next answer names another ring
            return
        if self._output is None:
            self._output = Output(self._context, self._name, where, self._live)

    def _want(self, track: DealerSocket) -> None:
        """Requests the next `Tracks` well before the current credit is used up."""
        if self._next_seq < 0:
            return
        credit = self._context.config.streams[self._name].slots
        half_used = self._wanted_to - self._next_seq <= credit // 2
        if half_used or now() - self._wanted_s > HELLO_S:
            self._wanted_s = now()
            self._wanted_to = self._next_seq + credit
            self._metrics.credits(credit)
            track.send(
                Want(
                    stream=self._name,
                    incarnation=self._context.incarnation,
                    next_seq=self._next_seq,
                    credit=credit,
                )
            )

    def _work(self, decoder: DealerSocket) -> None:
        """Handles the pending frames in sequence, as far as their pixels are there. Slots go back a few together: each
        message wakes the decoder."""
        together = max(1, self._context.config.streams[self._name].slots // 4)
        released_to = self._next_seq
        while self._pending and self._where is not None:
            tracks = self._pending[0]
            if tracks.seq != self._next_seq:
                self._pending.popleft()  # duplicate: `track` was restarted
                continue
            start_s = now()
            if self._video and not self._write(tracks):
                break
            self._pending.popleft()
            self._next_seq += 1
            self._last = tracks
            if self._next_seq - released_to >= together:
                decoder.send(Released(stream=self._name, seq=tracks.seq))
                released_to = self._next_seq
            self._metrics.frames_in()
            self._done(tracks, start_s)
        if self._next_seq > released_to:
            decoder.send(Released(stream=self._name, seq=self._next_seq - 1))

    def _write(self, tracks: Tracks) -> bool:
        """Adds the frame to the video. False: its pixels are not in the ring yet."""
        assert self._where is not None
        if self._ring is None or self._output is None:
            return False
        slot = self._ring.find(tracks.seq)
        if slot is not None:
            if self._output.wants(tracks):
                self._output.write(self._ring, slot, tracks)
            return True
        if tracks.seq >= self._where.first_seq:
            return False
        self._dropped[GONE] = self._dropped.get(GONE, 0) + 1
        self._metrics.dropped(GONE)
        return True

    def _done(self, tracks: Tracks, start_s: float) -> None:
        latency_s = max(0.0, time.time() - tracks.wall_s)
        self._latency_s.add(latency_s)
        self._metrics.frames_out()
        self._metrics.processing(now() - start_s)
        self._metrics.end_to_end(latency_s)
        self._metrics.queue(len(self._pending))
        self._frames += 1
        self._last_s = now()
        self._first_s = self._first_s or start_s

    def _report(self) -> Report:
        spent_s = self._last_s - self._first_s
        values = {
            "fps": (self._frames - 1) / spent_s if spent_s > 0 else 0.0,
            "p50_ms": 1e3 * self._latency_s.quantile(0.5),
            "p99_ms": 1e3 * self._latency_s.quantile(0.99),
            "pts_s": self._last.pts_s if self._last else 0.0,
        }
        return Report(
            frames_in=self._frames,
            frames_out=self._frames,
            dropped=dict(self._dropped),
            values=values,
            texts={"live": self._live.address} if self._live else {},
        )
