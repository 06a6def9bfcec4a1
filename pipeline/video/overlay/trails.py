"""Trails: the foot points of each object over the last seconds, thinner with age."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.camera import CameraTransform
from pipeline.transport.messages import Array
from pipeline.transport.planes import Planes
from pipeline.video.overlay.colours import object_colour, to_yuv
from pipeline.video.overlay.strokes import FRACTION_BITS, draw_hairlines, hairlines

TRAIL_S = 2.0
"""Media seconds of an object's path that are shown."""
MAX_TRAILS = 512
MAX_POINTS = 64
"""Points of one trail."""
COORDINATE_LIMIT_PX = 1e5
"""Coordinates are clipped to this, so that they fit into fixed point."""


class Trails:
    """The paths of one stream's objects, pruned by age and by number.

    Args:
        width: of the stroke, pixels.
        spacing: smallest distance between two points of a path, pixels.
    """

    def __init__(self, width: int, spacing: float) -> None:
        self._width, self._spacing = width, spacing
        self._paths: OrderedDict[int, deque[tuple[float, float, float]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    def update(self, now_s: float, ids: Array, feet_px: Array) -> None:
        """Extends the paths by the objects of one frame and drops what is too old.

        Args:
            now_s: media time of the frame, seconds.
            ids: (N,) int64.
            feet_px: (N, 2) float32 foot points, pixels.
        """
        for identity, (x, y) in zip(ids.tolist(), feet_px.tolist(), strict=True):
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            path = self._paths.setdefault(identity, deque(maxlen=MAX_POINTS))
            x, y = (min(max(value, -COORDINATE_LIMIT_PX), COORDINATE_LIMIT_PX) for value in (x, y))
            if path:  # only half-way to the new point: the foot of a mask jitters
                x, y = (path[-1][1] + x) / 2, (path[-1][2] + y) / 2
            if len(path) > 1 and math.dist(path[-2][1:], (x, y)) < self._spacing:
                path.pop()  # the newest point moves along with the object until it is far enough
            path.append((now_s, x, y))
            self._paths.move_to_end(identity)
        for identity in list(self._paths):
            path = self._paths[identity]
            while path and not now_s - TRAIL_S <= path[0][0] <= now_s:
                path.popleft()
            if not path:
                del self._paths[identity]
        while len(self._paths) > MAX_TRAILS:
            self._paths.popitem(last=False)

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """Moves the paths with the scene after the camera has moved.

        Args:
            camera_transform: Maps pixels of the last frame to pixels of the next one.
        """
        for path in self._paths.values():
            points = np.clip(
                camera_transform.points(np.array(path)[:, 1:]), -COORDINATE_LIMIT_PX, COORDINATE_LIMIT_PX
            ).tolist()
            for number, (x, y) in enumerate(points):
                path[number] = (path[number][0], x, y)

    def draw(self, planes: Planes) -> None:
        """Draws the paths of objects that have moved by more than the width of the stroke.

        Args:
            planes: Of the frame; drawn on in place.
        """
        for identity, path in self._paths.items():
            if len(path) > 1 and math.dist(path[0][1:], path[-1][1:]) >= self._width:
                self._draw(planes, np.array(path)[:, 1:], to_yuv(object_colour(identity)))

    def _draw(self, planes: Planes, points: NDArray[np.float64], levels: tuple[int, int, int]) -> None:
        """Draws one path in opaque colour; its older parts are thinner.

        Args:
            planes: changed in place.
            points: (n, 2) x y in pixels, oldest first.
            levels: Y, U, V.
        """
        path = (points * (1 << FRACTION_BITS)).astype(np.int32)
        last = len(path) - 1
        cuts = [last * part // self._width for part in range(self._width + 1)]
        tail = [
            line
            for width, (first, end) in enumerate(pairwise(cuts), start=1)
            if first < end
            for line in hairlines(path[first : end + 1], width)
        ]
        draw_hairlines(planes.y, tail, False, levels[0])
        half = hairlines(path // 2, max(1, self._width // 2))
        draw_hairlines(planes.u, half, False, levels[1])
        draw_hairlines(planes.v, half, False, levels[2])
