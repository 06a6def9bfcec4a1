"""Rows of a track file: boxes smoothed over time, each row told once, nothing kept for ever."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.counting.frame_result import TrackRow
from pipeline.counting.smoothing import Smoother

FPS = 25.0


def row(index: int, left: float, track: int = 1, score: float = 0.9) -> TrackRow:
    return TrackRow(track, index, "person", score, (left, 100.0, left + 40.0, 200.0))


def smoothed(rows: list[TrackRow], smooth_s: float = 0.2) -> list[TrackRow]:
    subject = Smoother(smooth_s)
    told = []
    for one in rows:
        subject.add(one, one.index / FPS)
        told += subject.due(one.index / FPS)
    return told + subject.rest()


def test_each_row_is_told_once_and_in_order() -> None:
    rows = [row(index, 3.0 * index) for index in range(60) if index % 7]
    assert [one.index for one in smoothed(rows)] == [one.index for one in rows]


def test_who_walks_evenly_stays_where_he_is() -> None:
    rows = [row(index, 3.0 * index) for index in range(60) if index % 7]
    for before, after in zip(rows, smoothed(rows), strict=True):
        assert after.box_px == pytest.approx(before.box_px, abs=1e-6)


def test_shaking_is_reduced_several_times() -> None:
    random = np.random.default_rng(3)
    noise = random.normal(0, 4, 200)
    after = smoothed([row(index, 3.0 * index + noise[index]) for index in range(200)])
    left = np.array([one.box_px[0] for one in after]) - 3.0 * np.arange(200)
    assert left.std() < noise.std() / 2.5


def test_a_doubtful_detection_moves_its_neighbours_little() -> None:
    rows = [row(index, 100.0) for index in range(40)]
    rows[20] = row(20, 200.0, score=0.1)
    assert smoothed(rows)[21].box_px[0] == pytest.approx(100.0, abs=1.0)


def test_what_was_seen_long_before_does_not_matter() -> None:
    after = smoothed([row(0, 0.0), row(100, 500.0), row(101, 503.0)])
    assert after[1].box_px[0] == pytest.approx(500.0)


def test_a_single_sighting_and_one_moment_given_twice_are_no_error() -> None:
    subject = Smoother(0.2)
    for index in range(3):
        subject.add(row(index, 100.0 + 3 * index), 1.0)
    assert [one.box_px[0] for one in subject.rest()] == pytest.approx([103.0] * 3)


def test_objects_do_not_mix() -> None:
    subject = Smoother(0.2)
    for index in range(20):
        subject.add(row(index, 100.0, track=1), index / FPS)
        subject.add(row(index, 300.0, track=2), index / FPS)
    assert {(one.track, round(one.box_px[0])) for one in subject.rest()} == {(1, 100), (2, 300)}


def test_without_smoothing_rows_come_at_once_as_they_are() -> None:
    subject = Smoother(0.0)
    one = row(0, 100.0)
    subject.add(one, 0.0)
    assert subject.due(0.0) == [one]


@pytest.mark.parametrize("smooth_s", [0.0, 0.2])
def test_nothing_is_kept_of_objects_that_have_gone(smooth_s: float) -> None:
    subject = Smoother(smooth_s)
    for index in range(3000):
        subject.add(row(index, 100.0, track=index // 30), index / FPS)
        subject.due(index / FPS)
    runs = vars(subject)["_runs"]
    assert len(runs) <= 3 and sum(len(run.rows) for run in runs.values()) < 60
