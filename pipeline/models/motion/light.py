"""Light that changes over a fixed camera's picture: clouds, the sun, the camera's own exposure.

Light changes a surface's luma by a factor that is nearly the same all around; an object does not. In blocks of the
picture the median of the ratio to the background is that factor, also where an object covers less than half
of the block; blocks in which the ratio scatters (objects) take the factor of their neighbours.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK = 16
"""Side of a block in cells, which are two pixels of the picture wide."""
DARKEST, BRIGHTEST = 0.6, 1.6
"""Factors beyond are objects, or a jump."""
SCATTER = 0.08
"""Median deviation of the ratio's logarithm within a block, from which on the block says nothing."""
FLOOR = 8.0
"""Added to luma, so that noise in the dark is no change of light."""
CALM = 0.5
"""Part of the newest factors in those that are used: what flickers is averaged."""


class Light:
    """Factors by which the light of one camera differs from that of its background."""

    def __init__(self) -> None:
        self._logs: NDArray[np.float32] | None = None

    def correct(self, picture: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`picture` in the light of `background`; both (H, W, 3) uint8 BGR."""
        height, width = picture.shape[:2]
        logs = block_logs(_luma(picture), _luma(background))
        if self._logs is None or self._logs.shape != logs.shape:
            self._logs = logs
        else:
            self._logs = (1 - CALM) * self._logs + CALM * logs
        if np.abs(self._logs).max() < 0.01:
            return picture
        # Blocks at the right and bottom edge may be cut: the field is laid over whole blocks, then cut.
        whole = (logs.shape[1] * 2 * BLOCK, logs.shape[0] * 2 * BLOCK)
        field = cv2.resize(np.exp(-self._logs), whole, interpolation=cv2.INTER_LINEAR)[:height, :width]
        return np.asarray(cv2.multiply(picture, cv2.merge([field] * 3), dtype=cv2.CV_8U), np.uint8)


def block_logs(luma: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, columns) float32: logarithm of the factor of light in each block; 0 where no block tells.

    `luma`, `background`: (h, w) float32 cells.
    """
    ratio = np.log((luma + FLOOR) / (background + FLOOR))
    height, width = ratio.shape
    pad = ((0, -height % BLOCK), (0, -width % BLOCK))
    ratio = np.pad(ratio, pad, mode="reflect" if min(height, width) >= BLOCK else "edge")
    rows, columns = ratio.shape[0] // BLOCK, ratio.shape[1] // BLOCK
    blocks = ratio.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(rows, columns, -1)[:, :, ::3]
    middle = np.median(blocks, axis=2)
    scatter = np.median(np.abs(blocks - middle[:, :, None]), axis=2)
    usable = (scatter < SCATTER) & (middle > np.log(DARKEST)) & (middle < np.log(BRIGHTEST))
    # A block is as its neighbours: an object that fills one is alone in it, light is not.
    sure = np.where(usable, middle, np.nan).astype(np.float32)
    return _median_around(sure)


def _median_around(values: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(values, 1, constant_values=np.nan)
    rows, columns = values.shape
    around = np.stack([padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)])
    known = np.isfinite(around).sum(axis=0)
    order = np.sort(around, axis=0)  # not-a-number comes last
    place = np.maximum(known - 1, 0) // 2
    found = np.take_along_axis(order, place[None], axis=0)[0]
    return np.asarray(np.where(known > 0, found, 0.0), np.float32)


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    half = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(half, cv2.COLOR_BGR2GRAY), np.float32)
