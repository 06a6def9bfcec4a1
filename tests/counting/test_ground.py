"""Speed on the ground, from four points with metres."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config.schema import GroundConfig, StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.counting.ground import Ground, homography
from tests.counting.counting_scenes import CLASSES, FPS, HEIGHT, UPRIGHT, WIDTH, Outcome, Thing, play, play_at

FLAT = GroundConfig(
    points=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), metres=((0, 0), (64, 0), (64, 36), (0, 36))
)
"""Seen from above: ten pixels are a metre."""
ROAD = GroundConfig(
    points=((0.4, 0.5), (0.6, 0.5), (1.0, 1.0), (0.0, 1.0)), metres=((0, 40), (8, 40), (8, 0), (0, 0))
)
"""A road that runs away from the camera: 8 m wide, 40 m long."""


def counter(ground: GroundConfig) -> StreamCounter:
    stream = StreamConfig(source="scene", lines={"line": UPRIGHT}, ground=ground)
    return StreamCounter("gate", stream, TrackerConfig(), CLASSES)


def drive(speed_px_s: float, fps: float = FPS, shake_px: float = 0.0) -> Outcome:
    random = np.random.default_rng(1)
    times = np.arange(0, 400 / speed_px_s, 1 / fps).tolist()
    frames = [
        (
            t,
            [
                Thing(
                    (120 + speed_px_s * t + random.normal(0, shake_px), 250 + random.normal(0, shake_px)),
                    (60, 30),
                    2,
                )
            ],
        )
        for t in times
    ]
    return play_at(counter(FLAT), frames)


@pytest.mark.parametrize("fps", [5.0, 25.0])
def test_a_crossing_tells_its_speed(fps: float) -> None:
    outcome = drive(100.0, fps)
    (event,) = [event for event in outcome.events if event.kind == "line"]
    assert event.speed_kmh == pytest.approx(36, rel=0.02)
    speeds = outcome.totals["speeds"]["line"]["car"]
    assert speeds["count"] == 1
    assert speeds["median_kmh"] == speeds["p85_kmh"] == pytest.approx(36, rel=0.02)
    assert outcome.samples("tallycam_line_speed_kmh")["line", "car"].total == pytest.approx(36, rel=0.02)


def test_a_foot_point_that_shakes_changes_the_speed_little() -> None:
    (event,) = [event for event in drive(100.0, shake_px=2.0).events if event.kind == "line"]
    assert event.speed_kmh == pytest.approx(36, rel=0.1)


def test_the_same_speed_on_the_ground_is_the_same_near_and_far() -> None:
    ground = Ground(ROAD, (WIDTH, HEIGHT))
    near, far = ground.place_m((320, 350)), ground.place_m((320, 190))
    assert near is not None and far is not None
    assert near[0] == pytest.approx(4) and far[0] == pytest.approx(4)
    assert far[1] - near[1] > 30
    assert ground.place_m((320, 10)) is None, "above the horizon there is no ground"


def test_without_a_calibration_no_speed_is_told() -> None:
    subject = StreamCounter(
        "gate", StreamConfig(source="x", lines={"line": UPRIGHT}), TrackerConfig(), CLASSES
    )
    outcome = play(subject, [[Thing((200 + 4 * i, 300))] for i in range(60)])
    assert [event.speed_kmh for event in outcome.events] == [None]
    assert outcome.totals["speeds"] == {}


CORNER = st.tuples(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15))


@given(shifts=st.tuples(CORNER, CORNER, CORNER, CORNER), at=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_the_perspective_maps_the_points_to_their_places_and_back(
    shifts: tuple[tuple[float, float], ...], at: tuple[float, float]
) -> None:
    points = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]) + np.array(shifts)
    places = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 30.0], [0.0, 30.0]])
    there, back = homography(points, places), homography(places, points)
    for point, place in zip(points, places, strict=True):
        assert there @ [*point, 1] / (there @ [*point, 1])[2] == pytest.approx([*place, 1], abs=1e-6)
    place = back @ [at[0] * 10, at[1] * 30, 1]
    again = there @ (place / place[2])
    assert again / again[2] == pytest.approx([at[0] * 10, at[1] * 30, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("points", "metres", "says"),
    [
        (
            ((0, 0), (0.5, 0.5), (1, 1), (0, 1)),
            ((0, 0), (1, 0), (1, 1), (0, 1)),
            "three points are on one line",
        ),
        (((0, 0), (1, 0), (1, 1), (0, 1)), ((0, 0), (5, 0), (9, 0), (0, 9)), "three points are on one line"),
        (
            ((0, 0), (1, 0), (1, 1), (0, 1)),
            ((0, 0), (9, 9), (9, 0), (0, 9)),
            "not in the same order",
        ),
        (((0, 0), (1, 0), (1, 1)), ((0, 0), (9, 9), (9, 0), (0, 9)), "points"),
    ],
)
def test_a_calibration_that_no_camera_has_is_refused(points: object, metres: object, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        GroundConfig.model_validate({"points": points, "metres": metres})


def test_a_mirrored_plan_of_the_ground_gives_the_same_speeds() -> None:
    mirrored = GroundConfig(points=FLAT.points, metres=tuple((-x, y) for x, y in FLAT.metres))  # type: ignore[arg-type]
    one, other = (Ground(config, (WIDTH, HEIGHT)) for config in (FLAT, mirrored))
    a, b = (100.0, 200.0), (180.0, 230.0)
    assert math.dist(one.place_m(a) or a, one.place_m(b) or b) == pytest.approx(
        math.dist(other.place_m(a) or a, other.place_m(b) or b)
    )
