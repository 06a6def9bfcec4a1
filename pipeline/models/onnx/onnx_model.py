"""A model in an ONNX file, run by ONNX Runtime. What its outputs mean is determined by `layout_table`."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.models.onnx.layout import OnnxLayout, Outputs, ProbedModel
from pipeline.models.onnx.layout_table import find_layout
from pipeline.models.onnx.model_file import class_names
from pipeline.models.onnx.runner import Runner
from pipeline.models.onnx.session import OpenSession, open_session, pinned_memory
from pipeline.models.onnx.tuning import faster_session, known_setting
from pipeline.transport.planes import Planes, planes_bytes

log = logging.getLogger(__name__)

PROBE_LEVEL = 114 / 255
"""Grey level of the image that a model is probed with."""
Run = tuple[Sequence[Planes], list[Letterbox], "Future[Outputs]"]
"""Frames of one run, where they lie in the input, and the outputs."""


class OnnxSegmenter:
    """A model in an ONNX file (a `pipeline.models.segmenter.PipelinedSegmenter`).

    Args:
        config: its `path` is the file.

    Attributes:
        ahead: 1 on a GPU, where frames of the next batch are prepared while it computes; 0 elsewhere, where both would
            need the same cores.

    Raises:
        ModelError: ONNX Runtime is missing, the file is not a model, its inputs or outputs are of no known kind, or
            there is no such device.
    """

    classes: tuple[str, ...]
    device: str

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width of the model's input in pixels."""
        return self._runner.input.hw

    @property
    def busy(self) -> bool:
        """See `PipelinedSegmenter.busy`."""
        return bool(self._begun) and not all(outputs.done() for _, _, outputs in self._begun[0])

    def __init__(self, config: ModelConfig) -> None:
        if config.path is None:
            raise ModelError("model.path: missing; give a file ending in .onnx")
        self._path, self._config = config.path, config
        names = class_names(config)
        self._opened: OpenSession = open_session(config, known_setting(config))
        self.device = self._opened.device
        self.ahead = 1 if self._opened.on_gpu else 0
        self._runner = Runner(
            config.path, self._opened.session, pinned_memory if self._opened.on_gpu else None
        )
        self._executor = ThreadPoolExecutor(1, "onnx") if self.ahead else None
        self._begun: deque[list[Run]] = deque()
        outputs = self._runner.probe(PROBE_LEVEL)
        self._layout: OnnxLayout = find_layout(
            ProbedModel(
                path=config.path,
                outputs=outputs,
                input_hw=self.input_hw,
                dynamic_size=self._runner.input.dynamic_size,
                names=names,
                score=config.score,
                nms=config.nms,
            )
        )
        self.classes = self._layout.classes
        if self._runner.input.batch is None and self._layout.max_batch != 1:
            self._check_batch(outputs)

    def warm_up(self) -> None:
        """See `Segmenter.warm_up`. The first time on a machine, threads and provider are chosen by measuring them."""
        if self._opened.choices:
            self._opened = faster_session(self._config, self._opened, self._runner.input)
            self._runner.replace_session(self._opened.session)
            self.device = self._opened.device
        height, width = self.input_hw
        width, height = width // 2 * 2, height // 2 * 2
        self.segment([Planes.view(np.full(planes_bytes(width, height), 128, np.uint8), width, height)])

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """See `Segmenter.segment`. A model of a fixed batch size is run as often as needed.

        Args:
            frames: the batch.
        """
        found: list[Detections] = []
        for some in self._runs_of(frames):
            images, letterboxes = self._prepared(some)
            found += self._read(some, letterboxes, self._runner.run(images))
        return found

    def feeds(self, frame: Planes) -> dict[str, NDArray[Any]]:
        """What ONNX Runtime is given for a frame: name of the input -> images, a copy. For calibration.

        Args:
            frame: the frame. It takes all places of a fixed batch.
        """
        count = self._runner.input.batch or 1
        images, _ = self._prepared([frame] * count)
        return {self._runner.input.name: (images if self._runner.input.has_batch else images[0]).copy()}

    def begin(self, frames: Sequence[Planes]) -> None:
        """See `PipelinedSegmenter.begin`. Only for a model with `ahead`.

        Args:
            frames: the batch.
        """
        assert self._executor is not None
        runs: list[Run] = []
        for some in self._runs_of(frames):
            images, letterboxes = self._prepared(some)
            runs.append((some, letterboxes, self._executor.submit(self._runner.run, images)))
        self._begun.append(runs)

    def finish(self) -> list[Detections]:
        """See `PipelinedSegmenter.finish`."""
        found: list[Detections] = []
        for some, letterboxes, outputs in self._begun.popleft():
            found += self._read(some, letterboxes, outputs.result())
        return found

    def _runs_of(self, frames: Sequence[Planes]) -> Iterator[Sequence[Planes]]:
        """The frames of each run of the model."""
        count = len(frames) or 1
        step = min(self._runner.input.batch or count, self._layout.max_batch or count)
        for first in range(0, len(frames), step):
            yield frames[first : first + step]

    def _prepared(self, frames: Sequence[Planes]) -> tuple[NDArray[Any], list[Letterbox]]:
        """The input of one run, and where each frame lies in it."""
        input_ = self._runner.input
        images = self._runner.images(input_.batch or len(frames), self._layout.input_size(frames[0]))
        rows = input_.channels_first(images)
        return images, [self._layout.preprocess(frame, rows[row]) for row, frame in enumerate(frames)]

    def _read(
        self, frames: Sequence[Planes], letterboxes: list[Letterbox], outputs: Outputs
    ) -> list[Detections]:
        return [
            self._layout.postprocess(outputs, row, frame, letterbox)
            for row, (frame, letterbox) in enumerate(zip(frames, letterboxes, strict=True))
        ]

    def _check_batch(self, single: Outputs) -> None:
        """Gives a model one image at a time if it declares any batch but answers for one, or fails with two.

        Args:
            single: its outputs for one image.
        """
        try:
            double = self._runner.run_grey(2, PROBE_LEVEL)
        except ModelError as error:
            trouble = str(error)
        else:
            wrong = [
                f"{name} {list(double[name].shape)}"
                for name, value in single.items()
                if value.ndim > 2 and len(value) == 1 and (name not in double or len(double[name]) != 2)
            ]
            if not wrong:
                return
            trouble = f"{self._path}: answers two images with {', '.join(wrong)}"
        log.warning("%s; it is given one at a time", trouble)
        self._runner.input = self._runner.input.with_single_images()


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names from the file's metadata or the configuration; the model is loaded only where neither has them.

    Args:
        config: the section `model`, with `path` set.

    Raises:
        ModelError: as `OnnxSegmenter`.
    """
    names = class_names(config)
    return OnnxSegmenter(config).classes if names is None else ClassMap.from_names(names).names
