"""What instances look like: the colours inside their masks, and nothing of what is around them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.appearance import BINS, appearance_descriptors
from pipeline.transport.messages import APPEARANCE_SIZE
from pipeline.transport.planes import Planes

RED, BLUE, GREY = (200, 30, 30), (30, 30, 200), (120, 120, 120)
Colour = tuple[int, int, int]


def oval() -> np.ndarray:
    rows, columns = np.mgrid[:28, :28] - 13.5
    return np.where((rows / 14) ** 2 + (columns / 12) ** 2 < 1, 255, 0).astype(np.uint8)


def picture(upper: Colour, lower: Colour, around: Colour = GREY, at: tuple[int, int] = (100, 60)) -> Planes:
    """Somebody of 40 x 120 pixels with that shirt and those trousers."""
    image = np.full((240, 320, 3), around, np.uint8)
    x, y = at
    image[y : y + 60, x : x + 40] = upper
    image[y + 60 : y + 120, x : x + 40] = lower
    return Planes.from_rgb(image)


def appearance(planes: Planes, at: tuple[int, int] = (100, 60), mask: np.ndarray | None = None) -> np.ndarray:
    x, y = at
    box = np.array([[x, y, x + 40, y + 120]], np.float32)
    row = appearance_descriptors(planes, box, (oval() if mask is None else mask)[None])[0]
    return row.astype(int)


def test_a_look_is_two_times_three_histograms() -> None:
    row = appearance(picture(RED, BLUE))
    ends = np.cumsum([0, *BINS, *BINS])
    sums = np.add.reduceat(row, ends[:-1])
    assert row.shape == (APPEARANCE_SIZE,)
    assert (np.abs(sums - 255) <= 3).all()


def test_the_same_clothes_look_the_same_elsewhere_and_on_another_ground() -> None:
    elsewhere = appearance(picture(RED, BLUE, around=(30, 180, 40), at=(220, 100)), at=(220, 100))
    assert np.abs(appearance(picture(RED, BLUE)) - elsewhere).sum() < 60


def test_clothes_the_other_way_round_look_different() -> None:
    assert np.abs(appearance(picture(RED, BLUE)) - appearance(picture(BLUE, RED))).sum() > 1000


def test_a_mask_that_is_its_box_or_hardly_there_tells_nothing() -> None:
    planes = picture(RED, BLUE)
    small = np.zeros((28, 28), np.uint8)
    small[10:13, 10:13] = 255
    assert not appearance(planes, mask=np.full((28, 28), 255, np.uint8)).any()
    assert not appearance(planes, mask=small).any()
    assert not appearance(planes, mask=np.zeros((28, 28), np.uint8)).any()


@pytest.mark.parametrize("size", [(33, 17), (8, 8), (1, 1)])
def test_boxes_at_the_borders_of_odd_frames_are_no_error(size: tuple[int, int]) -> None:
    planes = Planes.from_rgb(np.full((size[1], size[0], 3), 90, np.uint8))
    boxes = np.array([[0, 0, size[0], size[1]], [size[0] - 0.5, size[1] - 0.5, size[0], size[1]]], np.float32)
    assert appearance_descriptors(planes, boxes, np.stack([oval()] * 2)).shape == (2, APPEARANCE_SIZE)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 9))
def test_an_instance_looks_alike_alone_and_among_others(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    planes = Planes.from_rgb(rng.integers(0, 256, (90, 120, 3)).astype(np.uint8))
    corner = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (count, 2))], axis=1).astype(np.float32)
    masks = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
    together = appearance_descriptors(planes, boxes, masks)
    assert together.shape == (count, APPEARANCE_SIZE)
    for row in range(count):
        assert np.array_equal(appearance_descriptors(planes, boxes[[row]], masks[[row]])[0], together[row])


def test_it_takes_a_tenth_of_a_millisecond_an_instance_at_the_most() -> None:
    planes = Planes.from_rgb(np.random.default_rng(0).integers(0, 256, (1080, 1920, 3)).astype(np.uint8))
    boxes = np.tile(np.array([[400, 200, 700, 900]], np.float32), (40, 1))
    masks = np.stack([oval()] * 40)
    appearance_descriptors(planes, boxes, masks)
    spent_s = []
    for _ in range(5):
        began_s = time.process_time()
        appearance_descriptors(planes, boxes, masks)
        spent_s.append(time.process_time() - began_s)
    assert min(spent_s) / 40 < 1e-4
