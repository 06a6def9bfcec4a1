"""The canvas on which stamps are drawn: panels, polygons, strokes and text with transparency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.planes import Plane
from pipeline.video.overlay.colours import TO_YUV, YUV_ZERO, Colour
from pipeline.video.overlay.stamp import Stamp

Floats: TypeAlias = NDArray[np.float32]

OVERSAMPLING = 8
"""Glyphs are drawn this many times larger, then averaged."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_CAPITAL = 21.0
"""Height of its capitals at scale 1, pixels."""


class Canvas:
    """A transparent canvas of premultiplied colours in floating point.

    Speed matters little here: stamps are made once and used for many frames.

    Args:
        width, height: pixels, rounded up to even.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = (width + 1) // 2 * 2, (height + 1) // 2 * 2
        self._colour = np.zeros((self.height, self.width, 3), np.float32)
        self._opacity = np.zeros((self.height, self.width), np.float32)

    def over(self, coverage: Floats, colour: Colour, opacity: float, x: int = 0, y: int = 0) -> None:
        """Composites a colour over the canvas ("over" of Porter and Duff 1984).

        Args:
            coverage: (h, w) 0..1.
            colour: red, green, blue.
            opacity: 0..1, multiplied with the coverage.
            x, y: position of the coverage's upper left corner, pixels.
        """
        coverage = coverage[: self.height - y, : self.width - x]
        part = np.s_[y : y + coverage.shape[0], x : x + coverage.shape[1]]
        amount = coverage * np.float32(opacity)
        self._colour[part] *= 1 - amount[..., None]
        self._colour[part] += amount[..., None] * np.array(colour, np.float32)
        self._opacity[part] *= 1 - amount
        self._opacity[part] += amount

    def panel(
        self, x: float, y: float, width: float, height: float, radius: float, colour: Colour, opacity: float
    ) -> None:
        """Fills a rectangle with rounded corners.

        Args:
            x, y: its upper left corner, pixels.
            width, height: pixels.
            radius: of the corners, pixels.
            colour: red, green, blue.
            opacity: 0..1.
        """
        size = (self.width, self.height)
        self.over(_round_rectangle(size, x, y, width, height, radius), colour, opacity)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour, opacity: float) -> None:
        """Fills a polygon.

        Args:
            points: x y of its corners, pixels.
            colour: red, green, blue.
            opacity: 0..1.
        """
        xs, ys = zip(*points, strict=True)
        left, top = max(0, math.floor(min(xs)) - 1), max(0, math.floor(min(ys)) - 1)
        right, bottom = min(self.width, math.ceil(max(xs)) + 1), min(self.height, math.ceil(max(ys)) + 1)
        if left >= right or top >= bottom:
            return
        large = np.zeros(((bottom - top) * 4, (right - left) * 4), np.uint8)
        inner = [(x - left, y - top) for x, y in points]
        cv2.fillPoly(large, [_fixed(inner, 4)], (255,), cv2.LINE_AA, 4)
        self.over(_shrunk(large, 4), colour, opacity, left, top)

    def stroke(
        self,
        points: Sequence[tuple[float, float]],
        width: float,
        colour: Colour,
        opacity: float,
        closed: bool = False,
    ) -> None:
        """Draws a polyline with round ends.

        Args:
            points: x y, pixels.
            width: of the stroke, pixels.
            colour: red, green, blue.
            opacity: 0..1.
            closed: connects the last point with the first.
        """
        large = np.zeros((self.height * 2, self.width * 2), np.uint8)
        thickness = max(1, round(width * 2))
        cv2.polylines(large, [_fixed(points, 2)], closed, (255,), thickness, cv2.LINE_AA, 4)
        self.over(_shrunk(large, 2), colour, opacity)

    def text(
        self, text: str, x: float, baseline: float, size: int, colour: Colour, opacity: float = 1.0
    ) -> None:
        """Draws one line of text.

        Args:
            text: what is written.
            x: where it starts, pixels.
            baseline: the row on which its letters stand, pixels.
            size: height of its capitals, pixels.
            colour: red, green, blue.
            opacity: 0..1.
        """
        coverage, ascent = glyphs(text, size)
        self.over(coverage, colour, opacity, int(x), max(0, round(baseline) - ascent))

    def layers(self) -> tuple[Floats, Floats]:
        """The canvas for compositing onto RGB pictures.

        Returns:
            (h, w, 3) colour times opacity, and (h, w) opacity, each 0..1.
        """
        return self._colour, self._opacity

    def stamp(self) -> Stamp:
        """The canvas as a stamp for yuv420p planes."""

        def whole(values: Floats) -> Plane:
            return np.asarray(np.rint(values).clip(0, 255), np.uint8)

        half = (self.width // 2, self.height // 2)
        small = cv2.resize(self._opacity, half, interpolation=cv2.INTER_AREA)
        opacity = (self._opacity, np.asarray(small, np.float32))
        added = [self._colour @ TO_YUV[n] + self._opacity * np.float32(YUV_ZERO[n]) for n in range(3)]
        chroma = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in added[1:]]
        return Stamp(
            (whole(255 - 255 * opacity[0]), whole(255 - 255 * opacity[1])),
            (whole(added[0]), whole(np.asarray(chroma[0])), whole(np.asarray(chroma[1]))),
        )


@lru_cache(maxsize=32)
def _round_rectangle(
    size: tuple[int, int], x: float, y: float, width: float, height: float, radius: float
) -> Floats:
    """(h, w) coverage 0..1 on a canvas of `size` (width, height). Cached: badges are redrawn in the same size."""
    radius = max(0.0, min(radius, width / 2, height / 2))
    columns = np.arange(size[0], dtype=np.float32)[None] + 0.5 - (x + width / 2)
    rows = np.arange(size[1], dtype=np.float32)[:, None] + 0.5 - (y + height / 2)
    # Signed distance to the rectangle: that to one without the corners' radius, less the radius.
    outside_x = np.abs(columns) - (width / 2 - radius)
    outside_y = np.abs(rows) - (height / 2 - radius)
    nearest = np.minimum(np.maximum(outside_x, outside_y), 0)
    distance = np.hypot(outside_x.clip(0), outside_y.clip(0)) + nearest - radius
    return np.asarray((0.5 - distance).clip(0, 1), np.float32)


def _fixed(points: Sequence[tuple[float, float]], times: int) -> NDArray[np.int32]:
    """Coordinates enlarged `times`, in fixed point with 4 fractional bits."""
    enlarged = (np.array(points, np.float64) * times - 0.5) * 16
    return np.asarray(np.rint(enlarged), np.int32)


def _shrunk(large: Plane, times: int) -> Floats:
    height, width = large.shape[0] // times, large.shape[1] // times
    small = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


@lru_cache(maxsize=256)
def glyphs(text: str, size: int) -> tuple[Floats, int]:
    """Renders text with OpenCV's stroke font, enlarged and averaged: smooth at any size, without a font file.

    Args:
        text: one line.
        size: height of the capitals, pixels.

    Returns:
        (h, w) coverage 0..1, and the number of rows above the baseline.
    """
    scale = size * OVERSAMPLING / FONT_CAPITAL
    thickness = max(1, round(size * OVERSAMPLING * 0.15))
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thickness)
    ascent, descent = int(size * 1.25) + 1, int(size * 0.45) + 1
    columns = width // OVERSAMPLING + 2
    large = np.zeros(((ascent + descent) * OVERSAMPLING, columns * OVERSAMPLING), np.uint8)
    origin = (OVERSAMPLING // 2, ascent * OVERSAMPLING)
    cv2.putText(large, text, origin, FONT, scale, (255,), thickness, cv2.LINE_AA)
    return _shrunk(large, OVERSAMPLING), ascent


def text_width(text: str, size: int) -> int:
    """Width of a text, pixels.

    Args:
        text: One line.
        size: Height of its capitals, pixels.
    """
    return int(glyphs(text, size)[0].shape[1])
