"""The truth of a scene: crossings and entries of hand-built paths, and what is written is read again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.demo.scene.actors import make_actor
from pipeline.demo.scene.person_looks import make_person
from pipeline.demo.scene.truth import (
    inside,
    line_crossings,
    scene_events,
    scene_truth,
    side,
)
from pipeline.demo.scene.world import Scene
from pipeline.records.scene_truth import SceneLine, SceneZone, read_truth, write_truth

UPWARD = SceneLine("gate", ((0.5, 0.9), (0.5, 0.3)), ("person",), ("right", "left"))


def _walk(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points)


def test_left_hand_is_the_left_of_someone_walking_along_the_line_on_the_screen() -> None:
    assert side(UPWARD, _walk((0.2, 0.5)))[0] < 0 < side(UPWARD, _walk((0.8, 0.5)))[0]


def test_crossing_from_the_left_hand_to_the_right_hand_is_the_first_direction() -> None:
    assert line_crossings(UPWARD, _walk((0.3, 0.6), (0.45, 0.6), (0.55, 0.6), (0.7, 0.6))) == [(2, "right")]


def test_crossing_and_coming_back_counts_one_each_way() -> None:
    path = _walk((0.4, 0.6), (0.6, 0.6), (0.4, 0.6))
    assert line_crossings(UPWARD, path) == [(1, "right"), (2, "left")]


def test_passing_beyond_the_end_of_the_line_is_no_crossing() -> None:
    assert line_crossings(UPWARD, _walk((0.4, 0.95), (0.6, 0.95))) == []


def test_touching_the_line_and_turning_back_is_no_crossing() -> None:
    assert line_crossings(UPWARD, _walk((0.4, 0.6), (0.5, 0.6), (0.4, 0.6))) == []


def test_resting_on_the_line_and_going_on_is_one_crossing() -> None:
    assert line_crossings(UPWARD, _walk((0.4, 0.6), (0.5, 0.6), (0.5, 0.6), (0.6, 0.6))) == [(3, "right")]


def test_a_zone_contains_its_middle_and_not_its_outside() -> None:
    zone = SceneZone("square", ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)), ("person",))
    assert inside(zone, _walk((0.5, 0.5), (0.1, 0.5), (0.5, 0.9), (0.79, 0.21))).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_a_person_sent_along_the_pavement_and_over_the_zebra_is_counted_so() -> None:
    scene = Scene.from_seed(5, width=320, height=180, duration_s=30.0)
    street = scene.street
    appearance = make_person(np.random.default_rng(0))
    line, zebra = street.walk_line_s, street.zebra_s
    before = line - 2.0 if zebra > line else line + 2.0
    way = [(before, -1.5), (zebra, -1.5), (zebra, street.road_m + 1.5)]
    scene._chapters[0] = [make_actor(7, "person", appearance, 1.0, 1.3, way)]
    crossings, entries = scene_events(scene)
    direction = "right" if zebra > line else "left"
    assert [(c.line, c.track_id, c.direction) for c in crossings] == [("pavement", 7, direction)]
    assert [(e.zone, e.track_id) for e in entries] == [("crossing", 7)]
    assert crossings[0].frame == pytest.approx((1.0 + 2.0 / 1.3) * scene.fps, abs=2)


@pytest.fixture(scope="module")
def short() -> Scene:
    return Scene.from_seed(8, width=320, height=180, duration_s=4.0, fps=10.0)


def test_written_truth_is_read_again_and_masks_are_those_of_the_frames(short: Scene, tmp_path: Path) -> None:
    truth = scene_truth(short)
    write_truth(truth, tmp_path / "truth.json.gz")
    assert read_truth(tmp_path / "truth.json.gz") == truth
    assert len(truth.frames) == 40
    rendered = short.frame(25)
    for mine, t in zip(truth.frames[25], rendered.instances, strict=True):
        assert (mine.track_id, mine.class_name, mine.box_px) == (t.track_id, t.class_name, t.box_px)
        assert np.array_equal(mine.mask(180, 320), rendered.mask(t.label))


def test_counts_add_up(short: Scene) -> None:
    truth = scene_truth(short)
    assert sum(n for line in truth.lines.values() for c in line.values() for n in c.values()) == len(
        truth.crossings
    )
    assert sum(n for zone in truth.zones.values() for n in zone.values()) == len(truth.entries)
    assert set(truth.lines) == {"road", "pavement"} and set(truth.zones) == {"crossing"}


def test_what_is_no_truth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text('{"seed": "seven"}')
    with pytest.raises(msgspec.ValidationError):
        read_truth(tmp_path / "truth.json")
