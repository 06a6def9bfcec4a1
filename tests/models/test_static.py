"""Frames that the model is spared because nothing moves."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config.schema import StaticConfig
from pipeline.models.detections import Detections
from pipeline.models.static import Decision, StaticGate, downscale_luma, has_motion, same_objects

INFER, REUSE, DEFER = Decision.INFER, Decision.REUSE, Decision.DEFER
FPS = 8
EMPTY_STREET = np.random.default_rng(0).integers(40, 200, (90, 160)).astype(np.uint8)
EMPTY_STREET = np.asarray(np.kron(EMPTY_STREET, np.ones((8, 8))), np.uint8)
"""(720, 1280) uint8, textured."""


def street(x: float | None = None) -> np.ndarray:
    """The street with a walker of 30 x 80 pixels at column x."""
    luma = EMPTY_STREET.copy()
    if x is not None:
        luma[300:380, round(x) : round(x) + 30] = 20
    return luma


def person(x: float = 100.0, class_id: int = 0) -> Detections:
    box = np.array([[x, 300, x + 30, 380]], np.float32)
    return Detections(
        box, np.array([0.9], np.float32), np.array([class_id], np.int16), np.zeros((1, 28, 28), np.uint8)
    )


def walk(gate: StaticGate, frames: list[np.ndarray], answers: list[Detections], start: int = 0) -> str:
    """`L` and `.` for each frame; the model answers at once."""
    marks = ""
    for number, frame in enumerate(frames, start):
        decision = gate.decide(frame, number / FPS)
        assert decision is not DEFER
        if decision is INFER:
            gate.update(answers[min(number, len(answers) - 1)])
        marks += "L" if decision is INFER else "."
    return marks


def test_nothing_moves_and_the_model_looks_twice_and_then_every_two_seconds() -> None:
    gate = StaticGate(StaticConfig())
    assert walk(gate, [street(100)] * 45, [person()]) == "LL" + "." * 15 + "L" + "." * 15 + "L" + "." * 11
    assert gate.detections.boxes_px.tolist() == person().boxes_px.tolist()


def test_a_walker_is_looked_at_in_every_frame_and_twice_after_it() -> None:
    gate = StaticGate(StaticConfig())
    frames = [street(100 + 12 * n) for n in range(6)] + [street(160)] * 4
    assert walk(gate, frames, [person(100 + 12 * min(n, 5)) for n in range(10)]) == "LLLLLLL..."


def test_slow_motion_adds_up() -> None:
    """A tenth of a pixel a frame: too little from one frame to the next, but not from the last look."""
    gate = StaticGate(StaticConfig(refresh_s=1000))
    frames = [street(100 + n / 10) for n in range(200)]
    marks = walk(gate, frames, [person(100 + n / 10) for n in range(200)])
    assert marks.startswith("LL.")
    appearances = [number for number, mark in enumerate(marks) if mark == "L"]
    assert 6 <= len(appearances) <= 60
    assert max(np.diff(appearances)) <= 60, "never more than six pixels behind"


def test_noise_and_a_passing_cloud_are_no_motion() -> None:
    rng = np.random.default_rng(1)
    frames = [
        np.clip(street(100) + rng.normal(0, 4, EMPTY_STREET.shape) - n / 4, 0, 255).astype(np.uint8)
        for n in range(17)
    ]
    assert walk(StaticGate(StaticConfig()), frames, [person()]) == "LL" + "." * 15


def test_two_looks_that_do_not_agree_are_followed_by_another() -> None:
    gate = StaticGate(StaticConfig())
    answers = [person(), Detections.empty(), person(), Detections.empty(), Detections.empty()]
    assert walk(gate, [street(100)] * 8, answers) == "LLLLL..."
    assert len(gate.detections.scores) == 0


def test_an_object_missed_once_at_a_refresh_is_not_gone_for_two_seconds() -> None:
    gate = StaticGate(StaticConfig(refresh_s=0.5))
    answers = [person()] * 5 + [Detections.empty()] + [person()] * 9
    assert walk(gate, [street(100)] * 11, answers) == "LL...LLL..."
    assert len(gate.detections.scores) == 1


def test_after_a_refresh_the_next_frame_waits_for_the_answer() -> None:
    gate = StaticGate(StaticConfig(refresh_s=0.3))
    assert walk(gate, [street()] * 4, [Detections.empty()]) == "LL.."
    assert [gate.decide(street(), at_s) for at_s in (0.5, 0.6)] == [INFER, DEFER]
    gate.update(Detections.empty())
    assert gate.decide(street(), 0.6) is REUSE


def test_two_frames_of_one_batch_after_motion_are_both_looked_at() -> None:
    gate = StaticGate(StaticConfig())
    assert [gate.decide(street(), n / FPS) for n in range(3)] == [INFER, INFER, DEFER]


def test_an_answer_that_cannot_be_used_asks_for_another_look() -> None:
    gate = StaticGate(StaticConfig())
    assert walk(gate, [street(100)] * 3, [person()]) == "LL."
    assert gate.decide(street(100), 5.0) is INFER
    gate.update(None)
    assert gate.decide(street(100), 5.1) is INFER
    assert len(gate.detections.scores) == 1


def test_a_clock_that_goes_back_and_a_new_resolution_are_looked_at() -> None:
    gate = StaticGate(StaticConfig())
    walk(gate, [street()] * 3, [Detections.empty()], start=100)
    assert gate.decide(street(), 1.0) is INFER
    gate.update(Detections.empty())
    assert gate.decide(street()[:, :640], 1.1) is INFER


@pytest.mark.parametrize("shape", [(1080, 1920), (719, 1279), (48, 64), (3, 2000), (2000, 3)])
def test_small_pictures_of_any_frame(shape: tuple[int, int]) -> None:
    luma = np.full(shape, 77, np.uint8)
    small = downscale_luma(luma)
    assert small.shape[1] <= 320 or shape[0] < 7
    assert (small == 77).all() and not np.shares_memory(small, luma)
    assert not has_motion(small, small, StaticConfig())


def test_what_agrees_is_the_same_objects_at_the_same_places() -> None:
    assert same_objects(Detections.empty(), Detections.empty())
    assert same_objects(person(100), person(104))
    assert not same_objects(person(100), person(125))
    assert not same_objects(person(), person(class_id=1))
    assert not same_objects(person(), Detections.empty())
