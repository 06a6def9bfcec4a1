"""Colours: conversion to the planes' colour space, and a colour for each object."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import TypeAlias

import numpy as np

Colour: TypeAlias = tuple[float, float, float]
"""Red, green, blue, each 0..1."""

# Limited range BT.601 (ITU-R BT.601-7, section 2.5): rows are Y, U, V; columns red, green, blue.
TO_YUV = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], np.float32
)
YUV_ZERO = (16.0, 128.0, 128.0)

GOLDEN_ANGLE = 0.3819660112501051
"""Step between the hues of consecutive ids, as a fraction of the colour circle: neighbours always differ widely."""
HUES = (0.0, 0.07, 0.15, 0.33, 0.48, 0.58, 0.74, 0.86, 1.0)
"""HSV hues of red, orange, yellow, green, cyan, azure, violet, pink, red. Interpolating between them gives steps that
look about equal; in HSV itself, greens take up too much of the circle."""
SHADES = ((0.85, 0.52), (0.60, 0.72), (0.95, 0.62))
"""(saturation, luma), used in turn: hues come close again after 5, 8 and 13 objects, but then in another shade."""


@lru_cache(maxsize=4096)
def to_yuv(colour: Colour) -> tuple[int, int, int]:
    """Converts a colour to limited-range BT.601.

    Args:
        colour: Red, green, blue, each 0..255.

    Returns:
        Y, U, V, each 0..255.
    """
    values = TO_YUV @ np.array(colour, np.float32) + YUV_ZERO
    luma, blue, red = (int(value) for value in np.rint(values))
    return luma, blue, red


@lru_cache(maxsize=4096)
def object_colour(identity: int) -> Colour:
    """The colour of an object, determined by its id.

    Luma is fixed by the shade instead of following from the hue, so that all objects stand out equally.

    Args:
        identity: id of the object.
    """
    saturation, target = SHADES[identity % 3]
    hue = float(np.interp((identity * GOLDEN_ANGLE + 0.08) % 1.0, np.linspace(0, 1, len(HUES)), HUES))
    colour = colorsys.hsv_to_rgb(hue, saturation, 1.0)
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    if luma > target:
        red, green, blue = (part * target / luma for part in colour)
    else:
        lift = (target - luma) / (1.0 - luma)
        red, green, blue = (part + (1.0 - part) * lift for part in colour)
    return red, green, blue
