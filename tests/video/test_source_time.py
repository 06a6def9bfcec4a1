"""Which frames are used, and what time it is in the media."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.video.sources.frame_sampler import FrameSampler
from pipeline.video.sources.media_clock import MediaClock

rates = st.sampled_from([1.0, 5.0, 10.0, 12.5, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0])


def picked(sampler: FrameSampler, times_s: list[float]) -> list[int]:
    return [i for i, time_s in enumerate(times_s) if not sampler.reason_to_skip(i, time_s)]


def test_half_the_rate_is_every_second_frame() -> None:
    times_s = [i / 10 for i in range(20)]
    assert picked(FrameSampler(5, 0, 10), times_s) == list(range(0, 20, 2))


def test_a_cap_at_the_sources_own_rate_drops_nothing_in_spite_of_jitter() -> None:
    jitter_s = (0.0, 0.009, -0.009, 0.004, -0.012)
    times_s = [i / 25 + jitter_s[i % 5] * (i > 0) for i in range(100)]
    assert len(picked(FrameSampler(25, 0, 25), times_s)) == 100


def test_skip_leaves_out_so_many_frames_after_each_one_used() -> None:
    assert picked(FrameSampler(None, 2), [i / 25 for i in range(10)]) == [0, 3, 6, 9]


@given(fps=st.floats(0.2, 100), source_fps=rates, skip=st.integers(0, 4))
def test_at_most_so_many_frames_of_one_second_and_not_far_fewer(
    fps: float, source_fps: float, skip: int
) -> None:
    times_s = [i / source_fps for i in range(round(source_fps * 20))]
    count = len(picked(FrameSampler(fps, skip, source_fps), times_s))
    wanted = min(fps, source_fps / (skip + 1)) * 20
    assert wanted * 0.9 - 2 <= count <= wanted + 2


@given(fps=st.floats(0.2, 100), source_fps=rates, skip=st.integers(0, 4), enter=st.integers(10, 150))
def test_a_picker_that_enters_later_picks_the_same_frames(
    fps: float, source_fps: float, skip: int, enter: int
) -> None:
    times_s = [i / source_fps for i in range(200)]
    whole = picked(FrameSampler(fps, skip, source_fps), times_s)
    late = FrameSampler(fps, skip, source_fps)
    before = range(enter - skip - 1, enter)
    for i in before:
        late.reason_to_skip(i, times_s[i])
    rest = [i for i in range(enter, 200) if not late.reason_to_skip(i, times_s[i])]
    assert rest == [i for i in whole if i >= enter]


def test_time_begins_at_the_first_frame() -> None:
    clock = MediaClock(25)
    assert [clock.next(raw_s) for raw_s in (100.0, 100.04, 100.2)] == [
        0.0,
        0.04000000000000625,
        0.20000000000000284,
    ]


def test_a_missing_timestamp_goes_on_at_the_nominal_rate() -> None:
    clock = MediaClock(10)
    assert [round(clock.next(raw_s), 6) for raw_s in (5.0, None, None, 5.3)] == [0.0, 0.1, 0.2, 0.3]


def test_a_clock_that_is_set_back_starts_a_new_epoch_and_time_goes_on() -> None:
    clock = MediaClock(10)
    times_s = [round(clock.next(raw_s), 6) for raw_s in (50.0, 50.1, 2.0, 2.1)]
    assert times_s == [0.0, 0.1, 0.2, 0.3]
    assert clock.epoch == 1


def test_after_a_restart_without_timestamps_the_gap_is_kept() -> None:
    clock = MediaClock(10)
    clock.next(7.0)
    clock.restart(gap_s=5.0)
    assert [round(clock.next(raw_s), 6) for raw_s in (None, 1000.0, 1000.1)] == [5.0, 5.1, 5.2]
    assert clock.epoch == 1


def media_times(fps: float, raws_s: list[float]) -> list[float]:
    clock = MediaClock(fps)
    times_s = [clock.next(raw_s) for raw_s in raws_s]
    assert clock.epoch == 0
    return times_s


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 50.0, 12.5])
def test_timestamps_in_whole_seconds_are_spread_evenly(fps: float) -> None:
    true_s = [i / fps for i in range(400)]
    times_s = media_times(fps, [float(int(time_s)) for time_s in true_s])
    assert times_s == pytest.approx(true_s, abs=1.5 / fps)
    steps_s = [after - before for before, after in itertools.pairwise(times_s)]
    assert statistics.median(steps_s) == pytest.approx(1 / fps, rel=0.02)


@pytest.mark.parametrize(("stated", "real"), [(25.0, 29.97), (50.0, 25.0), (25.0, 5.0), (10.0, 60.0)])
def test_a_wrong_nominal_rate_spoils_whole_seconds_for_three_seconds_at_most(
    stated: float, real: float
) -> None:
    clock = MediaClock(stated)
    times_s = [clock.next(float(int(i / real))) for i in range(round(20 * real))][round(3 * real) :]
    assert clock.epoch <= 1
    assert [time_s - times_s[0] for time_s in times_s] == pytest.approx(
        [i / real for i in range(len(times_s))], abs=1.5 / real
    )


def test_equal_timestamps_go_on_at_the_nominal_rate() -> None:
    assert media_times(25, [7.0] * 100) == pytest.approx([i / 25 for i in range(100)])


def test_timestamps_that_get_stuck_go_on_at_the_nominal_rate() -> None:
    raws_s = [i / 25 for i in range(50)] + [49 / 25] * 50
    assert media_times(25, raws_s) == pytest.approx([i / 25 for i in range(100)], abs=0.041)


def test_a_gap_in_whole_seconds_is_a_gap_and_not_a_slow_second() -> None:
    true_s = [i / 25 + (60 if i >= 100 else 0) for i in range(200)]
    assert media_times(25, [float(int(time_s)) for time_s in true_s]) == pytest.approx(true_s)


def test_a_timestamp_that_repeats_lies_between_its_neighbours() -> None:
    assert media_times(25, [0.0, 0.04, 0.04, 0.12, 0.16]) == pytest.approx([0.0, 0.04, 0.06, 0.12, 0.16])


def test_timestamps_that_increase_are_kept_and_known_to_be_exact() -> None:
    clock = MediaClock(25)
    for raw_s in (3.0, 3.04, 3.05, 9.0):
        assert clock.next(raw_s) == raw_s - 3.0
        assert clock.exact
    clock.next(9.0)
    assert not clock.exact and clock.repaired == 1


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1), st.sampled_from([None, 0.0, 3.5]))
def test_time_always_advances(raws_s: list[float | None], zero_s: float | None) -> None:
    clock = MediaClock(25, zero_s=zero_s)
    times_s = [clock.next(raw_s) for raw_s in raws_s]
    assert times_s[0] >= 0
    assert all(before < after for before, after in itertools.pairwise(times_s))


@given(st.lists(st.integers(0, 40), min_size=2))
def test_time_in_whole_seconds_always_advances(runs: list[int]) -> None:
    """Any number of frames in each second."""
    clock = MediaClock(25)
    times_s = [clock.next(float(second)) for second, frames in enumerate(runs) for _ in range(frames)]
    assert all(before < after for before, after in itertools.pairwise(times_s))
