"""Where the objects came from: the foot points of the last seconds, fading with age."""

from __future__ import annotations

import math
from collections import OrderedDict, deque

import cv2
import numpy as np

from pipeline.messages import Array
from pipeline.planes import Planes
from pipeline.video.overlay.paint import FIXED, bundle, fixed, object_colour, strokes, yuv

TRAIL_S = 2.0
"""Media seconds of an object's path that are shown."""
MOST_TRAILS = 512
MOST_POINTS = 64
"""Points of one trail, at the most."""
SHADES = 5
STRONGEST = 215
"""Opacity of the newest part, of 255."""


class Trails:
    """Paths of the objects of one stream; pruned by age and by number.

    Args:
        wide: width of the stroke, pixels.
        spacing: distance between two points that are kept, pixels.
    """

    def __init__(self, wide: int, spacing: float) -> None:
        self._wide, self._spacing = wide, spacing
        self._paths: OrderedDict[int, deque[tuple[float, float, float]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    def update(self, now_s: float, ids: Array, feet_px: Array) -> None:
        """`ids`: (N,) int64; `feet_px`: (N, 2) float32, pixels; `now_s`: media time."""
        for identity, (x, y) in zip(ids.tolist(), feet_px.tolist(), strict=True):
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            path = self._paths.setdefault(identity, deque(maxlen=MOST_POINTS))
            if path:  # half-way to the new point: the foot of a mask trembles
                x, y = (path[-1][1] + x) / 2, (path[-1][2] + y) / 2
            if len(path) > 1 and math.dist(path[-2][1:], (x, y)) < self._spacing:
                path.pop()  # the newest point moves along until it is far enough
            path.append((now_s, x, y))
            self._paths.move_to_end(identity)
        for identity in list(self._paths):
            path = self._paths[identity]
            while path and not now_s - TRAIL_S <= path[0][0] <= now_s:
                path.popleft()
            if not path:
                del self._paths[identity]
        while len(self._paths) > MOST_TRAILS:
            self._paths.popitem(last=False)

    def draw(self, planes: Planes, now_s: float) -> None:
        for identity, path in self._paths.items():
            if len(path) > 1 and math.dist(path[0][1:], path[-1][1:]) >= self._wide:
                table = np.array(path, np.float32)
                self._draw(planes, table[:, 1:], now_s - table[:, 0], yuv(object_colour(identity)))

    def _draw(self, planes: Planes, points: Array, ages_s: Array, levels: tuple[int, int, int]) -> None:
        """Luma fades: opacity is drawn on a small plane, then laid over. Chroma takes the stroke alone.

        `points`: (n, 2) float32, x y in pixels, oldest first. `ages_s`: (n,) float32.
        """
        wide = self._wide
        points = points.clip((-64.0, -64.0), (planes.width + 64.0, planes.height + 64.0))
        left, top = (max(0, int(low) - wide - 1) // 2 * 2 for low in points.min(axis=0))
        right = min(planes.width, int(points[:, 0].max()) + wide + 2)
        bottom = min(planes.height, int(points[:, 1].max()) + wide + 2)
        if left >= right or top >= bottom:
            return
        places = fixed(points - np.array([left, top], np.float32))
        strength = (STRONGEST * (1 - ages_s / TRAIL_S)).clip(0, STRONGEST)
        step = -(-(len(places) - 1) // SHADES)
        opacity = np.zeros((bottom - top, right - left), np.uint8)
        lines = bundle(places, wide)
        for first in range(0, len(places) - 1, step):
            last = min(first + step, len(places) - 1)
            parts = [line[first : last + 1] for line in lines]
            cv2.polylines(opacity, parts, False, (int(strength[last]),), 1, cv2.LINE_AA, FIXED)
        luma = planes.y[top:bottom, left:right]
        cv2.multiply(luma, cv2.bitwise_not(opacity), dst=luma, scale=1 / 255)
        cv2.add(luma, cv2.convertScaleAbs(opacity, alpha=levels[0] / 255), dst=luma)
        newer = places[len(places) // 5 :] // 2
        for plane, level in ((planes.u, levels[1]), (planes.v, levels[2])):
            below = plane[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
            strokes(below, [newer], False, level, max(1, wide // 2))
