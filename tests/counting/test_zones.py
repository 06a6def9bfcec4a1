"""Zones: occupancy, entries, exits, dwell."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config.schema import ZoneConfig
from tests.counting.counting_scenes import FPS, Thing, along, counter, play, play_at, walk

SQUARE = ZoneConfig(points=((0.4, 0.5), (0.6, 0.5), (0.6, 1.0), (0.4, 1.0)))
"""x 256..384, y 180..360 pixels."""


def passages(outcome: object) -> list[str]:
    return [event.direction for event in outcome.events if event.kind == "zone"]  # type: ignore[attr-defined]


def test_walking_through_is_one_entry_one_exit_and_the_time_between() -> None:
    outcome = play(counter(zones={"square": SQUARE}), walk([(150, 300), (490, 300)], [4]))
    assert passages(outcome) == ["entry", "exit"]
    zone = outcome.totals["zones"]["square"]["person"]
    assert (zone["now"], zone["entries"], zone["exits"]) == (0, 1, 1)
    assert zone["dwell_s"] == pytest.approx(128 / 85, abs=0.15)


def test_occupancy_rises_and_falls_as_objects_come_and_go() -> None:
    one = along([(150, 300), (490, 300)], [4])
    two = along([(490, 250), (300, 250), (300, 250)], [2, 2])
    outcome = play(
        counter(zones={"square": SQUARE}), [[Thing(a), Thing(b)] for a, b in zip(one, two, strict=True)]
    )
    now = [step.tracks.zones["square"].get("person", 0) for step in outcome.steps]
    assert now[0] == 0 and max(now) == 2 and now[-1] == 1
    assert outcome.totals["zones"]["square"]["person"]["entries"] == 2


def test_first_seen_inside_is_inside_but_has_not_entered() -> None:
    outcome = play(counter(zones={"square": SQUARE}), walk([(320, 300), (490, 300)], [4]))
    assert passages(outcome) == ["exit"]
    assert outcome.steps[30].tracks.zones["square"] == {"person": 1}


def test_lost_inside_leaves_no_ghost_and_its_stay_counts() -> None:
    frames = walk([(150, 300), (320, 300), (320, 300)], [2, 3]) + [[]] * int(20 * FPS)
    outcome = play(counter(zones={"square": SQUARE}), frames)
    zone = outcome.totals["zones"]["square"]["person"]
    assert (zone["now"], zone["entries"], zone["exits"]) == (0, 1, 0)
    assert zone["dwell_s"] == pytest.approx(3.75, abs=0.2)


def test_shaking_on_the_border_is_neither_entry_nor_exit() -> None:
    random = np.random.default_rng(2)
    frames = walk([(150, 300), (255, 300)], [2])
    frames += [[Thing((256 + float(random.uniform(-2.5, 2.5)), 300))] for _ in range(300)]
    assert passages(play(counter(zones={"square": SQUARE}), frames)) == []


def test_one_object_in_two_zones_counts_in_both() -> None:
    wide = ZoneConfig(points=((0.3, 0.4), (0.7, 0.4), (0.7, 1.0), (0.3, 1.0)))
    outcome = play(counter(zones={"square": SQUARE, "wide": wide}), walk([(150, 300), (320, 300)], [3]))
    assert [zone["person"]["now"] for zone in outcome.totals["zones"].values()] == [1, 1]
    assert [zone["person"]["entries"] for zone in outcome.totals["zones"].values()] == [1, 1]


def test_a_hollow_of_the_polygon_is_outside() -> None:
    horseshoe = ZoneConfig(
        points=(
            (0.2, 0.2),
            (0.8, 0.2),
            (0.8, 1.0),
            (0.6, 1.0),
            (0.6, 0.6),
            (0.4, 0.6),
            (0.4, 1.0),
            (0.2, 1.0),
        )
    )
    outcome = play(counter(zones={"shoe": horseshoe}), walk([(320, 320), (320, 320)], [2]))
    assert outcome.totals["zones"]["shoe"]["person"]["now"] == 0


def test_dwell_is_media_time_whatever_the_frame_rate() -> None:
    frames = [(t, [Thing((150 + 60 * t, 300))]) for t in np.arange(0, 6, 0.25).tolist()]
    outcome = play_at(counter(zones={"square": SQUARE}), frames)
    assert outcome.totals["zones"]["square"]["person"]["dwell_s"] == pytest.approx(128 / 60, abs=0.3)


def test_a_zone_counts_only_its_classes() -> None:
    cars = SQUARE.model_copy(update={"classes": ("car",)})
    outcome = play(counter(zones={"square": cars}), walk([(150, 300), (490, 300)], [4]))
    assert list(outcome.totals["zones"]["square"]) == ["car"]
    assert set(outcome.totals["zones"]["square"]["car"].values()) == {0}
    assert passages(outcome) == []


def test_zone_at_the_center_anchor_follows_the_center() -> None:
    middle = SQUARE.model_copy(update={"anchor": "center"})
    path = walk([(320, 150), (320, 195)], [3])
    assert passages(play(counter(zones={"square": middle}), path)) == []
    assert passages(play(counter(zones={"square": SQUARE}), path)) == ["entry"]


def test_first_inside_has_appeared_and_lost_inside_has_vanished() -> None:
    frames = walk([(320, 300), (320, 300)], [2]) + [[]] * int(20 * FPS)
    zone = play(counter(zones={"square": SQUARE}), frames).totals["zones"]["square"]["person"]
    assert (zone["entries"], zone["exits"], zone["appeared"], zone["vanished"]) == (0, 0, 1, 1)
    assert (zone["now"], zone["peak"]) == (0, 1)


def test_peak_is_the_most_that_were_inside_at_once() -> None:
    paths = [along([(150 - 60 * i, 200 + 70 * i), (490 + 60 * (2 - i), 200 + 70 * i)], [5]) for i in range(3)]
    frames = [[Thing(foot) for foot in feet] for feet in zip(*paths, strict=True)]
    outcome = play(counter(zones={"square": SQUARE}), frames)
    now = [step.tracks.zones["square"].get("person", 0) for step in outcome.steps]
    assert outcome.totals["zones"]["square"]["person"]["peak"] == max(now) > 1


def test_an_exit_tells_how_long_the_stay_was() -> None:
    outcome = play(
        counter(zones={"square": SQUARE}), walk([(150, 300), (320, 300), (320, 300), (490, 300)], [2, 3, 2])
    )
    entry, leaving = (event for event in outcome.events if event.kind == "zone")
    assert entry.dwell_s is None
    assert leaving.dwell_s == pytest.approx(leaving.pts_s - entry.pts_s, abs=0.1)
    assert outcome.samples("tallycam_zone_dwell_seconds")["square", "person"].total == leaving.dwell_s


def test_by_mask_an_object_is_inside_with_its_share() -> None:
    path = walk([(320, 150), (320, 300)], [6])
    steps = {}
    for share in (0.2, 0.5, 0.9):
        zone = SQUARE.model_copy(update={"by": "mask", "share": share})
        (event,) = [
            event for event in play(counter(zones={"square": zone}), path).events if event.kind == "zone"
        ]
        steps[share] = event.pts_s
    foot = next(
        event.pts_s for event in play(counter(zones={"square": SQUARE}), path).events if event.kind == "zone"
    )
    # 60 px high, 25 px a second: from touching with the foot to all inside it takes 2.4 s
    assert foot < steps[0.5] < steps[0.9]
    assert steps[0.9] - steps[0.2] == pytest.approx(0.7 * 60 / 25, abs=0.25)


def test_by_mask_shaking_near_the_share_is_neither_entry_nor_exit() -> None:
    zone = SQUARE.model_copy(update={"by": "mask"})
    random = np.random.default_rng(2)
    frames = [[Thing((320.0, 210 + float(random.uniform(-4, 4))))] for _ in range(150)]
    assert passages(play(counter(zones={"square": zone}), frames)) == []


def test_a_class_that_flips_inside_leaves_with_what_it_is() -> None:
    frames = [
        [Thing(foot, (120.0, 60.0), class_id=2 if number < 40 else 3)]
        for number, foot in enumerate(along([(100, 300), (320, 300), (320, 300), (560, 300)], [2, 6, 2]))
    ]
    classes = play(counter(zones={"square": SQUARE}), frames).totals["zones"]["square"]
    assert sum(numbers["entries"] for numbers in classes.values()) == 1
    assert sum(numbers["exits"] for numbers in classes.values()) == 1
    assert all(numbers["now"] == 0 for numbers in classes.values())
