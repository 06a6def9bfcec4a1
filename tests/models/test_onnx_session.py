"""Which of ONNX Runtime's execution providers is taken, and what an ONNX file tells without ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models.onnx.graph_file import Classes, metadata, weight_shape
from pipeline.models.onnx.session import settings, wanted

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT, OPENVINO = "TensorrtExecutionProvider", "OpenVINOExecutionProvider"


@pytest.mark.parametrize(
    ("device", "available", "kinds", "number"),
    [
        ("auto", [CPU], ["cpu"], 0),
        ("auto", [OPENVINO, CPU], ["openvino", "cpu"], 0),
        ("auto", [TENSORRT, CUDA, CPU], ["cuda", "cpu"], 0),
        ("cpu", [CUDA, OPENVINO, CPU], ["cpu"], 0),
        ("cuda:3", [CUDA, CPU], ["cuda", "cpu"], 3),
        ("tensorrt:1", [TENSORRT, CUDA, CPU], ["tensorrt", "cuda", "cpu"], 1),
        ("openvino", [OPENVINO, CPU], ["openvino", "cpu"], 0),
    ],
)
def test_the_best_device_that_is_there_comes_first(
    device: str, available: list[str], kinds: list[str], number: int
) -> None:
    assert wanted(device, available) == (kinds, number)


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "cpu:0", "openvino:1", "auto:0"])
def test_what_is_no_device_is_told_with_those_there_are(device: str) -> None:
    with pytest.raises(ModelError, match=r"expected auto, cpu, cuda or cuda:N, tensorrt or openvino"):
        wanted(device, [CPU])


@pytest.mark.parametrize(
    ("device", "package"),
    [("cuda", "onnxruntime-gpu"), ("tensorrt", "TensorRT"), ("openvino", "onnxruntime-openvino")],
)
def test_a_device_that_is_not_there_names_what_to_install(device: str, package: str) -> None:
    with pytest.raises(ModelError, match=package):
        wanted(device, [CPU])


def test_tensorrt_keeps_its_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = Path(settings("tensorrt", 1)["trt_engine_cache_path"])
    assert folder.is_dir() and folder.is_relative_to(tmp_path)
    assert settings("cuda", 2) == {"device_id": 2}


def test_shape_of_a_weight_is_read_without_its_values(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the development package onnx")
    weights = [
        onnx.numpy_helper.from_array(np.zeros((4, 3), np.float32), "body.weight"),
        onnx.numpy_helper.from_array(np.zeros(91, np.float16), "head.cls_score.bias"),
    ]
    graph = onnx.helper.make_graph([], "weights", [], [], weights)
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    assert weight_shape(path, "cls_score.bias") == (91,)
    assert weight_shape(path, "body.weight") == (4, 3)
    assert weight_shape(path, "other") is None
    assert metadata(path) == {}


def test_names_that_mean_no_object_are_no_classes() -> None:
    classes = Classes.of({0: "BACKGROUND", 1: "person", 2: "N/A", 3: "person", 5: "car"})
    assert classes.names == ("person", "car")
    assert classes.meant(np.array([0, 1, 2, 3, 4, 5, 6, -1])).tolist() == [-1, 0, -1, 0, -1, 1, -1, -1]
