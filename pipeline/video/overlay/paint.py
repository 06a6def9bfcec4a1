"""Painting on yuv420p planes in place: stamps with transparency, translucent fills, colours.

Everything here works on the pixels it changes and nothing else: a stamp is prepared once, in the planes'
own colour space and already multiplied by its opacity; putting it down is one multiplication and one
addition of bytes.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.planes import Plane, Planes

Colour: TypeAlias = tuple[float, float, float]
"""Red, green, blue, each 0..1."""

# Limited range BT.601 (ITU-R BT.601-7, section 2.5): rows are Y, U, V; columns red, green, blue.
TO_YUV = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], np.float32
)
YUV_ZERO = (16.0, 128.0, 128.0)

GOLDEN_ANGLE = 0.3819660112501051
"""Part of the circle between the hues of one object and the next: neighbours always differ widely."""


@lru_cache(maxsize=4096)
def yuv(colour: Colour) -> tuple[int, int, int]:
    """Y, U, V of a colour, 0..255."""
    values = TO_YUV @ np.array(colour, np.float32) + YUV_ZERO
    luma, blue, red = (int(value) for value in np.rint(values))
    return luma, blue, red


HUES = (0.0, 0.07, 0.15, 0.33, 0.48, 0.58, 0.74, 0.86, 1.0)
"""Red, orange, yellow, green, cyan, azure, violet, pink, red: steps that look alike; in HSV greens fill too much."""
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
        keep: of luma and of chroma, (n,) uint16, 256 is all.
        add: of each plane, (n,) uint16.
    """

    at: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]
    keep: tuple[NDArray[np.uint16], ...]
    add: tuple[NDArray[np.uint16], ...]
    _flat: dict[tuple[int, int], NDArray[np.intp]]

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
                kept = keep[rows, columns].astype(np.uint16)
                keeps.append(kept + (kept >> 7))
        return cls(tuple(places), tuple(keeps), tuple(adds), {})

    def put(self, planes: Planes) -> None:
        for number, plane in enumerate((planes.y, planes.u, planes.v)):
            at, keep = self.at[min(number, 1)], self.keep[min(number, 1)]
            # One running index instead of two: three times as fast. Rows may be padded.
            stride, width = plane.strides[0], plane.shape[1]
            flat = np.lib.stride_tricks.as_strided(plane, ((plane.shape[0] - 1) * stride + width,), (1,))
            places = self._flat.get((number > 0, stride))
            if places is None:
                places = self._flat[number > 0, stride] = at[0] * stride + at[1]
            flat[places] = ((flat[places] * keep) >> 8) + self.add[number]


def tint(plane: Plane, inside: Plane, level: int, opacity: float) -> None:
    """Moves the pixels of `plane` (a view, changed) towards `level` where `inside`, (h, w) uint8, is not 0."""
    cv2.copyTo(cv2.convertScaleAbs(plane, alpha=1 - opacity, beta=level * opacity), inside, plane)


FIXED = 4
"""Bits after the point of drawing coordinates."""


def fixed(points: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.int32]:
    """(n, 2) x y in pixels, 0 being the first pixel's centre, as fixed-point numbers."""
    return np.asarray(np.rint(points * (1 << FIXED)), np.int32)


def strokes(plane: Plane, paths: Iterable[NDArray[np.int32]], closed: bool, level: int, wide: int) -> None:
    """Smooth lines into `plane`. `paths`: (n, 2) x y of `fixed`; `wide`: pixels."""
    thin(plane, [line for path in paths for line in bundle(path, wide)], closed, level)


def thin(plane: Plane, lines: Sequence[NDArray[np.int32]], closed: bool, level: int) -> None:
    """Smooth lines of one pixel into `plane`."""
    cv2.polylines(plane, lines, closed, (level,), 1, cv2.LINE_AA, FIXED)


def bundle(path: NDArray[np.int32], wide: int) -> list[NDArray[np.int32]]:
    """The thin lines that make a wide one.

    OpenCV's smooth lines cost twenty times more as soon as they are wider than one pixel (4 and 81 us for an
    outline of 40 segments).
    """
    return [path + place for place in _rings(wide)]


@lru_cache(maxsize=64)
def _rings(wide: int) -> tuple[NDArray[np.int32], ...]:
    """Where the thin lines of a wide one lie: on rings, at most one and a half pixels apart."""
    places: list[NDArray[np.int32]] = []
    if wide == 2:  # two lines side by side, whichever way they run
        return fixed(np.array([-0.3, -0.3])), fixed(np.array([0.3, 0.3]))
    radius = (wide - 1) / 2
    while radius > 0:
        count = max(3, round(2 * math.pi * radius / 1.5))
        turns = 2 * math.pi * (np.arange(count) / count + 0.125)
        places += list(fixed(radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)))
        radius -= 1
    return tuple(places) or (np.zeros(2, np.int32),)
