"""Runs through bound memory, and two batches in flight, as on a GPU: tried on the CPU, with the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.models.detections import Detections
from pipeline.models.onnx import onnx_model
from pipeline.models.onnx.onnx_model import OnnxSegmenter
from pipeline.models.onnx.runner import Runner
from pipeline.models.onnx.session import open_session
from tests.models.yolo_export import RED, SIDE, build, config, frame, onnx, row_v8

ort = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

ROWS = [row_v8((32, 32, 64, 64), [0.9], RED)]


def plain_memory(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.empty(shape, dtype)


def any_batch(path: Path) -> Any:
    """A session as a GPU has it, whose batch is open."""
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def rows_for_red(path: Path) -> Path:
    """A model with one row of its output for each red pixel: its shape depends on the picture."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Greater", ["images", "level"], ["red"]),
        helper.make_node("NonZero", ["red"], ["places"]),
        helper.make_node("Cast", ["places"], ["out"], to=kind),
    ]
    graph = helper.make_graph(
        nodes,
        "rows",
        [helper.make_tensor_value_info("images", kind, ["batch", 3, 4, 4])],
        [helper.make_tensor_value_info("out", kind, None)],
        [onnx.numpy_helper.from_array(np.array(0.5, np.float32), "level")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_bound_memory_gives_what_a_plain_run_gives(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    session = any_batch(path)
    plain, bound = Runner(path, session), Runner(path, session, plain_memory)
    for number, count in enumerate((1, 2, 2, 1, 1)):
        images = np.random.default_rng(number).random((count, 3, SIDE, SIDE), np.float32)
        expected, found = plain.run(images), bound.run(images)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)


def test_outputs_of_one_run_stay_when_the_next_one_runs(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    bound = Runner(path, open_session(config(path)).session, plain_memory)
    for _ in range(2):
        bound.run(np.zeros((1, 3, SIDE, SIDE), np.float32))
    first = bound.run(np.zeros((1, 3, SIDE, SIDE), np.float32))["output1"]
    before = first.copy()
    bound.run(np.ones((1, 3, SIDE, SIDE), np.float32))
    np.testing.assert_array_equal(first, before)


def test_an_output_whose_shape_follows_the_picture_is_not_bound(tmp_path: Path) -> None:
    path = rows_for_red(tmp_path / "rows.onnx")
    bound = Runner(path, open_session(config(path)).session, plain_memory)
    for count in (3, 5, 0, 5):
        images = np.zeros((1, 3, 4, 4), np.float32)
        images.reshape(-1)[:count] = 1
        assert bound.run(images)["out"].shape == (4, count)


def test_the_buffer_of_images_is_one_and_always_starts_empty(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", ROWS)
    runner = Runner(path, any_batch(path))
    first = runner.images(3, (SIDE, SIDE))
    first.fill(7)
    again = runner.images(2, (SIDE, SIDE))
    assert np.shares_memory(first, again) and again.shape == (2, 3, SIDE, SIDE) and not again.any()
    assert runner.images(1, (SIDE, 2 * SIDE)).shape == (1, 3, SIDE, 2 * SIDE)


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_batches_in_flight_are_finished_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | None
) -> None:
    path = build(tmp_path / "m.onnx", ROWS, batch=batch)
    frames = [frame(red=(0, 0, 16 * n, SIDE)) if n else frame() for n in range(4)]
    expected = OnnxSegmenter(config(path)).segment(frames)
    monkeypatch.setattr(onnx_model.OpenSession, "on_gpu", True)
    monkeypatch.setattr(onnx_model, "pinned_memory", plain_memory)
    model = OnnxSegmenter(config(path))
    assert model.ahead == 1 and not model.busy
    model.begin(frames[:2])
    model.begin(frames[2:])
    found = model.finish() + model.finish()
    assert not model.busy
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def same(found: Detections, expected: Detections) -> None:
    np.testing.assert_array_equal(found.boxes_px, expected.boxes_px)
    np.testing.assert_array_equal(found.masks, expected.masks)
