"""A model in an ONNX file, run by ONNX Runtime. What its outputs mean is determined by `layout_table`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.onnx.layout import OnnxLayout, Outputs, ProbedModel
from pipeline.models.onnx.layout_table import find_layout
from pipeline.models.onnx.model_file import class_names
from pipeline.models.onnx.session import first_line, open_session
from pipeline.transport.planes import Planes, planes_bytes

INPUT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
DEFAULT_SIDE = 640
"""Side of the input where the model leaves it open."""
PROBE_LEVEL = 114 / 255
"""Grey level of the image that a model is probed with."""


class OnnxSegmenter:
    """A model in an ONNX file (a `pipeline.models.segmenter.Segmenter`).

    Args:
        config: its `path` is the file.

    Raises:
        ModelError: ONNX Runtime is missing, the file is not a model, its inputs or outputs are of no known kind, or
            there is no such device.
    """

    classes: tuple[str, ...]
    device: str

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width of the model's input in pixels."""
        return self._hw

    def __init__(self, config: ModelConfig) -> None:
        if config.path is None:
            raise ModelError("model.path: missing; give a file ending in .onnx")
        self._path = config.path
        names = class_names(config)
        self._session, self.device = open_session(config.path, config)
        self._read_input()
        probe = np.full((self._batch or 1, 3, *self._hw), PROBE_LEVEL, self._dtype)
        self._layout: OnnxLayout = find_layout(
            ProbedModel(
                path=config.path,
                outputs=self._run(probe),
                input_hw=self._hw,
                dynamic_size=self._dynamic_size,
                names=names,
                score=config.score,
                nms=config.nms,
            )
        )
        self.classes = self._layout.classes

    def warm_up(self) -> None:
        width, height = self._hw[1] // 2 * 2, self._hw[0] // 2 * 2
        self.segment([Planes.view(np.full(planes_bytes(width, height), 128, np.uint8), width, height)])

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """See `Segmenter.segment`. A model of a fixed batch size is run as often as needed."""
        count = len(frames) or 1
        step = min(self._batch or count, self._layout.max_batch or count)
        found: list[Detections] = []
        for first in range(0, len(frames), step):
            found += self._segment_batch(frames[first : first + step])
        return found

    def _segment_batch(self, frames: Sequence[Planes]) -> list[Detections]:
        shape = (self._batch or len(frames), 3, *self._layout.input_size(frames[0]))
        images: NDArray[Any] = np.zeros(shape, self._dtype)
        letterboxes = [self._layout.preprocess(frame, images[row]) for row, frame in enumerate(frames)]
        outputs = self._run(images)
        return [
            self._layout.postprocess(outputs, row, frame, letterbox)
            for row, (frame, letterbox) in enumerate(zip(frames, letterboxes, strict=True))
        ]

    def _run(self, images: NDArray[Any]) -> Outputs:
        """All outputs for (B, 3, H, W) images: integers as int64, everything else as float32."""
        given = images if self._has_batch else images[0]
        try:
            values = self._session.run(None, {self._input: given})
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"{self._path}: ONNX Runtime could not run it: {first_line(error)}") from error
        outputs = zip((output.name for output in self._session.get_outputs()), values, strict=True)
        return {name: _as_number(value) for name, value in outputs if isinstance(value, np.ndarray)}

    def _read_input(self) -> None:
        """Takes name, type and shape of the model's input from the session."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            found = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise ModelError(f"{self._path}: {len(inputs)} inputs ({found}); expected one, the image")
        shape, kind = inputs[0].shape, inputs[0].type
        if kind not in INPUT_TYPES:
            raise ModelError(f"{self._path}: input of type {kind}; expected tensor(float) or tensor(float16)")
        if len(shape) not in (3, 4) or (isinstance(shape[-3], int) and shape[-3] != 3):
            raise ModelError(
                f"{self._path}: input of shape {shape}; expected (batch, 3, height, width) or (3, height, width)"
            )
        self._input, self._dtype = inputs[0].name, INPUT_TYPES[kind]
        self._has_batch = len(shape) == 4
        given = shape[0] if self._has_batch else 1
        self._batch = given if isinstance(given, int) and given > 0 else None
        known = [isinstance(side, int) and side > 0 for side in shape[-2:]]
        height, width = (
            side if is_known else DEFAULT_SIDE for side, is_known in zip(shape[-2:], known, strict=True)
        )
        self._hw, self._dynamic_size = (height, width), not any(known)


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names from the file's metadata or the configuration; the model is loaded only where neither has them.

    Args:
        config: the section `model`, with `path` set.

    Raises:
        ModelError: as `OnnxSegmenter`.
    """
    names = class_names(config)
    return OnnxSegmenter(config).classes if names is None else ClassMap.from_names(names).names


def _as_number(value: NDArray[Any]) -> NDArray[Any]:
    if value.dtype == np.bool_ or np.issubdtype(value.dtype, np.floating):
        return np.asarray(value, np.float32)
    return np.asarray(value, np.int64)
