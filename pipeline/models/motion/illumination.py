"""Illumination changes in the picture of a fixed camera: clouds, the sun, automatic exposure.

Illumination multiplies the luma of a surface by a factor that is nearly equal all around; an object does not. In
blocks of the picture the median of the ratio to the background is that factor, even where an object covers less than
half of the block. Blocks in which the ratio scatters (objects) take the factor of their neighbours.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK = 16
"""Side of a block in cells; a cell is two pixels of the picture wide."""
MIN_FACTOR, MAX_FACTOR = 0.6, 1.6
"""Factors beyond these are objects, or a sudden change that the background model handles."""
MAX_SCATTER = 0.08
"""Median absolute deviation of the log ratio within a block from which on the block is not used."""
LUMA_OFFSET = 8.0
"""Added to luma, so that noise in the dark does not look like a change of illumination."""
SMOOTHING = 0.5
"""Weight of the newest factors in their exponential moving average: flicker is averaged out."""


class IlluminationCorrection:
    """Removes illumination changes of one camera's pictures, relative to its background."""

    def __init__(self) -> None:
        self._log_factors: NDArray[np.float32] | None = None

    def correct(self, picture: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture as if it were illuminated like the background.

        Args:
            picture: (H, W, 3) uint8 BGR.
            background: (H, W, 3) uint8 BGR.

        Returns:
            (H, W, 3) uint8 BGR.
        """
        height, width = picture.shape[:2]
        newest = block_log_factors(_luma_cells(picture), _luma_cells(background))
        if self._log_factors is None or self._log_factors.shape != newest.shape:
            self._log_factors = newest
        else:
            self._log_factors = (1 - SMOOTHING) * self._log_factors + SMOOTHING * newest
        if np.abs(self._log_factors).max() < 0.01:
            return picture
        # Blocks at the right and bottom edge may be cut: the field is resized to whole blocks, then cropped.
        whole = (newest.shape[1] * 2 * BLOCK, newest.shape[0] * 2 * BLOCK)
        field = cv2.resize(np.exp(-self._log_factors), whole, interpolation=cv2.INTER_LINEAR)[:height, :width]
        return np.asarray(cv2.multiply(picture, cv2.merge([field] * 3), dtype=cv2.CV_8U), np.uint8)


def block_log_factors(luma: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
    """The illumination factor of each block.

    Args:
        luma: (h, w) float32 cells of the picture.
        background: (h, w) float32 cells of the background.

    Returns:
        (rows, columns) float32, natural logarithms; 0 where neither a block nor its neighbours can be used.
    """
    ratio = np.log((luma + LUMA_OFFSET) / (background + LUMA_OFFSET))
    height, width = ratio.shape
    padding = ((0, -height % BLOCK), (0, -width % BLOCK))
    ratio = np.pad(ratio, padding, mode="reflect" if min(height, width) >= BLOCK else "edge")
    rows, columns = ratio.shape[0] // BLOCK, ratio.shape[1] // BLOCK
    blocks = ratio.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(rows, columns, -1)[:, :, ::3]
    median = np.median(blocks, axis=2)
    scatter = np.median(np.abs(blocks - median[:, :, None]), axis=2)
    usable = (scatter < MAX_SCATTER) & (median > np.log(MIN_FACTOR)) & (median < np.log(MAX_FACTOR))
    # An object that fills a block differs from the blocks around it; illumination does not. So neighbours vote.
    return _median_of_neighbours(np.where(usable, median, np.nan).astype(np.float32))


def _median_of_neighbours(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (lower) median over each 3 x 3 neighbourhood, ignoring NaN; 0 where all of it is NaN."""
    padded = np.pad(values, 1, constant_values=np.nan)
    rows, columns = values.shape
    around = np.stack([padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)])
    known = np.isfinite(around).sum(axis=0)
    order = np.sort(around, axis=0)  # NaN sorts last
    middle = np.maximum(known - 1, 0) // 2
    median = np.take_along_axis(order, middle[None], axis=0)[0]
    return np.asarray(np.where(known > 0, median, 0.0), np.float32)


def _luma_cells(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H/2, W/2) float32 luma of a BGR picture."""
    half = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(half, cv2.COLOR_BGR2GRAY), np.float32)
