"""Which of ONNX Runtime's execution providers is taken, and what an ONNX file tells without ONNX Runtime."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.onnx.model_file import metadata, metadata_entry, weight_shape
from pipeline.models.onnx.protobuf import field_bytes, varint_bytes
from pipeline.models.onnx.session import choose_devices, provider_options

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
    assert choose_devices(device, available) == (kinds, number)


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "cpu:0", "openvino:1", "auto:0"])
def test_what_is_no_device_is_told_with_those_there_are(device: str) -> None:
    with pytest.raises(ModelError, match=r"expected auto, cpu, cuda or cuda:N, tensorrt or openvino"):
        choose_devices(device, [CPU])


@pytest.mark.parametrize(
    ("device", "package"),
    [("cuda", "onnxruntime-gpu"), ("tensorrt", "TensorRT"), ("openvino", "onnxruntime-openvino")],
)
def test_a_device_that_is_not_there_names_what_to_install(device: str, package: str) -> None:
    with pytest.raises(ModelError, match=package):
        choose_devices(device, [CPU])


def test_tensorrt_keeps_its_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = Path(provider_options("tensorrt", 1)["trt_engine_cache_path"])
    assert folder.is_dir() and folder.is_relative_to(tmp_path)
    assert provider_options("cuda", 2) == {"device_id": 2}


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


def test_a_file_of_a_gigabyte_is_not_read_for_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    weights = 1 << 30
    tensor = varint_bytes(9 << 3 | 2) + varint_bytes(weights)
    graph = varint_bytes(5 << 3 | 2) + varint_bytes(len(tensor) + weights) + tensor
    with path.open("wb") as file:  # the weights are a hole in the file
        file.write(varint_bytes(7 << 3 | 2) + varint_bytes(len(graph) + weights) + graph)
        file.seek(weights, 1)
        file.write(metadata_entry("names", "['a']"))
    tracemalloc.start()
    assert metadata(path) == {"names": "['a']"}
    assert weight_shape(path, "bias") is None
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_strings_and_shapes_without_measure_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.onnx"
    key = varint_bytes(1 << 3 | 2) + varint_bytes(1 << 30)
    with path.open("wb") as file:
        file.write(varint_bytes(14 << 3 | 2) + varint_bytes(len(key) + (1 << 30)) + key)
        file.truncate(file.tell() + (1 << 30))
    with pytest.raises(ModelError, match="is not an ONNX model .a string of 1073741824 bytes"):
        metadata(path)
    path.write_bytes(field_bytes(7, field_bytes(5, field_bytes(1, b"\x01" * 10_000))))
    with pytest.raises(ModelError, match="is not an ONNX model .a tensor of more than 64 dimensions"):
        weight_shape(path, "bias")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_model_or_refused_in_one_line(data: bytes) -> None:
    with NamedTemporaryFile(suffix=".onnx") as file:
        file.write(data)
        file.flush()
        for read in (metadata, lambda path: weight_shape(path, "bias")):
            try:
                read(Path(file.name))
            except ModelError as error:
                assert "\n" not in str(error) and "is not an ONNX model" in str(error)


def test_names_that_mean_no_object_are_no_classes() -> None:
    classes = ClassMap.from_names({0: "BACKGROUND", 1: "person", 2: "N/A", 3: "person", 5: "car"})
    assert classes.names == ("person", "car")
    assert classes.lookup(np.array([0, 1, 2, 3, 4, 5, 6, -1])).tolist() == [-1, 0, -1, 0, -1, 1, -1, -1]
