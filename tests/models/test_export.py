"""ONNX files of Mask R-CNNs, the list of models, and how fast they are."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.cli.arguments import parse_numbers, parse_size
from pipeline.config.schema import ModelConfig
from pipeline.demo.clip import bundled_frames
from pipeline.errors import ConfigError, ModelError
from pipeline.geometry.boxes import box_iou
from pipeline.models import catalog, registry
from pipeline.models.bench import bench
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn import export as exporting
from pipeline.models.maskrcnn.export import export
from pipeline.models.maskrcnn.export_check import MAX_DETECTIONS, compare, match_detections
from pipeline.models.onnx.model_file import metadata, metadata_entry
from pipeline.transport.planes import Planes


@pytest.mark.slow
def test_the_shipped_model_as_onnx_finds_what_it_finds(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    frames = bundled_frames(2)
    path = tmp_path / "street.onnx"
    done = export(None, path, frames=frames)
    assert (done.size, done.classes, done.comparison.images) == (
        (512, 288),
        ("person", "bicycle", "car", "bus"),
        4,
    )
    assert done.comparison.detections >= 5
    differences = done.comparison
    assert differences.boxes_px < 0.01 and differences.scores < 1e-4 and differences.masks < 1e-3
    assert list(tmp_path.iterdir()) == [path]
    planes = [Planes.from_rgb(frame) for frame in frames]
    own = registry.load(ModelConfig(score=0.5)).segment(planes)
    read = registry.load(ModelConfig(path=path, score=0.5)).segment(planes)
    assert registry.classes_of(ModelConfig(path=path)) == done.classes
    for here, there in zip(own, read, strict=True):
        assert sure_share_found(here, there) == sure_share_found(there, here) == 1.0


def sure_share_found(ours: Detections, others: Detections) -> float:
    """Share of the sure objects of the one that the other has, with the same class and nearly the same box: frames
    are scaled in another way for the file, so the weakest objects may be over the threshold on one side only."""
    overlap = box_iou(ours.boxes_px.astype(np.float64), others.boxes_px.astype(np.float64))
    overlap[ours.class_ids[:, None] != others.class_ids[None]] = 0.0
    sure = ours.scores >= 0.75
    assert sure.sum() >= 5
    assert np.median(overlap.max(axis=1)[sure]) > 0.98
    return float((overlap.max(axis=1)[sure] > 0.8).mean())


def test_a_size_that_the_network_cannot_take_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--size: got 500x288, expected multiples of 32"):
        export(None, tmp_path / "a.onnx", size=(500, 288))


def test_other_objects_than_in_pytorch_are_told_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        def __init__(self, *arguments: object, **more: object) -> None:
            pass

        def run(self, names: Sequence[str], inputs: object) -> list[np.ndarray]:
            return [np.zeros((1, 4)), np.array([2]), np.array([0.5]), np.zeros((1, 28, 28))]

    class One(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return torch.zeros(1, 4), torch.tensor([1]), torch.tensor([0.5]), torch.zeros(1, 28, 28)

    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(ModelError, match="image 0: PyTorch finds 1 objects, ONNX Runtime 1, or others"):
        compare(One(), tmp_path / "a.onnx", [np.zeros((1, 3, 32, 32), np.float32)])
    monkeypatch.setattr(exporting, "_write", lambda model, path, size: path.write_bytes(b""))
    with pytest.raises(ModelError, match="the file was not written"):
        export(None, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_metadata_is_appended_as_the_format_has_it(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    graph = onnx.helper.make_graph([], "empty", [], [])
    data = onnx.helper.make_model(graph).SerializeToString()
    names = str({n: f"class {n}" for n in range(1, 91)})
    (tmp_path / "a.onnx").write_bytes(data + metadata_entry("names", names) + metadata_entry("a", "b"))
    read = onnx.load(str(tmp_path / "a.onnx"))
    assert {prop.key: prop.value for prop in read.metadata_props} == {"names": names, "a": "b"}
    assert ast.literal_eval(metadata(tmp_path / "a.onnx")["names"])[90] == "class 90"


def test_the_list_tells_what_is_here_and_how_to_get_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    rows = {row.name: row for row in catalog.list_models()}
    assert set(rows) == {"street", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "motion"}
    assert rows["street"].classes == ("person", "bicycle", "car", "bus") and 1 < rows["street"].megabytes < 8
    away = rows["maskrcnn_resnet50_fpn_v2"]
    assert away.where == "not here: tallycam models pull maskrcnn_resnet50_fpn_v2"
    assert len(away.classes) == 80 and away.licence == "BSD-3-Clause" and away.megabytes > 100


def test_weights_that_are_no_model_or_ship_are_not_fetched() -> None:
    assert "nothing to fetch" in catalog.pull_weights("street")
    with pytest.raises(
        ModelError, match="got yolo, expected maskrcnn_resnet50_fpn or maskrcnn_resnet50_fpn_v2"
    ):
        catalog.pull_weights("yolo")
    with pytest.raises(ModelError, match="motion is motion, expected a Mask R-CNN"):
        catalog.maskrcnn_weights(ModelConfig(name="motion"))


class Timed:
    """Takes 10 ms for each batch and 5 for each frame, by its own clock; has no memory for 8."""

    classes = ("person",)
    device = "cpu"

    def __init__(self) -> None:
        self.now_s = 0.0

    def warm_up(self) -> None:
        pass

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        if len(frames) == 8:
            raise torch.OutOfMemoryError
        self.now_s += 0.010 + 0.005 * len(frames)
        return [Detections.empty()] * len(frames)


def test_the_bench_times_runs_and_goes_on_after_a_batch_that_does_not_fit() -> None:
    model = Timed()
    frame = Planes.from_rgb(np.zeros((32, 32, 3), np.uint8))
    one, eight, four = bench(model, [frame], [1, 8, 4], 0.1, clock=lambda: model.now_s)
    assert (one.batch, one.p50_ms, one.frames_per_s) == (1, pytest.approx(15), pytest.approx(1 / 0.015))
    assert eight.trouble == "not enough memory"
    assert (four.p50_ms, four.frames_per_s) == (pytest.approx(30), pytest.approx(4 / 0.03))
    assert one.runs == 7 and four.runs == 4


def test_sizes_and_numbers_that_are_none() -> None:
    assert parse_size("1920x1080", "--size") == (1920, 1080)
    assert parse_numbers("1, 4,8", "--batches") == [1, 4, 8]
    for text in ("1920", "x", "0x5", "axb", "1920x1080x3"):
        with pytest.raises(ConfigError, match="--size: got"):
            parse_size(text, "--size")
    for text in ("", "1,", "0", "a", "1;2"):
        with pytest.raises(ConfigError, match="--batches: got"):
            parse_numbers(text, "--batches")


def answer(
    boxes: list[float], labels: list[int], scores: list[float]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Boxes of 10 pixels side that begin at `boxes`, with their labels and scores."""
    corners = np.array([[x, 0, x + 10, 10] for x in boxes], np.float32)
    return corners, np.array(labels), np.array(scores, np.float32)


def test_objects_of_the_same_score_may_come_in_another_order() -> None:
    here = answer([0, 50, 90], [1, 2, 1], [0.9, 0.50001, 0.5])
    there = answer([0, 90, 50], [1, 1, 2], [0.9, 0.50002, 0.5])
    assert match_detections(here, there) == ([(0, 0), (1, 2), (2, 1)], 0)


@pytest.mark.parametrize(
    "there",
    [
        answer([0], [1], [0.9]),
        answer([0, 50, 70], [1, 2, 2], [0.9, 0.5, 0.3]),
        answer([0, 50], [1, 3], [0.9, 0.5]),
        answer([0, 53], [1, 2], [0.9, 0.5]),
        answer([0, 50], [1, 2], [0.9, 0.45]),
    ],
)
def test_an_object_that_only_one_finds_is_told(there: tuple[np.ndarray[Any, Any], ...]) -> None:
    _, alone = match_detections(answer([0, 50], [1, 2], [0.9, 0.5]), there)
    assert alone > 0


def test_who_is_pushed_out_where_no_more_may_be_found_is_not_missing() -> None:
    scores = list(np.linspace(0.9, 0.4, MAX_DETECTIONS))
    here = answer([20.0 * n for n in range(MAX_DETECTIONS)], [1] * MAX_DETECTIONS, scores)
    there = answer([*(20.0 * n for n in range(MAX_DETECTIONS - 1)), 5000.0], [1] * MAX_DETECTIONS, scores)
    assert match_detections(here, there)[1] == 0
    early = answer(
        [7000.0, *(20.0 * n for n in range(MAX_DETECTIONS - 1))], [1] * MAX_DETECTIONS, [0.95, *scores[:-1]]
    )
    assert match_detections(here, early)[1] == 1, "the new one is counted, the one that it pushed out is not"
