"""int8 versions: a small convolutional YOLO, quantized as a user does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.models.onnx.model_file import metadata
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from pipeline.models.onnx.quantize import sensitive_nodes
from tests.models.yolo_export import CELLS, SIDE, config, frame, onnx

WIDTHS = (3, 8, 8)


def convolutional(path: Path) -> Path:
    """A v8 export of one class: a stem of two convolutions, then one convolution for each output.

    The box of an anchor is its cell; its score is how red the cell is, and its mask fills the box.
    """
    helper, put = onnx.helper, onnx.numpy_helper.from_array
    nodes, constants = [], []

    def conv(source: str, name: str, weights: Any, bias: Any, **more: Any) -> str:
        constants.append(put(np.asarray(weights, np.float32), f"{name}.weight"))
        constants.append(put(np.asarray(bias, np.float32), f"{name}.bias"))
        nodes.append(
            helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [name], name=name, **more)
        )
        return name

    def then(operator: str, *inputs: str, **more: Any) -> str:
        name = f"{operator}{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **more))
        return name

    pool = {"kernel_shape": [4, 4], "strides": [4, 4]}
    eye = np.eye(8, 3).reshape(8, 3, 1, 1)
    stem = conv(then("AveragePool", "images", **pool), "stem1", eye, np.zeros(8))
    stem = then("Mul", stem, then("Sigmoid", stem))
    stem = conv(stem, "stem2", np.eye(8).reshape(8, 8, 1, 1), np.zeros(8))
    head = np.zeros((6, 8, 1, 1))
    head[4, 0] = 12.0  # the score, from red
    flat = []
    for stride in (8, 16, 32):
        count = SIDE // stride
        small = then(
            "AveragePool", stem, kernel_shape=[stride // 4, stride // 4], strides=[stride // 4, stride // 4]
        )
        raw = conv(small, f"head{stride}", head, [0, 0, 0, 0, -6, 9])
        constants.append(put(np.array([1, 6, count * count], np.int64), f"flat{stride}"))
        flat.append(then("Reshape", raw, f"flat{stride}"))
    table = np.zeros((1, 6, CELLS), np.float32)
    centers = [
        ((x + 0.5) * stride, (y + 0.5) * stride, stride, stride)
        for stride in (8, 16, 32)
        for y in range(SIDE // stride)
        for x in range(SIDE // stride)
    ]
    table[0, :4] = np.array(centers).T
    constants.append(put(table, "cells"))
    both = then("Add", then("Concat", *flat, axis=2), "cells")
    constants.append(put(np.array([4, 1, 1], np.int64), "split"))
    nodes.append(helper.make_node("Split", [both, "split"], ["box", "logit", "ones"], axis=1, name="parts"))
    score = then("Sigmoid", "logit")
    nodes.append(helper.make_node("Concat", ["box", score, "ones"], ["output0"], axis=1, name="out0"))
    conv(stem, "output1", np.zeros((1, 8, 1, 1)), [1.0])
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", kind, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, kind, None) for name in ("output0", "output1")],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'red'}"})
    onnx.save(model, path)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of pictures in which a red square moves."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        x = 8 * (number % 4)
        image[16:32, x : x + 16, 0] = 250
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    return folder


def quantize(*words: Any, answer: str = "") -> Any:
    return CliRunner().invoke(app, ["models", "quantize", *map(str, words)], input=answer)


def test_the_int8_version_finds_the_same_objects_and_says_so_first(tmp_path: Path, clip: Path) -> None:
    path, target = convolutional(tmp_path / "red.onnx"), tmp_path / "red-int8.onnx"
    done = quantize(path, "--calibrate", clip, "--frames", 4, "--yes", "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    assert "x the frames a second" in done.output and " 0 lost, 0 found by int8 alone" in done.output
    assert json.loads((tmp_path / "report.json").read_text())["same"]["red"] > 0
    about = metadata(target)
    assert about["names"] == "{0: 'red'}" and json.loads(about["tallycam_int8"])["of"] == "red.onnx"
    picture = frame(red=(16, 16, 32, 32))
    (expected,) = OnnxSegmenter(config(path)).segment([picture])
    (found,) = OnnxSegmenter(config(target)).segment([picture])
    assert len(expected) == 5  # the square is one cell of 16 x 16, and four of 8 x 8
    np.testing.assert_allclose(np.sort(found.boxes_px, axis=0), np.sort(expected.boxes_px, axis=0), atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.05)


def test_boxes_and_scores_stay_as_they_are_behind_the_last_convolutions(tmp_path: Path) -> None:
    graph = onnx.load(convolutional(tmp_path / "red.onnx")).graph
    left_out = sensitive_nodes(graph)
    assert {"head8", "head16", "head32", "output1", "out0"} <= left_out
    assert not {"stem1", "stem2"} & left_out
    quantize(tmp_path / "red.onnx", "--calibrate", _pictures(tmp_path), "--frames", 2, "--yes")
    nodes = onnx.load(tmp_path / "red-int8.onnx").graph.node
    made = {node.output[0]: node for node in nodes}
    inputs = {node.name: [made[one].op_type for one in node.input if one in made] for node in nodes}
    assert inputs["stem2"][0] == "DequantizeLinear" and inputs["output1"][1:] == []


def _pictures(folder: Path) -> Path:
    pictures = folder / "two"
    pictures.mkdir()
    for number in range(4):
        Image.fromarray(np.full((SIDE, SIDE, 3), 60 * number, np.uint8)).save(pictures / f"{number}.png")
    return pictures


def test_nothing_is_written_without_consent(tmp_path: Path, clip: Path) -> None:
    path, target = convolutional(tmp_path / "red.onnx"), tmp_path / "other.onnx"
    done = quantize(path, "--calibrate", clip, "--onnx", target, "--frames", 2, answer="n\n")
    assert done.exit_code == 1 and "Speed:" in done.output and "Write" in done.output
    assert not target.exists()
    done = quantize(path, "--calibrate", clip, "--onnx", target, "--frames", 2, answer="y\n")
    assert done.exit_code == 0 and target.exists()


def test_what_cannot_be_quantized_is_refused_in_one_line(tmp_path: Path, clip: Path) -> None:
    path, target = convolutional(tmp_path / "red.onnx"), tmp_path / "red-int8.onnx"
    for words, reason in (
        ((tmp_path / "none.onnx", "--calibrate", clip), "none.onnx"),
        (("street", "--calibrate", clip), "only ONNX models"),
        ((path, "--calibrate", tmp_path / "none.mp4"), "none.mp4"),
        ((path, "--calibrate", clip, "--onnx", path), "is the original"),
    ):
        done = quantize(*words, "--yes")
        assert done.exit_code != 0
        assert reason in str(done.exception) and "\n" not in str(done.exception)
    assert quantize(path, "--calibrate", clip, "--frames", 2, "--yes").exit_code == 0
    done = quantize(target, "--calibrate", clip, "--frames", 2, "--yes")
    assert "is int8 already" in str(done.exception)
