"""The motion of a camera, from pixels: pans, shakes and zooms of a made scene with people who walk before it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.tracking.camera import CameraPose
from pipeline.transport.messages import Camera
from pipeline.transport.planes import Plane
from pipeline.video.camera_motion import CameraMotion

WIDTH, HEIGHT = 960, 540
CORNERS = np.array([[60.0, 60], [900, 60], [60, 480], [900, 480]])


@pytest.fixture(scope="module")
def scene() -> Plane:
    """A wall with posters, larger than the picture."""
    rng = np.random.default_rng(3)
    wall = rng.integers(90, 140, (60, 100)).astype(np.uint8)
    wall = cv2.resize(wall, (1600, 960), interpolation=cv2.INTER_CUBIC)
    for _ in range(120):
        x, y = rng.integers(0, 1500), rng.integers(0, 900)
        wide, tall = rng.integers(20, 120, 2)
        wall[y : y + tall, x : x + wide] = rng.integers(20, 230)
    return wall


def picture(scene: Plane, pose: Camera, people: int = 0, number: int = 0) -> Plane:
    """What the camera shows: pixel (u, v) is the scene's a u - b v + x + 200, b u + a v + y + 200."""
    _, a, b, x, y = pose
    matrix = np.array([[a, -b, x + 200], [b, a, y + 200]])
    shown = cv2.warpAffine(scene, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    for person in range(people):
        left = (person * 190 + number * 9) % (WIDTH - 60)
        shown[180:400, left : left + 60] = 60 + 30 * person
        shown[200:240, left + 10 : left + 50] = 200
    return np.asarray(shown, np.uint8)


def off_px(scene: Plane, poses: list[Camera], people: int = 0) -> float:
    """The most that corners of the picture are away from where they really moved to, over all frames."""
    estimator, told, true = CameraMotion(), CameraPose(), CameraPose()
    worst = 0.0
    for number, pose in enumerate(poses):
        camera = estimator.update(picture(scene, pose, people, number), 0, number)
        assert camera[0] == 0, "the view was lost"
        got, real = told.camera_transform(camera, 0), true.camera_transform(pose, 0)
        places = CORNERS if got is None else got.points(CORNERS)
        expected = CORNERS if real is None else real.points(CORNERS)
        worst = max(worst, float(np.abs(places - expected).max()))
    return worst


@pytest.mark.parametrize("people", [0, 4])
def test_pan_shake_and_zoom_are_followed_to_a_pixel_or_so(scene: Plane, people: int) -> None:
    rng = np.random.default_rng(0)
    pan = [(0, 1.0, 0.0, 9.0 * number, 2.0 * number) for number in range(20)]
    shake = [(0, 1.0, rng.normal(0, 0.006), rng.normal(0, 12), rng.normal(0, 12)) for _ in range(20)]
    zoom = [(0, 1.0 + 0.01 * number, 0.0, -4.0 * number, -2.0 * number) for number in range(20)]
    assert max(off_px(scene, poses, people) for poses in (pan, shake, zoom)) < 2.5


def test_a_camera_that_stands_does_not_drift_whoever_walks_before_it(scene: Plane) -> None:
    estimator = CameraMotion()
    stand = (0, 1.0, 0.0, 0.0, 0.0)
    told = {estimator.update(picture(scene, stand, 4, number), 0, number) for number in range(120)}
    assert told == {stand}


def test_a_very_slow_pan_is_not_taken_for_standing(scene: Plane) -> None:
    estimator = CameraMotion()
    poses = [(0, 1.0, 0.0, 0.1 * number, 0.0) for number in range(60)]
    last = [estimator.update(picture(scene, pose), 0, number) for number, pose in enumerate(poses)][-1]
    assert last[3] == pytest.approx(5.9, abs=1.0)


def test_a_cut_and_a_new_epoch_begin_a_new_view(scene: Plane) -> None:
    estimator = CameraMotion()
    here, there = picture(scene, (0, 1.0, 0.0, 0.0, 0.0)), picture(scene[::-1, ::-1], (0, 1.0, 0.0, 0.0, 0.0))
    assert estimator.update(here, 0, 5) == (5, 1.0, 0.0, 0.0, 0.0)
    assert estimator.update(there, 0, 6) == (6, 1.0, 0.0, 0.0, 0.0)
    assert estimator.update(there, 1, 7) == (7, 1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("shape", [(540, 960), (8, 8), (1, 1), (1080, 1920)])
def test_a_picture_without_anything_in_it_is_no_error(shape: tuple[int, int]) -> None:
    estimator = CameraMotion()
    grey = np.full(shape, 128, np.uint8)
    assert [estimator.update(grey, 0, number)[0] for number in range(3)] == [0, 1, 2]
