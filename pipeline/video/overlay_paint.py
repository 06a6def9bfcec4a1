"""Painting on yuv420p planes in place: stamps with transparency, translucent fills, colours.

Everything here works on the pixels it changes and nothing else: a stamp is prepared once, in the planes'
own colour space and already multiplied by its opacity; putting it down is one multiplication and one
addition of bytes.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.planes import Plane, Planes

Colour: TypeAlias = tuple[float, float, float]
"""Red, green, blue, each 0..1."""
Floats: TypeAlias = NDArray[np.float32]

# Limited range BT.601 (ITU-R BT.601-7, section 2.5): rows are Y, U, V; columns red, green, blue.
TO_YUV = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], np.float32
)
YUV_ZERO = (16.0, 128.0, 128.0)

GOLDEN_ANGLE = 0.3819660112501051
"""Part of the circle between the hues of one object and the next: neighbours always differ widely."""
FINER = 8
"""Sub-pixel drawing: shapes are drawn this many times larger, then averaged."""


def yuv(colour: Colour) -> tuple[int, int, int]:
    """Y, U, V of a colour, 0..255."""
    values = TO_YUV @ np.array(colour, np.float32) + YUV_ZERO
    luma, blue, red = (int(value) for value in np.rint(values))
    return luma, blue, red


HUES = (0.0, 0.07, 0.15, 0.33, 0.48, 0.58, 0.74, 0.86, 1.0)
"""Red, orange, yellow, green, cyan, azure, violet, pink, red: steps that look alike. In HSV, greens take too much."""
SHADES = ((0.85, 0.52), (0.60, 0.72), (0.95, 0.62))
"""Saturation and luma, in turn: hues come close again after 5, 8 and 13 objects, but in another shade."""


@lru_cache(maxsize=4096)
def object_colour(identity: int) -> Colour:
    """A colour that stays with an object. Luma is set, not left to the hue, so that all stand out alike."""
    saturation, wanted = SHADES[identity % 3]
    hue = float(np.interp((identity * GOLDEN_ANGLE + 0.08) % 1.0, np.linspace(0, 1, len(HUES)), HUES))
    colour = colorsys.hsv_to_rgb(hue, saturation, 1.0)
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    if luma > wanted:
        red, green, blue = (part * wanted / luma for part in colour)
    else:
        lift = (wanted - luma) / (1.0 - luma)
        red, green, blue = (part + (1.0 - part) * lift for part in colour)
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Stamp:
    """A small picture with transparency, for luma and the two chroma planes.

    Attributes:
        keep: of each plane, (h, w) uint8: how much of what lies below stays, 255 is all.
        add: of each plane, (h, w) uint8: what is added to it.
    """

    keep: tuple[Plane, Plane]
    add: tuple[Plane, Plane, Plane]

    @property
    def width(self) -> int:
        return int(self.keep[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.keep[0].shape[0])

    def put(self, planes: Planes, x: int, y: int) -> None:
        """Puts its upper left corner at (x, y), rounded down to even; what lies outside is cut off."""
        x, y = x // 2 * 2, y // 2 * 2
        for number, plane in enumerate((planes.y, planes.u, planes.v)):
            keep, add = self.keep[min(number, 1)], self.add[number]
            left, top = (x, y) if number == 0 else (x // 2, y // 2)
            x0, y0 = max(left, 0), max(top, 0)
            x1, y1 = min(left + keep.shape[1], plane.shape[1]), min(top + keep.shape[0], plane.shape[0])
            if x0 >= x1 or y0 >= y1:
                return
            below = plane[y0:y1, x0:x1]
            part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
            cv2.multiply(below, keep[part], dst=below, scale=1 / 255)
            cv2.add(below, add[part], dst=below)


@dataclass(frozen=True, slots=True)
class Scatter:
    """A stamp of few pixels in a large frame (a line, an edge): only those pixels are stored and touched.

    Attributes:
        at: of luma and of chroma, (rows, columns) of the pixels.
        keep: of luma and of chroma, (n,) uint16.
        add: of each plane, (n,) uint16.
    """

    at: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]
    keep: tuple[NDArray[np.uint16], ...]
    add: tuple[NDArray[np.uint16], ...]

    @classmethod
    def of(cls, stamp: Stamp, x: int, y: int, width: int, height: int) -> Scatter:
        """The stamp with its upper left corner at (x, y), both even, in a frame of `width` x `height`."""
        places, keeps, adds = [], [], []
        for number in range(3):
            step = 1 if number == 0 else 2
            keep = stamp.keep[min(number, 1)]
            rows, columns = np.nonzero(keep < 255)
            inside = (rows + y // step >= 0) & (rows + y // step < (height + step - 1) // step)
            inside &= (columns + x // step >= 0) & (columns + x // step < (width + step - 1) // step)
            rows, columns = rows[inside], columns[inside]
            adds.append(stamp.add[number][rows, columns].astype(np.uint16))
            if number < 2:
                places.append((rows + y // step, columns + x // step))
                keeps.append(keep[rows, columns].astype(np.uint16))
        return cls(tuple(places), tuple(keeps), tuple(adds))

    def put(self, planes: Planes) -> None:
        for number, plane in enumerate((planes.y, planes.u, planes.v)):
            at, keep = self.at[min(number, 1)], self.keep[min(number, 1)]
            plane[at] = (plane[at] * keep + 127) // 255 + self.add[number]


class Canvas:
    """Where a stamp is drawn before it is one: colours times opacity, and opacity, in floats.

    Sizes are rounded up to even. Nothing here is in the way of a frame: stamps are made once and kept.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = (width + 1) // 2 * 2, (height + 1) // 2 * 2
        self._colour = np.zeros((self.height, self.width, 3), np.float32)
        self._opacity = np.zeros((self.height, self.width), np.float32)

    def over(self, coverage: Floats, colour: Colour, opacity: float, x: int = 0, y: int = 0) -> None:
        """Lays a colour over what is there. `coverage`: (h, w) 0..1, its upper left corner at (x, y)."""
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
        """A rectangle with round corners."""
        radius = max(0.0, min(radius, width / 2, height / 2))
        rows = np.arange(self.height, dtype=np.float32)[:, None] + 0.5 - (y + height / 2)
        columns = np.arange(self.width, dtype=np.float32)[None] + 0.5 - (x + width / 2)
        past_x = np.abs(columns) - (width / 2 - radius)
        past_y = np.abs(rows) - (height / 2 - radius)
        distance = (
            np.hypot(past_x.clip(0), past_y.clip(0)) + np.minimum(np.maximum(past_x, past_y), 0) - radius
        )
        self.over(np.asarray((0.5 - distance).clip(0, 1), np.float32), colour, opacity)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour, opacity: float) -> None:
        large = np.zeros((self.height * 4, self.width * 4), np.uint8)
        cv2.fillPoly(large, [_fixed(points, 4)], (255,), cv2.LINE_AA, 4)
        self.over(_shrunk(large, 4), colour, opacity)

    def stroke(
        self,
        points: Sequence[tuple[float, float]],
        width: float,
        colour: Colour,
        opacity: float,
        closed: bool = False,
    ) -> None:
        """A line through the points, with round ends."""
        large = np.zeros((self.height * 2, self.width * 2), np.uint8)
        thick = max(1, round(width * 2))
        cv2.polylines(large, [_fixed(points, 2)], closed, (255,), thick, cv2.LINE_AA, 4)
        self.over(_shrunk(large, 2), colour, opacity)

    def text(
        self, text: str, x: float, baseline: float, size: int, colour: Colour, opacity: float = 1.0
    ) -> None:
        """Text that begins at `x`, its letters standing on `baseline`; capitals are `size` pixels high."""
        letters, above = glyphs(text, size)
        self.over(letters, colour, opacity, int(x), max(0, round(baseline) - above))

    def stamp(self) -> Stamp:
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


def _fixed(points: Sequence[tuple[float, float]], times: int) -> NDArray[np.int32]:
    """Fixed-point coordinates, 4 bits after the point, of pixels drawn `times` larger."""
    enlarged = (np.array(points, np.float64) * times - 0.5) * 16
    return np.asarray(np.rint(enlarged), np.int32)


def _shrunk(large: Plane, times: int) -> Floats:
    height, width = large.shape[0] // times, large.shape[1] // times
    small = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_CAPITAL = 21.0
"""Height of its capitals at scale 1, pixels."""


@lru_cache(maxsize=1024)
def glyphs(text: str, size: int) -> tuple[Floats, int]:
    """(h, w) coverage 0..1 of a text whose capitals are `size` pixels high, and the rows above the baseline.

    OpenCV's strokes are drawn large and averaged: smooth at any size, with no font file.
    """
    scale = size * FINER / FONT_CAPITAL
    thick = max(1, round(size * FINER * 0.15))
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thick)
    above, below = int(size * 1.25) + 1, int(size * 0.45) + 1
    columns = width // FINER + 2
    large = np.zeros(((above + below) * FINER, columns * FINER), np.uint8)
    cv2.putText(large, text, (FINER // 2, above * FINER), FONT, scale, (255,), thick, cv2.LINE_AA)
    return _shrunk(large, FINER), above


def text_width(text: str, size: int) -> int:
    return int(glyphs(text, size)[0].shape[1])


def tint(plane: Plane, inside: Plane, level: int, opacity: float) -> None:
    """Moves the pixels of `plane` (a view, changed) towards `level` where `inside`, (h, w) uint8, is not zero."""
    cv2.copyTo(cv2.convertScaleAbs(plane, alpha=1 - opacity, beta=level * opacity), inside, plane)
