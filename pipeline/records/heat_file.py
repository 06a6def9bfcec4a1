"""Accumulated presence of objects over the image, stored next to the log until the heat map is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pipeline.files import write_bytes

Floats = NDArray[np.float64]

LONGEST_S = 1e12
"""Largest sum in one cell: three hundred objects that never leave it for a century."""


def heat_path(out: Path, stream: str) -> Path:
    """File with the heat of a stream.

    Args:
        out: folder of the run.
        stream: name of the stream.
    """
    return out / "log" / f"{stream}.heat"


def view_path(out: Path, stream: str) -> Path:
    """File with the first frame of a stream, which is the background of the heat map.

    Args:
        out: folder of the run.
        stream: name of the stream.
    """
    return out / "log" / f"{stream}.jpg"


def write_heat(path: Path, heat: Mapping[str, Floats]) -> None:
    """Writes the heat of a stream; readers see either the old file or the complete new one.

    Args:
        path: the file.
        heat: class -> (rows, columns): object-seconds in each cell.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    write_bytes(path, save({name: np.ascontiguousarray(cells, np.float32) for name, cells in heat.items()}))


def read_heat(path: Path) -> dict[str, Floats]:
    """Reads what `write_heat` wrote.

    Args:
        path: the file; it need not exist.

    Returns:
        Class -> (rows, columns) float64: object-seconds in each cell; empty without a readable file, or if it holds
        something else.
    """
    try:
        heat = load_file(path)
    except (
        OSError,
        SafetensorError,
        KeyError,
        ValueError,
    ):  # the latter two: a type that NumPy does not have
        return {}
    if len({cells.shape for cells in heat.values()}) != 1 or not all(map(_is_heat, heat.values())):
        return {}
    return {name: cells.astype(np.float64) for name, cells in heat.items()}


def _is_heat(cells: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        whole = cells.dtype == np.float32 and cells.ndim == 2 and cells.size > 0
        return whole and bool(((cells >= 0) & (cells <= LONGEST_S)).all())
