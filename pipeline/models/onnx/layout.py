"""What the layouts of ONNX exports have in common: how a model takes frames and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from pipeline.models.coco_classes import COCO
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.models.onnx.graph_file import Classes
from pipeline.transport.planes import Planes

Outputs = Mapping[str, NDArray[Any]]
"""Name -> what one run answered: float32, or int64 where the model answers in whole numbers."""

MOST_FOUND = 300
"""Objects of one frame, at most: the strongest are kept."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What is known of a model when its layout is looked for.

    Attributes:
        path: its file.
        outputs: what it answered to a grey picture.
        input_hw: height and width of that picture.
        open_size: it takes pictures of every size.
        names: class names by number, where the file or the configuration tells.
        score: instances below it are not wanted.
        nms: box IoU above which the weaker of two instances goes, where the model leaves that to its user.
    """

    path: Path
    outputs: Outputs
    input_hw: tuple[int, int]
    open_size: bool
    names: dict[int, str] | None
    score: float
    nms: float

    def of_rank(self, rank: int) -> list[str]:
        """Names of the outputs with so many dimensions."""
        return [name for name, value in self.outputs.items() if value.ndim == rank]

    def classes(self, count: int | None) -> Classes:
        """Classes of a model that scores `count` classes from number 0 (None: it does not tell how many).

        Raises:
            ModelError: no names and no count, or the two differ.
        """
        names = self.names
        if names is None:
            if count is None:
                raise ModelError(f"{self.path}: holds no class names; give them as model.classes")
            names = dict(enumerate(COCO if count == len(COCO) else [f"class{n}" for n in range(count)]))
        if count is not None and set(names) != set(range(count)):
            numbers = f", numbered up to {max(names)}," if max(names) != len(names) - 1 else ""
            raise ModelError(
                f"{self.path}: {len(names)} class names{numbers} for {count} classes; mend model.classes"
            )
        return Classes.of(names)


class Layout(Protocol):
    """One family of exports."""

    KNOWN: ClassVar[str]
    """The outputs in words, for messages."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names; `class_ids` index them."""

    @property
    def most(self) -> int | None:
        """Frames in one run; None: as many as come."""

    @classmethod
    def of(cls, model: Probed) -> Self | None:
        """The layout of a model whose outputs are of this family, else None.

        Raises:
            ModelError: they are, but there is something to mend.
        """

    def size(self, frame: Planes) -> tuple[int, int]:
        """Height and width of the input for a frame."""

    def lay(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        """Puts a frame into `out`, (3, H, W) float32 or float16, and says where it lies."""

    def found(self, outputs: Outputs, row: int, frame: Planes, box: Letterbox) -> Detections:
        """What the model found in the frame that was laid into `row` of the input, in pixels of the frame.

        Numbers that are none, where an object should be, make it `Detections.invalid()`.
        """


@dataclass(frozen=True, slots=True)
class Export:
    """What every family keeps of its model.

    Attributes:
        known: its classes, by the numbers of its outputs.
        score: instances below it are left out.
    """

    MOST: ClassVar[int | None] = None

    known: Classes
    score: float

    @property
    def classes(self) -> tuple[str, ...]:
        return self.known.names

    @property
    def most(self) -> int | None:
        return self.MOST


@dataclass(frozen=True, slots=True)
class FixedSize(Export):
    """An export whose input has one size.

    Attributes:
        input_hw: its height and width.
    """

    input_hw: tuple[int, int]

    def size(self, frame: Planes) -> tuple[int, int]:
        return self.input_hw


def scaled_into(image: NDArray[np.uint8], out: NDArray[Any], mean: Any = 0.0, deviation: Any = 1.0) -> None:
    """`image`, (H, W, 3) uint8, as `(image / 255 - mean) / deviation` into `out`, (3, H, W)."""
    factor = np.asarray(1.0 / (255.0 * np.asarray(deviation)), np.float32).reshape(-1, 1, 1)
    offset = np.asarray(np.asarray(mean) / deviation, np.float32).reshape(-1, 1, 1)
    value = image.transpose(2, 0, 1) * factor
    if offset.any():
        value -= offset
    out[:] = value
