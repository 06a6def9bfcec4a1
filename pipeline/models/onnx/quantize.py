"""int8 versions of ONNX models: weights and activations, by ONNX Runtime's static quantization (QDQ).

The ranges of activations come from frames of a clip. Convolutions and multiplications by weights are quantized, and
what lies between them, so that values stay int8 from one to the next. What is sensitive stays as it is: the last of
them before each output, with everything after it (boxes are hundreds of pixels wide, scores are thresholded).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ModelError
from pipeline.models.onnx.model_file import metadata
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from pipeline.models.onnx.session import first_line
from pipeline.models.processor import multiplies_int8
from pipeline.transport.planes import Planes

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTED = ("Conv", "MatMul", "Gemm")
BETWEEN = ("Sigmoid", "Mul", "Add", "Concat", "MaxPool", "Resize")
"""Operators with int8 kernels that lie between those."""
KEY = "tallycam_int8"
"""Metadata of a quantized model."""


def need_packages() -> None:
    """Raises `ModelError` where a package is missing that quantization needs."""
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"quantize needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def quantize(path: Path, target: Path, frames: Sequence[Planes], model: OnnxSegmenter) -> int:
    """Writes the int8 version of a model.

    Args:
        path: the ONNX file.
        target: file of the int8 version.
        frames: for calibration, of the kind that the model will see.
        model: the model, for its preprocessing.

    Returns:
        How many convolutions and multiplications were quantized.

    Raises:
        ModelError: a package is missing, the model is int8 already, or ONNX Runtime cannot quantize it.
    """
    need_packages()
    if KEY in metadata(path):
        raise ModelError(f"{path}: is int8 already; quantize the model that it was made of")
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="quantize-") as folder, _quiet():
        prepared = Path(folder, "prepared.onnx")
        try:
            quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
            graph = onnx.load(str(prepared)).graph
            left_out = sensitive_nodes(graph)
            chosen = [
                node.name for node in graph.node if node.op_type in WEIGHTED and node.name not in left_out
            ]
            quantize_static(
                str(prepared),
                str(target),
                _Frames(frames, model),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                # Without instructions for int8 the sum of two products overflows 16 bits, unless weights have 7.
                reduce_range=not multiplies_int8(),
                op_types_to_quantize=[*WEIGHTED, *BETWEEN],
                nodes_to_exclude=sorted(left_out),
                extra_options={"MatMulConstBOnly": True},
            )
            _describe(target, path, len(frames))
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"{path}: ONNX Runtime cannot quantize it: {first_line(error)}") from error
    if not chosen:
        raise ModelError(f"{path}: has no convolution that could be quantized")
    return len(chosen)


def sensitive_nodes(graph: Any) -> set[str]:
    """Names of the nodes from the last convolution or multiplication by weights before each output to its end.

    Args:
        graph: an `onnx.GraphProto` whose nodes have names.
    """
    weights = {one.name for one in graph.initializer}
    producer = {output: node for node in graph.node for output in node.output}
    found: set[str] = set()
    waiting = [output.name for output in graph.output]
    while waiting:
        node = producer.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if not (node.op_type in WEIGHTED and any(name in weights for name in node.input)):
            waiting += node.input
    return found


class _Frames:
    """Frames as ONNX Runtime's `CalibrationDataReader` wants them."""

    def __init__(self, frames: Sequence[Planes], model: OnnxSegmenter) -> None:
        self._frames, self._model, self._next = frames, model, 0

    def get_next(self) -> dict[str, Any] | None:
        if self._next == len(self._frames):
            return None
        self._next += 1
        return self._model.feeds(self._frames[self._next - 1])


def _describe(target: Path, source: Path, frames: int) -> None:
    """Writes the metadata of the original, and how it was quantized, into the int8 version."""
    import onnx

    model = onnx.load(str(target))
    about = {"of": source.name, "frames": frames, "weights_bits": 8 if multiplies_int8() else 7}
    onnx.helper.set_model_props(model, {**metadata(source), KEY: json.dumps(about)})
    onnx.save(model, str(target))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the advice that ONNX Runtime's quantization logs for those who call it themselves."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
