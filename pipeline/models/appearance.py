"""What objects look like, in 24 numbers each: histograms of the brightness and colour of the pixels inside the mask.

For the upper part (a person's trunk, without the head) and the lower one: 6 bins of luma, 3 of each chroma, each pixel
shared between the two nearest bins. On frames of two real clips that lie 1 to 6 seconds apart such histograms tell the
same person from another one better than mean colours do (area under the curve 0.975 and 0.986; means 0.945 and 0.978).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport.messages import APPEARANCE_SIZE
from pipeline.transport.planes import Planes

INSIDE = 160
"""Mask values from here on are well inside the object: its border shows what is behind it."""
FILLED = 0.97
"""A mask that fills so much of its box is the box: what is in it is not only the object."""
PARTS = (4, 14, MASK_SIZE)
"""Rows of the mask: the upper part is from the first to the second, the lower one from there on."""
LEAST_CELLS = 16
"""Cells of the mask that each part needs."""
BINS = (6, 3, 3)
"""Of luma and both chromas; twice their sum is `APPEARANCE_SIZE`."""


def _shares(bins: int, low: float, high: float) -> NDArray[np.float32]:
    """(256, bins): how each value is shared between the nearest bins, whose centres are from `low` to `high`."""
    place = np.clip((np.arange(256) - low) / (high - low), 0, 1) * (bins - 1)
    shares: NDArray[np.float32] = np.clip(1 - np.abs(place[:, None] - np.arange(bins)), 0, 1).astype(
        np.float32
    )
    return shares


_SHARES = (_shares(BINS[0], 16, 236), _shares(BINS[1], 108, 148), _shares(BINS[2], 108, 148))
_STEPS = (np.arange(MASK_SIZE) + 0.5) / MASK_SIZE
_PART_OF_ROW = np.repeat([-1, 0, 1], np.diff((0, *PARTS)))


def appearance_descriptors(
    planes: Planes, boxes_px: NDArray[np.float32], masks: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """What each instance of a frame looks like.

    Args:
        planes: the frame.
        boxes_px: (N, 4) x0 y0 x1 y1, pixels.
        masks: (N, 28, 28) 0..255, spread over the box.

    Returns:
        (N, 24): shares of the pixels in each bin, 0..255: of the upper part luma, U, V, then of the lower part; all 0
        where the mask is too small, or fills its box.
    """
    count = len(boxes_px)
    inside = masks >= INSIDE
    inside[inside.mean(axis=(1, 2)) >= FILLED] = False
    number, row, column = inside[:, PARTS[0] :].nonzero()
    row += PARTS[0]
    places = []
    for axis, length, cell in ((0, planes.width, column), (1, planes.height, row)):
        steps = boxes_px[:, axis, None] + _STEPS * (boxes_px[:, axis + 2, None] - boxes_px[:, axis, None])
        places.append(np.clip(steps, 0, length - 1).astype(np.int32)[number, cell])
    x, y = places
    part = (2 * number + _PART_OF_ROW[row]) * 256
    result = np.empty((2 * count, sum(BINS)), np.float32)
    in_luma = y * planes.y.shape[1] + x
    in_chroma = (y >> 1) * planes.u.shape[1] + (x >> 1)
    places_of = (in_luma, in_chroma, in_chroma)
    first = 0
    for plane, where, shares in zip((planes.y, planes.u, planes.v), places_of, _SHARES, strict=True):
        values = np.bincount(part + plane.reshape(-1).take(where), minlength=2 * count * 256)
        result[:, first : first + shares.shape[1]] = values.reshape(-1, 256) @ shares
        first += shares.shape[1]
    cells = result[:, : BINS[0]].sum(axis=1, keepdims=True)
    whole = np.rint(255 * result / np.maximum(cells, 1)).reshape(count, APPEARANCE_SIZE)
    whole[(cells.reshape(count, 2) < LEAST_CELLS).any(axis=1)] = 0
    return np.asarray(whole, np.uint8)
