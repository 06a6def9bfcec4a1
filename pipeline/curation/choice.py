"""Chooses frames for labelling that differ from each other, the doubtful ones first. Pure.

Farthest-first traversal (T. Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985), with distances
that grow with the doubt about a frame: a frame like one that was chosen already teaches nothing, however doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.dataset import Box

CELLS = (16, 9)
"""Columns and rows of the cells that a frame's look is reduced to."""
DIFFERENT_GREY = 0.08
"""Mean difference of grey values, 0..1, from which on two frames look entirely different."""
DIFFERENT_COVER = 0.06
"""Mean difference of the cells' cover by objects from which on they are in entirely different places."""


class Choosable(Protocol):
    """A frame that may be chosen.

    Attributes:
        look: of `look_of`.
        doubt: 0..1.
    """

    @property
    def look(self) -> NDArray[np.float32]: ...

    @property
    def doubt(self) -> float: ...


C = TypeVar("C", bound=Choosable)


def look_of(grey: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.float32]:
    """What a frame looks like and where its objects are.

    Args:
        grey: (H, W).
        boxes: of its objects, pixels.

    Returns:
        (2 * 16 * 9,) float32: grey values of the cells, and their cover by objects, both relative to what makes two
        frames entirely different.
    """
    height, width = grey.shape
    cells = cv2.resize(grey, CELLS, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    cover = np.zeros((CELLS[1], CELLS[0]), np.float32)
    across, down = np.arange(CELLS[0] + 1) * width / CELLS[0], np.arange(CELLS[1] + 1) * height / CELLS[1]
    for x0, y0, x1, y1 in boxes:
        in_x = np.clip(np.minimum(x1, across[1:]) - np.maximum(x0, across[:-1]), 0, None) / (across[1])
        in_y = np.clip(np.minimum(y1, down[1:]) - np.maximum(y0, down[:-1]), 0, None) / (down[1])
        cover = np.maximum(cover, np.outer(in_y, in_x).astype(np.float32))
    return np.concatenate((cells.ravel() / DIFFERENT_GREY, cover.ravel() / DIFFERENT_COVER))


def distances(look: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """How different frames are from one, 0..1.

    Args:
        look: (D,) of one.
        others: (N, D).

    Returns:
        (N,).
    """
    apart = np.abs(others - look)
    half = len(look) // 2
    grey, cover = apart[:, :half].mean(axis=1), apart[:, half:].mean(axis=1)
    different: NDArray[np.float64] = (np.minimum(grey, 1) + np.minimum(cover, 1)).astype(np.float64) / 2
    return different


def choose(candidates: Sequence[C], count: int) -> list[C]:
    """The frames to label.

    Args:
        candidates: all that there are.
        count: how many at most.

    Returns:
        Those chosen, the most instructive first; none that is the same as another one.
    """
    if not candidates or count < 1:
        return []
    looks = np.stack([one.look for one in candidates])
    doubt = np.array([one.doubt for one in candidates])
    novelty = np.ones(len(candidates))
    chosen: list[C] = []
    while len(chosen) < count:
        gain = novelty * (1 + doubt)
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        chosen.append(candidates[best])
        novelty = np.minimum(novelty, distances(looks[best], looks))
        novelty[best] = 0
    return chosen
