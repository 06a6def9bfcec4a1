"""Sprites: one object drawn into a small oversampled canvas with premultiplied alpha."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene.pinhole import Floats

Colour = tuple[float, float, float]
Bytes = NDArray[np.uint8]

_SHIFT = 4
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 7)
_ARC = np.column_stack([np.cos(_HALF_TURN), np.sin(_HALF_TURN)])


def shade(colour: Colour, factor: float) -> Colour:
    """A lighter (factor > 1) or darker (factor < 1) version of a colour, clipped to 0..255.

    Args:
        colour: RGB, 0..255.
        factor: Of each component.
    """
    r, g, b = colour
    return (
        min(255.0, max(0.0, r * factor)),
        min(255.0, max(0.0, g * factor)),
        min(255.0, max(0.0, b * factor)),
    )


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Linear interpolation from `a` (share 0) to `b` (share 1).

    Args:
        a: RGB, 0..255.
        b: RGB, 0..255.
        share: Part of `b`.
    """
    return tuple(x + (y - x) * share for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def capsule(a: Floats, b: Floats, ra: float, rb: float) -> Floats:
    """Outline of the convex hull of two discs.

    Args:
        a, b: centres, (2,) pixels.
        ra, rb: radii, pixels.

    Returns:
        (14, 2), pixels.
    """
    dx, dy = float(b[0] - a[0]), float(b[1] - a[1])
    length = math.hypot(dx, dy)
    dx, dy = (dx / length, dy / length) if length > 1e-9 else (1.0, 0.0)
    arc = _ARC @ np.array([[dx, dy], [-dy, dx]])
    outline = np.empty((14, 2))
    outline[:7] = arc * rb
    outline[:7] += b
    outline[7:] = arc * -ra
    outline[7:] += a
    return outline


class Sprite:
    """A canvas over a box of the frame.

    Args:
        x0, y0, x1, y1: the box in pixels; may extend beyond the frame.
        oversample: canvas pixels per frame pixel, along each axis.
    """

    def __init__(self, x0: int, y0: int, x1: int, y1: int, oversample: int = 2) -> None:
        self.x0, self.y0, self.x1, self.y1 = x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
        self.k = oversample
        size = ((self.y1 - self.y0) * oversample, (self.x1 - self.x0) * oversample, 4)
        self.canvas: Bytes = np.zeros(size, np.uint8)
        self._scale = float(oversample << _SHIFT)
        self._offset = np.array([x0, y0], np.float64) * self._scale + 0.5 * (1 << _SHIFT)
        self._aa = cv2.LINE_AA if oversample == 1 else cv2.LINE_8

    def _fixed(self, points: Floats) -> NDArray[np.int32]:
        scaled = points * self._scale
        scaled -= self._offset
        rounded: NDArray[np.int32] = np.rint(scaled, out=scaled).astype(np.int32)
        return rounded

    @staticmethod
    def _rgba(colour: Colour, alpha: float) -> tuple[float, float, float, float]:
        return colour[0] * alpha, colour[1] * alpha, colour[2] * alpha, 255.0 * alpha

    def convex(self, points: Floats, colour: Colour, alpha: float = 1.0) -> None:
        """Fills a convex polygon (N, 2), pixels of the frame; replaces what is below.

        Args:
            points: Corners in order.
            colour: RGB, 0..255.
            alpha: Opacity, 0..1.
        """
        cv2.fillConvexPoly(self.canvas, self._fixed(points), self._rgba(colour, alpha), self._aa, _SHIFT)

    def poly(self, points: Floats, colour: Colour, alpha: float = 1.0) -> None:
        """Fills a simple polygon (N, 2), pixels of the frame; replaces what is below.

        Args:
            points: Corners in order.
            colour: RGB, 0..255.
            alpha: Opacity, 0..1.
        """
        cv2.fillPoly(self.canvas, [self._fixed(points)], self._rgba(colour, alpha), self._aa, _SHIFT)

    def hull(self, parts: Sequence[Floats], colour: Colour, alpha: float = 1.0) -> None:
        """Fills the convex hull of several outlines, (N, 2) each.

        Args:
            parts: Outlines in pixels of the frame.
            colour: RGB, 0..255.
            alpha: Opacity, 0..1.
        """
        points = np.concatenate(parts).astype(np.float32)
        self.convex(cv2.convexHull(points)[:, 0].astype(np.float64), colour, alpha)

    def limb(self, a: Floats, b: Floats, ra: float, rb: float, colour: Colour) -> None:
        """Fills a tapered capsule; see `capsule`.

        Args:
            a: (2,) one end, pixels of the frame.
            b: (2,) the other end.
            ra: Radius at `a`.
            rb: Radius at `b`.
            colour: RGB, 0..255.
        """
        self.convex(capsule(a, b, ra, rb), colour)

    def disc(self, centre: Floats, radius: float, colour: Colour) -> None:
        """Fills a circle; the radius is in frame pixels.

        Args:
            centre: (2,) pixels of the frame.
            radius: Radius.
            colour: RGB, 0..255.
        """
        x, y = centre * self._scale - self._offset
        size = max(1, round(radius * self._scale))
        cv2.circle(self.canvas, (round(x), round(y)), size, self._rgba(colour, 1.0), -1, self._aa, _SHIFT)

    def stroke(self, points: Floats, width: float, colour: Colour, closed: bool = False) -> None:
        """Draws a polyline of about `width` pixels.

        Args:
            points: (N, 2) pixels of the frame.
            width: Thickness.
            colour: RGB, 0..255.
            closed: Whether the last point is joined to the first.
        """
        thickness = max(1, round(width * self.k))
        cv2.polylines(
            self.canvas,
            [self._fixed(points)],
            closed,
            self._rgba(colour, 1.0),
            thickness,
            cv2.LINE_AA,
            _SHIFT,
        )

    def finish(self) -> Bytes:
        """Downsamples the canvas: (h, w, 4) uint8 RGBA with premultiplied alpha."""
        if self.k == 1:
            return self.canvas
        size = (self.x1 - self.x0, self.y1 - self.y0)
        small: Bytes = cv2.resize(self.canvas, size, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        return small


def ring(centre: Floats, radius: float, along: Floats, count: int = 20, phase: float = 0.0) -> Floats:
    """Points on the rim of an upright wheel.

    Args:
        centre: (3,) s d h, metres.
        radius: metres.
        along: unit vector (s, d) on the ground in which the wheel rolls.
        count: number of points.
        phase: angle of the first point, radians.

    Returns:
        (count, 3) s d h, metres.
    """
    turn = np.linspace(0.0, 2 * np.pi, count, endpoint=False) + phase
    points = np.empty((count, 3))
    points[:, 0] = centre[0] + radius * np.cos(turn) * along[0]
    points[:, 1] = centre[1] + radius * np.cos(turn) * along[1]
    points[:, 2] = centre[2] + radius * np.sin(turn)
    return points
