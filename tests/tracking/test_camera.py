"""A camera that moves: with `camera: moving` objects are followed over the scene; where it stands, nothing changes."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.tracking.camera import CameraPose, CameraTransform
from pipeline.tracking.kalman import KalmanFilter
from pipeline.transport.messages import Camera
from tests.counting.counting_scenes import CLASSES, FPS, Thing, instances

Poses = list[Camera]
SECONDS = 8
STANDING = [(100.0 + 100 * place, 200.0 + 60 * (place % 3)) for place in range(5)]
"""Who stands there, in the pixels of the first frame."""


def shaking(seed: int = 0) -> Poses:
    """Somebody holds it in his hand while he runs."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 14, (round(SECONDS * FPS), 2))
    turns = rng.normal(0, 0.008, round(SECONDS * FPS))
    return [(0, 1.0, turn, x, y) for turn, (x, y) in zip(turns.tolist(), moves.tolist(), strict=True)]


def panning() -> Poses:
    """To the right by a whole picture and back in four seconds."""
    times = np.arange(round(SECONDS * FPS)) / FPS
    return [(0, 1.0, 0.0, 320 * (1 - np.cos(2 * np.pi * t / 4)), 0.0) for t in times.tolist()]


def seen_by(camera: Camera, foot: tuple[float, float]) -> tuple[float, float]:
    """Where the camera shows a spot of the scene."""
    spot = (complex(*foot) - complex(*camera[3:])) / complex(camera[1], camera[2])
    return spot.real, spot.imag


def counted(poses: Poses, camera: str, engine: str = "own", ghosts: bool = False) -> tuple[int, set[int]]:
    """Unique people among five who stand and one who walks through, and the ids that were shown."""
    stream = StreamConfig(source="scene", camera=camera)
    subject = StreamCounter("gate", stream, TrackerConfig(engine=engine), CLASSES)
    shown: set[int] = set()
    for number, pose in enumerate(poses):
        walker = (60.0 + 3.0 * number, 330.0)
        feet = [seen_by(pose, foot) for foot in (*STANDING, walker)]
        frame = instances([Thing(foot) for foot in feet], number, number / FPS)
        step = subject.update(msgspec.structs.replace(frame, camera=None if ghosts else pose))
        shown.update(step.tracks.ids.tolist())
    subject.finish()
    return subject.totals().summary["unique"]["person"], shown


@pytest.mark.parametrize(
    ("poses", "engine"),
    [(shaking(), "own"), (panning(), "own"), (panning(), "norfair")],
    ids=["shaking", "panning", "panning, norfair"],
)
def test_people_before_a_moving_camera_count_once_each(poses: Poses, engine: str) -> None:
    """Panning, all but one leave the picture and come back."""
    assert counted(poses, "moving", engine) == (6, set(range(1, 7)))


@pytest.mark.parametrize("poses", [shaking(), panning()], ids=["shaking", "panning"])
def test_without_the_option_they_do_not(poses: Poses) -> None:
    assert counted(poses, "fixed") != (6, set(range(1, 7)))


def test_a_moving_camera_of_which_nothing_is_known_counts_like_a_fixed_one() -> None:
    assert counted(panning(), "moving", ghosts=True) == counted(panning(), "fixed")


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(["own", "norfair"]))
def test_a_camera_that_stands_changes_nothing(seed: int, engine: str) -> None:
    rng = np.random.default_rng(seed)
    pose = (0, 1.0, 0.0, 0.0, 0.0)
    subjects = [
        StreamCounter("gate", StreamConfig(source="s", camera=camera), TrackerConfig(engine=engine), CLASSES)
        for camera in ("fixed", "moving")
    ]
    places = rng.uniform((50, 100), (600, 340), (4, 2))
    for number in range(20):
        places += rng.normal(0, 5, places.shape)
        frame = instances([Thing((x, y)) for x, y in places.tolist()], number, number / FPS)
        frame = msgspec.structs.replace(frame, camera=pose)
        first, second = (subject.update(frame).tracks for subject in subjects)
        assert np.array_equal(first.ids, second.ids)
        assert np.array_equal(first.boxes_px, second.boxes_px)


def test_what_was_known_moves_along_and_back_again() -> None:
    motion = KalmanFilter()
    motion.add(np.array([[100.0, 80.0, 20.0, 50.0], [30.0, 40.0, 10.0, 10.0]]))
    motion.predict(0.04)
    motion.update(np.array([0, 1]), motion.mean + 2.0, np.ones(2), np.zeros((2, 4), np.bool_))
    before = [array.copy() for array in (motion.mean, motion.velocity, motion.variance)]
    there = CameraTransform(complex(0.0, 2.0), complex(5.0, -3.0))  # a quarter turn, twice as large
    back = CameraTransform(1 / there.rotation, -there.translation / there.rotation)
    motion.camera_transform(there)
    x, y, wide, tall = before[0][0].tolist()
    assert motion.mean[0].tolist() == pytest.approx([-2 * y + 5, 2 * x - 3, 2 * wide, 2 * tall])
    assert motion.variance[0, 0] == pytest.approx(4 * before[2][0, 1])
    motion.camera_transform(back)
    for array, old in zip((motion.mean, motion.velocity, motion.variance), before, strict=True):
        np.testing.assert_allclose(array, old, atol=1e-9)


def test_the_shift_takes_a_spot_from_where_it_was_to_where_it_is() -> None:
    view = CameraPose()
    first, second = (7, 0.9, 0.1, 30.0, -4.0), (7, 1.1, -0.2, -10.0, 12.0)
    assert view.camera_transform(first, 0) is None
    camera_transform = view.camera_transform(second, 0)
    assert camera_transform is not None
    spot = (320.0, 200.0)
    moved = camera_transform.points(np.array([seen_by(first, spot)]))[0].tolist()
    assert moved == pytest.approx(seen_by(second, spot))


@pytest.mark.parametrize(
    ("camera", "epoch"),
    [(None, 0), ((8, 1.0, 0.0, 50.0, 0.0), 0), ((7, 1.0, 0.0, 50.0, 0.0), 1), ((7, 0.0, 0.0, 50.0, 0.0), 0)],
    ids=["not told", "another origin", "another epoch", "not a view"],
)
def test_views_that_cannot_be_compared_move_nothing(camera: Camera | None, epoch: int) -> None:
    view = CameraPose()
    view.camera_transform((7, 1.0, 0.0, 0.0, 0.0), 0)
    assert view.camera_transform(camera, epoch) is None


def test_a_camera_that_changed_its_resolution_is_followed_in_the_pixels_of_before() -> None:
    view = CameraPose()
    view.camera_transform((0, 1.0, 0.0, 0.0, 0.0), 0, (2.0, 2.0))
    camera_transform = view.camera_transform((0, 1.0, 0.0, 10.0, -4.0), 0, (2.0, 2.0))
    assert camera_transform is not None
    assert camera_transform.translation == complex(-20.0, 8.0)
