"""Quantiles in bounded memory: of stays, speeds and latencies."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.quantiles import EXACT_VALUES, QuantileSketch

VALUES = st.lists(st.floats(0.01, 1e5), min_size=1, max_size=60)


def filled(values: list[float], edges: tuple[float, ...] = ()) -> QuantileSketch:
    sketch = QuantileSketch(edges)
    for value in values:
        sketch.add(value)
    return sketch


@given(values=VALUES, share=st.floats(0, 1))
def test_of_a_few_values_the_quantile_is_exact(values: list[float], share: float) -> None:
    assert filled(values).quantile(share) == pytest.approx(float(np.quantile(values, share)))


def test_of_many_values_it_is_within_two_percent() -> None:
    values = np.random.default_rng(3).lognormal(2, 1, 20 * EXACT_VALUES).tolist()
    sketch = filled(values)
    for share in (0.05, 0.5, 0.85, 0.95):
        assert sketch.quantile(share) == pytest.approx(float(np.quantile(values, share)), rel=0.02)
    assert len(sketch._bins) < 1100


def test_values_beyond_all_bins_are_counted() -> None:
    sketch = filled([0.0] * EXACT_VALUES + [1e12] * (EXACT_VALUES + 1))
    assert sketch.count == 2 * EXACT_VALUES + 1
    assert sketch.quantile(0.1) < 0.01
    assert sketch.quantile(0.9) > 1e6


@given(values=VALUES)
def test_buckets_hold_what_is_up_to_their_edge_and_never_shrink(values: list[float]) -> None:
    edges = (1.0, 10.0, 100.0)
    histogram = filled(values, edges).histogram()
    assert [edge for edge, _ in histogram.buckets] == [*edges, inf]
    for edge, count in histogram.buckets:
        assert count == sum(value <= edge for value in values)
    assert histogram.total == pytest.approx(sum(values))


def test_of_nothing_the_quantile_is_zero() -> None:
    assert QuantileSketch().quantile(0.5) == 0.0
