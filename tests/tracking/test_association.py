"""Which pairs are looked at: the search by intervals finds what looking at all pairs finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.mask_iou import informative_masks, iou_in_common_box
from pipeline.geometry.masks import MASK_SIZE
from pipeline.tracking import association as likeness
from pipeline.tracking.appearance_memory import TrackAppearances
from pipeline.tracking.association import MAX_COST, association_costs
from pipeline.tracking.pairs import Measurements, Predictions


def crowd(seed: int, found: int, kept: int, near_borders: bool) -> tuple[Measurements, Predictions]:
    random = np.random.default_rng(seed)

    def places(count: int) -> np.ndarray:
        return np.column_stack([random.uniform(0, 400, (count, 2)), random.uniform(1, 90, (count, 2))])

    def borders(count: int) -> np.ndarray:
        return random.random((count, 4)) < (0.3 if near_borders else 0.0)

    new = Measurements(
        cxcywh_px=places(found),
        scores=random.uniform(0, 1, found),
        class_ids=random.integers(0, 2, found).astype(np.int16),
        groups=np.zeros(found, np.int16),
        weak=random.random(found) < 0.3,
        edges=borders(found),
    )
    appearances = TrackAppearances()
    appearances.add(kept)
    seen_before = places(kept)
    same = min(found, kept) // 2
    seen_before[:same] = np.maximum(1.0, new.cxcywh_px[:same] + random.normal(0, 4, (same, 4)))
    old = Predictions(
        mean=seen_before,
        variance=random.uniform(1, 900, (kept, 4)),
        class_ids=random.integers(0, 2, kept).astype(np.int16),
        edges=borders(kept),
        groups=np.zeros(kept, np.int16),
        new=random.random(kept) < 0.4,
        fresh=np.zeros(kept, np.bool_),
        leaving=random.uniform(0, 8, (kept, 4)) * (random.random((kept, 4)) < 0.3),
        noise=np.full(4, 0.03**2),
        appearances=appearances,
        masks=random.integers(0, 256, (kept, MASK_SIZE, MASK_SIZE)).astype(np.uint8),
    )
    return new, old


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_the_search_by_intervals_finds_what_looking_at_all_pairs_finds(
    seed: int, found: int, kept: int, near_borders: bool
) -> None:
    new, old = crowd(seed, found, kept, near_borders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likeness, "MAX_DENSE_PAIRS", 10**9)
        all_looked_at = association_costs(new, old)
        patch.setattr(likeness, "MAX_DENSE_PAIRS", -1)
        searched = association_costs(new, old)
    for one, other in zip(all_looked_at, searched, strict=True):
        assert np.array_equal(one, other)
    assert (all_looked_at[2] < MAX_COST).all()


def test_a_pair_costs_the_same_alone_and_in_a_crowd() -> None:
    new, old = crowd(3, 40, 40, True)
    rows, columns, costs = association_costs(new, old)
    assert len(rows) > 15
    for row, column, cost in zip(rows, columns, costs, strict=True):
        one = Measurements(
            new.cxcywh_px[[row]],
            new.scores[[row]],
            new.class_ids[[row]],
            new.groups[[row]],
            new.weak[[row]],
            new.edges[[row]],
        )
        other = Predictions(
            old.mean[[column]],
            old.variance[[column]],
            old.class_ids[[column]],
            old.groups[[column]],
            old.edges[[column]],
            old.new[[column]],
            old.fresh[[column]],
            old.leaving[[column]],
            old.noise,
            old.appearances.only([column]),
            old.masks[[column]],
        )
        assert association_costs(one, other)[2] == pytest.approx([cost])


def half(side: str) -> np.ndarray:
    """A mask (28, 28) of the left or the right half of its box."""
    mask = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
    mask[:, : MASK_SIZE // 2] = 255
    return mask if side == "left" else mask[:, ::-1]


def test_two_in_one_place_are_told_apart_by_their_masks() -> None:
    place = np.array([[100.0, 100.0, 40.0, 80.0]] * 2)
    appearances = TrackAppearances()
    appearances.add(2)
    nothing = np.zeros(2, np.int16), np.zeros((2, 4), np.bool_)
    new = Measurements(
        place, np.ones(2), nothing[0], nothing[0], np.zeros(2, np.bool_), nothing[1], None,
        np.stack([half("right"), half("left")]),
    )  # fmt: skip
    old = Predictions(
        place,
        np.full((2, 4), 9.0),
        nothing[0],
        *nothing,
        np.zeros(2, np.bool_),
        np.zeros(2, np.bool_),
        np.zeros((2, 4)),
        np.full(4, 0.03**2),
        appearances,
        np.stack([half("left"), half("right")]),
    )
    rows, columns, costs = association_costs(new, old)
    cost = {
        (row, column): cost for row, column, cost in zip(rows.tolist(), columns.tolist(), costs, strict=True)
    }
    assert cost[0, 1] == cost[1, 0] < cost[0, 0] - 1.0


def test_masks_agree_as_their_pixels_do_where_the_boxes_overlap() -> None:
    place = np.array([[50.0, 50.0, 20.0, 20.0]])
    beside = np.array([[60.0, 50.0, 20.0, 20.0]])
    whole = np.full((1, MASK_SIZE, MASK_SIZE), 255, np.uint8)
    assert iou_in_common_box(place, half("left")[None], place, half("left")[None]) == 1.0
    assert iou_in_common_box(place, half("left")[None], place, half("right")[None]) == 0.0
    assert iou_in_common_box(place, half("left")[None], place, whole) == 0.5
    assert iou_in_common_box(place, half("right")[None], beside, half("left")[None]) == 1.0
    assert (
        iou_in_common_box(place, whole, np.array([[140.0, 50.0, 20.0, 20.0]]), whole) == 1.0
    )  # nothing to disagree about
    assert informative_masks(whole) is None and informative_masks(half("left")[None]) is not None
