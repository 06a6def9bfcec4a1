"""What `track` remembers of the requests of a sink."""

from __future__ import annotations

from pipeline.transport.messages import Want


class SinkRequests:
    """What the sink of one stream has asked for.

    Args:
        peer: Its identity on the socket.
        want: Its first request.
    """

    def __init__(self, peer: bytes, want: Want) -> None:
        self.peer = peer
        self.incarnation = want.incarnation
        self.sent_to = want.next_seq
        """First frame not yet sent to this incarnation of the sink."""
        self.until = want.next_seq + want.credit
        self.end_sent_s = 0.0
