"""Quantiles of a stream of values in bounded memory, deterministic: the same values give the same answers.

The sketch is a DDSketch (C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): a histogram whose bin edges form a geometric series, so that a quantile has a
bounded *relative* error. The first `EXACT_VALUES` values are kept as they are: small counts are then exact and can be
checked by hand.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field
from math import floor, log2

EXACT_VALUES = 512
"""Number of values up to which quantiles are exact."""
BINS_PER_DOUBLING = 32
"""Neighbouring bin edges differ by a factor of 2 ** (1 / 32), which bounds the relative error by 2.2 %."""
LOWEST, HIGHEST = 1e-3, 1e7
"""Values outside this range fall into the first or the last bin, so that there are at most 1063 bins."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """A cumulative histogram as Prometheus defines it.

    Attributes:
        buckets: (upper edge, number of values up to and including it) by rising edge; the last edge is infinite.
        total: sum of all values.
    """

    buckets: tuple[tuple[float, int], ...]
    total: float


@dataclass(slots=True)
class QuantileSketch:
    """Distribution of non-negative values: quantiles, and a cumulative histogram with fixed bucket edges.

    Args:
        edges: rising upper edges of the buckets of `histogram`, without the infinite one.
    """

    edges: tuple[float, ...] = ()
    count: int = field(default=0, init=False)
    total: float = field(default=0.0, init=False)
    _buckets: list[int] = field(init=False)
    _exact: list[float] | None = field(default_factory=list, init=False)
    """All values in rising order, until there are too many of them."""
    _bins: Counter[int] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self._buckets = [0] * (len(self.edges) + 1)

    def add(self, value: float) -> None:
        """Adds a value.

        Args:
            value: finite, 0 or more.
        """
        self.count += 1
        self.total += value
        self._buckets[bisect_left(self.edges, value)] += 1
        if self._exact is not None:
            insort(self._exact, value)
            if len(self._exact) > EXACT_VALUES:
                self._bins.update(_bin(one) for one in self._exact)
                self._exact = None
        else:
            self._bins[_bin(value)] += 1

    def quantile(self, share: float) -> float:
        """The `share`-quantile with linear interpolation between values, as NumPy's default method.

        Args:
            share: 0 (the least value) to 1 (the greatest one); 0.5 is the median.

        Returns:
            Exact up to `EXACT_VALUES` values, within 2.2 % of it beyond; 0 without any value.
        """
        if not self.count:
            return 0.0
        rank = share * (self.count - 1)
        low = floor(rank)
        if self._exact is not None:
            high = min(low + 1, self.count - 1)
            return self._exact[low] + (rank - low) * (self._exact[high] - self._exact[low])
        before = 0
        for number, inside in sorted(self._bins.items()):
            if before + inside > low:
                within = min((rank - before + 0.5) / inside, 1.0)
                return float(LOWEST * 2 ** ((number + within) / BINS_PER_DOUBLING))
            before += inside
        raise AssertionError("the bins hold all values")

    def histogram(self) -> Histogram:
        """The cumulative histogram over the edges given at construction."""
        sums, so_far = [], 0
        for edge, count in zip((*self.edges, float("inf")), self._buckets, strict=True):
            so_far += count
            sums.append((edge, so_far))
        return Histogram(tuple(sums), self.total)


def _bin(value: float) -> int:
    """Number of the bin of a value."""
    return floor(log2(min(max(value, LOWEST), HIGHEST) / LOWEST) * BINS_PER_DOUBLING)
