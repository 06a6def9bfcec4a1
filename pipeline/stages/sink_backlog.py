"""Frames that wait for the sinks of a stream, and which of them are left out where the sinks are too slow."""

from __future__ import annotations

from collections import deque

from pipeline.transport.messages import FrameTracks

LATE_S = 0.2
"""How long a frame of a live source may wait, where many do. A burst that is written at once is not late."""


class SinkBacklog:
    """Tracks in the order of their frames.

    A frame that waits holds a slot of the ring. Without a free one the decoder of a live source would have to drop
    frames before they are counted, so a slow encoder would cost counts.

    Args:
        slots: Slots of the ring.
    """

    def __init__(self, slots: int) -> None:
        self._most = max(1, slots // 3)
        self._waiting: deque[tuple[FrameTracks, float]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, tracks: FrameTracks, since_s: float) -> None:
        """Appends a frame.

        Args:
            tracks: Of the frame.
            since_s: When it may have come: when messages were looked for before this time, monotonic seconds.
        """
        self._waiting.append((tracks, since_s))

    def next(self, seq: int) -> FrameTracks | None:
        """The frame with a number, where it is the first; others before it have come twice, and are dropped.

        Args:
            seq: As in `FrameRef`.
        """
        while self._waiting and self._waiting[0][0].seq != seq:
            self._waiting.popleft()
        return self._waiting[0][0] if self._waiting else None

    def pop(self) -> None:
        """Drops the first frame."""
        self._waiting.popleft()

    def is_late(self, now_s: float) -> bool:
        """Whether the first frame of a live source is to be left out.

        Args:
            now_s: Monotonic seconds.
        """
        return len(self._waiting) > self._most and now_s - self._waiting[0][1] > LATE_S
