"""Recorded instances given back as if a model had found them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError, TallycamError
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models import registry
from pipeline.models.replay import ReplaySegmenter
from pipeline.records.log import LogHeader, LogWriter
from pipeline.transport.messages import FrameRef, Instances
from pipeline.transport.planes import Planes


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


def replay(path: Path, score: float = 0.0) -> ReplaySegmenter:
    model = registry.load(ModelConfig(name=f"replay:{path}", score=score))
    assert isinstance(model, ReplaySegmenter)
    return model


def test_frames_come_back_by_their_number_whatever_the_order(log: Path) -> None:
    model = replay(log)
    found = model.segment_refs([ref(3), ref(0), ref(2)], [frame()] * 3)
    assert [len(one.scores) for one in found] == [1, 2, 0]
    assert found[0].boxes_px.tolist() == [[10, 20, 30, 43]]
    assert model.classes == ("person", "car")


def test_longer_source_begins_the_log_again(log: Path) -> None:
    assert len(replay(log).segment_refs([ref(4)], [frame()])[0].scores) == 2


def test_without_numbers_frames_follow_each_other(log: Path) -> None:
    model = replay(log)
    model.warm_up()
    assert [len(one.scores) for one in model.segment([frame()] * 2)] == [2, 0]
    assert [len(one.scores) for one in model.segment([frame()] * 2)] == [0, 1]


def test_boxes_are_scaled_to_the_frame_and_weak_ones_left_out(log: Path) -> None:
    (found,) = replay(log, score=0.7).segment([frame(128, 48)])
    assert found.boxes_px.tolist() == [[20, 20, 60, 40]]


def test_registry_finds_it_by_name(log: Path) -> None:
    config = ModelConfig(name=f"replay:{log}")
    assert registry.classes_of(config) == ("person", "car")
    assert isinstance(registry.load(config), ReplaySegmenter)


def test_log_without_frames_or_no_log_is_told(tmp_path: Path) -> None:
    path = tmp_path / "empty.log"
    LogWriter(path, LogHeader(stream="gate", classes=("person",), width=64, height=48)).close()
    with pytest.raises(ModelError, match="contains no frame to replay"):
        replay(path)
    with pytest.raises(TallycamError, match=r"none\.log"):
        registry.classes_of(ModelConfig(name=f"replay:{tmp_path / 'none.log'}"))


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    path = tmp_path / "det.txt"
    path.write_text(
        "2,-1,10.5,20,30,40,0.6,-1,-1,-1\n1,-1,-5,0,20,10,0.9\n\n2 -1 40 40 90 90 87.5\n2,-1,90,90,5,5,0.9\n"
        "5,-1,0,0,9,9,0.2\n",
        encoding="ascii",
    )
    return path


def test_detections_of_motchallenge_count_frames_from_one_and_fill_their_boxes(detections: Path) -> None:
    model = replay(detections)
    first, second, third = model.segment_refs([ref(0), ref(1), ref(2)], [frame()] * 3)
    assert first.boxes_px.tolist() == [[0, 0, 15, 10]]
    assert second.boxes_px.tolist() == [
        [40, 40, 64, 48],
        [10.5, 20, 40.5, 48],
    ]  # outside is cut away, or gone
    np.testing.assert_allclose(second.scores, [1.0, 0.6], atol=1e-6)
    assert second.masks.shape == (2, 28, 28) and second.masks.min() == 255
    kinds = [a.dtype for a in (second.boxes_px, second.scores, second.class_ids, second.masks)]
    assert kinds == [np.float32, np.float32, np.int16, np.uint8]
    assert len(third.scores) == len(model.segment_refs([ref(99)], [frame()])[0].scores) == 0


def test_weak_detections_are_left_out(detections: Path) -> None:
    model = replay(detections, score=0.8)
    assert [len(one.scores) for one in model.segment([frame()] * 5)] == [1, 1, 0, 0, 0]


def test_detections_are_persons_unless_the_configuration_names_them(detections: Path) -> None:
    assert registry.classes_of(ModelConfig(name=f"replay:{detections}")) == ("person",)
    assert registry.classes_of(ModelConfig(name=f"replay:{detections}", classes=("car",))) == ("car",)
    with pytest.raises(ModelError, match="tells no classes: give one name for all"):
        registry.load(ModelConfig(name=f"replay:{detections}", classes=("car", "bus")))


@pytest.mark.parametrize(
    "line", ["0,-1,1,1,1,1,1", "1.5,-1,1,1,1,1,1", "1,-1,1,1", "frame,id,x,y,w,h,s", "1,-1,nan,1,1,1,1"]
)
def test_a_row_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "det.txt"
    path.write_text(f"1,-1,1,1,5,5,0.5\n{line}\n", encoding="ascii")
    with pytest.raises(ModelError, match=r"det\.txt:2: got .*, expected frame \(from 1\), id, left"):
        replay(path)


def test_what_is_neither_log_nor_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ModelError, match="neither an instances log nor a text file"):
        replay(path)
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        replay(tmp_path)


def test_public_detections_are_read(shared_data: Path) -> None:
    path = shared_data / "mot15/PETS09-S2L1/det.txt"
    found = replay(path).segment([frame(768, 576)] * 795)
    assert sum(len(one.scores) for one in found) > 4000
