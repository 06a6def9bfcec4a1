"""Where an observation is in relation to a zone: inside, in the hysteresis band along its border, or outside."""

from __future__ import annotations

from math import hypot

import numpy as np

from pipeline.config.schema import ZoneConfig
from pipeline.geometry.masks import mask_cells
from pipeline.geometry.plane import points_in_polygon, polygon_depth, segment_inside
from pipeline.geometry.points import Xy
from pipeline.tracking.observation import Observation

BORDER = 0.1
"""Half width of the hysteresis band: in heights of the object, or as a fraction of its mask."""


class ZoneShape:
    """The polygon of one zone, and how an object is inside it.

    Args:
        config: the zone, in fractions of the frame.
    """

    def __init__(self, config: ZoneConfig) -> None:
        self._config = config
        self._polygon = np.array(config.points, np.float64)
        self._widest_band = 0.0
        self._box = (0.0, 0.0, 0.0, 0.0)

    def begin(self, frame: tuple[int, int]) -> None:
        """Scales the polygon to the frame.

        Args:
            frame: Width and height, pixels.
        """
        self._polygon = self._polygon * np.array(frame, np.float64)
        low, high = self._polygon.min(axis=0), self._polygon.max(axis=0)
        self._widest_band = float((high - low).min()) / 8
        self._box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    def state(self, observation: Observation) -> tuple[bool, bool]:
        """Whether the object is inside, and whether that is certain, beyond the hysteresis band.

        Args:
            observation: Where the object was seen.
        """
        if self._config.by == "mask":
            share = self._share(observation)
            least = self._config.share
            # The band never reaches 0 or 1: an object must be able to be inside, and outside, for certain.
            low, high = max(least - BORDER, least / 2), min(least + BORDER, (least + 1) / 2)
            return share >= least, not low < share < high
        x, y = place = self._anchor(observation)
        band = self._band(observation)
        left, top, right, bottom = self._box
        if max(left - x, x - right, top - y, y - bottom) > band:
            # most objects: farther from the bounding box than the band is wide, which is quick to tell
            return False, True
        depth = polygon_depth(self._polygon, place)
        return depth > 0, abs(depth) > band

    def within_s(self, last: Observation, now: Observation) -> float | None:
        """For how long an object was inside on the straight way from one observation to another.

        Args:
            last: The earlier observation.
            now: The later one.

        Returns:
            Media seconds; None: it was never farther from the border than the band is wide.
        """
        (x0, y0), (x1, y1) = start, end = self._anchor(last), self._anchor(now)
        left, top, right, bottom = self._box
        if max(x0, x1) < left or min(x0, x1) > right or max(y0, y1) < top or min(y0, y1) > bottom:
            return None
        band = self._band(now)
        if hypot(x1 - x0, y1 - y0) <= band:
            return None
        parts = segment_inside(self._polygon, start, end)
        middles = [(x0 + (a + b) / 2 * (x1 - x0), y0 + (a + b) / 2 * (y1 - y0)) for a, b in parts]
        if not any(polygon_depth(self._polygon, middle) > band for middle in middles):
            return None
        return sum(b - a for a, b in parts) * (now.frame_time.pts_s - last.frame_time.pts_s)

    def _anchor(self, observation: Observation) -> Xy:
        foot = self._config.by == "anchor" and self._config.anchor == "foot"
        return observation.foot if foot else observation.center

    def _band(self, observation: Observation) -> float:
        """Half width of the hysteresis band. In a zone narrower than that of a tall object nothing would be certain."""
        return min(BORDER * observation.height_px, self._widest_band)

    def _share(self, observation: Observation) -> float:
        """Fraction of the mask that is inside, 0..1."""
        x0, y0, x1, y1 = observation.place_px
        left, top, right, bottom = self._box
        if x1 <= left or x0 >= right or y1 <= top or y0 >= bottom:
            return 0.0
        cells = mask_cells(np.array(observation.place_px), observation.mask)
        return float(points_in_polygon(self._polygon, cells).mean())
