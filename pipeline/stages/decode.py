"""`decode`, one process a stream: reads the source into the ring and leases the frames to workers.

Two threads share the frame queue and nothing else: the reader (`frame_reader.py`) writes frames into free slots, and
the loop here answers workers, `track` and `sink` (`frame_server.py`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time

import cv2

from pipeline.config.time_zone import zone_of
from pipeline.logs.libav import show_libav_warnings
from pipeline.metrics.source_metrics import SourceMetrics
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.metrics.stream_metrics import StreamMetrics
from pipeline.redact import redact
from pipeline.stages.camera_watch import CameraWatch
from pipeline.stages.context import StageContext, now
from pipeline.stages.decode_totals import LATE, DecodeTotals
from pipeline.stages.frame_queue import QUARANTINED, REPLACED, FrameQueue
from pipeline.stages.frame_reader import NO_SLOT, FrameReader
from pipeline.stages.frame_server import GATHER_S, FrameServer
from pipeline.stages.heartbeat import Heartbeat
from pipeline.stages.message_check import MessageCheck
from pipeline.stages.reserve import available_bytes, reserve_slots
from pipeline.stages.source_opener import SourceOpener
from pipeline.transport.messages import Ask, Hello, Report
from pipeline.transport.ring import Ring
from pipeline.transport.sockets import Endpoints, Poller, RouterSocket
from pipeline.video.camera_motion import CameraMotion
from pipeline.video.sources.kinds import is_recording
from pipeline.video.sources.source import CONNECTING, STATES, FramePosition, Source, SourceState
from pipeline.video.sources.source_registry import open_source

log = logging.getLogger(__name__)


class DecodeStage:
    """Serves the frames of one stream until the sink has closed its output."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._name, self._config = context.stream()
        self._recording = is_recording(self._config)
        self._stop = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._hellos: dict[str, tuple[bytes, Hello]] = {}
        self._followers = {"track", "sink"} if context.places.sinks else {"track"}
        """Stages whose positions say where to begin."""
        self._asks: dict[bytes, Ask] = {}
        """Worker that has asked for frames before the source was open -> its last request."""

    def run(self, endpoints: Endpoints) -> None:
        """Decodes until the source ends or the supervisor stops it, and serves frames until all are released.

        Args:
            endpoints: Sockets of the run.
        """
        cv2.setNumThreads(1)
        show_libav_warnings()
        metrics = StageMetrics("decode")
        stream_metrics = metrics.stream(self._name, (REPLACED, NO_SLOT, QUARANTINED, LATE))
        source_metrics = metrics.source(self._name)
        heartbeat = Heartbeat(self._context, endpoints, metrics)
        heartbeat.beat(Report, now())
        with RouterSocket(endpoints.stream(self._context.index)) as router:
            poller = Poller([router], [self._wake])
            source = self._wait_for_source(router, poller, heartbeat, source_metrics)
            if source is None:
                self._stop.set()
                return
            reader, server = self._begin(source, stream_metrics, source_metrics)
            heartbeat.ready()
            for peer, ask in self._asks.items():
                server.handle(router, peer, ask)
            while heartbeat.beat(server.report, now()) and not server.finished():
                poller.wait(GATHER_S if server.answers_wait() else 0.05)
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
                for peer, message in router.receive_all():
                    server.handle(router, peer, message)
                if heartbeat.draining:
                    self._stop.set()
                if reader.error is not None:
                    raise reader.error
                server.lease(router)
                server.repeat(router)
            self._stop.set()
            reader.join(2.0)
            server.log_end()
            heartbeat.done(server.report())

    def _open(self, first_index: int = 0, seek_hint: FramePosition | None = None) -> Source:
        """Opens the source. With an encoder on the same host, which is the bottleneck then, half of the cores are
        enough for the decoder: each of its threads costs CPU time."""
        encodes = self._context.config.output.video.codec != "none"
        threads = max(1, min(4, (os.cpu_count() or 1) // 2)) if encodes else None
        source = open_source(
            self._config,
            stop=self._stop,
            first_index=first_index,
            seek_hint=seek_hint,
            decoder_threads=threads,
            zone=zone_of(self._context.config.time_zone),
        )
        info, fps = source.info, f"{source.info.fps:g} fps" if source.info.fps else "unknown rate"
        behind = f", from frame {first_index} on" if first_index else ""
        where = redact(self._config.source)
        log.info(
            "source connected: %s (%s), %dx%d, %s%s", where, info.kind, info.width, info.height, fps, behind
        )
        return source

    def _wait_for_source(
        self, router: RouterSocket, poller: Poller, heartbeat: Heartbeat, metrics: SourceMetrics
    ) -> Source | None:
        """Opens the source at the first frame that `track` or `sink` needs; None: the run stops before it is open."""
        opener: SourceOpener | None = None

        def report() -> Report:
            state = opener.state if opener else SourceState(CONNECTING, began_s)
            metrics.state(state.name, state.since_s, STATES)
            values = {"live": float(not self._recording), "since_s": state.since_s}
            return Report(values=values, texts={"state": state.name, "error": state.why})

        began_s, check = time.time(), MessageCheck(self._context.config, self._context.places)
        while opener is None or (opener.source is None and opener.error is None):
            if not heartbeat.beat(report, now()) or heartbeat.draining:
                return None
            poller.wait(0.1)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            for peer, message in router.receive_all():
                if not check.for_decoder(peer, message, self._name):
                    continue
                if isinstance(message, Hello):
                    self._hellos[message.stage] = peer, message
                elif isinstance(message, Ask):
                    self._asks[peer] = message
            if opener is None and self._hellos.keys() >= self._followers:
                opener = self._opener()
        if opener.error is not None:
            raise opener.error
        return opener.source

    def _opener(self) -> SourceOpener:
        first, position = self._first_needed()
        return SourceOpener(
            lambda: self._open(first.last_index + 1, position),
            retry=not self._recording,
            stop=self._stop,
            on_done=lambda: os.eventfd_write(self._wake, 1),
        )

    def _reserve(self, source: Source) -> int:
        """Slots for outages."""
        info = source.info
        if not info.live:
            return 0
        fps = min(info.fps or 0.0, self._config.fps or float("inf")) / (1 + self._config.skip)
        streams = len(self._context.config.streams)
        return reserve_slots(
            self._config.catch_up_s, fps, info.width, info.height, streams, available_bytes()
        )

    def _first_needed(self) -> tuple[Hello, FramePosition | None]:
        """The stage that is farther behind, and the last frame that it has finished with."""
        _, first = self._hellos["track"]
        if "sink" in self._followers:
            _, sink = self._hellos["sink"]
            first = first if sink.next_seq < 0 or first.next_seq <= sink.next_seq else sink
        position = FramePosition(first.last_index, first.pts_s, first.epoch) if first.next_seq > 0 else None
        return first, position

    def _begin(
        self, source: Source, metrics: StreamMetrics, source_metrics: SourceMetrics
    ) -> tuple[FrameReader, FrameServer]:
        """Starts reading.

        Args:
            source: Open at the first frame that anyone needs.
            metrics: Of the stream.
            source_metrics: Of the source.
        """
        track_peer, track = self._hellos["track"]
        first, position = self._first_needed()
        info = source.info
        next_seq, epoch, pts_s = first.next_seq, 0, 0.0
        if info.live and position is not None:
            # What was shown meanwhile is lost: go on behind all that is counted.
            next_seq = track.next_seq
            epoch = track.epoch + 1
            pts_s = track.pts_s + max(0.0, time.time() - track.wall_s)
        slots, reserve = self._config.slots, self._reserve(source)
        ring = Ring.create(slots + reserve, info.width, info.height)
        queue = FrameQueue(
            slots, live=info.live, reserve=reserve, next_seq=next_seq, accepted_to=track.next_seq
        )
        camera = CameraMotion() if self._config.camera == "moving" else None
        watch = None
        if info.live and self._config.watch_picture:
            watch = CameraWatch(self._context.out, self._name, self._config, source_metrics)
        reader = FrameReader(
            source,
            ring,
            queue,
            metrics,
            stop=self._stop,
            camera=camera,
            watch=watch,
            epoch=epoch,
            pts_s=pts_s,
        )
        totals = DecodeTotals(source, queue, reader, metrics, source_metrics, slots + reserve, watch)
        server = FrameServer(
            self._name,
            self._config,
            source,
            queue,
            reader,
            totals,
            metrics,
            track_peer,
            track.incarnation,
            self._context,
        )

        def wake() -> None:
            if server.can_answer():
                os.eventfd_write(self._wake, 1)

        reader.start(on_frame=wake)
        return reader, server
