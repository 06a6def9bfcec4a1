"""Scenario: a detections file without its frame rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.frame_rate import MAX_FPS, MIN_FPS, estimated_fps
from pipeline.geometry.plane import Floats


def walkers(fps: float, noise: float, seed: int = 1) -> Floats:
    """Rows of ten people for ten seconds, 0.2 to 0.55 heights a second fast, boxes off by `noise` heights."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(10):
        height = rng.uniform(60, 240)
        speed = np.linspace(0.2, 0.55, 10)[number] * height * rng.choice([-1, 1])
        for frame in range(int(10 * fps)):
            left, top = 400.0 * number + speed * frame / fps, 200.0
            shake = rng.normal(0, noise * height, 2)
            rows.append([frame + 1, -1, left + shake[0], top + shake[1], 0.4 * height, height, 0.9])
    return np.array(rows)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("fps", [6.0, 12.5, 25.0])
def test_people_who_walk_tell_the_frame_rate_within_a_factor(fps: float, noise: float) -> None:
    found = estimated_fps(walkers(fps, noise))
    assert found is not None
    assert fps / 1.5 < found < fps * 1.5


def test_nothing_that_moves_tells_nothing() -> None:
    still = walkers(10, 0.0)
    still[:, 2:6] = np.repeat(still[still[:, 0] == 1][:, 2:6], 100, axis=0)
    assert estimated_fps(still) is None


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_too_few_rows_tell_nothing(rows: int) -> None:
    assert estimated_fps(walkers(10, 0.0)[:rows]) is None


def test_the_order_of_the_rows_and_the_scale_of_the_picture_do_not_matter() -> None:
    rows = walkers(12, 0.02)
    shuffled = np.random.default_rng(3).permutation(rows)
    shuffled[:, 2:6] *= 3
    assert estimated_fps(shuffled) == pytest.approx(estimated_fps(rows))


@given(st.lists(st.tuples(st.integers(1, 5), *[st.floats(1, 1000)] * 4), max_size=60))
def test_whatever_the_boxes_the_rate_is_possible(boxes: list[tuple[float, ...]]) -> None:
    rows = np.array([[box[0], -1, *box[1:], 1.0] for box in boxes]).reshape(-1, 7)
    found = estimated_fps(rows)
    assert found is None or MIN_FPS <= found <= MAX_FPS
