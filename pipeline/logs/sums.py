"""Logs growing totals, such as dropped frames by reason, as sums over time instead of one line an event."""

from __future__ import annotations

from collections.abc import Mapping

EVERY_S = 60.0


class SumLog:
    """Words for how much totals have grown. Pure; time is passed in.

    Args:
        what: What is counted, e.g. `frames dropped`.
        now_s: Monotonic time at which the first period begins.
    """

    def __init__(self, what: str, now_s: float) -> None:
        self._what = what
        self._since_s = now_s
        self._before: dict[str, int] = {}

    def due(self, totals: Mapping[str, int], now_s: float, *, at_once: bool = False) -> str:
        """The growth since the last words, if a period of `EVERY_S` is over.

        Args:
            totals: Reason -> total so far.
            now_s: Monotonic time.
            at_once: Do not wait for the end of the period.

        Returns:
            One line such as `12 frames dropped in 60 s: replaced 10, late 2`; empty if there is nothing to say.
        """
        if now_s - self._since_s < EVERY_S and not at_once:
            return ""
        spent_s, self._since_s = now_s - self._since_s, now_s
        grown = {key: total - self._before.get(key, 0) for key, total in totals.items()}
        grown = {key: count for key, count in grown.items() if count > 0}
        self._before = dict(totals)
        if not grown:
            return ""
        parts = ", ".join(f"{key} {count}" for key, count in grown.items())
        return f"{sum(grown.values())} {self._what} in {spent_s:.0f} s: {parts}"
