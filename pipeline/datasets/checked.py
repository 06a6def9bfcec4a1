"""Values from the files of a dataset, checked before they become part of an instance."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.dataset import Box
from pipeline.datasets.problems import DatasetError
from pipeline.files import reading
from pipeline.geometry.polygons import Polygon

MAX_SIDE_PX = 65_535
MAX_COORDINATE_PX = 10.0 * MAX_SIDE_PX
"""Vertices further out are a mistake."""
MIN_SIDE_PX = 0.01
"""Width and height of a box, at least: less is a rounding error of a line or a point."""


def checked_size(width: float, height: float) -> tuple[int, int]:
    """Width and height of an image.

    Raises:
        ValueError: they are not whole numbers from 1 to 65535.
    """
    if not all(1 <= side <= MAX_SIDE_PX and side == int(side) for side in (width, height)):
        raise ValueError(f"got an image of {width}x{height}, expected 1 to {MAX_SIDE_PX} pixels each way")
    return int(width), int(height)


def clipped_box(box: Sequence[float], width: int, height: int) -> Box:
    """The part of a box that is in the image.

    Args:
        box: x0 y0 x1 y1, pixels.
        width, height: of the image.

    Raises:
        ValueError: it has no area there, or is not four finite numbers.
    """
    if len(box) != 4 or not all(map(math.isfinite, box)):
        raise ValueError(f"got the box {_shown(box)}, expected four numbers")
    x0, y0, x1, y1 = box
    if x1 - x0 < MIN_SIDE_PX or y1 - y0 < MIN_SIDE_PX:
        raise ValueError(f"the box {_shown(box)} has no area")
    clipped = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if clipped[2] - clipped[0] < MIN_SIDE_PX or clipped[3] - clipped[1] < MIN_SIDE_PX:
        raise ValueError(f"the box {_shown(box)} is outside of the {width}x{height} image")
    return clipped


def checked_polygon(flat: Sequence[float]) -> Polygon:
    """A polygon from x0 y0 x1 y1 ...

    Args:
        flat: the coordinates, pixels.

    Raises:
        ValueError: fewer than three vertices, an odd number of coordinates, coordinates that are not finite or far
            outside of any image, or no area.
    """
    if len(flat) % 2 or len(flat) < 6:
        raise ValueError(f"got a polygon of {len(flat)} numbers, expected x and y of at least 3 vertices")
    polygon = np.array(flat, np.float64).reshape(-1, 2)
    if not (np.abs(polygon) <= MAX_COORDINATE_PX).all():  # also false for NaN
        raise ValueError("the polygon has a vertex that is not a number or far outside of the image")
    if (np.ptp(polygon, axis=0) < MIN_SIDE_PX).any():
        raise ValueError("the polygon has no area")
    return polygon


def polygons_box(polygons: Sequence[Polygon]) -> Box:
    """The box around polygons, at least one; it may leave the image."""
    points = np.concatenate(polygons)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        DatasetError: it cannot be read or is not JSON; the message names the line.
    """
    with reading(path, DatasetError):
        data = path.read_bytes()
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}:{error.lineno}: is not JSON: {error.msg}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is not JSON: {error}") from None


def _shown(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in values[:8]) + "]"
