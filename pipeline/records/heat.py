"""How long objects were at each spot of the picture, kept beside the log for a picture made later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pipeline.files import write_bytes

Floats = NDArray[np.float64]


def heat_path(out: Path, stream: str) -> Path:
    """Where the heat of a stream is kept in the folder of a run."""
    return out / "log" / f"{stream}.heat"


def view_path(out: Path, stream: str) -> Path:
    """Where the first frame of a stream is kept in the folder of a run: the ground of pictures made later."""
    return out / "log" / f"{stream}.jpg"


def write_heat(path: Path, heat: Mapping[str, Floats]) -> None:
    """Writes the seconds of each class; a reader sees the old file or the whole new one.

    Args:
        heat: class -> (rows, columns): object-seconds in each cell.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    write_bytes(path, save({name: np.ascontiguousarray(cells, np.float32) for name, cells in heat.items()}))


def read_heat(path: Path) -> dict[str, Floats]:
    """What `write_heat` wrote; empty where there is no such file, or none of that kind."""
    try:
        return {name: cells.astype(np.float64) for name, cells in load_file(path).items()}
    except (OSError, SafetensorError):
        return {}
