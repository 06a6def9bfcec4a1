"""Which decoded frames are used: the `fps` and `skip` settings of a stream."""

from __future__ import annotations

DEFAULT_FPS = 25.0
"""Frame rate assumed for a source that states none."""


class FrameSampler:
    """Selects one of every `skip + 1` frames, and of those at most `fps` per second of media time.

    The decision depends only on a frame and the one before it, so a file entered in the middle yields the same
    selection as one played from its start.

    Args:
        fps: upper limit of the frame rate in Hz; None for no limit.
        skip: number of frames left out after each one used.
        source_fps: nominal frame rate of the source; its frames may be early or late by half a frame interval.
    """

    def __init__(self, fps: float | None, skip: int, source_fps: float = DEFAULT_FPS) -> None:
        self._fps = fps
        self._every = skip + 1
        self._slack_s = 0.5 * self._every / source_fps
        self._bucket: int | None = None

    def reason_to_skip(self, index: int, pts_s: float) -> str:
        """Decides on the next frame. Call once per frame, in order.

        Args:
            index: number of the frame in the source.
            pts_s: its media time in seconds.

        Returns:
            `skip` or `fps`, the setting that leaves the frame out; empty if the frame is used.
        """
        if index % self._every:
            return "skip"
        if self._fps is None:
            return ""
        bucket = int(pts_s * self._fps + min(0.5, self._slack_s * self._fps))
        same = bucket == self._bucket
        self._bucket = bucket
        return "fps" if same else ""
