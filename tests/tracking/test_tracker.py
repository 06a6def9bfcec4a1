"""Both engines link the same tracks; assignment and pairs against their plain forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pipeline.config.schema import TrackerConfig
from pipeline.tracking.assignment import assign
from pipeline.tracking.base import TrackingEngine, TrackMatches
from pipeline.tracking.factory import make_tracker
from tests.counting.counting_scenes import FPS, Frame, Thing, instances
from tests.counting.test_counter import crowd

CLASSES = ("person", "bicycle", "car", "bus")


def linked(engine: str, frames: list[Frame], **config: float) -> list[TrackMatches]:
    tracker = make_tracker(TrackerConfig.model_validate({"engine": engine, **config}), CLASSES)
    return [
        tracker.update(instances(frame, seq, seq / FPS), 1 / FPS if seq else 0.0)
        for seq, frame in enumerate(frames)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_both_engines_link_the_same_tracks(seed: int) -> None:
    frames = crowd(seed, objects=7)
    for own, norfair in zip(linked("own", frames), linked("norfair", frames), strict=True):
        assert own.tracks.tolist() == norfair.tracks.tolist()
        assert own.rows.tolist() == norfair.rows.tolist()
        assert np.array_equal(own.speed_px_s, norfair.speed_px_s)


@pytest.mark.parametrize("engine", ["own", "norfair"])
def test_a_forgotten_track_goes_on_as_another_one(engine: str) -> None:
    tracker: TrackingEngine = make_tracker(TrackerConfig.model_validate({"engine": engine}), CLASSES)
    numbers = []
    for seq in range(20):
        if seq == 10:
            tracker.forget(1)
        message = instances([Thing((100 + seq, 300)), Thing((500, 200))], seq, seq / FPS)
        numbers.append(tracker.update(message, 1 / FPS if seq else 0.0).tracks.tolist())
    assert numbers[:10] == [[1, 2]] * 10
    assert numbers[10:] == [[2, 3]] * 10


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), rows=st.integers(1, 12), columns=st.integers(1, 12), share=st.floats(0, 1)
)
def test_assignment_costs_as_little_as_the_hungarian_method_on_the_whole_matrix(
    seed: int, rows: int, columns: int, share: float
) -> None:
    random = np.random.default_rng(seed)
    whole = np.where(random.random((rows, columns)) < share, random.random((rows, columns)) * 5, 5.0)
    row, column = np.nonzero(whole < 5.0)
    chosen, partner = assign(row, column, whole[row, column], 5.0)
    assert len(set(chosen.tolist())) == len(chosen) and len(set(partner.tolist())) == len(partner)
    assert chosen.tolist() == sorted(chosen.tolist())
    best = whole[linear_sum_assignment(whole)]
    least = best.sum() + 5.0 * (min(rows, columns) - len(best))
    assert whole[chosen, partner].sum() + 5.0 * (min(rows, columns) - len(chosen)) == pytest.approx(least)


@pytest.mark.parametrize("engine", ["own", "norfair"])
@pytest.mark.parametrize(("heights_a_second", "fps"), [(2.0, 5), (2.5, 5), (4.0, 10), (3.0, 25)])
def test_one_who_runs_is_one_track_at_any_frame_rate(engine: str, heights_a_second: float, fps: int) -> None:
    tracker = make_tracker(TrackerConfig.model_validate({"engine": engine}), CLASSES)
    numbers = set()
    for seq in range(2 * fps):
        runner = Thing((100 + 100 * heights_a_second * seq / fps, 300), size=(40, 100))
        numbers |= set(tracker.update(instances([runner], seq, seq / fps), 1 / fps if seq else 0.0).tracks)
    assert numbers == {1}
