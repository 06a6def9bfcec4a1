"""Recorded instances given back as if a model had found them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ModelConfig
from pipeline.errors import ModelError, TallycamError
from pipeline.messages import MASK_SIZE, FrameRef, Instances
from pipeline.models import registry
from pipeline.models.replay import Replay
from pipeline.planes import Planes
from pipeline.records.log import LogHeader, LogWriter


def record(seq: int, index: int, scores: list[float]) -> Instances:
    count = len(scores)
    boxes = np.tile(np.array([10.0, 20.0, 30.0, 40.0 + index], np.float32), (count, 1))
    return Instances(
        stream="gate", epoch=0, seq=seq, index=index, pts_s=index / 10, wall_s=0.0, width=64, height=48,
        boxes_px=boxes, scores=np.array(scores, np.float32), class_ids=np.zeros(count, np.int16),
        masks=np.zeros((count, MASK_SIZE, MASK_SIZE), np.uint8),
    )  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Frames 0, 1 and 3 of a source."""
    path = tmp_path / "gate.log"
    with LogWriter(path, LogHeader(stream="gate", classes=("person", "car"), width=64, height=48)) as writer:
        writer.append(record(0, 0, [0.9, 0.6]))
        writer.append(record(1, 1, []))
        writer.append(record(2, 3, [0.8]))
    return path


def frame(width: int = 64, height: int = 48) -> Planes:
    return Planes.from_rgb(np.zeros((height, width, 3), np.uint8))


def ref(index: int) -> FrameRef:
    return FrameRef(
        stream="gate",
        epoch=0,
        seq=0,
        index=index,
        pts_s=0.0,
        wall_s=0.0,
        slot=0,
        ring="",
        width=64,
        height=48,
    )


def test_frames_come_back_by_their_number_whatever_the_order(log: Path) -> None:
    model = Replay(log)
    found = model.segment_refs([ref(3), ref(0), ref(2)], [frame()] * 3)
    assert [len(one.scores) for one in found] == [1, 2, 0]
    assert found[0].boxes_px.tolist() == [[10, 20, 30, 43]]
    assert model.classes == ("person", "car")


def test_longer_source_begins_the_log_again(log: Path) -> None:
    assert len(Replay(log).segment_refs([ref(4)], [frame()])[0].scores) == 2


def test_without_numbers_frames_follow_each_other(log: Path) -> None:
    model = Replay(log)
    model.warm_up()
    assert [len(one.scores) for one in model.segment([frame()] * 2)] == [2, 0]
    assert [len(one.scores) for one in model.segment([frame()] * 2)] == [0, 1]


def test_boxes_are_scaled_to_the_frame_and_weak_ones_left_out(log: Path) -> None:
    (found,) = Replay(log, score=0.7).segment([frame(128, 48)])
    assert found.boxes_px.tolist() == [[20, 20, 60, 40]]


def test_registry_finds_it_by_name(log: Path) -> None:
    config = ModelConfig(name=f"replay:{log}")
    assert registry.classes_of(config) == ("person", "car")
    assert isinstance(registry.load(config), Replay)


def test_log_without_frames_or_no_log_is_told(tmp_path: Path) -> None:
    path = tmp_path / "empty.log"
    LogWriter(path, LogHeader(stream="gate", classes=("person",), width=64, height=48)).close()
    with pytest.raises(ModelError, match="holds no frame to replay"):
        Replay(path)
    with pytest.raises(TallycamError, match=r"none\.log"):
        registry.classes_of(ModelConfig(name=f"replay:{tmp_path / 'none.log'}"))
