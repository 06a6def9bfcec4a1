"""Mask R-CNNs as ONNX files that find the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.config.schema import ModelConfig
from pipeline.demo.clip import bundled_frames
from pipeline.errors import ModelError
from pipeline.geometry.boxes import box_iou
from pipeline.models import registry
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn import export as exporting
from pipeline.models.maskrcnn.export import export
from pipeline.models.maskrcnn.export_check import MAX_DETECTIONS, compare, match_detections
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
