"""Polygons and masks: to the pixel, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry.polygons import (
    crosses_itself,
    few_points,
    fill_polygon,
    fill_polygons,
    joined,
    outlines,
)


def blobs(height: int, width: int, seed: int, share: float) -> np.ndarray:
    """(H, W) bool: parts, holes, and pixels that touch at a corner."""
    rng = np.random.default_rng(seed)
    block = int(rng.integers(1, 5))
    return np.kron(rng.random((height, width)) < share, np.ones((block, block), bool))


def spread(corner: tuple[int, int], region: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(shape, bool)
    whole[corner[1] : corner[1] + region.shape[0], corner[0] : corner[0] + region.shape[1]] = region
    return whole


masks = st.builds(blobs, st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1), st.floats(0, 1))


@given(masks)
def test_the_outlines_of_a_mask_are_the_mask_again(mask: np.ndarray) -> None:
    height, width = mask.shape
    assert np.array_equal(spread(*fill_polygons(outlines(mask), width, height), mask.shape), mask)


@given(masks.filter(np.any))
def test_parts_and_holes_joined_in_one_polygon_are_the_mask_again(mask: np.ndarray) -> None:
    height, width = mask.shape
    assert np.array_equal(spread(*fill_polygon(joined(outlines(mask)), width, height), mask.shape), mask)


@given(masks.filter(np.any), st.floats(0.9, 0.999))
def test_few_points_keep_as_much_of_the_mask_as_asked(mask: np.ndarray, least_iou: float) -> None:
    height, width = mask.shape
    filled = spread(*fill_polygons(few_points(mask, least_iou=least_iou), width, height), mask.shape)
    assert np.count_nonzero(mask & filled) >= least_iou * np.count_nonzero(mask | filled)


@given(masks.filter(np.any), st.floats(0.5, 0.99))
def test_outlines_with_few_points_do_not_cross_themselves(mask: np.ndarray, least_iou: float) -> None:
    assert not any(crosses_itself(one) for one in few_points(mask, least_iou=least_iou))


def test_a_disc_needs_few_points() -> None:
    y, x = np.mgrid[:480, :640]
    disc = (x - 300) ** 2 + (y - 200) ** 2 < 150**2
    (exact,), (simple,) = outlines(disc), few_points(disc)
    assert len(simple) < 40 < 300 < len(exact)


def test_polygons_cover_the_pixels_that_the_coco_api_says() -> None:
    api = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    rng = np.random.default_rng(5)
    for _ in range(20):
        angles = np.sort(rng.random(12)) * 2 * np.pi
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(30, 80, (12, 1)) + 100
        theirs = api.decode(api.frPyObjects([points.reshape(-1).tolist()], 200, 210))[:, :, 0] > 0
        ours = spread(*fill_polygon(points, 210, 200), (200, 210))
        assert np.count_nonzero(ours & theirs) > 0.97 * np.count_nonzero(ours | theirs)


def test_a_polygon_that_leaves_the_image_is_cut_off() -> None:
    square = np.array([(-5.0, -5.0), (3.0, -5.0), (3.0, 2.0), (-5.0, 2.0)])
    corner, region = fill_polygon(square, 10, 10)
    assert corner == (0, 0) and region.shape == (2, 3) and region.all()
    assert fill_polygon(square + 30, 10, 10)[1].size == 0


def test_a_bow_tie_crosses_itself_and_a_star_shaped_outline_does_not() -> None:
    assert crosses_itself(np.array([(0.0, 0.0), (4.0, 4.0), (4.0, 0.0), (0.0, 4.0)]))
    assert not crosses_itself(np.array([(0.0, 0.0), (4.0, 1.0), (4.0, 4.0), (2.0, 1.5), (0.0, 4.0)]))


@given(masks)
def test_bridges_to_holes_and_parts_do_not_count_as_crossing(mask: np.ndarray) -> None:
    assert not any(crosses_itself(polygon) for polygon in outlines(mask))
