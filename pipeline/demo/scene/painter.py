"""An oversampled canvas on which polygons and lines given in world coordinates are drawn in perspective."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.sprite import Bytes, Colour

_SHIFT = 4


class Painter:
    """Draws world geometry on an RGB canvas.

    Args:
        camera: projects world coordinates, and determines the size.
        oversample: canvas pixels per frame pixel, along each axis.
    """

    def __init__(self, camera: PinholeCamera, oversample: int = 2) -> None:
        self.camera, self.k = camera, oversample
        self.canvas: Bytes = np.zeros((camera.height * oversample, camera.width * oversample, 3), np.uint8)

    def fixed(self, pixels: Floats) -> NDArray[np.int32]:
        """Converts frame pixels (N, 2) to fixed-point coordinates of the canvas.

        Args:
            pixels: x y in pixels of the frame.
        """
        scaled = np.clip((pixels * self.k - 0.5) * (1 << _SHIFT), -(1 << 26), 1 << 26)
        return np.round(scaled).astype(np.int32)

    def world(self, points: Floats) -> Floats:
        """Projects world points (N, 3) in metres to frame pixels (N, 2).

        Args:
            points: (N, 3): along the street, across it, and height.
        """
        return self.camera.project(points)[0]

    def poly(self, points: Floats, colour: Colour) -> None:
        """Fills a polygon of world points (N, 3), metres.

        Args:
            points: Corners in order.
            colour: RGB, 0..255.
        """
        cv2.fillPoly(self.canvas, [self.fixed(self.world(points))], colour, cv2.LINE_8, _SHIFT)

    def flat(self, s0: float, s1: float, d0: float, d1: float, colour: Colour, h: float = 0.0) -> None:
        """Fills a horizontal rectangle at height `h`.

        Args:
            s0: Begin along the street, metres.
            s1: End.
            d0: Near side, metres across the street.
            d1: Far side.
            colour: RGB, 0..255.
            h: Height, metres.
        """
        self.poly(np.array([[s0, d0, h], [s1, d0, h], [s1, d1, h], [s0, d1, h]]), colour)

    def wall(self, s0: float, s1: float, h0: float, h1: float, d: float, colour: Colour) -> None:
        """Fills a vertical rectangle parallel to the street, at distance `d`.

        Args:
            s0: Begin along the street, metres.
            s1: End.
            h0: Lower edge, metres.
            h1: Upper edge.
            d: Distance across the street, metres.
            colour: RGB, 0..255.
        """
        self.poly(np.array([[s0, d, h0], [s1, d, h0], [s1, d, h1], [s0, d, h1]]), colour)

    def lines(self, segments: Floats, width_m: float, colour: Colour) -> None:
        """Draws segments as thick as a width in metres appears at their depth, and at least one canvas pixel.

        Args:
            segments: (N, 2, 3) world points, metres.
            width_m: of the lines.
            colour: RGB.
        """
        pixels, depth = self.camera.project(segments.reshape(-1, 3))
        fixed = self.fixed(pixels).reshape(-1, 2, 2)
        thick = np.maximum(
            1, np.round(width_m * self.camera.focal_px * self.k / depth.reshape(-1, 2).mean(1))
        )
        for pair, size in zip(fixed, thick, strict=True):
            a, b = (int(pair[0, 0]), int(pair[0, 1])), (int(pair[1, 0]), int(pair[1, 1]))
            cv2.line(self.canvas, a, b, colour, int(size), cv2.LINE_AA, _SHIFT)

    def disc(self, centre_px: Floats, radius_px: float, colour: Colour) -> None:
        """Fills a circle; centre and radius are in frame pixels.

        Args:
            centre_px: (2,).
            radius_px: Radius.
            colour: RGB, 0..255.
        """
        x, y = self.fixed(centre_px[None])[0]
        size = max(1, round(radius_px * self.k * (1 << _SHIFT)))
        cv2.circle(self.canvas, (int(x), int(y)), size, colour, -1, cv2.LINE_8, _SHIFT)

    def finish(self) -> Bytes:
        """Downsamples the canvas to the frame: (H, W, 3) uint8 RGB."""
        size = (self.camera.width, self.camera.height)
        small: Bytes = cv2.resize(self.canvas, size, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        return small


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Floats:
    """Smooth noise (height, width) with about zero mean and unit variance, interpolated from `cells` columns.

    Args:
        rng: Source of randomness.
        height: Rows.
        width: Columns.
        cells: Number of independent values in a row.
    """
    rows = max(2, round(cells * height / width))
    small = rng.normal(0.0, 1.0, (rows + 1, cells + 1)).astype(np.float32)
    out: Floats = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    return out


def wrapped_blur(tile: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur with periodic borders, so that the tile repeats without a seam.

    Args:
        tile: (H, W).
        sigma: Standard deviation, pixels.
    """
    pad = int(3 * sigma) + 1
    wide = np.pad(tile, pad, mode="wrap")
    soft = cv2.GaussianBlur(wide, (0, 0), sigma)
    out: NDArray[np.float32] = soft[pad:-pad, pad:-pad].astype(np.float32, copy=False)
    return out
