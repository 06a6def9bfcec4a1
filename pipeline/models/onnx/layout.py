"""The interface of the families of ONNX exports: what a model's input looks like and what its outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.coco_classes import COCO
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.transport.planes import Planes

Outputs = Mapping[str, NDArray[Any]]
"""Output name -> value of one run: float32, or int64 for outputs of integers."""

MAX_DETECTIONS = 300
"""Instances kept per frame, those with the highest scores."""


@dataclass(frozen=True, slots=True)
class ProbedModel:
    """What is known of a model when its layout is determined.

    Attributes:
        path: its file.
        outputs: its outputs for a uniform grey image.
        input_hw: height and width of that image.
        dynamic_size: the model takes images of any size.
        names: class names by output channel, where the file or the configuration gives them.
        score: the score threshold.
        nms: the IoU threshold of non-maximum suppression, where the export leaves that to its user.
    """

    path: Path
    outputs: Outputs
    input_hw: tuple[int, int]
    dynamic_size: bool
    names: dict[int, str] | None
    score: float
    nms: float

    def outputs_of_rank(self, rank: int) -> list[str]:
        """Names of the outputs with the given number of dimensions.

        Args:
            rank: number of dimensions, the batch included.
        """
        return [name for name, value in self.outputs.items() if value.ndim == rank]

    def class_map(self, count: int | None) -> ClassMap:
        """Classes of a model whose first output channel is the first class.

        Args:
            count: how many classes the outputs have; None: they do not tell.

        Raises:
            ModelError: there are neither names nor a count, or the two contradict each other.
        """
        names = self.names
        if names is None:
            if count is None:
                raise ModelError(f"{self.path}: holds no class names; give them as model.classes")
            names = dict(enumerate(COCO if count == len(COCO) else [f"class{n}" for n in range(count)]))
        if count is not None and set(names) != set(range(count)):
            numbers = f", numbered up to {max(names)}," if max(names) != len(names) - 1 else ""
            raise ModelError(
                f"{self.path}: {len(names)} class names{numbers} for {count} classes; correct model.classes"
            )
        return ClassMap.from_names(names)


class OnnxLayout(Protocol):
    """A family of ONNX exports. Each family is a class in a file of its own and a row of `layout_table.LAYOUTS`."""

    DESCRIPTION: ClassVar[str]
    """Family and shapes of its outputs, for the message about an export of no known family."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; `Detections.class_ids` are indices into them."""

    @property
    def max_batch(self) -> int | None:
        """Frames in one run at most; None: no limit."""

    @classmethod
    def match(cls, model: ProbedModel) -> Self | None:
        """The layout of a model whose outputs are of this family, else None.

        Args:
            model: the model, probed with one image.

        Raises:
            ModelError: the outputs are of this family, but something is inconsistent (class names, most often).
        """

    def input_size(self, frame: Planes) -> tuple[int, int]:
        """Size of the model's input for a frame.

        Args:
            frame: only its size matters.

        Returns:
            Height and width, pixels.
        """

    def preprocess(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        """Writes a frame into the model's input.

        Args:
            frame: the frame.
            out: (3, H, W) float32 or float16, zeros; overwritten.

        Returns:
            Where the frame lies in the input.
        """

    def postprocess(self, outputs: Outputs, row: int, frame: Planes, letterbox: Letterbox) -> Detections:
        """Decodes the outputs for one frame.

        Args:
            outputs: of the whole batch.
            row: the frame's place in the batch.
            frame: the frame.
            letterbox: where it lies in the input.

        Returns:
            The instances, in pixels of the frame. Rows of the outputs that are not finite are left out and counted in
            `Detections.non_finite`; where they are all that could be used, the result is `invalid`.
        """


@dataclass(frozen=True, slots=True)
class BaseLayout:
    """Base of the families: properties that all of them have.

    Attributes:
        class_map: its classes.
        score: the score threshold.
    """

    MAX_BATCH: ClassVar[int | None] = None

    class_map: ClassMap
    score: float

    @property
    def classes(self) -> tuple[str, ...]:
        return self.class_map.names

    @property
    def max_batch(self) -> int | None:
        return self.MAX_BATCH


@dataclass(frozen=True, slots=True)
class FixedSizeLayout(BaseLayout):
    """A family whose input has one size.

    Attributes:
        input_hw: its height and width.
    """

    input_hw: tuple[int, int]

    def input_size(self, frame: Planes) -> tuple[int, int]:
        """See `OnnxLayout.input_size`."""
        return self.input_hw


def nothing_usable(rows: int, lost: int, finite: NDArray[np.bool_]) -> bool:
    """Whether an output says nothing about its frame because of NaN or infinity.

    That is the case if no row has a score, or if none that reached the score threshold is finite.

    Args:
        rows: of the output: anchors, queries or objects.
        lost: rows that are not finite, those that did not reach the threshold included.
        finite: (N,) bool, for the rows that reached the threshold.
    """
    return lost > 0 and (lost == rows or (len(finite) > 0 and not finite.any()))


def write_frame(
    frame: Planes,
    letterbox: Letterbox,
    out: NDArray[Any],
    *,
    padding: int = 0,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    area: bool = True,
) -> None:
    """Writes a frame into a model's input, scaled on its planes, as `(RGB / 255 - mean) / std` in channels-first order.

    Args:
        frame: the frame.
        letterbox: where it goes.
        out: (3, H, W) float32 or float16, overwritten.
        padding: grey level beside the frame, 0..255.
        mean: of the channels, 0..1: one number, or (3,).
        std: likewise.
        area: see `Letterbox.rgb_image`.
    """
    inner = letterbox.scaled_rgb(frame, area=area)
    if inner.shape[:2] != out.shape[1:]:
        for beside in (
            np.s_[:, : letterbox.top],
            np.s_[:, letterbox.rows.stop :],
            np.s_[:, letterbox.rows, : letterbox.left],
            np.s_[:, letterbox.rows, letterbox.columns.stop :],
        ):
            border = out[beside]
            border[:] = ((padding / 255 - np.asarray(mean)) / np.asarray(std)).reshape(-1, 1, 1)
    normalize_into(inner, out[:, letterbox.rows, letterbox.columns], mean, std)


def normalize_into(
    image: NDArray[np.uint8 | np.float32], out: NDArray[Any], mean: ArrayLike = 0.0, std: ArrayLike = 1.0
) -> None:
    """Writes `(image / 255 - mean) / std` in channels-first order.

    Args:
        image: (H, W, 3), 0..255.
        out: (3, H, W) float32 or float16, overwritten.
        mean: of the channels, 0..1: one number, or (3,).
        std: likewise.
    """
    factors = np.broadcast_to(1.0 / (255.0 * np.asarray(std)), 3).astype(np.float32)
    offsets = np.broadcast_to(np.asarray(mean) / np.asarray(std), 3).astype(np.float32)
    for channel, plane in enumerate(cv2.split(image)):  # a quarter of the time of one step over all three
        if offsets[channel]:
            np.subtract(plane * factors[channel], offsets[channel], out=out[channel], casting="same_kind")
        else:
            np.multiply(plane, factors[channel], out=out[channel], casting="same_kind")
