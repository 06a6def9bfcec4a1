"""From which line or zone to which objects went."""

from __future__ import annotations

from pipeline.config.schema import LineConfig, ZoneConfig
from pipeline.counting.journeys import Journeys
from tests.counting.counting_scenes import UPRIGHT, counter, play, walk

LEFT = ZoneConfig(points=((0.0, 0.5), (0.3, 0.5), (0.3, 1.0), (0.0, 1.0)))
RIGHT = ZoneConfig(points=((0.7, 0.5), (1.0, 0.5), (1.0, 1.0), (0.7, 1.0)))


def test_memory_does_not_grow_with_objects_that_are_gone() -> None:
    journeys = Journeys(["door"], ["yard"])
    for number in range(1000):
        journeys.stop(number, "car", "line", "door")
        journeys.stop(number, "car", "zone", "yard")
        journeys.end(number)
    assert not journeys._under_way
    assert journeys.matrix() == {"door": {"yard": {"car": 1000}}}


def test_from_zone_over_the_line_to_zone() -> None:
    subject = counter({"middle": UPRIGHT}, {"west": LEFT, "east": RIGHT})
    outcome = play(subject, walk([(100, 300), (560, 300)], [5]))
    assert outcome.totals["od"] == {"west": {"east": {"person": 1}}}


def test_who_met_one_line_only_went_from_nowhere_to_nowhere() -> None:
    outcome = play(counter({"middle": UPRIGHT}), walk([(200, 300), (440, 300)], [3]))
    assert outcome.totals["od"] == {}


def test_there_and_back_over_one_line_is_a_journey_to_where_it_began() -> None:
    outcome = play(counter({"middle": UPRIGHT}), walk([(200, 300), (440, 300), (200, 300)], [3, 3]))
    assert outcome.totals["od"] == {"middle": {"middle": {"person": 1}}}


def test_out_of_a_zone_and_in_again_is_no_journey() -> None:
    outcome = play(counter(zones={"west": LEFT}), walk([(100, 300), (300, 300), (100, 300)], [3, 3]))
    assert outcome.totals["od"] == {}


def test_a_line_and_a_zone_of_one_name_are_told_apart() -> None:
    line = LineConfig(points=((0.5, 1.0), (0.5, 0.0)))
    outcome = play(counter({"west": line}, {"west": LEFT}), walk([(100, 300), (440, 300)], [4]))
    assert outcome.totals["od"] == {"west (zone)": {"west (line)": {"person": 1}}}
