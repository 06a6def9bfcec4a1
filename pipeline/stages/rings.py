"""The rings of several streams, as a worker maps them."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.transport.messages import FrameRef
from pipeline.transport.ring import Ring, RingError


class Rings:
    """The rings of all streams, mapped when first needed."""

    def __init__(self) -> None:
        self._rings: dict[str, Ring] = {}
        self._replaced: list[Ring] = []

    def get(self, ref: FrameRef) -> Ring | None:
        """The mapped ring that holds a frame.

        Args:
            ref: The frame.

        Returns:
            None if the ring is gone, or the frame is no longer in it.
        """
        ring = self._rings.get(ref.stream)
        if ring is None or ring.path != ref.ring:
            if ring is not None:
                self._replaced.append(self._rings.pop(ref.stream))
            try:
                ring = self._rings[ref.stream] = Ring.attach(ref.ring)
            except RingError:
                return None
        return ring if ring.holds(ref.slot, ref.epoch, ref.seq) else None

    def keep_only(self, streams: Collection[str]) -> None:
        """Gives up the rings of other streams.

        Args:
            streams: Names of those that are served.
        """
        self._replaced += [self._rings.pop(name) for name in list(self._rings) if name not in streams]

    def close_replaced(self) -> None:
        """Unmaps the rings of restarted decoders; none of their frames may be in use."""
        while self._replaced:
            self._replaced.pop().close()
