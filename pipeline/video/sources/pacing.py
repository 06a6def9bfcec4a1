"""Plays what arrives in bursts at the speed of its timestamps: segments of HLS, a file that is piped in."""

from __future__ import annotations

AHEAD_S = 20.0
"""A frame that is due later than this belongs to another time base."""
BEHIND_S = 5.0
"""A stream that is so far behind is not caught up with: it is played on from there."""


class Pacer:
    """Tells when each frame is due. Pure; time is passed in."""

    def __init__(self) -> None:
        self._offset_s: float | None = None
        """Monotonic time minus timestamp."""

    def wait_s(self, raw_s: float, now_s: float) -> float:
        """Seconds until a frame is due.

        Args:
            raw_s: Its timestamp.
            now_s: Monotonic time.
        """
        if self._offset_s is not None:
            wait_s = raw_s + self._offset_s - now_s
            if -BEHIND_S <= wait_s <= AHEAD_S:
                return max(0.0, wait_s)
        self._offset_s = now_s - raw_s
        return 0.0
