"""Detections from and to other libraries; stand-ins with the same attributes take the place of those libraries."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import pipeline
from pipeline.geometry.mask_paste import paste_mask

WIDTH, HEIGHT = 320, 240


@dataclass
class Lookalike:
    """What `supervision.Detections` has."""

    xyxy: Any
    mask: Any = None
    confidence: Any = None
    class_id: Any = None
    tracker_id: Any = None
    data: dict[str, Any] = field(default_factory=dict)


def ellipses(boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    """(N, HEIGHT, WIDTH) bool: the ellipse in each box."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    whole = [
        ((x - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((y - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2 <= 1
        for x0, y0, x1, y1 in boxes
    ]
    return np.array(whole)


BOXES = [(10, 20, 60, 140), (100, 30, 290, 230), (300, 0, 320, 20)]


def test_boxes_alone_are_enough() -> None:
    found = pipeline.from_boxes([[0, 0, 10, 20], [5, 5, 5, 9]])
    assert found.boxes_px.tolist() == [[0, 0, 10, 20]], "a box without an area is left out"
    assert (found.scores.tolist(), found.class_ids.tolist()) == ([1.0], [0])
    assert (found.masks == 255).all() and found.masks.shape == (1, 28, 28)


def test_the_best_comes_first() -> None:
    found = pipeline.from_boxes(BOXES, scores=[0.2, 0.9, 0.5], class_ids=[1, 2, 3])
    assert found.class_ids.tolist() == [2, 3, 1]
    assert found.scores.dtype == np.float32 and found.class_ids.dtype == np.int16


def test_nothing_is_nothing() -> None:
    found = pipeline.from_boxes([])
    assert found.boxes_px.shape == (0, 4) and found.masks.shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"scores": [1.0, 0.5]}, r"scores: got shape \(2,\), expected \(1,\)"),
        ({"masks": np.zeros((2, 9, 9))}, r"masks: got shape \(2, 9, 9\), expected \(1, height, width\)"),
        ({"scores": [np.nan]}, "expected finite numbers"),
        ({"class_ids": [-1]}, "class_ids: expected whole numbers from 0, got -1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pipeline.from_boxes([[0, 0, 10, 20]], **arrays)


def test_masks_survive_the_way_to_the_grid_and_back() -> None:
    masks = ellipses(BOXES)
    found = pipeline.from_boxes(BOXES, masks=masks)
    for box, grid, true in zip(found.boxes_px, found.masks, masks, strict=True):
        back = paste_mask(grid, box, WIDTH, HEIGHT)
        assert (back & true).sum() / (back | true).sum() > 0.95


def test_supervision_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("supervision")
    library.Detections = Lookalike  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", library)
    theirs = Lookalike(
        xyxy=np.array(BOXES, np.float64),
        mask=ellipses(BOXES),
        confidence=np.array([0.9, 0.8, 0.7]),
        class_id=np.array([0, 2, 0]),
    )
    back = pipeline.to_supervision(pipeline.from_supervision(theirs), (WIDTH, HEIGHT))
    assert back.xyxy.tolist() == theirs.xyxy.tolist()
    assert back.class_id.tolist() == [0, 2, 0]
    assert back.confidence == pytest.approx(theirs.confidence)
    assert back.tracker_id is None and back.data == {}
    assert back.mask.dtype == np.bool_ and back.mask.shape == (3, HEIGHT, WIDTH)
    assert (back.mask == theirs.mask).mean() > 0.99
    assert pipeline.to_supervision(pipeline.from_supervision(theirs)).mask is None


def test_supervision_without_scores_classes_and_masks() -> None:
    found = pipeline.from_supervision(Lookalike(xyxy=np.array(BOXES, np.float32)))
    assert found.scores.tolist() == [1, 1, 1]


def test_what_torchvision_returns() -> None:
    output = {
        "boxes": torch.tensor(BOXES, dtype=torch.float32, requires_grad=True),
        "labels": torch.tensor([1, 3, 1]),
        "scores": torch.tensor([0.9, 0.04, 0.6]),
        "masks": torch.from_numpy(ellipses(BOXES)[:, None].astype(np.float32)),
    }
    found = pipeline.from_torchvision(output, score=0.5)
    assert found.class_ids.tolist() == [1, 1]
    assert found.boxes_px.tolist() == [list(BOXES[0]), list(BOXES[2])]
    assert 0.7 < (found.masks[0] >= 128).mean() < 0.85, "an ellipse fills about 0.79 of its box"
    without_masks = {name: value for name, value in output.items() if name != "masks"}
    assert (pipeline.from_torchvision(without_masks).masks == 255).all()
