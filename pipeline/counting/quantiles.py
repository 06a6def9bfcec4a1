"""Quantiles of what keeps coming, in bounded memory: the same values in the same order give the same answers.

A few values are kept as they are, so that a small count can be checked by hand. Of more, only a histogram with
bins of equal ratio is kept (Masson, Rim, Lee 2019: DDSketch): a quantile is then at most 1.1 % off.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass
from math import floor, log2

EXACT_VALUES = 512
"""Values kept as they are."""
BINS_PER_DOUBLING = 32
LOWEST, HIGHEST = 1e-3, 1e7
"""Values beyond are counted as these: 1063 bins at the most."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """What Prometheus calls a histogram.

    Attributes:
        buckets: (upper edge, values up to it), the edges rising; the last edge is infinite.
        total: sum of all values.
    """

    buckets: tuple[tuple[float, int], ...]
    total: float


class QuantileSketch:
    """How values of 0 or more are spread.

    Args:
        edges: upper edges of the buckets of `histogram`, rising, without the infinite one.
    """

    def __init__(self, edges: tuple[float, ...] = ()) -> None:
        self.count = 0
        self.total = 0.0
        self._edges = edges
        self._buckets = [0] * (len(edges) + 1)
        self._kept: list[float] | None = []
        self._bins: Counter[int] = Counter()

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self._buckets[bisect_left(self._edges, value)] += 1
        if self._kept is not None:
            insort(self._kept, value)
            if len(self._kept) > EXACT_VALUES:
                self._bins.update(_bin(one) for one in self._kept)
                self._kept = None
        else:
            self._bins[_bin(value)] += 1

    def quantile(self, share: float) -> float:
        """The value below which `share` (0..1) of all values lie, interpolated; 0 where there is none."""
        if not self.count:
            return 0.0
        rank = share * (self.count - 1)
        low = floor(rank)
        if self._kept is not None:
            high = min(low + 1, self.count - 1)
            return self._kept[low] + (rank - low) * (self._kept[high] - self._kept[low])
        before = 0
        for number, inside in sorted(self._bins.items()):
            if before + inside > low:
                within = min((rank - before + 0.5) / inside, 1.0)
                return float(LOWEST * 2 ** ((number + within) / BINS_PER_DOUBLING))
            before += inside
        raise AssertionError("the bins hold all values")

    def histogram(self) -> Histogram:
        """Values up to each edge."""
        sums, so_far = [], 0
        for edge, count in zip((*self._edges, float("inf")), self._buckets, strict=True):
            so_far += count
            sums.append((edge, so_far))
        return Histogram(tuple(sums), self.total)


def _bin(value: float) -> int:
    return floor(log2(min(max(value, LOWEST), HIGHEST) / LOWEST) * BINS_PER_DOUBLING)
