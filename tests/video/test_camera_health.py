"""Whether a camera can see: each fault is found within five seconds, and no change of the light is taken for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.transport.planes import Plane
from pipeline.video.health.camera_health import CameraHealth
from pipeline.video.health.stillness import MOST_FROZEN_S, Stillness
from pipeline.video.health.view import View, downscale

WIDTH, HEIGHT = 640, 360
STEP_S = 0.5


def backdrop(seed: int = 3) -> np.ndarray:
    """A scene of walls, windows and a lawn: sharp edges in all directions."""
    random = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH), 120, np.uint8)
    for _ in range(70):
        x, y = random.integers(0, WIDTH), random.integers(0, HEIGHT)
        size = tuple(int(side) for side in random.integers(15, 110, 2))
        box = cv2.boxPoints(((float(x), float(y)), size, float(random.uniform(0, 90))))
        cv2.fillPoly(picture, [box.astype(np.int32)], int(random.integers(30, 220)))
    return picture


def scene(seed: int = 3, noise: float = 1.5) -> Iterator[Plane]:
    """The scene twice a second, with people in it."""
    random = np.random.default_rng(seed)
    background = backdrop(seed)
    number = 0
    while True:
        picture = background.copy()
        for walker in range(4):
            x = (number * (9 + 3 * walker) + walker * 170) % WIDTH
            cv2.rectangle(picture, (x, 200 + 20 * walker), (x + 18, 250 + 20 * walker), 40 + 50 * walker, -1)
        yield with_noise(picture, random, noise)
        number += 1


def with_noise(picture: np.ndarray, random: np.random.Generator, noise: float) -> Plane:
    return np.clip(picture + noise * random.standard_normal(picture.shape), 0, 255).astype(np.uint8)


def watched(health: CameraHealth, pictures: Iterable[Plane], start_s: float) -> list[tuple[float, str]]:
    """When the condition changed, and to what; seconds after `start_s`."""
    changes, last = [], health.condition.name
    for number, picture in enumerate(pictures):
        name = health.update(picture, start_s + number * STEP_S).name
        if name != last:
            changes.append((number * STEP_S, name))
            last = name
    return changes


def covered(picture: Plane) -> np.ndarray:
    return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), WIDTH / 6) * 0.5 + 20


def turned(picture: Plane) -> np.ndarray:
    return cv2.warpAffine(
        picture, cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 6, 1), (WIDTH, HEIGHT),
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip


def shifted(picture: Plane) -> np.ndarray:
    matrix = np.array([[1, 0, 0.04 * WIDTH], [0, 1, 5]], np.float32)
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


FAULTS: dict[str, tuple[str, Callable[[Plane], np.ndarray]]] = {
    "black": ("black", lambda picture: np.full_like(picture, 17)),
    "lens cap": ("covered", covered),
    "cloth": ("covered", lambda picture: np.full_like(picture, 75)),
    "out of focus": ("blurred", lambda picture: cv2.GaussianBlur(picture, (0, 0), 5)),
    "pushed": ("moved", shifted),
    "turned": ("moved", turned),
    "turned away": ("moved", lambda picture: np.ascontiguousarray(picture[:, ::-1])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_in_five_seconds_and_is_over_when_it_is_over(fault: str) -> None:
    name, spoilt = FAULTS[fault]
    health, pictures, random = CameraHealth(), scene(), np.random.default_rng(9)
    assert watched(health, islice(pictures, 40), 0.0) == []
    spoiled = (with_noise(spoilt(picture), random, 1.0) for picture in islice(pictures, 40))
    ((found_s, found),) = watched(health, spoiled, 20.0)
    assert (found, found_s <= 5.0) == (name, True), (found, found_s)
    ((over_s, found),) = watched(health, islice(pictures, 20), 40.0)
    assert (found, over_s <= 3.0) == ("", True)


def encoded(pictures: Iterable[Plane], options: dict[str, str], path: Path) -> list[Plane]:
    """What a decoder shows of them, two pictures a second of ten."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            rgb = np.repeat(picture[..., None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return frames[::5]


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "ultrafast", "tune": "zerolatency", "g": "20"},
        {"preset": "ultrafast", "g": "40", "b": "1500000"},
    ],
    ids=["constant quality", "constant rate"],
)
def test_a_frozen_picture_is_found_though_it_is_encoded_again_and_again(
    options: dict[str, str], tmp_path: Path
) -> None:
    pictures = list(islice(scene(), 40))
    frozen = [picture for picture in pictures for _ in range(5)] + [pictures[-1]] * 120
    ((found_s, found),) = watched(CameraHealth(), encoded(frozen, options, tmp_path / "a.mp4"), 0.0)
    assert found == "frozen"
    assert 20.0 < found_s <= 26.0


def test_a_quiet_scene_is_not_frozen() -> None:
    random, background = np.random.default_rng(1), backdrop()
    assert watched(CameraHealth(), (with_noise(background, random, 0.6) for _ in range(240)), 0.0) == []


def test_a_scene_that_was_only_still_gets_more_time() -> None:
    stillness, picture = Stillness(), backdrop()
    assert not any(stillness.update(picture, second / 2) for second in range(7))
    assert stillness.update(picture, 3.5)
    walker = picture.copy()
    walker[200:260, 300:330] = 250
    stillness.update(walker, 10.0)
    assert not any(stillness.update(walker, 10.0 + second / 2) for second in range(40)), "20 s are allowed"
    assert stillness.update(walker, 30.5)
    assert stillness.update(walker, 10.0 + MOST_FROZEN_S)


def in_light(picture: Plane, number: int) -> np.ndarray:
    """Sun and clouds, lamps that are switched, light from one side, a cast shadow, exposure."""
    part = number // 30
    gain = 1 + 0.4 * np.sin(number / 70) if part % 5 else 0.25
    side = np.linspace(0.4, 1.6, WIDTH)[None] if part % 4 == 1 else 1.0
    shadow = np.where(np.arange(WIDTH)[None] > 260, 0.35, 1.0) if part % 4 == 2 else 1.0
    gamma = (1.0, 0.6, 1.7)[part % 3] if part % 5 else 1.0
    lit = np.clip(picture * gain * side * shadow / 255, 0, 1)
    return 255 * lit**gamma


@pytest.mark.parametrize("seed", [3, 4])
def test_no_light_is_a_fault(seed: int) -> None:
    random = np.random.default_rng(seed)
    pictures = (
        with_noise(in_light(picture, number), random, 1 + number // 100)
        for number, picture in enumerate(islice(scene(seed), 600))
    )
    assert watched(CameraHealth(), pictures, 0.0) == []


@pytest.mark.parametrize("clip", ["pets09-s2l1.avi", "one-by-one-person.mp4", "highway.avi"])
def test_real_footage_is_without_a_fault(shared_data: Path, clip: str) -> None:
    with av.open(str(shared_data / "clips" / clip)) as container:
        step = max(1, round(float(container.streams.video[0].average_rate or 10) * STEP_S))
        pictures = [
            frame.to_ndarray(format="gray")
            for number, frame in enumerate(container.decode(video=0))
            if number % step == 0
        ]
    assert watched(CameraHealth(), pictures * 2, 0.0) == []


def test_a_camera_that_moves_by_itself_has_not_been_moved() -> None:
    health, pictures = CameraHealth(fixed=False), scene()
    assert watched(health, islice(pictures, 40), 0.0) == []
    assert watched(health, (shifted(picture) for picture in islice(pictures, 40)), 20.0) == []


def test_a_camera_that_was_moved_while_nobody_looked_is_found_by_the_view_of_before() -> None:
    before = CameraHealth()
    watched(before, islice(scene(), 40), 0.0)
    assert before.reference is not None and before.reference.picture.shape == (180, 320)
    after = CameraHealth(reference=before.reference)
    ((found_s, found),) = watched(after, (shifted(picture) for picture in islice(scene(), 40)), 0.0)
    assert (found, found_s <= 5.0) == ("moved", True)


def test_a_scene_of_nothing_but_moving_things_is_no_view() -> None:
    def bar(number: int) -> Plane:
        picture = np.full((HEIGHT, WIDTH), 90, np.uint8)
        picture[:, (number * 37) % WIDTH :][:, :12] = 200
        return picture

    assert watched(CameraHealth(), map(bar, range(200)), 0.0) == []


def test_pictures_that_are_seldom_or_change_their_size_are_no_fault() -> None:
    health = CameraHealth()
    for number, picture in enumerate(islice(scene(), 60)):
        small = cv2.resize(picture, (320, 240)) if number % 2 else picture
        assert health.update(small, number * 40.0).name == ""
    assert watched(health, [np.zeros((2, 2), np.uint8)] * 2, 4000.0) == []


def test_a_picture_of_another_shape_is_learnt_anew() -> None:
    health = CameraHealth()
    assert watched(health, islice(scene(), 30), 0.0) == []
    square = (cv2.resize(picture, (480, 480)) for picture in islice(scene(), 200))
    assert watched(health, square, 15.0) == []
    assert watched(health, islice(scene(), 30), 115.0) == []
    other = CameraHealth(reference=health.reference)
    assert watched(other, (cv2.resize(picture, (480, 480)) for picture in islice(scene(), 200)), 0.0) == []
    ((found_s, found),) = watched(other, (np.full((480, 480), 75, np.uint8) for _ in range(12)), 100.0)
    assert (found, found_s <= 5.0) == ("covered", True)


def test_a_view_is_compared_by_its_edges_whatever_is_bright_and_dark() -> None:
    picture = downscale(backdrop())
    view = View.of(picture)
    assert view.comparable
    assert view.match(View.of(255 - picture)) > 0.95
    assert view.match(View.of((picture * 0.3).astype(np.uint8))) > 0.8
    assert view.match(View.of(downscale(backdrop(8)))) < 0.3
    moved = np.roll(picture, (3, -12), (0, 1))
    x, y, agreement = view.displacement(View.of(moved))
    assert (x, y) == (-12, 3)
    assert agreement > 0.8
