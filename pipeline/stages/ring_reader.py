"""The rings of one decoder as `sink` reads them: one, or two while frames get another size."""

from __future__ import annotations

from pipeline.transport.messages import RingInfo
from pipeline.transport.planes import Planes
from pipeline.transport.ring import Ring, RingError


class RingReader:
    """Finds frames by their number."""

    def __init__(self) -> None:
        self._ring: Ring | None = None
        """Where the last frame was."""
        self._next: Ring | None = None
        """Where frames of another size are, which follow those in `_ring`."""
        self._incarnation = -1

    def attach(self, info: RingInfo) -> bool:
        """Maps the ring that a decoder has at present. A decoder that was restarted has none of the frames of before.

        Args:
            info: The decoder's answer.

        Returns:
            False if the decoder has died meanwhile: its next incarnation names another ring.
        """
        if info.path in (ring.path for ring in (self._ring, self._next) if ring is not None):
            return True
        try:
            ring = Ring.attach(info.path, draw=True)
        except RingError:
            return False
        if self._ring is not None and info.incarnation == self._incarnation:
            former, self._next = self._next, ring
            if former is not None:
                former.close()
            return True
        self.close()
        self._ring, self._incarnation = ring, info.incarnation
        return True

    def find(self, seq: int) -> Planes | None:
        """Pixels of a frame, to be drawn on; None if they are not there.

        Args:
            seq: As in `FrameRef`; once a frame of another size has been found, those before it are gone.
        """
        if self._next is not None and self._next.find(seq) is not None:
            if self._ring is not None:
                self._ring.close()
            self._ring, self._next = self._next, None
        if self._ring is None or (slot := self._ring.find(seq)) is None:
            return None
        return self._ring.planes(slot)

    def close(self) -> None:
        """Unmaps all memory."""
        for ring in (self._ring, self._next):
            if ring is not None:
                ring.close()
        self._ring = self._next = None
