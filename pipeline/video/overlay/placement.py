"""Where text goes so that it can be read: an occupancy grid, and positions for labels and badges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CELL = 8
"""Pixels of one cell of the grid."""


class OccupancyGrid:
    """Which parts of a frame are covered by text, in cells of 8 x 8 pixels.

    Args:
        width, height: of the frame, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._cells: NDArray[np.bool_] = np.zeros((height // CELL + 2, width // CELL + 2), np.bool_)

    def clear(self) -> None:
        """Makes everything free."""
        self._cells[:] = False

    def is_free(self, x: int, y: int, width: int, height: int) -> bool:
        """Whether nothing covers a rectangle.

        Args:
            x, y: its upper left corner, pixels.
            width, height: pixels.
        """
        return not self._cells[self._cells_of(x, y, width, height)].any()

    def occupy(self, x: int, y: int, width: int, height: int) -> None:
        """Marks a rectangle as covered.

        Args:
            x: Left border, pixels.
            y: Upper border.
            width: Pixels.
            height: Pixels.
        """
        self._cells[self._cells_of(x, y, width, height)] = True

    def _cells_of(self, x: int, y: int, width: int, height: int) -> tuple[slice, slice]:
        rows = slice(max(0, y + CELL // 2) // CELL, max(0, y + height + CELL // 2 - 1) // CELL + 1)
        columns = slice(max(0, x + CELL // 2) // CELL, max(0, x + width + CELL // 2 - 1) // CELL + 1)
        return rows, columns


def label_positions(
    x0: float, y0: float, x1: float, y1: float, width: int, height: int
) -> list[tuple[float, float]]:
    """Candidate positions for the label of an object.

    Args:
        x0, y0, x1, y1: box of the object, pixels.
        width, height: of the label, pixels.

    Returns:
        x y of the label's upper left corner, the best candidate first; they may lie outside of the frame.
    """
    middle, above, gap = (x0 + x1 - width) / 2, y0 - height - 2, 2
    positions = [(middle, above), (x0, above), (x1 - width, above), (middle, y0 + gap), (middle, y1 + gap)]
    positions += [(x1 + gap, y0), (x0 - gap - width, y0)]
    for level in (1, 2):  # in a crowd: stacked above, also to the sides
        row = above - level * (height + gap)
        positions += [(middle, row), (x1 - width * 0.25, row), (x0 - width * 0.75, row)]
    positions.append((middle, (y0 + y1 - height) / 2))
    return positions


def clamp_position(position: tuple[float, float], limits: tuple[int, int]) -> tuple[int, int]:
    """Moves a position into the frame.

    Args:
        position: x y of an upper left corner.
        limits: largest x and y at which what is drawn still lies in the frame.
    """
    return int(min(max(position[0], 0), limits[0])), int(min(max(position[1], 0), limits[1]))


def badge_position(
    badge: tuple[int, int],
    points: Sequence[tuple[float, float]],
    frame: tuple[int, int],
    gap: int,
    occupied: OccupancyGrid,
) -> tuple[int, int]:
    """A position for a badge near one of several points: inside the frame, and on free ground where possible.

    Args:
        badge: its width and height, pixels.
        points: x y, the preferred one first.
        frame: width and height of the frame, pixels.
        gap: distance from the points and from the frame's border, pixels.
        occupied: what is covered already.

    Returns:
        x y of the badge's upper left corner, even.
    """
    (badge_width, badge_height), (width, height) = badge, frame
    candidates: list[tuple[float, float]] = []
    for x, y in points:
        for left in (x + gap, x - gap - badge_width, x - badge_width / 2):
            candidates += [(left, y - gap - badge_height), (left, y + gap)]
    for x, y in points:  # farther away, for crowded corners
        for step in range(1, 6):
            candidates += [
                (x + gap, y + step * (badge_height + 4)),
                (x + gap, y - (step + 1) * (badge_height + 4)),
            ]
    inside = []
    for left, top in candidates:
        x = int(min(max(left, gap), max(gap, width - gap - badge_width))) // 2 * 2
        y = int(min(max(top, gap), max(gap, height - gap - badge_height))) // 2 * 2
        inside.append((x, y))
    return next((position for position in inside if occupied.is_free(*position, *badge)), inside[0])
