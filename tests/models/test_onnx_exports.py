"""Exports that are not quite what they declare, or have more than is needed: they are run as they can be."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.models.onnx.model_file import batch_name
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from tests.models.yolo_export import ONES, SIDE, build, config, frame, onnx, row_v5, row_v8

ROW = row_v8((32, 16, 20, 8), [0.1, 0.9, 0.0], ONES)
BOX = [22, 12, 42, 20]


def changed(path: Path, change: Any) -> Path:
    """The export with its graph changed."""
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def answers_for_one(graph: Any) -> None:
    """Whatever the batch, the outputs are those of its first image."""
    for name in ("output0", "output1"):
        for node in graph.node:
            node.output[:] = [f"all_{one}" if one == name else one for one in node.output]
        graph.node.append(onnx.helper.make_node("Slice", [f"all_{name}", "from0", "to1"], [name]))


def fails_for_two(graph: Any) -> None:
    """A batch of one is written into a reshape, as exporters do."""
    for node in graph.node:
        node.input[:] = ["reshaped" if one == "images" else one for one in node.input]
    shape = onnx.numpy_helper.from_array(np.array([1, 3, SIDE, SIDE], np.int64), "one_image")
    graph.initializer.append(shape)
    graph.node.insert(0, onnx.helper.make_node("Reshape", ["images", "one_image"], ["reshaped"]))


def channels_last(graph: Any, sides: tuple[Any, ...] = (None, None, 3)) -> None:
    """The input is (B, H, W, 3), with open sides where these are None."""
    for node in graph.node:
        node.input[:] = ["first" if one == "images" else one for one in node.input]
    graph.node.insert(0, onnx.helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2]))
    for dimension, side in zip(graph.input[0].type.tensor_type.shape.dim[1:], sides, strict=True):
        dimension.Clear()
        if side is not None:
            dimension.dim_value = side


def prototypes_last(graph: Any) -> None:
    """The prototypes are (B, h, w, m), as TensorFlow has them."""
    for node in graph.node:
        node.output[:] = ["first1" if one == "output1" else one for one in node.output]
    graph.node.append(onnx.helper.make_node("Transpose", ["first1"], ["output1"], perm=[0, 2, 3, 1]))
    graph.output[1].type.tensor_type.Clear()
    graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


@pytest.mark.parametrize("trouble", [answers_for_one, fails_for_two])
def test_an_open_batch_that_is_none_gets_one_frame_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: Any
) -> None:
    def change(graph: Any) -> None:
        trouble(graph)
        graph.input[0].type.tensor_type.shape.dim[
            0
        ].Clear()  # without a name it cannot be fixed while loading

    path = changed(build(tmp_path / "one.onnx", [ROW]), change)
    with caplog.at_level(logging.WARNING):
        model = OnnxSegmenter(config(path))
    found = model.segment([frame(), frame(128, 128), frame()])
    assert [len(one) for one in found] == [1, 1, 1]
    np.testing.assert_allclose(found[1].boxes_px, [[2 * side for side in BOX]], atol=1e-4)
    assert "one.onnx" in caplog.text and "it is given one at a time" in caplog.text


@pytest.mark.parametrize("trouble", [answers_for_one, fails_for_two])
def test_on_a_cpu_a_batch_with_a_name_is_one_from_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: Any
) -> None:
    path = changed(build(tmp_path / "one.onnx", [ROW]), trouble)
    assert batch_name(path) == "batch"
    model = OnnxSegmenter(config(path))
    assert [len(one) for one in model.segment([frame(), frame()])] == [1, 1]
    assert not caplog.records


def test_an_open_batch_that_works_is_used_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def change(graph: Any) -> None:
        graph.input[0].type.tensor_type.shape.dim[0].Clear()

    path = changed(build(tmp_path / "any.onnx", [ROW]), change)
    assert batch_name(path) is None
    model = OnnxSegmenter(config(path))
    assert model._runner.input.batch is None
    assert [len(one) for one in model.segment([frame(), frame()])] == [1, 1]
    assert not caplog.records


@pytest.mark.parametrize("sides", [(None, None, 3), (SIDE, SIDE, 3), (None, None, None)])
def test_an_input_with_channels_last_is_filled_that_way(tmp_path: Path, sides: tuple[Any, ...]) -> None:
    def change(graph: Any) -> None:
        channels_last(graph, sides)

    side = SIDE if sides[0] else 640
    row = row_v8((32, 16, 20, 8), [0.9], [30.0, 0.0, 0.0, 0.0])  # its mask is where the picture is red
    path = build(tmp_path / "last.onnx", [row], side=sides[0] and SIDE, anchors_for=side)
    model = OnnxSegmenter(config(changed(path, change)))
    assert model.input_hw == (side, side)
    found = model.segment([frame(side, side, red=(0, 0, 32, side)), frame(side, side)])
    np.testing.assert_allclose(found[0].boxes_px, [BOX], atol=1e-4)
    inside = found[0].masks[0] >= 128
    assert inside[:, :12].all() and not inside[:, 16:].any()
    assert not (found[1].masks >= 128).any()


def test_boxes_in_parts_of_the_input_and_prototypes_last_are_those_of_tensorflow(tmp_path: Path) -> None:
    row = row_v8((32 / SIDE, 16 / SIDE, 20 / SIDE, 8 / SIDE), [0.9], [30.0, 0.0, 0.0, 0.0])
    path = changed(build(tmp_path / "tf.onnx", [row]), prototypes_last)
    (found,) = OnnxSegmenter(config(path)).segment([frame(red=(0, 0, 32, SIDE))])
    np.testing.assert_allclose(found.boxes_px, [BOX], atol=1e-4)
    inside = found.masks[0] >= 128
    assert inside[:, :12].all() and not inside[:, 16:].any()


@pytest.mark.parametrize("layout", ["v5", "v8", "final"])
def test_outputs_beside_detections_and_prototypes_are_left_alone(tmp_path: Path, layout: str) -> None:
    rows = {
        "v5": row_v5((32, 16, 20, 8), 1.0, [0.1, 0.9], ONES),
        "v8": row_v8((32, 16, 20, 8), [0.1, 0.9], ONES),
        "final": [*map(float, BOX), 0.9, 1.0, *ONES],
    }

    def feature_maps(graph: Any) -> None:
        """Three of rank 4 before the prototypes, one of rank 3, and a constant of rank 5."""
        more = {"small": 4, "colours": 4, "red": 4, "mean3": 3}
        values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in more]
        graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((1, 3, 8, 8, 2), np.float32), "grid"))
        values.append(onnx.helper.make_tensor_value_info("grid", onnx.TensorProto.FLOAT, [1, 3, 8, 8, 2]))
        for place, value in enumerate(values):
            graph.output.insert(place, value)

    path = changed(build(tmp_path / "more.onnx", [rows[layout]], layout=layout), feature_maps)
    (found,) = OnnxSegmenter(config(path, classes=("person", "car"))).segment([frame()])
    np.testing.assert_allclose(found.boxes_px, [BOX], atol=1e-4)
    assert found.class_ids.tolist() == [1]
