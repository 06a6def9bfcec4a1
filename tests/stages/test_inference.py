"""A batch through model, filters and the gates for frames in which nothing moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.config.schema import Config
from pipeline.models.detections import Detections
from pipeline.stages.inference import Inference
from pipeline.stages.instances import NOT_FINITE, instances_of
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes


def frame(level: int) -> Planes:
    """A small frame with a bright patch at a place that `level` tells."""
    luma = np.full((48, 64), 100, np.uint8)
    luma[10:20, level : level + 10] = 220
    half = np.full((24, 32), 128, np.uint8)
    return Planes(luma, half, half)


def ref(stream: str, seq: int, fps: int = 8) -> FrameRef:
    return FrameRef(
        stream=stream, epoch=0, seq=seq, index=seq, pts_s=seq / fps, wall_s=0.0, slot=0, ring="", width=64, height=48
    )  # fmt: skip


class Patch:
    """Finds the patch as a person, and a weak car beside it."""

    classes = ("person", "car")
    device = "cpu"

    def __init__(self) -> None:
        self.saw: list[list[int]] = []
        self.broken_at: int | None = None

    def warm_up(self) -> None:
        pass

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        places = [int(np.argmax(one.y[15] > 200)) for one in frames]
        self.saw.append(places)
        return [self.one(place) for place in places]

    def one(self, place: int) -> Detections:
        x = float("nan") if place == self.broken_at else float(place)
        boxes = np.array([[x, 10, x + 10, 20], [x, 30, x + 5, 40]], np.float32)
        scores, ids = np.array([0.9, 0.3], np.float32), np.array([0, 1], np.int16)
        return Detections(boxes, scores, ids, np.full((2, 28, 28), 255, np.uint8))


def inference(model: Patch, **streams: dict[str, Any]) -> Inference:
    parts = {name: {"source": "x"} | settings for name, settings in streams.items()}
    return Inference(model, Config.model_validate({"streams": parts}))


STILL = {"skip_static": True}


def test_each_stream_has_its_own_filter() -> None:
    subject = inference(Patch(), gate={}, yard={"filter": {"scores": {"car": 0.2}}})
    seen = subject.run([ref("gate", 0), ref("yard", 0)], [frame(5), frame(5)])
    assert [one.detections.class_ids.tolist() for one in seen] == [[0], [0, 1]]
    assert subject.runs == [2]


def test_static_frames_hold_what_was_found_and_say_so() -> None:
    model = Patch()
    subject = inference(model, gate=STILL)
    seen = subject.run([ref("gate", n) for n in range(4)], [frame(5)] * 4)
    assert [one.skipped for one in seen] == ["", "", "static", "static"]
    assert {tuple(one.detections.boxes_px[0]) for one in seen} == {(5, 10, 15, 20)}
    assert subject.runs == [2], "the model saw two frames, in one run"
    assert [one.skipped for one in subject.run([ref("gate", 4)], [frame(5)])] == ["static"]
    assert subject.runs == []


def test_a_static_stream_beside_a_busy_one() -> None:
    model = Patch()
    subject = inference(model, gate=STILL, road={})
    subject.run([ref("gate", n) for n in range(2)], [frame(5)] * 2)
    refs = [ref("gate", 2), ref("road", 0), ref("gate", 3), ref("road", 1)]
    seen = subject.run(refs, [frame(5), frame(20), frame(5), frame(30)])
    assert [one.skipped for one in seen] == ["static", "", "static", ""]
    assert [one.detections.boxes_px[0, 0] for one in seen] == [5, 20, 5, 30]
    assert model.saw == [[5, 5], [20, 30]]


def test_what_is_decided_does_not_depend_on_how_frames_fall_into_batches() -> None:
    places = [5] * 12 + [20, 30, 40] + [40] * 30
    outcomes = set()
    for size in (1, 2, 3, 7, 45):
        subject = inference(Patch(), gate={"skip_static": {"refresh_s": 0.5}})
        seen = []
        for start in range(0, len(places), size):
            numbers = range(start, min(start + size, len(places)))
            seen += subject.run([ref("gate", n) for n in numbers], [frame(places[n]) for n in numbers])
        outcomes.add(tuple((one.skipped, *one.detections.boxes_px[0]) for one in seen))
    assert len(outcomes) == 1
    (outcome,) = outcomes
    assert sum(one[0] == "static" for one in outcome) > 20


def test_numbers_that_are_none_quarantine_the_frame_and_are_not_held() -> None:
    model = Patch()
    model.broken_at = 5
    subject = inference(model, gate=STILL)
    seen = subject.run([ref("gate", n) for n in range(3)], [frame(5)] * 3)
    messages = [instances_of(ref("gate", n), one.detections, one.skipped) for n, one in enumerate(seen)]
    assert [message.skipped for message in messages] == [NOT_FINITE] * 3
    assert all(len(message.scores) == 0 for message in messages)
    model.broken_at = None
    assert [one.skipped for one in subject.run([ref("gate", n) for n in (3, 4, 5)], [frame(5)] * 3)] == [
        "", "", "static",
    ]  # fmt: skip


def test_a_model_that_goes_by_the_frames_numbers_gets_them() -> None:
    class ByNumber(Patch):
        def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Detections]:
            return [self.one(one.index) for one in refs]

    subject = inference(ByNumber(), gate=STILL)
    seen = subject.run([ref("gate", n) for n in range(3)], [frame(5), frame(25), frame(45)])
    assert [one.detections.boxes_px[0, 0] for one in seen] == [0, 1, 2]
