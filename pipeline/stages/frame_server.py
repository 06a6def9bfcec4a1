"""Hands the frames of one open source to the workers, and takes back leases and slots."""

from __future__ import annotations

import logging

from pipeline.config.schema import StreamConfig
from pipeline.metrics.rejected import IMPOSSIBLE, reject
from pipeline.metrics.stream_metrics import StreamMetrics
from pipeline.models.detections import Detections
from pipeline.stages.context import HELLO_S, StageContext, now
from pipeline.stages.decode_totals import DecodeTotals
from pipeline.stages.frame_queue import QUARANTINED, FrameQueue
from pipeline.stages.frame_reader import FrameReader
from pipeline.stages.instances import instances_of
from pipeline.stages.message_check import MessageCheck
from pipeline.stages.quarantine import keep_frame
from pipeline.transport.messages import (
    Accepted,
    Ask,
    EndOfStream,
    Hello,
    Leases,
    Message,
    Released,
    Report,
    RingInfo,
)
from pipeline.transport.sockets import RouterSocket
from pipeline.video.sources.source import Source

log = logging.getLogger(__name__)

GATHER_S = 0.005
"""Frames of a file are leased several at once; this is how long the first of them may wait for the others."""
LEASE_TIMEOUT_S = 60.0
"""A lease older than this ends, and another worker gets the frame."""


class FrameServer:
    """Answers the workers, `track` and `sink` for one stream.

    Args:
        name: The stream.
        config: Its configuration.
        source: The open source.
        queue: Which process has which frame.
        reader: The thread that fills it.
        totals: For reports and metrics.
        metrics: Of the stream.
        track: Identity of `track` on the socket.
        track_incarnation: Its incarnation.
        context: Of the process.

    Attributes:
        stream_closed: All frames are counted, and the sink has written them and closed its output.
    """

    def __init__(
        self,
        name: str,
        config: StreamConfig,
        source: Source,
        queue: FrameQueue,
        reader: FrameReader,
        totals: DecodeTotals,
        metrics: StreamMetrics,
        track: bytes,
        track_incarnation: int,
        context: StageContext,
    ) -> None:
        self._name, self._config, self._source = name, config, source
        self._queue, self._reader, self._metrics = queue, reader, metrics
        self._track, self._track_incarnation = track, track_incarnation
        self._out, self._check = context.out, MessageCheck(context.config, context.places)
        self._incarnation, self._sinks = context.incarnation, context.places.sinks
        self._first_seq = queue.next_seq
        self._totals = totals
        self._asks: dict[str, tuple[bytes, Ask]] = {}
        """Worker -> its identity on the socket and its unanswered request, in order of arrival."""
        self._served_s = 0.0
        self._repeated_s = 0.0
        self._end_sent = False
        self.stream_closed = False

    def handle(self, router: RouterSocket, peer: bytes, message: Message) -> None:
        """Processes one message.

        Args:
            router: Socket that it came from, for the answer.
            peer: Identity of the sender.
            message: From a worker, `track` or `sink`; what cannot be right is counted and ignored.
        """
        if not self._check.for_decoder(peer, message, self._name):
            return
        position = message.seq + 1 if isinstance(message, Accepted | Released) else 0
        position = message.next_seq if isinstance(message, Hello) else position
        if position > self._queue.plausible_to:
            reject(IMPOSSIBLE)
        elif isinstance(message, Ask):
            self._note_worker(message)
            self._asks[message.worker] = (peer, message)
        elif isinstance(message, Accepted):
            self._accepted(message.seq)
        elif isinstance(message, Released):
            self._queue.released(message.seq)
        elif isinstance(message, Hello) and message.stage == "track":
            self._note_track(peer, message)
        elif isinstance(message, Hello):
            if message.next_seq > 0:
                self._queue.released(message.next_seq - 1)
            router.send(peer, self._ring_info())
        elif isinstance(message, EndOfStream):
            self.stream_closed = True

    def lease(self, router: RouterSocket) -> None:
        """Leases frames to the workers, in the order of their requests.

        Args:
            router: Socket of the workers.
        """
        for worker, (peer, ask) in list(self._asks.items()):
            if not self._enough(ask):
                break
            leased = self._queue.lease(worker, ask.incarnation, ask.frames, now())
            if not leased:
                break
            for seq, frame in leased:
                frame.ring.publish(frame.slot, frame.epoch, seq)
            del self._asks[worker]
            self._served_s = now()
            refs = tuple(
                frame.ref(seq, self._name, alone=self._queue.is_suspect(seq)) for seq, frame in leased
            )
            if router.send(peer, Leases(frames=refs)):
                self._metrics.frames_out(len(leased))
            else:
                self._queue.undelivered([seq for seq, _ in leased])
        self._totals.show()

    def repeat(self, router: RouterSocket) -> None:
        """Resends to `track`, every `HELLO_S`, what it has not confirmed: quarantined frames and the end of the stream.

        Also ends leases that have timed out.

        Args:
            router: Socket of `track`.
        """
        if now() - self._repeated_s < HELLO_S and (self._end_sent or not self._at_end()):
            return
        self._repeated_s = now()
        if late := self._queue.expire_leases(now(), LEASE_TIMEOUT_S):
            log.warning("no answer for %.0f s: %s leased again", LEASE_TIMEOUT_S, _frames(late))
        self._totals.log_sums()
        self._reader.close_former_rings()
        for seq, frame in self._queue.quarantined():
            ref = frame.ref(seq, self._name)
            router.send(self._track, instances_of(ref, Detections.empty(), QUARANTINED))
        if self._at_end():
            self._end_sent = True
            end = EndOfStream(stream=self._name, frames=self._queue.next_seq, complete=self._reader.ended)
            router.send(self._track, end)

    def _at_end(self) -> bool:
        return self._reader.done and not self._queue.waiting

    def answers_wait(self) -> bool:
        """Whether a worker has asked and frames gather for it."""
        return bool(self._asks) and self._queue.leasable > 0

    def can_answer(self) -> bool:
        """Whether a worker can be answered now, or the source has ended. Called from the reader thread."""
        return self._reader.done or any(self._enough(ask) for _, ask in list(self._asks.values()))

    def finished(self) -> bool:
        """Whether every frame is written and its slot free."""
        return self.stream_closed and self._queue.idle

    def log_end(self) -> None:
        """Logs the last sums."""
        self._totals.log_sums(at_once=True)

    def report(self) -> Report:
        """The report of the heartbeat."""
        return self._totals.report()

    def _enough(self, ask: Ask) -> bool:
        """Whether to answer a request now. A live frame is leased at once; frames of a file gather for a moment."""
        waiting = self._queue.leasable
        if self._source.info.live or self._reader.done:
            return True
        if waiting >= min(ask.frames, self._config.slots // 3):
            return True
        return waiting > 0 and now() - self._served_s > GATHER_S

    def _note_worker(self, ask: Ask) -> None:
        restart = self._queue.worker_seen(ask.worker, ask.incarnation, ask.killers)
        if restart is None:
            return
        if restart.again:
            log.info("%s was restarted: %s leased again", ask.worker, _frames(restart.again))
        if restart.quarantined:
            words = "%s quarantined: workers died with it, %s again"
            log.warning(words, _frames(restart.quarantined), ask.worker)
            for seq, frame in self._queue.quarantined():
                if seq in restart.quarantined:
                    planes = frame.ring.planes(frame.slot)
                    why = f"workers died with it, {ask.worker} again"
                    keep_frame(self._out, frame.ref(seq, self._name), planes, why)

    def _note_track(self, peer: bytes, hello: Hello) -> None:
        if self._track_incarnation != hello.incarnation:
            again = self._queue.lease_all_again()
            if again:
                log.info("track was restarted: %s leased again", _frames(again))
        self._track, self._track_incarnation = peer, hello.incarnation
        self._accepted(hello.next_seq - 1)

    def _accepted(self, to_seq: int) -> None:
        """Ends leases; without a sink nothing needs the pixels any more."""
        self._queue.accepted(to_seq)
        if not self._sinks:
            self._queue.released(to_seq)

    def _ring_info(self) -> RingInfo:
        ring = self._reader.ring
        fps = min(self._source.info.fps or 0.0, self._config.fps or float("inf"))
        return RingInfo(
            stream=self._name,
            path=ring.path,
            first_seq=self._first_seq,
            next_seq=self._queue.released_to,
            width=ring.width,
            height=ring.height,
            fps=fps / (1 + self._config.skip),
            sample_aspect=self._source.info.sample_aspect,
            live=self._source.info.live,
            silent_since_s=self._totals.silent_since_s(),
            end_seq=self._queue.next_seq,
            incarnation=self._incarnation,
        )


def _frames(seqs: list[int]) -> str:
    """`frame 7`, or `frames 7, 8, 9`."""
    return f"frame{'s' if len(seqs) > 1 else ''} {', '.join(map(str, sorted(seqs)))}"
