"""Ground plan of a street: kerbs, lanes, zebra, doors, and the lines and the zone that are counted.

Everything is a pure function of the seed. Lines and zones are in relative image coordinates, as in a configuration:
seen from a line's first point towards its second, `directions[0]` counts crossings from left to right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.scene.pinhole import PinholeCamera
from pipeline.records.scene_truth import Point, SceneLayout, SceneLine, SceneZone


@dataclass(frozen=True)
class Street:
    """The ground plan: lengths in metres, positions in the coordinates of `pinhole`."""

    near_walk_m: float  # visible width of the near pavement
    bike_lane_m: float
    lane_m: float
    far_walk_m: float
    zebra_s: float
    zebra_half_m: float
    road_line_s: float
    walk_line_s: float
    doors_s: tuple[float, ...]
    drive_right: bool

    @property
    def road_m(self) -> float:
        """Distance between the two kerbs."""
        return 2 * (self.bike_lane_m + self.lane_m)

    @property
    def facade_d(self) -> float:
        """Distance d of the facades."""
        return self.road_m + self.far_walk_m

    @property
    def near_sign(self) -> int:
        """+1 if traffic in the near lane goes to the right on the screen, else -1."""
        return 1 if self.drive_right else -1


def make_camera(rng: np.random.Generator, width: int, height: int) -> tuple[PinholeCamera, float]:
    """Draws a camera. Also returns the width of the near pavement that it shows, metres.

    Args:
        rng: Source of randomness.
        width: Of the frame, pixels.
        height: Of the frame, pixels.
    """
    scale = width / 640.0
    focal = float(rng.uniform(600, 720)) * scale
    horizon = float(rng.uniform(0.15, 0.29)) * height
    elevation = float(rng.uniform(4.3, 6.2))
    yaw = float(np.deg2rad(rng.uniform(-15, 15)))
    near_walk = float(rng.uniform(3.4, 4.2))
    bottom = focal * elevation / (height - horizon)
    distance = bottom / float(np.cos(yaw)) + near_walk
    s = -float(np.tan(yaw)) * (distance + 3.5)
    return PinholeCamera(width, height, focal, horizon, elevation, distance, yaw, s), near_walk


def make_street(rng: np.random.Generator, near_walk_m: float) -> Street:
    """Draws a ground plan in which zebra, lines and doors are apart from each other and inside the picture.

    Args:
        rng: Source of randomness.
        near_walk_m: Width of the near pavement that the camera shows, metres.
    """
    side = float(rng.choice([-1.0, 1.0]))
    zebra = side * float(rng.uniform(2.4, 3.2))
    doors = tuple(float(s + rng.uniform(-0.8, 0.8)) for s in (-8.5, -3.5, 3.5, 8.5))
    return Street(
        near_walk_m=near_walk_m,
        bike_lane_m=float(rng.uniform(1.35, 1.6)),
        lane_m=float(rng.uniform(2.8, 3.1)),
        far_walk_m=float(rng.uniform(3.2, 4.2)),
        zebra_s=zebra,
        zebra_half_m=1.6,
        road_line_s=-side * float(rng.uniform(2.2, 3.4)),
        walk_line_s=-side * float(rng.uniform(0.2, 1.0)),
        doors_s=doors,
        drive_right=bool(rng.random() < 0.75),
    )


def make_layout(camera: PinholeCamera, street: Street) -> SceneLayout:
    """The counting lines across the road and the near pavement, and the zebra as a zone.

    Args:
        camera: Camera of the scene.
        street: Ground plan of the scene.
    """

    def rel(s: float, d: float) -> Point:
        x, y = camera.point(s, d)
        x, y = x / camera.width, y / camera.height
        return round(min(max(x, 0.0), 1.0), 4), round(min(max(y, 0.0), 0.995), 4)

    road, walk = street.road_line_s, street.walk_line_s
    vehicles = ("bicycle", "car", "bus")
    lines = (
        SceneLine("road", (rel(road, -0.6), rel(road, street.road_m + 0.5)), vehicles, ("right", "left")),
        SceneLine(
            "pavement", (rel(walk, -street.near_walk_m), rel(walk, 0.2)), ("person",), ("right", "left")
        ),
    )
    low, high = street.zebra_s - street.zebra_half_m - 0.3, street.zebra_s + street.zebra_half_m + 0.3
    polygon = (rel(low, 0.2), rel(high, 0.2), rel(high, street.road_m - 0.4), rel(low, street.road_m - 0.4))
    return SceneLayout(lines, (SceneZone("crossing", polygon, ("person",)),))
