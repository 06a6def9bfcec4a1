"""Totals are logged by how much they grew, not one line an event."""

from pipeline.logs.sums import EVERY_S, SumLog


def test_what_was_dropped_in_a_period_is_one_line() -> None:
    sums = SumLog("frames dropped", 0.0)
    assert sums.due({"late": 3}, 10.0) == ""
    assert sums.due({"late": 5, "replaced": 2}, EVERY_S) == "7 frames dropped in 60 s: late 5, replaced 2"


def test_a_period_in_which_nothing_was_dropped_is_not_mentioned() -> None:
    sums = SumLog("frames dropped", 0.0)
    sums.due({"late": 5}, EVERY_S)
    assert sums.due({"late": 5}, 2 * EVERY_S) == ""
    assert sums.due({"late": 6}, 3 * EVERY_S) == "1 frames dropped in 60 s: late 1"


def test_the_last_period_ends_with_the_stage() -> None:
    sums = SumLog("frames dropped", 0.0)
    assert sums.due({"late": 1}, 2.0, at_once=True) == "1 frames dropped in 2 s: late 1"
