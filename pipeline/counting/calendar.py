"""Counts since ever, today and in this hour, by the clock of the site.

Totals of a stream without end run from its first frame on. What was counted today is the difference to the totals at
midnight, by the local time of the site, so that a day with a change to or from daylight saving time has 23 or 25 hours.
History hour by hour is in the database, where each event has its own time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import inf
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from pipeline.metrics.series import Sample, Series
from pipeline.records.state import AttributeState

HOUR_S = 3600.0
BACK_S = 120.0
"""A clock that was set back by more than this begins a new hour and day."""

Numbers: TypeAlias = dict[str, int]
"""`KIND/NAME/CLASS/DIRECTION` -> number."""


class Calendar(AttributeState):
    """The periods of one stream.

    Args:
        zone: Time zone of the site.
    """

    STATE = ("_began_s", "_hour_s", "_day_s", "_next_s", "_carried", "_of_hour", "_of_day")

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._began_s = 0.0
        self._hour_s = self._day_s = 0.0
        self._next_s = -inf
        self._carried: Numbers = {}
        """Counted before tracking had to begin anew."""
        self._of_hour: Numbers = {}
        """Totals when this hour began."""
        self._of_day: Numbers = {}

    def advance(self, wall_s: float, totals: Callable[[], Mapping[str, Any]]) -> None:
        """Moves on to the time of the next frame, before it is counted.

        Args:
            wall_s: Unix time of the frame.
            totals: gives what is counted so far, with the keys of the stream in `summary.json`; called only when an
                hour is over.
        """
        if self._hour_s - BACK_S <= wall_s < self._next_s:
            return
        began = not self._began_s
        hour_s, day_s = self._starts(wall_s)
        numbers = {} if began else self._numbers(totals())
        if began:
            self._began_s = wall_s
        if day_s != self._day_s:
            self._day_s, self._of_day = day_s, numbers
        self._hour_s, self._of_hour, self._next_s = hour_s, numbers, hour_s + HOUR_S

    def carry(self, totals: Mapping[str, Any]) -> None:
        """Counting begins anew at 0: what was counted before goes on to count.

        Args:
            totals: as for `advance`, of the counting that ends.
        """
        self._carried = self._numbers(totals)

    def summary(self, totals: Mapping[str, Any]) -> dict[str, Any]:
        """Counts by period: `ever`, `today`, `hour`, each with `since`, and the counts by kind, name, class and
        direction.

        Args:
            totals: as for `advance`.
        """
        if not self._began_s:
            return {}
        return {
            period: {"since": self._text(since_s)} | _nested(numbers)
            for period, since_s, numbers in self._periods(totals)
        }

    def series(self, totals: Mapping[str, Any]) -> Series:
        """The counts by period as a metric.

        Args:
            totals: as for `advance`.
        """
        samples = tuple(
            Sample((period, *key.split("/")), number)
            for period, _, numbers in self._periods(totals)
            for key, number in numbers.items()
        )
        return Series(
            "tallycam_count",
            "Objects counted ever, today and in this hour, by the local time of the site.",
            "gauge",
            ("period", "kind", "name", "class", "direction"),
            samples if self._began_s else (),
        )

    def _periods(self, totals: Mapping[str, Any]) -> list[tuple[str, float, Numbers]]:
        now = self._numbers(totals)
        return [
            ("ever", self._began_s, now),
            ("today", max(self._day_s, self._began_s), _difference(now, self._of_day)),
            ("hour", max(self._hour_s, self._began_s), _difference(now, self._of_hour)),
        ]

    def _numbers(self, totals: Mapping[str, Any]) -> Numbers:
        found = dict(self._carried)
        for key, number in _flat(totals).items():
            found[key] = found.get(key, 0) + number
        return found

    def _starts(self, wall_s: float) -> tuple[float, float]:
        """Unix times at which the hour and the day of a moment begin."""
        local = datetime.fromtimestamp(wall_s, self._zone)
        offset_s = (local.utcoffset() or timedelta()).total_seconds()
        midnight = datetime(local.year, local.month, local.day, tzinfo=self._zone)
        return wall_s - (wall_s + offset_s) % HOUR_S, midnight.timestamp()

    def _text(self, wall_s: float) -> str:
        return datetime.fromtimestamp(wall_s, self._zone).isoformat(timespec="seconds")


def _flat(totals: Mapping[str, Any]) -> Numbers:
    """The numbers that only rise, of objects, lines and zones. Names hold no `/`."""
    found = {f"unique//{cls}/": number for cls, number in totals.get("unique", {}).items()}
    for line, classes in totals.get("lines", {}).items():
        for cls, directions in classes.items():
            found |= {f"line/{line}/{cls}/{way}": number for way, number in directions.items()}
    for zone, classes in totals.get("zones", {}).items():
        for cls, numbers in classes.items():
            found |= {f"zone/{zone}/{cls}/{way}": numbers[way] for way in ("entries", "exits")}
    return found


def _difference(now: Numbers, before: Numbers) -> Numbers:
    """What came since. A line that was moved begins at 0, and a vote over a class may take an object to another one: no
    number is negative for that."""
    return {key: max(0, number - min(number, before.get(key, 0))) for key, number in now.items()}


def _nested(numbers: Numbers) -> dict[str, Any]:
    """As in `summary.json`: `unique`, `lines` and `zones`."""
    result: dict[str, Any] = {"unique": {}, "lines": {}, "zones": {}}
    for key, number in numbers.items():
        kind, name, cls, way = key.split("/")
        if kind == "unique":
            result["unique"][cls] = number
        else:
            result[f"{kind}s"].setdefault(name, {}).setdefault(cls, {})[way] = number
    return result
