"""Drawing of one object at twice the resolution into a small premultiplied RGBA sprite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene.camera import Floats

Colour = tuple[float, float, float]
Bytes = NDArray[np.uint8]

_SHIFT = 4
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 7)
_ARC = np.column_stack([np.cos(_HALF_TURN), np.sin(_HALF_TURN)])


def shade(colour: Colour, factor: float) -> Colour:
    """The colour lighter (factor > 1) or darker (factor < 1), kept in 0..255."""
    r, g, b = colour
    return (
        min(255.0, max(0.0, r * factor)),
        min(255.0, max(0.0, g * factor)),
        min(255.0, max(0.0, b * factor)),
    )


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` (0..1) of `b` in it."""
    return tuple(x + (y - x) * share for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def capsule(a: Floats, b: Floats, ra: float, rb: float) -> Floats:
    """Outline (14, 2) of the hull of two discs: centres `a`, `b`, radii `ra`, `rb` (pixels)."""
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
    """A canvas over the pixel box `x0, y0, x1, y1` (integers, may lie partly outside the frame)."""

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
        """Fill a convex polygon (N, 2) of pixels; it replaces what was there."""
        cv2.fillConvexPoly(self.canvas, self._fixed(points), self._rgba(colour, alpha), self._aa, _SHIFT)

    def poly(self, points: Floats, colour: Colour, alpha: float = 1.0) -> None:
        """Fill any simple polygon (N, 2) of pixels."""
        cv2.fillPoly(self.canvas, [self._fixed(points)], self._rgba(colour, alpha), self._aa, _SHIFT)

    def hull(self, parts: Sequence[Floats], colour: Colour, alpha: float = 1.0) -> None:
        """Fill the convex hull of several outlines."""
        points = np.concatenate(parts).astype(np.float32)
        self.convex(cv2.convexHull(points)[:, 0].astype(np.float64), colour, alpha)

    def limb(self, a: Floats, b: Floats, ra: float, rb: float, colour: Colour) -> None:
        """A tapered limb with round ends; radii in pixels."""
        self.convex(capsule(a, b, ra, rb), colour)

    def disc(self, centre: Floats, radius: float, colour: Colour) -> None:
        """A filled circle; radius in pixels."""
        x, y = centre * self._scale - self._offset
        size = max(1, round(radius * self._scale))
        cv2.circle(self.canvas, (round(x), round(y)), size, self._rgba(colour, 1.0), -1, self._aa, _SHIFT)

    def stroke(self, points: Floats, width: float, colour: Colour, closed: bool = False) -> None:
        """A polyline of about `width` pixels."""
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
        """(H, W, 4) uint8 premultiplied RGBA at the frame's resolution."""
        if self.k == 1:
            return self.canvas
        size = (self.x1 - self.x0, self.y1 - self.y0)
        small: Bytes = cv2.resize(self.canvas, size, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        return small


def ring(centre: Floats, radius: float, along: Floats, count: int = 20, phase: float = 0.0) -> Floats:
    """(count, 3) world points of an upright wheel: `along` is the unit ground direction (s, d)."""
    turn = np.linspace(0.0, 2 * np.pi, count, endpoint=False) + phase
    points = np.empty((count, 3))
    points[:, 0] = centre[0] + radius * np.cos(turn) * along[0]
    points[:, 1] = centre[1] + radius * np.cos(turn) * along[1]
    points[:, 2] = centre[2] + radius * np.sin(turn)
    return points
