"""COCO run-length masks without pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry.rle import decode, encode


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_mask_survives_the_round_trip(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert np.array_equal(decode(encode(mask), height, width), mask)


def test_counts_go_down_the_columns_as_coco_has_them() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1:, 1] = True  # counts 4, 2, 6: digits '4', '2', '6' offset by 48
    assert encode(mask) == "426"


def test_text_equals_the_coco_api() -> None:
    api = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    rng = np.random.default_rng(3)
    mask = np.repeat(np.repeat(rng.random((18, 32)) < 0.4, 20, axis=0), 20, axis=1)
    assert encode(mask) == api.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def test_counts_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="counts sum to 12, a 5x3 mask has 15 pixels"):
        decode("426", 3, 5)
