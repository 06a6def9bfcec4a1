"""A model in an ONNX file, run by ONNX Runtime. What its outputs mean is told by their shapes: see `LAYOUTS`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.detections import Detections
from pipeline.models.onnx.graph_file import Classes, classes_in
from pipeline.models.onnx.layout import Layout, Outputs, Probed
from pipeline.models.onnx.rcnn_export import Rcnn
from pipeline.models.onnx.rfdetr import RfDetr
from pipeline.models.onnx.session import first_line, open_session
from pipeline.models.onnx.yolo import Yolo
from pipeline.transport.planes import Planes, planes_bytes

LAYOUTS: tuple[type[Layout], ...] = (Yolo, RfDetr, Rcnn)
"""The families of exports that are known, tried in this order."""
FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
USUAL_SIDE = 640
"""Side of the input where the model leaves it open."""
GREY = 114 / 255
"""What a model is shown when its outputs are looked at."""


class OnnxSegmenter:
    """A model in an ONNX file (a `pipeline.models.segmenter.Segmenter`).

    Raises:
        ModelError: no ONNX Runtime, not a model, inputs or outputs of another kind, no such device.
    """

    classes: tuple[str, ...]
    device: str

    def __init__(self, config: ModelConfig) -> None:
        if config.path is None:
            raise ModelError("model.path: missing; give a file ending in .onnx")
        self._path = config.path
        names = classes_in(config)
        self._session, self.device = open_session(config.path, config)
        self._read_input()
        probe = np.full((self._batch or 1, 3, *self._hw), GREY, self._dtype)
        model = Probed(
            path=config.path,
            outputs=self._run(probe),
            input_hw=self._hw,
            open_size=self._open_size,
            names=names,
            score=config.score,
            nms=config.nms,
        )
        self._layout = self._layout_of(model)
        self.classes = self._layout.classes

    def warm_up(self) -> None:
        width, height = self._hw[1] // 2 * 2, self._hw[0] // 2 * 2
        self.segment([Planes.view(np.full(planes_bytes(width, height), 128, np.uint8), width, height)])

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """One `Detections` a frame. A model exported for a fixed batch is run as often as needed."""
        step = min(self._batch or len(frames) or 1, self._layout.most or len(frames) or 1)
        found: list[Detections] = []
        for first in range(0, len(frames), step):
            found += self._batch_of(frames[first : first + step])
        return found

    def _batch_of(self, frames: Sequence[Planes]) -> list[Detections]:
        shape = (self._batch or len(frames), 3, *self._layout.size(frames[0]))
        blob: NDArray[Any] = np.zeros(shape, self._dtype)
        boxes = [self._layout.lay(frame, blob[row]) for row, frame in enumerate(frames)]
        outputs = self._run(blob)
        pairs = enumerate(zip(frames, boxes, strict=True))
        return [self._layout.found(outputs, row, frame, box) for row, (frame, box) in pairs]

    def _run(self, blob: NDArray[Any]) -> Outputs:
        """All outputs for (B, 3, H, W): whole numbers as int64, others as float32."""
        given = blob if self._has_batch else blob[0]
        try:
            values = self._session.run(None, {self._input: given})
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise ModelError(f"{self._path}: ONNX Runtime could not run it: {first_line(error)}") from error
        outputs = zip((output.name for output in self._session.get_outputs()), values, strict=True)
        return {name: _as_number(value) for name, value in outputs if isinstance(value, np.ndarray)}

    def _read_input(self) -> None:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            found = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise ModelError(f"{self._path}: {len(inputs)} inputs ({found}); expected one, the picture")
        shape, kind = inputs[0].shape, inputs[0].type
        if kind not in FLOATS:
            raise ModelError(f"{self._path}: input of type {kind}; expected tensor(float) or tensor(float16)")
        if len(shape) not in (3, 4) or (isinstance(shape[-3], int) and shape[-3] != 3):
            raise ModelError(
                f"{self._path}: input of shape {shape}; expected (batch, 3, height, width) or (3, height, width)"
            )
        self._input, self._dtype = inputs[0].name, FLOATS[kind]
        self._has_batch = len(shape) == 4
        given = shape[0] if self._has_batch else 1
        self._batch = given if isinstance(given, int) and given > 0 else None
        known = [isinstance(side, int) and side > 0 for side in shape[-2:]]
        height, width = (
            side if is_known else USUAL_SIDE for side, is_known in zip(shape[-2:], known, strict=True)
        )
        self._hw, self._open_size = (height, width), not any(known)

    def _layout_of(self, model: Probed) -> Layout:
        for layout in LAYOUTS:
            if (fits := layout.of(model)) is not None:
                return fits
        found = ", ".join(f"{name} {list(value.shape)}" for name, value in model.outputs.items())
        known = "; ".join(layout.KNOWN for layout in LAYOUTS)
        raise ModelError(
            f"{self._path}: outputs {found or 'of no arrays'} are of no layout known here: {known}"
        )


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Names from the file's metadata or the configuration; the model is loaded only where neither tells.

    Raises:
        ModelError: as `OnnxSegmenter`.
    """
    names = classes_in(config)
    return OnnxSegmenter(config).classes if names is None else Classes.of(names).names


def _as_number(value: NDArray[Any]) -> NDArray[Any]:
    if value.dtype == np.bool_ or np.issubdtype(value.dtype, np.floating):
        return np.asarray(value, np.float32)
    return np.asarray(value, np.int64)
