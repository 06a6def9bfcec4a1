"""Colours and sizes that all parts of the overlay share, and which places of the frame hold words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.video.overlay.paint import Colour

DARK: Colour = (0.06, 0.07, 0.09)
WHITE: Colour = (1.0, 1.0, 1.0)
SOFT: Colour = (0.72, 0.76, 0.80)
LIT: Colour = (1.0, 0.78, 0.16)
ZONE: Colour = (0.25, 0.85, 0.95)
PANEL_OPACITY = 0.72
CELL = 8
"""Pixels of one cell of the occupancy grid."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes that follow the frame's height, in pixels."""

    label: int
    """Height of a label's capitals."""
    plate: int
    """Height of the capitals on plates and on the panel."""
    stroke: float
    """Width of counting lines."""
    outline: int
    """Width of the objects' outlines."""
    margin: int

    @classmethod
    def of(cls, height: int) -> Sizes:
        return cls(
            label=max(7, round(height * 0.0125 + 2)),
            plate=max(7, round(height * 0.0135 + 2.5)),
            stroke=max(1.6, height / 420),
            outline=1 if height < 480 else max(2, round(height / 540)),
            margin=max(4, round(height * 0.016)),
        )


class Taken:
    """Which parts of the frame already hold words, in cells of 8 x 8 pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._cells: NDArray[np.bool_] = np.zeros((height // CELL + 2, width // CELL + 2), np.bool_)

    def clear(self) -> None:
        self._cells[:] = False

    def _part(self, x: int, y: int, width: int, height: int) -> tuple[slice, slice]:
        rows = slice(max(0, y + CELL // 2) // CELL, max(0, y + height + CELL // 2 - 1) // CELL + 1)
        columns = slice(max(0, x + CELL // 2) // CELL, max(0, x + width + CELL // 2 - 1) // CELL + 1)
        return rows, columns

    def free(self, x: int, y: int, width: int, height: int) -> bool:
        return not self._cells[self._part(x, y, width, height)].any()

    def take(self, x: int, y: int, width: int, height: int) -> None:
        self._cells[self._part(x, y, width, height)] = True
