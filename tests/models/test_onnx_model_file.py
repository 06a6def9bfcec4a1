"""What an ONNX file says without being loaded, and which files are refused."""

from __future__ import annotations

import ast
import tracemalloc
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.onnx.model_file import batch_name, metadata, metadata_entry, weight_shape
from pipeline.models.onnx.protobuf import field_bytes, varint_bytes


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
        for read in (metadata, batch_name, lambda path: weight_shape(path, "bias")):
            try:
                read(Path(file.name))
            except ModelError as error:
                assert "\n" not in str(error) and "is not an ONNX model" in str(error)


def test_metadata_is_appended_as_the_format_has_it(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    graph = onnx.helper.make_graph([], "empty", [], [])
    data = onnx.helper.make_model(graph).SerializeToString()
    names = str({n: f"class {n}" for n in range(1, 91)})
    (tmp_path / "a.onnx").write_bytes(data + metadata_entry("names", names) + metadata_entry("a", "b"))
    read = onnx.load(str(tmp_path / "a.onnx"))
    assert {prop.key: prop.value for prop in read.metadata_props} == {"names": names, "a": "b"}
    assert ast.literal_eval(metadata(tmp_path / "a.onnx")["names"])[90] == "class 90"
