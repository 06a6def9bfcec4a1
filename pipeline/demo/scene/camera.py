"""The fixed camera: a pinhole above a flat street, with an upright (shift) lens.

World coordinates are metres: `s` along the street (right is positive), `d` across it (0 at the near kerb,
growing away from the camera) and `h` up. The lens keeps verticals vertical, so a pitch of the camera is a
shift of the horizon: x = cx + f X / Z, y = horizon + f (height - h) / Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and how it looks; lengths in metres, image lengths in pixels."""

    width: int
    height: int
    focal_px: float
    horizon_px: float
    elevation_m: float
    distance_m: float  # from the camera to the near kerb, along d
    yaw_rad: float  # the street turned against the image plane
    s_m: float = 0.0  # where along the street the camera stands

    def project(self, points_m: Floats) -> tuple[Floats, Floats]:
        """(N, 3) metres (s, d, h) -> (N, 2) pixels and (N,) depths in metres."""
        c, n = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        along = points_m[:, 0] - self.s_m
        across = points_m[:, 1] + self.distance_m
        depth = np.maximum(along * n + across * c, 0.3)  # nothing is drawn behind the lens
        scale = self.focal_px / depth
        pixels = np.empty((len(points_m), 2))
        pixels[:, 0] = self.width / 2 + scale * (along * c - across * n)
        pixels[:, 1] = self.horizon_px + scale * (self.elevation_m - points_m[:, 2])
        return pixels, depth

    def point(self, s: float, d: float, h: float = 0.0) -> tuple[float, float]:
        """One world point in pixels."""
        pixels, _ = self.project(np.array([[s, d, h]]))
        return float(pixels[0, 0]), float(pixels[0, 1])

    def depth(self, s: float, d: float) -> float:
        """Distance of a ground point along the optical axis, metres."""
        c, n = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return max(0.3, (s - self.s_m) * n + (d + self.distance_m) * c)

    def s_at(self, x_px: float, d: float) -> float:
        """Where the image column `x_px` meets the street line at distance `d` across."""
        k = (x_px - self.width / 2) / self.focal_px
        c, n = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return self.s_m + (d + self.distance_m) * (n + k * c) / (c - k * n)

    def toward_camera(self, s: float, d: float) -> Floats:
        """Unit ground vector (s, d) from a ground point to the camera."""
        away = np.array([self.s_m - s, -self.distance_m - d])
        return away / max(1e-6, math.hypot(away[0], away[1]))
