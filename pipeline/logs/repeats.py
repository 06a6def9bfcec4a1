"""Sums repeated lines, so that a damaged stream cannot flood the log. Pure; time is passed in."""

from __future__ import annotations

import re
from dataclasses import dataclass

WINDOW_S = 10.0
"""Lines that repeat within this time are summed."""
LINES_MAX = 200
"""Lines passed on in one window; the rest is only counted."""

_VARIABLE = re.compile(r"0x[0-9a-fA-F]+|\d+")
"""What may differ between repetitions: addresses and numbers."""


@dataclass(slots=True)
class _Repeated:
    text: str
    count: int
    since_s: float


class RepeatFilter:
    """Passes a line on when it is new and sums its repetitions over `WINDOW_S`.

    Two lines count as the same if they differ only in numbers. Lines that begin with a space are the body of a
    traceback or the like: they are passed on as they come, within `LINES_MAX`.
    """

    def __init__(self) -> None:
        self._repeated: dict[str, _Repeated] = {}
        self._window_s = float("-inf")
        self._passed = 0
        self._withheld = 0

    def add(self, text: str, now_s: float) -> list[str]:
        """Takes a line.

        Args:
            text: The line.
            now_s: Monotonic time.

        Returns:
            The lines to log now: sums that have become due, then `text` if it is passed on.
        """
        due = self.due(now_s)
        if text[:1] in (" ", "\t"):
            return due + self._within_limit(text)
        key = _VARIABLE.sub("#", text)
        seen = self._repeated.get(key)
        if seen is not None:
            seen.text, seen.count = text, seen.count + 1
            return due
        passed = self._within_limit(text)
        if passed:
            self._repeated[key] = _Repeated(text, 0, now_s)
        return due + passed

    def due(self, now_s: float, *, all_of_them: bool = False) -> list[str]:
        """Lines that sum up windows.

        Args:
            now_s: Monotonic seconds.
            all_of_them: Also of windows that have not ended.
        """
        lines = []
        for key, seen in list(self._repeated.items()):
            if all_of_them or now_s - seen.since_s >= WINDOW_S:
                del self._repeated[key]
                if seen.count:
                    lines.append(f"{seen.text} (repeated {_times(seen.count)})")
        if all_of_them or now_s - self._window_s >= WINDOW_S:
            if self._withheld:
                lines.append(f"{self._withheld} more lines were left out")
            self._window_s, self._passed, self._withheld = now_s, 0, 0
        return lines

    def _within_limit(self, text: str) -> list[str]:
        if self._passed >= LINES_MAX:
            self._withheld += 1
            return []
        self._passed += 1
        return [text]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
