"""Small YOLO segmentation exports with known outputs, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import ModelConfig
from pipeline.transport.planes import Planes

onnx = pytest.importorskip("onnx", reason="needs the development package onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

SIDE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2
"""Anchors of one input of 64 x 64 in the v8 layout."""
PROTOTYPES = 4
"""Red, green, blue minus one half, and a constant 1."""


def row_v8(box: tuple[float, ...], scores: list[float], coefficients: list[float]) -> list[float]:
    return [*box, *scores, *coefficients]


def row_v5(
    box: tuple[float, ...], objectness: float, scores: list[float], coefficients: list[float]
) -> list[float]:
    return [*box, objectness, *scores, *coefficients]


def build(
    path: Path,
    rows: list[list[float]],
    layout: str = "v8",
    batch: int | None = None,
    dtype: Any = np.float32,
    names: str | None = None,
    side: int | None = SIDE,
    anchors_for: int = SIDE,
) -> Path:
    """A model whose detections are `rows` and whose prototypes are the input, four times smaller.

    It has the anchors of an input of `anchors_for` x `anchors_for`.
    """
    features = len(rows[0])
    cells = CELLS * (anchors_for // SIDE) ** 2
    table = np.zeros(({"v8": cells, "v5": 3 * cells, "final": 7}[layout], features), np.float32)
    table[: len(rows)] = rows
    detections = (table.T if layout == "v8" else table)[None].astype(dtype)
    half = np.full((1, 3, 1, 1), 0.5, dtype)
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean4"]),
        helper.make_node("ReduceSum", ["mean4", "axes"], ["mean2"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean2", "last"], ["mean3"]),
        helper.make_node("Mul", ["mean3", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "table"], ["output0"]),
        helper.make_node("AveragePool", ["images"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Sub", ["small", "half"], ["colours"]),
        helper.make_node("Slice", ["colours", "from0", "to1", "channel"], ["red"]),
        helper.make_node("Mul", ["red", "zero"], ["red0"]),
        helper.make_node("Add", ["red0", "one"], ["ones"]),
        helper.make_node("Concat", ["colours", "ones"], ["output1"], axis=1),
    ]
    constants = {
        "axes": np.array([1, 2], np.int64), "last": np.array([2], np.int64), "zero": np.zeros(1, dtype),
        "one": np.ones(1, dtype), "half": half, "from0": np.array([0], np.int64), "to1": np.array([1], np.int64),
        "channel": np.array([1], np.int64),
    }  # fmt: skip
    constants["table"] = detections
    graph = helper.make_graph(
        nodes,
        "fake",
        [helper.make_tensor_value_info("images", kind, [batch or "batch", 3, side or "h", side or "w"])],
        [
            helper.make_tensor_value_info("output0", kind, ["b", "r", "c"]),
            helper.make_tensor_value_info("output1", kind, ["b", PROTOTYPES, "ph", "pw"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return save(path, graph, names)


def save(path: Path, graph: Any, names: str | None = None) -> Path:
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    if names is not None:
        onnx.helper.set_model_props(model, {"names": names, "task": "segment"})
    onnx.save(model, path)
    return path


def frame(width: int = SIDE, height: int = SIDE, red: tuple[int, int, int, int] | None = None) -> Planes:
    image = np.zeros((height, width, 3), np.uint8)
    if red is not None:
        x0, y0, x1, y1 = red
        image[y0:y1, x0:x1, 0] = 255
    return Planes.from_rgb(image)


def config(path: Path, **more: Any) -> ModelConfig:
    return ModelConfig(path=path, device="cpu", threads=1, **more)


ONES = [0.0, 0.0, 0.0, 9.0]
"""Coefficients of a mask that fills its box."""
RED = [30.0, 0.0, 0.0, 0.0]
"""Coefficients of a mask that is where the image is red."""
