"""Quantiles of latencies without keeping them: a histogram whose bins grow by two per cent."""

from __future__ import annotations

import math

_LEAST_S = 1e-4
_GROWTH = 1.02
_BINS = 820  # up to about 1100 s


class Latency:
    """Quantiles within two per cent, in constant memory."""

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._total = 0

    def add(self, seconds: float) -> None:
        place = int(math.log(max(seconds, _LEAST_S) / _LEAST_S) / math.log(_GROWTH))
        self._bins[min(place, _BINS - 1)] += 1
        self._total += 1

    def quantile_s(self, part: float) -> float:
        """Seconds below which `part` (0..1) of all values lie; 0 without values."""
        left = part * self._total
        for place, count in enumerate(self._bins):
            left -= count
            if left <= 0 and count:
                return float(_LEAST_S * _GROWTH ** (place + 0.5))
        return 0.0
