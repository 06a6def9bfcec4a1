"""Fills and anti-aliased polylines on single planes, in place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.planes import Plane

FRACTION_BITS = 4
"""Fractional bits of fixed-point drawing coordinates (OpenCV's `shift`)."""


def tint(plane: Plane, inside: Plane, level: int, opacity: float) -> None:
    """Blends a constant level into the pixels of a mask.

    Args:
        plane: (h, w) uint8, changed in place.
        inside: (h, w) uint8, non-zero where the plane is changed.
        level: 0..255.
        opacity: 0..1.
    """
    cv2.copyTo(cv2.convertScaleAbs(plane, alpha=1 - opacity, beta=level * opacity), inside, plane)


def to_fixed_point(points: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.int32]:
    """Converts coordinates for drawing.

    Args:
        points: (n, 2) x y in pixels, integers being pixel centres.

    Returns:
        (n, 2) int32 with `FRACTION_BITS` fractional bits.
    """
    return np.asarray(np.rint(points * (1 << FRACTION_BITS)), np.int32)


def draw_polylines(
    plane: Plane, paths: Iterable[NDArray[np.int32]], closed: bool, level: int, width: int
) -> None:
    """Draws anti-aliased polylines.

    Args:
        plane: (h, w) uint8, changed in place.
        paths: (n, 2) x y in fixed point, each.
        closed: connects the last point of each path with its first.
        level: 0..255.
        width: of the stroke, pixels.
    """
    draw_hairlines(plane, [line for path in paths for line in hairlines(path, width)], closed, level)


def draw_hairlines(plane: Plane, lines: Sequence[NDArray[np.int32]], closed: bool, level: int) -> None:
    """Draws polylines with a width of one pixel.

    Args:
        plane: (H, W) uint8; drawn on in place.
        lines: (K, 2) int32 x y each, as in `draw_polylines`.
        closed: Whether the last point is connected with the first.
        level: Value, 0..255.
    """
    cv2.polylines(plane, lines, closed, (level,), 1, cv2.LINE_AA, FRACTION_BITS)


def hairlines(path: NDArray[np.int32], width: int) -> list[NDArray[np.int32]]:
    """The one-pixel lines that together look like a stroke of a given width.

    OpenCV's anti-aliased lines cost twenty times more as soon as they are wider than one pixel (4 and 81 us for an
    outline of 40 segments).

    Args:
        path: (n, 2) x y in fixed point.
        width: of the stroke, pixels.

    Returns:
        Shifted copies of the path.
    """
    return [path + offset for offset in _offsets(width)]


@lru_cache(maxsize=64)
def _offsets(width: int) -> tuple[NDArray[np.int32], ...]:
    """Offsets of the one-pixel lines: on concentric rings, at most one and a half pixels apart."""
    offsets: list[NDArray[np.int32]] = []
    if width == 2:  # two diagonal neighbours cover two pixels in any direction of the line
        return to_fixed_point(np.array([-0.3, -0.3])), to_fixed_point(np.array([0.3, 0.3]))
    radius = (width - 1) / 2
    while radius > 0:
        count = max(3, round(2 * math.pi * radius / 1.5))
        angles = 2 * math.pi * (np.arange(count) / count + 0.125)
        offsets += list(to_fixed_point(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)))
        radius -= 1
    return tuple(offsets) or (np.zeros(2, np.int32),)
