"""Where the objects came from: the foot points of the last seconds, thinner with age."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.camera import CameraTransform
from pipeline.transport.messages import Array
from pipeline.transport.planes import Planes
from pipeline.video.overlay.paint import FIXED, bundle, object_colour, thin, yuv

TRAIL_S = 2.0
"""Media seconds of an object's path that are shown."""
MOST_TRAILS = 512
MOST_POINTS = 64
"""Points of one trail, at the most."""
FARTHEST_PX = 1e5
"""Places farther away than this are drawn there: fixed-point coordinates have an end."""


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
            x, y = (min(max(value, -FARTHEST_PX), FARTHEST_PX) for value in (x, y))
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

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """The camera has moved: the paths lie where they were in the scene."""
        for path in self._paths.values():
            places = np.clip(
                camera_transform.points(np.array(path)[:, 1:]), -FARTHEST_PX, FARTHEST_PX
            ).tolist()
            for number, (x, y) in enumerate(places):
                path[number] = (path[number][0], x, y)

    def draw(self, planes: Planes) -> None:
        for identity, path in self._paths.items():
            if len(path) > 1 and math.dist(path[0][1:], path[-1][1:]) >= self._wide:
                self._draw(planes, np.array(path)[:, 1:], yuv(object_colour(identity)))

    def _draw(self, planes: Planes, points: NDArray[np.float64], levels: tuple[int, int, int]) -> None:
        """A comet's tail: nothing is blended, its older parts are thinner.

        `points`: (n, 2) x y in pixels, oldest first.
        """
        places = (points * (1 << FIXED)).astype(np.int32)
        last = len(places) - 1
        cuts = [last * part // self._wide for part in range(self._wide + 1)]
        tail = [
            line
            for wide, (first, end) in enumerate(pairwise(cuts), start=1)
            if first < end
            for line in bundle(places[first : end + 1], wide)
        ]
        thin(planes.y, tail, False, levels[0])
        half = bundle(places // 2, max(1, self._wide // 2))
        thin(planes.u, half, False, levels[1])
        thin(planes.v, half, False, levels[2])
