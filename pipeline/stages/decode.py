"""`decode`: one a stream. Reads the source into the ring, leases frames to workers, takes slots back.

A reader thread decodes into free slots; the serving loop answers whoever asks. The ledger between them is
the only thing they share.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

import cv2

from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.models.detections import Detections
from pipeline.stages.context import HELLO_S, StageContext, now
from pipeline.stages.frame_queue import FrameQueue, PendingFrame
from pipeline.stages.heartbeat import Heartbeat
from pipeline.stages.instances import QUARANTINED, instances_of
from pipeline.transport.messages import (
    Accepted,
    Ask,
    EndOfStream,
    FrameRef,
    Hello,
    Leases,
    Message,
    Released,
    Report,
)
from pipeline.transport.messages import Ring as RingMessage
from pipeline.transport.ring import Ring
from pipeline.transport.sockets import Endpoints, Poller, RouterSocket
from pipeline.video.camera_motion import CameraMotion
from pipeline.video.sources.registry import open_source
from pipeline.video.sources.source import FramePosition, Source, SourceFrame

GATHER_S = 0.005
"""A file's frames go to a worker several at once; so long they may wait for each other."""
LATE = "late"
"""A live source had a newer frame before the reader took this one."""
LEASE_TIMEOUT_S = 60.0
"""A lease older than this is given to another worker."""


class Decode:
    """Serves the frames of one stream until the sink has closed its output."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._name, self._config = context.stream()
        self._camera = CameraMotion() if self._config.camera == "moving" else None
        self._stop = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._asks: dict[str, tuple[bytes, Ask]] = {}
        self._hellos: dict[str, Hello] = {}
        self._track: bytes | None = None
        self._track_incarnation = -1
        self._closed = False
        self._read_all = False
        self._complete = False
        self._error: BaseException | None = None
        self._epoch = 0
        self._pts_s = 0.0
        self._said_s = 0.0
        self._served_s = 0.0
        self._live = False
        self._source: Source | None = None
        self._dropped: dict[str, int] = {}

    def run(self, endpoints: Endpoints) -> None:
        cv2.setNumThreads(1)
        metrics = StageMetrics("decode")
        self._metrics = metrics.stream(self._name, ("replaced", "no_slot", QUARANTINED))
        heartbeat = Heartbeat(self._context, endpoints, metrics)
        heartbeat.beat(self._report, now())
        first = self._context.incarnation == 0
        source = self._open() if first else None  # fails early
        with RouterSocket(endpoints.stream(self._context.index)) as router:
            poller = Poller([router], [self._wake])
            while len(self._hellos) < 2:
                if not heartbeat.beat(self._report, now()):
                    return
                poller.wait(0.1)
                for peer, message in router.receive_all():
                    self._meet(peer, message)
            self._begin(source)
            heartbeat.ready()
            while heartbeat.beat(self._report, now()):
                poller.wait(GATHER_S if self._asks and self._frame_queue.waiting else 0.05)
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
                for peer, message in router.receive_all():
                    self._handle(router, peer, message)
                if heartbeat.draining:
                    self._stop.set()
                if self._error is not None:
                    raise self._error
                self._serve(router)
                self._say_again(router)
                if self._closed and self._frame_queue.idle:
                    break
            self._stop.set()
            self._reader.join(2.0)
            heartbeat.done(self._report())

    def _open(self, first_index: int = 0, seek_hint: FramePosition | None = None) -> Source:
        """The source. With an encoder beside it, for which the run waits, half of the cores are enough for the decoder:
        each of its threads costs CPU time."""
        encodes = self._context.config.output.video.codec != "none"
        threads = max(1, min(4, (os.cpu_count() or 1) // 2)) if encodes else None
        return open_source(
            self._config,
            stop=self._stop,
            first_index=first_index,
            seek_hint=seek_hint,
            decoder_threads=threads,
        )

    def _meet(self, peer: bytes, message: Message) -> None:
        """Before the first frame: where do `track` and `sink` stand?"""
        if isinstance(message, Hello):
            self._hellos[message.stage] = message
            if message.stage == "track":
                self._track, self._track_incarnation = peer, message.incarnation

    def _begin(self, source: Source | None) -> None:
        """Opens the source where the others stand and starts the reader."""
        track, sink = self._hellos["track"], self._hellos["sink"]
        wanted = track if sink.next_seq < 0 or track.next_seq <= sink.next_seq else sink
        last = FramePosition(wanted.last_index, wanted.pts_s, wanted.epoch)
        position = last if wanted.next_seq > 0 else None
        if source is None or position is not None:
            if source is not None:
                source.close()
            source = self._open(wanted.last_index + 1, position)
        info = source.info
        self._live = info.live
        self._source = source
        next_seq = wanted.next_seq
        if info.live and position is not None:
            next_seq = track.next_seq
            self._epoch = track.epoch + 1
            self._pts_s = track.pts_s + max(0.0, time.time() - track.wall_s)
        self._ring = Ring.create(self._config.slots, info.width, info.height)
        self._frame_queue = FrameQueue(
            self._config.slots, live=info.live, next_seq=next_seq, accepted_to=track.next_seq
        )
        self._first_seq = next_seq
        self._reader = threading.Thread(target=self._read, args=(source,), name="reader", daemon=True)
        self._reader.start()

    def _read(self, source: Source) -> None:
        """The reader thread: every frame into a slot, or dropped and counted."""
        live = source.info.live
        try:
            for frame in source.frames():
                self._metrics.frames_in()
                slot = self._frame_queue.take_slot(0.0 if live else 0.2)
                while slot is None and not live and not self._stop.is_set():
                    slot = self._frame_queue.take_slot(0.2)
                if self._stop.is_set():
                    break
                if slot is None:
                    self._frame_queue.drop("no_slot")
                    continue
                self._fill(slot, frame)
            self._complete = live or not self._stop.is_set()
        except Exception as error:
            self._error = error
        finally:
            source.close()
            self._read_all = True
            os.eventfd_write(self._wake, 1)

    def _fill(self, slot: int, frame: SourceFrame) -> None:
        start_s = now()
        planes = self._ring.open_slot(slot)
        frame.copy_to(planes)
        epoch = self._epoch + frame.epoch
        camera = self._camera.update(planes.y, epoch, frame.index) if self._camera else None
        held = PendingFrame(slot, epoch, frame.index, self._pts_s + frame.pts_s, frame.wall_s, camera)
        seq = self._frame_queue.put(held)
        if seq is not None:
            self._ring.publish(slot, held.epoch, seq)
        self._metrics.processing(now() - start_s)
        if any(self._enough(ask) for _, ask in list(self._asks.values())):
            os.eventfd_write(self._wake, 1)

    def _handle(self, router: RouterSocket, peer: bytes, message: Message) -> None:
        if isinstance(message, Ask):
            self._frame_queue.seen(message.worker, message.incarnation)
            self._asks[message.worker] = (peer, message)
        elif isinstance(message, Accepted):
            self._frame_queue.accepted(message.seq)
        elif isinstance(message, Released):
            self._frame_queue.released(message.seq)
        elif isinstance(message, Hello) and message.stage == "track":
            if self._track_incarnation != message.incarnation:
                self._frame_queue.lease_all_again()
            self._track, self._track_incarnation = peer, message.incarnation
            self._frame_queue.accepted(message.next_seq - 1)
        elif isinstance(message, Hello):
            if message.next_seq > 0:
                self._frame_queue.released(message.next_seq - 1)
            router.send(peer, self._where())
        elif isinstance(message, EndOfStream):
            self._closed = True

    def _where(self) -> RingMessage:
        assert self._source is not None
        return RingMessage(
            stream=self._name,
            path=self._ring.path,
            first_seq=self._first_seq,
            next_seq=self._frame_queue.released_to,
            width=self._ring.width,
            height=self._ring.height,
            fps=min(self._source.info.fps or 0.0, self._config.fps or float("inf")) / (1 + self._config.skip),
            sample_aspect=self._source.info.sample_aspect,
        )

    def _serve(self, router: RouterSocket) -> None:
        """Answers those who asked, in the order in which they asked."""
        for worker, (peer, ask) in list(self._asks.items()):
            if not self._enough(ask):
                break
            leased = self._frame_queue.lease(worker, ask.incarnation, ask.frames, now())
            if not leased:
                break
            for seq, held in leased:
                self._ring.publish(held.slot, held.epoch, seq)
            del self._asks[worker]
            self._served_s = now()
            if router.send(peer, Leases(frames=tuple(self._ref(seq, held) for seq, held in leased))):
                self._metrics.frames_out(len(leased))
            else:
                self._frame_queue.lost([seq for seq, _ in leased])
        self._metrics.slots(self._frame_queue.used, self._config.slots)
        self._metrics.queue(self._frame_queue.waiting)
        if self._source is not None:
            self._metrics.source(self._source.stats.reconnects, self._source.stats.errors)

    def _enough(self, ask: Ask) -> bool:
        """Whether to answer now: a camera's frame goes at once, a file's in company or after a moment."""
        waiting = self._frame_queue.waiting
        if self._live or self._read_all or waiting >= min(ask.frames, self._config.slots // 3):
            return True
        return waiting > 0 and now() - self._served_s > GATHER_S

    def _ref(self, seq: int, held: PendingFrame) -> FrameRef:
        return FrameRef(
            stream=self._name,
            epoch=held.epoch,
            seq=seq,
            index=held.index,
            pts_s=held.pts_s,
            wall_s=held.wall_s,
            camera=held.camera,
            slot=held.slot,
            ring=self._ring.path,
            width=self._ring.width,
            height=self._ring.height,
        )

    def _say_again(self, router: RouterSocket) -> None:
        """What `track` must hear is said until it has effect."""
        if now() - self._said_s < HELLO_S or self._track is None:
            return
        self._said_s = now()
        self._frame_queue.overdue(now(), LEASE_TIMEOUT_S)
        self._count_drops()
        for seq, held in self._frame_queue.quarantined():
            router.send(self._track, instances_of(self._ref(seq, held), Detections.empty(), QUARANTINED))
        if self._read_all and not self._frame_queue.waiting:
            end = EndOfStream(stream=self._name, frames=self._frame_queue.next_seq, complete=self._complete)
            router.send(self._track, end)

    def _count_drops(self) -> None:
        for reason, frames in dict(self._frame_queue.dropped).items():
            self._metrics.dropped(reason, frames - self._dropped.get(reason, 0))
            self._dropped[reason] = frames

    def _report(self) -> Report:
        if self._source is None:
            return Report()
        info, stats = self._source.info, self._source.stats
        values = {
            "decoded": stats.decoded,
            "errors": stats.errors,
            "reconnects": stats.reconnects,
            "used": self._frame_queue.used,
            "width": info.width,
            "height": info.height,
            "live": float(info.live),
            "fps": info.fps or 0.0,
            "frames": info.frames or 0,
            "duration_s": info.duration_s or 0.0,
        }
        late = {LATE: stats.skipped[LATE]} if LATE in stats.skipped else {}
        return Report(
            frames_in=stats.decoded,
            frames_out=self._frame_queue.next_seq,
            dropped=dict(self._frame_queue.dropped) | late,
            values=values,
            texts={"error": stats.last_error, "kind": info.kind},
        )
