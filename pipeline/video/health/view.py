"""The structure of a view: where edges are and how they run, in a form that changes little with the light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.planes import Plane

WIDTH = 320
"""Width in pixels of the downscaled picture that is looked at."""
GRID = (16, 9)
"""Columns and rows of blocks."""
EDGE_SHARE = 0.25
"""Sobel magnitude of an edge, as a share of that of the strongest edges: a picture may be bright or dark."""
EDGE = 12.0, 40.0
"""Smallest and largest magnitude that is asked for, in grey levels; 8 are one level from a pixel to the next."""
NOISE_GAIN = 6.0
"""Magnitude that noise hardly ever makes, as a multiple of its standard deviation."""
EDGE_PIXELS = 0.03
"""Share of the pixels of a block that has edges."""
MIN_BLOCKS = 12
"""Blocks with edges that a view needs to be compared with another one."""
MATCH = 0.35
"""Mean agreement of edge directions in a block, -1 to 1, from which on it shows the same."""
MAX_SHIFT = 0.25
"""Largest displacement that is looked for, as a share of the width."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Edges of one picture.

    Attributes:
        direction: (2, h, w) float32: cosine and sine of twice the edge's angle, so that an edge keeps its direction
            when dark and bright change sides; 0 where there is no edge.
        blocks: (rows, columns) bool: the block has edges.
        sharpness: (rows, columns) float32: 95th percentile of the second derivative over that of the first. It does
            not depend on contrast, and falls when the picture is out of focus.
    """

    direction: NDArray[np.float32]
    blocks: NDArray[np.bool_]
    sharpness: NDArray[np.float32]

    @classmethod
    def of(cls, picture: Plane | NDArray[np.float32], noise: float = 0.0) -> View:
        """Finds the edges.

        Args:
            picture: (h, w) uint8 or float32 luma, downscaled; a mean over some pictures has less noise.
            noise: standard deviation of the picture's noise, in grey levels: weaker edges may be made by it.
        """
        luma = picture.astype(np.float32)
        smooth = cv2.GaussianBlur(luma, (3, 3), 0)
        gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        squared = gx * gx + gy * gy
        strongest = float(np.sqrt(np.partition(squared.ravel(), at := int(0.98 * squared.size))[at]))
        edge = squared > max(NOISE_GAIN * noise, np.clip(EDGE_SHARE * strongest, *EDGE)) ** 2
        safe = np.where(edge, squared, np.float32(1))
        direction = np.stack([(gx * gx - gy * gy) / safe, 2 * gx * gy / safe]) * edge
        first = _percentile(np.sqrt(squared))
        second = _percentile(np.abs(cv2.Laplacian(luma, cv2.CV_32F, ksize=1)))
        blocks = block_means(edge.astype(np.float32)) > EDGE_PIXELS
        return cls(direction.astype(np.float32), blocks, second / np.maximum(first, 1.0))

    @property
    def comparable(self) -> bool:
        """Whether there are enough edges to compare it with another view."""
        return int(self.blocks.sum()) >= MIN_BLOCKS

    def only(self, blocks: NDArray[np.bool_]) -> View:
        """The same view with the edges of some blocks only.

        Args:
            blocks: (rows, columns) of `GRID`.
        """
        return View(self.direction, self.blocks & blocks, self.sharpness)

    def same_blocks(self, other: View) -> NDArray[np.bool_]:
        """(rows, columns): the blocks that have edges in both views, and the same ones.

        Args:
            other: of a picture of the same size.
        """
        return _agreement(self, other.direction)[0]

    def match(self, other: View) -> float:
        """Share of the blocks that have edges in both views, in which these are the same; 0..1.

        Args:
            other: of a picture of the same size.
        """
        return _share(*_agreement(self, other.direction))

    def displacement(self, other: View) -> tuple[float, float, float]:
        """Where this view is found again in `other`, by correlation of the edges' directions over all displacements.

        Args:
            other: of a picture of the same size.

        Returns:
            x and y in pixels, and `match` there.
        """
        height, width = self.direction.shape[1:]
        spectra = [
            np.conj(np.fft.rfft2(one, (2 * height, 2 * width))) * np.fft.rfft2(two, (2 * height, 2 * width))
            for one, two in zip(self.direction, other.direction, strict=True)
        ]
        surface = np.fft.irfft2(sum(spectra), (2 * height, 2 * width))
        reach = int(MAX_SHIFT * width)
        tall = min(reach, height - 1)
        window = np.roll(surface, (tall, reach), (0, 1))[: 2 * tall + 1, : 2 * reach + 1]
        row, column = np.unravel_index(int(window.argmax()), window.shape)
        y, x = int(row) - tall, int(column) - reach
        moved = np.zeros_like(other.direction)
        here, there = _overlap(height, y), _overlap(width, x)
        moved[:, here[0], there[0]] = other.direction[:, here[1], there[1]]
        return float(x), float(y), _share(*_agreement(self, moved))


def downscale(luma: Plane) -> Plane:
    """Scales a luma plane to a width of `WIDTH` at most.

    Args:
        luma: (H, W) uint8.

    Returns:
        (h, w) uint8, a copy.
    """
    height, width = luma.shape
    if width <= WIDTH:
        return luma.copy()
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    rows = luma[::2] if width >= 4 * WIDTH else luma  # every second row of a large picture: half the cost
    return np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.uint8)


def block_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over the blocks of the grid.

    Args:
        values: (h, w).

    Returns:
        (rows, columns) float32.
    """
    return np.asarray(cv2.resize(values, GRID, interpolation=cv2.INTER_AREA), np.float32)


def _agreement(view: View, direction: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The blocks with edges in both views in which the directions agree, and all blocks with edges in both."""
    agree = block_means((view.direction * direction).sum(0))
    own, other = (block_means((one**2).sum(0)) for one in (view.direction, direction))
    both = view.blocks & (other > EDGE_PIXELS)
    same = agree > MATCH * np.sqrt(own * other)
    return same & both, both


def _share(some: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(some.sum() / max(1, of.sum()))


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Where two pictures overlap, of which the second is shifted: in the first, and in the second."""
    if shift >= 0:
        return slice(0, size - shift), slice(shift, size)
    return slice(-shift, size), slice(0, size + shift)


def _percentile(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 95th percentile in each block."""
    columns, rows = GRID
    height, width = (values.shape[0] // rows) * rows, (values.shape[1] // columns) * columns
    parts = values[:height, :width].reshape(rows, height // rows, columns, width // columns)
    parts = parts.transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    at = int(0.95 * (parts.shape[2] - 1))
    return np.asarray(np.partition(parts, at, axis=2)[:, :, at], np.float32)
