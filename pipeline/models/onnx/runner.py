"""Running a session of ONNX Runtime: images in, named outputs out; on a GPU through memory that is bound once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from pipeline.models.onnx.image_input import ImageInput, possible_inputs
from pipeline.models.onnx.layout import Outputs
from pipeline.models.onnx.session import first_line

Allocate = Callable[[tuple[int, ...], "np.dtype[Any]"], NDArray[Any]]
"""Shape and type -> an array without content."""


class Runner:
    """A session with one image input.

    Args:
        path: of the model, for messages.
        session: an `onnxruntime.InferenceSession`.
        allocate: makes memory for images and outputs, pinned for a GPU; None: images share one buffer, and ONNX Runtime
            makes the memory of outputs, which it does not copy on a CPU.

    Attributes:
        input: how it takes images.

    Raises:
        ModelError: the model has several inputs, or one that is no image.
    """

    def __init__(self, path: Path, session: Any, allocate: Allocate | None = None) -> None:
        self._path, self._session, self._allocate = path, session, allocate
        self._possible = possible_inputs(session.get_inputs(), path)
        self.input: ImageInput = self._possible[0]
        self._names = [output.name for output in session.get_outputs()]
        self._shapes: dict[tuple[int, ...], list[tuple[tuple[int, ...], np.dtype[Any]]]] = {}
        """Shape of the images -> shape and type of each output; empty where these depend on the picture."""
        self._buffer: NDArray[Any] | None = None

    def replace_session(self, session: Any) -> None:
        """Goes on with another session of the same model.

        Args:
            session: an `onnxruntime.InferenceSession`.
        """
        self._session = session

    def probe(self, level: float) -> Outputs:
        """The outputs for uniform grey images, one, or as many as the model wants; settles the order of axes.

        Args:
            level: of the grey, 0..1.

        Raises:
            ModelError: the model cannot be run.
        """
        for last, candidate in zip(range(len(self._possible) - 1, -1, -1), self._possible, strict=True):
            self.input = candidate
            try:
                return self.run_grey(candidate.batch or 1, level)
            except ModelError:
                if not last:
                    raise
        raise AssertionError("there is always a candidate")

    def run_grey(self, count: int, level: float) -> Outputs:
        """The outputs for uniform grey images.

        Args:
            count: of images.
            level: of the grey, 0..1.

        Raises:
            ModelError: the model cannot be run.
        """
        images = self.images(count, self.input.hw)
        images.fill(level)
        return self.run(images)

    def images(self, count: int, hw: tuple[int, int]) -> NDArray[Any]:
        """Memory for images, all zeros, in the order of axes of `input`.

        Args:
            count: of images.
            hw: height and width, pixels.

        Returns:
            Without `allocate`, the same memory each time.
        """
        shape = self.input.shape(count, hw)
        if self._allocate is not None:
            images = self._allocate(shape, self.input.dtype)
        else:
            if self._buffer is None or len(self._buffer) < count or self._buffer.shape[1:] != shape[1:]:
                self._buffer = np.empty(shape, self.input.dtype)
            images = self._buffer[:count]
        images.fill(0)
        return images

    def run(self, images: NDArray[Any]) -> Outputs:
        """All outputs of one run: integers as int64, everything else as float32.

        Args:
            images: in the order of axes of `input`.

        Returns:
            Output name -> value.

        Raises:
            ModelError: ONNX Runtime cannot run the model.
        """
        given = images if self.input.has_batch else images[0]
        try:
            values = (
                self._session.run(None, {self.input.name: given})
                if self._allocate is None
                else self._run_bound(given, self._allocate)
            )
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"{self._path}: ONNX Runtime could not run it: {first_line(error)}") from error
        named = zip(self._names, values, strict=True)
        return {name: _as_number(value) for name, value in named if isinstance(value, np.ndarray)}

    def _run_bound(self, given: NDArray[Any], allocate: Allocate) -> list[NDArray[Any]]:
        """One run into memory of known shapes. The first run of each shape of the input tells them.

        An output whose shape depends on the picture (one row for each object) does not fit another time: ONNX Runtime
        refuses the memory, and this shape of the input is not bound again.
        """
        from onnxruntime import OrtValue

        bound = self._session.io_binding()
        bound.bind_cpu_input(self.input.name, given)
        known = self._shapes.get(given.shape)
        if known:
            values: list[NDArray[Any]] = [allocate(shape, dtype) for shape, dtype in known]
            for name, value in zip(self._names, values, strict=True):
                bound.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(value))
            try:
                self._session.run_with_iobinding(bound)
            except RuntimeError:
                self._shapes[given.shape] = []
            else:
                return values
            bound = self._session.io_binding()
            bound.bind_cpu_input(self.input.name, given)
        for name in self._names:
            bound.bind_output(name, "cpu")
        self._session.run_with_iobinding(bound)
        values = bound.copy_outputs_to_cpu()
        if known is None and all(isinstance(value, np.ndarray) for value in values):
            self._shapes[given.shape] = [(value.shape, value.dtype) for value in values]
        return values


def _as_number(value: NDArray[Any]) -> NDArray[Any]:
    if value.dtype == np.bool_ or np.issubdtype(value.dtype, np.floating):
        return np.asarray(value, np.float32)
    return np.asarray(value, np.int64)
