"""The one input of an ONNX model: its name, its type, and how images lie in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError

INPUT_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}
DEFAULT_SIDE = 640
"""Side of the input where the model leaves it open."""
CHANNELS = 3


@dataclass(frozen=True, slots=True)
class ImageInput:
    """How images are given to a model.

    Attributes:
        name: of the input.
        dtype: of its numbers, float32 or float16.
        has_batch: it has an axis for the batch.
        batch: images in one run; None where the model leaves that open.
        hw: height and width, pixels; `DEFAULT_SIDE` where the model leaves them open.
        dynamic_size: it leaves both open.
        channels_last: an image is (H, W, 3), as TensorFlow has it, instead of (3, H, W).
    """

    name: str
    dtype: np.dtype[Any]
    has_batch: bool
    batch: int | None
    hw: tuple[int, int]
    dynamic_size: bool
    channels_last: bool

    def shape(self, count: int, hw: tuple[int, int]) -> tuple[int, ...]:
        """Shape of images in the order of axes that the model wants.

        Args:
            count: of images.
            hw: height and width, pixels.
        """
        return (count, *hw, CHANNELS) if self.channels_last else (count, CHANNELS, *hw)

    def channels_first(self, images: NDArray[Any]) -> NDArray[Any]:
        """The same memory as (B, 3, H, W).

        Args:
            images: of `shape`.
        """
        return images.transpose(0, 3, 1, 2) if self.channels_last else images

    def with_single_images(self) -> ImageInput:
        """The same input, given one image in a run."""
        return replace(self, batch=1)


def possible_inputs(inputs: Sequence[Any], path: Path) -> list[ImageInput]:
    """What the input of a model may be, the likelier first: without any size given, the channels may be first or last.

    Args:
        inputs: of an `onnxruntime.InferenceSession`.
        path: of the model, for messages.

    Raises:
        ModelError: the model has several inputs, or one that is no image.
    """
    if len(inputs) != 1:
        found = ", ".join(f"{one.name} {one.shape}" for one in inputs)
        raise ModelError(f"{path}: {len(inputs)} inputs ({found}); expected one, the image")
    name, shape, kind = inputs[0].name, inputs[0].shape, inputs[0].type
    if kind not in INPUT_TYPES:
        raise ModelError(f"{path}: input of type {kind}; expected tensor(float) or tensor(float16)")
    image = [side if isinstance(side, int) and side > 0 else None for side in shape[-3:]]
    orders = [last for last, axis in ((False, 0), (True, 2)) if image[axis : axis + 1] == [CHANNELS]]
    if not orders and len(image) == CHANNELS:
        orders = [last for last, axis in ((False, 0), (True, 2)) if image[axis] is None]
    if len(shape) not in (3, 4) or not orders:
        raise ModelError(
            f"{path}: input of shape {shape}; expected (batch, 3, height, width), (batch, height, width, 3), or one of "
            "these without a batch"
        )
    given = shape[0] if len(shape) == 4 else 1
    found_inputs = []
    for channels_last in orders:
        height, width = image[:2] if channels_last else image[1:]
        found_inputs.append(
            ImageInput(
                name=name,
                dtype=INPUT_TYPES[kind],
                has_batch=len(shape) == 4,
                batch=given if isinstance(given, int) and given > 0 else None,
                hw=(height or DEFAULT_SIDE, width or DEFAULT_SIDE),
                dynamic_size=height is None and width is None,
                channels_last=channels_last,
            )
        )
    return found_inputs
