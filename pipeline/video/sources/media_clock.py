"""Media time: a monotonic timeline made of a container's timestamps."""

from __future__ import annotations


class MediaClock:
    """Turns raw timestamps into media time that never decreases.

    A missing timestamp continues at the nominal frame rate. A timestamp that falls back by more than `JUMP_S` is
    a discontinuity: media time continues from where it was, and the epoch increases.

    Args:
        fps: nominal frame rate in Hz.
        zero_s: container time that corresponds to media time 0; None takes the first frame's.
    """

    JUMP_S = 1.0

    def __init__(self, fps: float, *, zero_s: float | None = None) -> None:
        self._step_s = 1.0 / fps
        self._offset_s = None if zero_s is None else -zero_s
        self._gap_s: float | None = None
        self.pts_s: float | None = None
        """Media time of the latest frame; None before the first."""
        self.epoch = 0

    def restart(self, gap_s: float) -> None:
        """Starts a new epoch: the next frame follows the latest one by `gap_s`, whatever its timestamp is."""
        self.epoch += 1
        self._gap_s = gap_s

    def next(self, raw_s: float | None) -> float:
        """Advances to the next frame.

        Args:
            raw_s: its timestamp in the container, in seconds; None if it has none.

        Returns:
            Its media time in seconds.
        """
        if self.pts_s is None:
            pts_s = 0.0 if raw_s is None or self._offset_s is None else max(0.0, raw_s + self._offset_s)
        elif self._gap_s is not None:
            pts_s, self._gap_s, self._offset_s = self.pts_s + self._gap_s, None, None
        elif raw_s is None or self._offset_s is None:
            pts_s = self.pts_s + self._step_s
        elif raw_s + self._offset_s < self.pts_s - self.JUMP_S:
            self.epoch += 1
            pts_s, self._offset_s = self.pts_s + self._step_s, None
        else:
            pts_s = max(self.pts_s, raw_s + self._offset_s)
        if raw_s is not None and self._offset_s is None:
            self._offset_s = pts_s - raw_s
        self.pts_s = pts_s
        return pts_s
