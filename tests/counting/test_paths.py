"""Where objects went: time by place, and from which line or zone to which."""

from __future__ import annotations

import pytest

from pipeline.config.schema import LineConfig, ZoneConfig
from pipeline.counting.paths import COLUMNS, Heat, Journeys
from tests.counting.counting_scenes import HEIGHT, UPRIGHT, WIDTH, counter, play, walk

LEFT = ZoneConfig(points=((0.0, 0.5), (0.3, 0.5), (0.3, 1.0), (0.0, 1.0)))
RIGHT = ZoneConfig(points=((0.7, 0.5), (1.0, 0.5), (1.0, 1.0), (0.7, 1.0)))


def test_time_is_laid_where_the_object_was() -> None:
    subject = counter()
    play(subject, walk([(200, 300), (200, 300), (500, 300)], [4, 3]))
    seconds = subject.heat()["person"]
    assert seconds.sum() == pytest.approx(7, abs=0.1)
    row, column = divmod(int(seconds.argmax()), COLUMNS)
    assert ((column + 0.5) * WIDTH / COLUMNS, (row + 0.5) * WIDTH / COLUMNS) == pytest.approx(
        (200, 300), abs=5
    )
    assert (seconds[:, 40:100].sum(axis=0) > 0).all()
    assert seconds[: HEIGHT // 2 * COLUMNS // WIDTH].sum() == 0


def test_a_fast_object_leaves_no_holes_at_a_low_frame_rate() -> None:
    heat = Heat((WIDTH, HEIGHT))
    heat.observe(1, "car", (0.0, 100.0), 0.0)
    heat.observe(1, "car", (600.0, 100.0), 0.5)
    used = heat.seconds["car"].sum(axis=0)
    assert (used[:119] > 0).all()
    assert used.sum() == pytest.approx(0.5)


def test_after_a_long_gap_nothing_is_laid_between() -> None:
    heat = Heat((WIDTH, HEIGHT))
    heat.observe(1, "car", (0.0, 100.0), 0.0)
    heat.observe(1, "car", (600.0, 100.0), 60.0)
    assert heat.seconds == {}


def test_memory_does_not_grow_with_objects_that_are_over() -> None:
    heat, journeys = Heat((WIDTH, HEIGHT)), Journeys(["door"], ["yard"])
    for item in range(1000):
        heat.observe(item, "car", (10.0, 10.0), item)
        journeys.stop(item, "car", "line", "door")
        journeys.stop(item, "car", "zone", "yard")
        heat.end(item)
        journeys.end(item)
    assert not heat._last and not journeys._under_way
    assert journeys.table() == {"door": {"yard": {"car": 1000}}}


def test_from_zone_over_the_line_to_zone() -> None:
    subject = counter({"middle": UPRIGHT}, {"west": LEFT, "east": RIGHT})
    outcome = play(subject, walk([(100, 300), (560, 300)], [5]))
    assert outcome.totals.od == {"west": {"east": {"person": 1}}}


def test_who_met_one_line_only_went_from_nowhere_to_nowhere() -> None:
    outcome = play(counter({"middle": UPRIGHT}), walk([(200, 300), (440, 300)], [3]))
    assert outcome.totals.od == {}


def test_there_and_back_over_one_line_is_a_journey_to_where_it_began() -> None:
    outcome = play(counter({"middle": UPRIGHT}), walk([(200, 300), (440, 300), (200, 300)], [3, 3]))
    assert outcome.totals.od == {"middle": {"middle": {"person": 1}}}


def test_out_of_a_zone_and_in_again_is_no_journey() -> None:
    outcome = play(counter(zones={"west": LEFT}), walk([(100, 300), (300, 300), (100, 300)], [3, 3]))
    assert outcome.totals.od == {}


def test_a_line_and_a_zone_of_one_name_are_told_apart() -> None:
    line = LineConfig(points=((0.5, 1.0), (0.5, 0.0)))
    outcome = play(counter({"west": line}, {"west": LEFT}), walk([(100, 300), (440, 300)], [4]))
    assert outcome.totals.od == {"west (zone)": {"west (line)": {"person": 1}}}
