"""Whether a picture is frozen: the same one comes again and again.

A sensor's noise, a clock in the picture or anything that moves changes pixels. When the same picture is encoded again
and again, some change as well, since its quality is refined and refreshed with each keyframe, but fewer and fewer. So
the share of pixels that change is compared with what is usual for the camera.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from pipeline.transport.planes import Plane
from pipeline.video.health.view import block_means, downscale

FROZEN_S = 3.5
"""Without any change for this long, a picture is frozen."""
MOST_FROZEN_S = 60.0
"""A camera that has been seen to be that still when nothing moves is given this time at most."""
SAME_SHARE = 5e-4
"""Share of the pixels that may differ in pictures that are the same."""
USUAL_SHARE = 0.3
"""Of the share of pixels that usually changes: with less a picture is suspected to be frozen."""
MOTION = 4.0
"""Mean difference in a block, in grey levels, that is motion; a keyframe of low quality makes less, and what is smaller
makes some pixels differ."""
SAME_SCENE = 0.6
"""Share of the blocks that are as before when the picture goes on, if it was only the scene that stood still."""
RECENT = 7
"""Number of pictures that are judged together."""
USUAL = 240
"""Number of pictures from which it is learnt how many pixels change."""
LEAST_USUAL = 20


class Stillness:
    """Watches one stream for a picture that does not change.

    An encoder may leave out the noise of a quiet scene. So when a picture that was called frozen goes on as if nothing
    had happened, twice that time is allowed from then on.
    """

    def __init__(self) -> None:
        self._rows: Plane | None = None
        self._small: Plane | None = None
        self._since_s = 0.0
        self._changed: deque[float] = deque(maxlen=RECENT)
        """Share of the pixels that changed, since nothing moves."""
        self._usual: deque[float] = deque(maxlen=USUAL)
        self._allowed_s = FROZEN_S

    def update(self, luma: Plane, now_s: float) -> bool:
        """Compares a picture with the one before.

        Args:
            luma: (H, W) uint8.
            now_s: when it came, seconds.

        Returns:
            Whether the picture is frozen.
        """
        rows, small = luma[::4].copy(), downscale(luma)
        rows_before, small_before = self._rows, self._small
        self._rows, self._small = rows, small
        if rows_before is None or small_before is None or rows_before.shape != rows.shape:
            self._usual.clear()
            self._begin(now_s)
            return False
        changed = np.count_nonzero(rows != rows_before) / rows.size
        difference = block_means(cv2.absdiff(small_before, small).astype(np.float32))
        if difference.max() > MOTION:
            as_before = float((difference <= MOTION).mean()) >= SAME_SCENE
            if as_before and self._is_frozen(now_s):
                self._allowed_s = min(MOST_FROZEN_S, max(self._allowed_s, 2 * (now_s - self._since_s)))
            if not as_before:
                self._usual.clear()  # another light, with another noise
            self._usual.append(changed)
            self._begin(now_s)
            return False
        self._changed.append(changed)
        frozen = self._is_frozen(now_s)
        if not frozen and not self._is_suspect():
            self._usual.append(changed)
        return frozen

    def _begin(self, now_s: float) -> None:
        self._since_s = now_s
        self._changed.clear()

    def _is_frozen(self, now_s: float) -> bool:
        return now_s - self._since_s >= self._allowed_s and self._is_suspect()

    def _is_suspect(self) -> bool:
        """Whether most of the last pictures are the same, or changed much less than usual."""
        if not self._changed:
            return False
        share = float(np.median(self._changed))
        if share <= SAME_SHARE:
            return True
        return len(self._usual) >= LEAST_USUAL and share < USUAL_SHARE * float(np.percentile(self._usual, 20))
