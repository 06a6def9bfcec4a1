"""The truth of a rendered scene as a file: JSON, gzipped if its name ends in `.gz`.

`pipeline.demo.scene.truth` computes it, `tallycam demo` and `tallycam evaluate` read it.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.files import write_bytes
from pipeline.geometry.rle import decode

Point: TypeAlias = tuple[float, float]
"""x, y in parts of the frame's width and height."""


@dataclass(frozen=True)
class SceneLine:
    """A counting line.

    Attributes:
        name: of the line.
        points: its ends, relative to the frame.
        classes: which classes are counted at it.
        directions: as in the configuration: seen from the first point towards the second, from left to right,
            and from right to left.
    """

    name: str
    points: tuple[Point, Point]
    classes: tuple[str, ...]
    directions: tuple[str, str]


@dataclass(frozen=True)
class SceneZone:
    """A counting zone.

    Attributes:
        name: of the zone.
        polygon: its corners, relative to the frame.
        classes: which classes are counted in it.
    """

    name: str
    polygon: tuple[Point, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class SceneLayout:
    """The lines and zones of a scene."""

    lines: tuple[SceneLine, ...]
    zones: tuple[SceneZone, ...]


class TrueInstance(msgspec.Struct, frozen=True, array_like=True):
    """One object in one frame; stored as a JSON array in this order."""

    track_id: int
    class_name: str
    box_px: tuple[int, int, int, int]  # x0 y0 x1 y1 of the visible mask, x1 y1 exclusive
    visible: float  # visible share of the whole silhouette, 0..1
    foot_px: tuple[float, float]  # x y of where it stands
    counts: str  # the visible mask, COCO compressed RLE of (height, width)

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Decodes the visible mask.

        Args:
            height: of the frame, pixels.
            width: of the frame, pixels.

        Returns:
            (height, width) bool.
        """
        return decode(self.counts, height, width)


class TrueCrossing(msgspec.Struct, frozen=True):
    """A crossing of a line; `frame` is the first one on the other side."""

    line: str
    track_id: int
    class_name: str
    direction: str
    frame: int


class TrueEntry(msgspec.Struct, frozen=True):
    """An entry into a zone; `frame` is the first one inside."""

    zone: str
    track_id: int
    class_name: str
    frame: int


class SceneTruth(msgspec.Struct, frozen=True):
    """Everything that is known about one clip."""

    seed: int
    width: int  # pixels
    height: int
    fps: float
    layout: SceneLayout
    unique: dict[str, int]
    lines: dict[str, dict[str, dict[str, int]]]  # line -> class -> direction -> count
    zones: dict[str, dict[str, int]]  # zone -> class -> entries
    crossings: tuple[TrueCrossing, ...]
    entries: tuple[TrueEntry, ...]
    ignored: tuple[int, ...]  # track ids that were never clearly visible
    frames: tuple[tuple[TrueInstance, ...], ...]  # per frame
    version: int = 1


def write_truth(truth: SceneTruth, path: Path) -> None:
    """Writes deterministic JSON.

    Args:
        truth: what to write.
        path: gzipped if the name ends in `.gz`.

    Raises:
        OutputError: it cannot be written.
    """
    data = msgspec.json.encode(truth)
    write_bytes(path, gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


def read_truth(path: Path) -> SceneTruth:
    """Reads what `write_truth` wrote.

    Args:
        path: gzipped if the name ends in `.gz`.

    Raises:
        OSError: the file cannot be read.
        msgspec.ValidationError: the file holds something else.
    """
    data = path.read_bytes()
    return msgspec.json.decode(gzip.decompress(data) if path.suffix == ".gz" else data, type=SceneTruth)
