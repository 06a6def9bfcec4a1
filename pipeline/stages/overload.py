"""Whether a camera sends more frames than are counted, and since when. Pure; time is passed in."""

from __future__ import annotations

from collections import deque

WINDOW_S = 10.0
"""Period over which frames are compared."""
BEGIN_SHARE, END_SHARE = 0.1, 0.02
"""Part of the frames left out from which on a stream is overloaded, and up to which it is not any more."""


class Overload:
    """Compares the frames left out, because the model had no time for them, with those decoded.

    Attributes:
        since_s: Unix time at which the period began from which on too many were left out; 0: the stream is not
            overloaded.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, int, int]] = deque()
        self.since_s = 0.0

    def update(self, decoded: int, left_out: int, now_s: float, wall_s: float) -> str:
        """Takes the sums so far; called at any intervals below `WINDOW_S`.

        Args:
            decoded: Frames that came to be counted.
            left_out: Those of them that were not.
            now_s: Monotonic time.
            wall_s: Unix time.

        Returns:
            A line for the log where the state has changed; otherwise empty.
        """
        self._samples.append((now_s, wall_s, decoded, left_out))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        began_s, began_wall_s, decoded_before, left_out_before = self._samples[0]
        spent_s, frames = now_s - began_s, decoded - decoded_before
        if spent_s < WINDOW_S or not frames:
            return ""
        share = (left_out - left_out_before) / frames
        if not self.since_s and share >= BEGIN_SHARE:
            self.since_s = began_wall_s
            come, counted = frames / spent_s, frames * (1 - share) / spent_s
            return (
                f"overloaded: {counted:.1f} of {come:.1f} frames a second are counted, the newest ones; `fps` of the "
                "stream, a smaller model or a GPU make the rate even"
            )
        if self.since_s and share <= END_SHARE:
            lasted_s, self.since_s = wall_s - self.since_s, 0.0
            return f"not overloaded any more, after {lasted_s:.0f} s"
        return ""
