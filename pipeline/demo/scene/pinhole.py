"""The scene's fixed camera: a pinhole above a flat street, with a shift lens.

World coordinates are in metres: `s` along the street (positive to the right), `d` across it (0 at the near kerb,
growing away from the camera) and `h` upward. The shift lens keeps vertical lines vertical, so that a pitch of the
camera becomes a shift of the horizon: x = cx + f X / Z, y = horizon + f (elevation - h) / Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PinholeCamera:
    """Position and intrinsics of the camera.

    Attributes:
        width, height: of the image, pixels.
        focal_px: focal length, pixels.
        horizon_px: row of the horizon, pixels.
        elevation_m: height above the street.
        distance_m: from the near kerb, along `d`.
        yaw_rad: angle between the street and the image plane.
        s_m: position along the street.
    """

    width: int
    height: int
    focal_px: float
    horizon_px: float
    elevation_m: float
    distance_m: float
    yaw_rad: float
    s_m: float = 0.0

    def project(self, points_m: Floats) -> tuple[Floats, Floats]:
        """Projects world points.

        Args:
            points_m: (N, 3) s d h, metres.

        Returns:
            (N, 2) x y in pixels, and (N,) depths along the optical axis in metres.
        """
        c, n = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        along = points_m[:, 0] - self.s_m
        across = points_m[:, 1] + self.distance_m
        depth = np.maximum(along * n + across * c, 0.3)  # avoids points behind the lens
        scale = self.focal_px / depth
        pixels = np.empty((len(points_m), 2))
        pixels[:, 0] = self.width / 2 + scale * (along * c - across * n)
        pixels[:, 1] = self.horizon_px + scale * (self.elevation_m - points_m[:, 2])
        return pixels, depth

    def point(self, s: float, d: float, h: float = 0.0) -> tuple[float, float]:
        """`project` of a single point: its x y in pixels.

        Args:
            s: Place along the street, metres.
            d: Distance across the street, metres.
            h: Height, metres.
        """
        pixels, _ = self.project(np.array([[s, d, h]]))
        return float(pixels[0, 0]), float(pixels[0, 1])

    def depth(self, s: float, d: float) -> float:
        """Depth of a ground point along the optical axis, metres.

        Args:
            s: Place along the street, metres.
            d: Distance across the street, metres.
        """
        c, n = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return max(0.3, (s - self.s_m) * n + (d + self.distance_m) * c)

    def s_at(self, x_px: float, d: float) -> float:
        """The s of the ground point at distance `d` across the street that appears in image column `x_px`.

        Args:
            x_px: Column of the image.
            d: Distance across the street, metres.
        """
        k = (x_px - self.width / 2) / self.focal_px
        c, n = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return self.s_m + (d + self.distance_m) * (n + k * c) / (c - k * n)

    def toward_camera(self, s: float, d: float) -> Floats:
        """Unit vector (s, d) on the ground from a ground point towards the camera.

        Args:
            s: Place along the street, metres.
            d: Distance across the street, metres.
        """
        away = np.array([self.s_m - s, -self.distance_m - d])
        return away / max(1e-6, math.hypot(away[0], away[1]))
