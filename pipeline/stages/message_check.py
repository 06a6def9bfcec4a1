"""Whether a message can be what its sender makes of it. Sockets are private to the user, but a process that writes
nonsense, a forgery or an old process must not stop a stream."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config.schema import Config
from pipeline.metrics.rejected import IMPOSSIBLE, UNKNOWN_SENDER, UNKNOWN_STREAM, reject
from pipeline.records.log_check import MAX_NUMBER, impossible
from pipeline.records.log_header import LogHeader
from pipeline.stages.placement import Placement
from pipeline.stages.topology import processes
from pipeline.transport.messages import Ask, EndOfStream, Hello, Instances, Message, Want

MAX_AHEAD = 4096
"""Frames by which instances may arrive ahead of their sequence: more than any ring has slots."""


class MessageCheck:
    """Checks messages of one process; those that fail are counted.

    Args:
        config: Of the run.
        placement: Of its streams.
    """

    def __init__(self, config: Config, placement: Placement) -> None:
        table = processes(config, placement)
        self._names = {process.name for process in table}
        self._trackers = {process.name for process in table if process.stage.name == "track"}
        self._sinks = placement.sinks

    def for_decoder(self, peer: bytes, message: Message, stream: str) -> bool:
        """Whether a decoder may process a message, apart from frame numbers, which its queue knows.

        Args:
            peer: Identity of the sender.
            message: From it.
            stream: Of the decoder.
        """
        if getattr(message, "stream", stream) != stream:
            return _no(UNKNOWN_STREAM)
        if isinstance(message, Ask):
            known = message.worker in self._names and message.worker.startswith("segment/")
            if not known or peer != f"{message.worker}#{message.incarnation}".encode():
                return _no(UNKNOWN_SENDER)
            return message.frames > 0 or _no(IMPOSSIBLE)
        sender = peer.decode(errors="replace").rpartition("#")[0]
        if isinstance(message, Hello):
            from_track = message.stage == "track" and sender in self._trackers
            if not from_track and not (message.stage == "sink" and sender == f"sink/{stream}"):
                return _no(UNKNOWN_SENDER)
            return -1 <= message.next_seq <= MAX_NUMBER or _no(IMPOSSIBLE)
        if isinstance(message, EndOfStream):
            last = sender == f"sink/{stream}" if self._sinks else sender in self._trackers
            return last or _no(UNKNOWN_SENDER)
        return sender in self._names or _no(UNKNOWN_SENDER)

    def for_track(
        self, message: Message, headers: dict[str, LogHeader], next_seq: Callable[[str], int]
    ) -> bool:
        """Whether a tracking process may process a message.

        Args:
            message: From a worker, decoder or sink.
            headers: Stream of the process -> what its log says of all records.
            next_seq: Gives the first frame of a stream that is not counted.
        """
        stream = getattr(message, "stream", None)
        if not isinstance(message, Instances | Want | EndOfStream) or stream not in headers:
            return _no(UNKNOWN_STREAM)
        if isinstance(message, Instances):
            ahead = message.seq - next_seq(message.stream)
            if ahead >= MAX_AHEAD or message.seq < 0 or impossible(message, headers[message.stream]):
                return _no(IMPOSSIBLE)
        elif isinstance(message, Want):
            return (message.next_seq >= 0 and message.credit > 0) or _no(IMPOSSIBLE)
        return True


def _no(reason: str) -> bool:
    reject(reason)
    return False
