"""Counts since ever, today and in this hour: by the clock on the wall of the site, also when it is changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from pipeline.config.schema import Config
from pipeline.config.time_zone import zone_of
from pipeline.counting.calendar import Calendar

BERLIN = ZoneInfo("Europe/Berlin")


class Street:
    """One crossing a minute, from a moment on."""

    def __init__(self, zone: ZoneInfo, began: datetime) -> None:
        self.calendar = Calendar(zone)
        self.now_s = began.timestamp()
        self.crossed = 0

    def totals(self) -> dict[str, Any]:
        return {
            "unique": {"car": self.crossed},
            "lines": {"door": {"car": {"in": self.crossed, "out": 0}}},
            "zones": {"yard": {"car": {"entries": self.crossed, "exits": 1, "now": 5}}},
        }

    def until(self, moment: datetime) -> dict[str, int]:
        """Period -> crossings, when it is that late."""
        while self.now_s < moment.timestamp():
            self.calendar.advance(self.now_s, self.totals)
            self.crossed += 1
            self.now_s += 60.0
        return self.said()

    def said(self) -> dict[str, int]:
        summary = self.calendar.summary(self.totals())
        return {period: counts["lines"]["door"]["car"]["in"] for period, counts in summary.items()}


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def test_a_day_begins_at_midnight_and_an_hour_at_the_full_hour() -> None:
    street = Street(BERLIN, at("2026-11-25 22:30"))
    assert street.until(at("2026-11-25 22:50")) == {"ever": 20, "today": 20, "hour": 20}
    assert street.until(at("2026-11-25 23:10")) == {"ever": 40, "today": 40, "hour": 10}
    assert street.until(at("2026-11-26 00:05")) == {"ever": 95, "today": 5, "hour": 5}
    assert street.until(at("2026-11-26 14:30")) == {"ever": 960, "today": 870, "hour": 30}
    since = {period: counts["since"] for period, counts in street.calendar.summary(street.totals()).items()}
    assert since == {
        "ever": "2026-11-25T22:30:00+01:00",
        "today": "2026-11-26T00:00:00+01:00",
        "hour": "2026-11-26T14:00:00+01:00",
    }


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_on_which_the_clocks_change_has_its_own_length(day: str, hours: int) -> None:
    street = Street(BERLIN, at(f"{day} 00:00"))
    next_day = at(f"{day} 00:00") + timedelta(days=1)  # by the clock on the wall
    last = datetime.fromtimestamp(next_day.timestamp() - 60, BERLIN)
    assert street.until(last) == {"ever": 60 * hours - 1, "today": 60 * hours - 1, "hour": 59}
    assert street.until(datetime.fromtimestamp(next_day.timestamp() + 60, BERLIN))["today"] == 1


def test_hours_begin_where_the_local_clock_says_so() -> None:
    kolkata = ZoneInfo("Asia/Kolkata")  # half an hour beside UTC
    street = Street(kolkata, at("2026-11-25 10:50", kolkata))
    assert street.until(at("2026-11-25 11:10", kolkata))["hour"] == 10


def test_the_sum_of_all_hours_is_the_total_whatever_happens_to_the_clock() -> None:
    street = Street(BERLIN, at("2026-10-24 20:00"))
    total, before = 0, 0
    for minute in range(60 * 30):
        hour = street.until(datetime.fromtimestamp(street.now_s + 60, BERLIN))["hour"]
        if hour <= before:
            total += before
        before = hour
        assert minute or hour == 1
    assert total + before == street.crossed


def test_the_periods_survive_a_restart() -> None:
    street = Street(BERLIN, at("2026-11-25 22:30"))
    street.until(at("2026-11-26 08:10"))
    before = street.said()
    again = Calendar(BERLIN)
    again.restore(street.calendar.state())
    street.calendar = again
    assert street.said() == before
    assert street.until(at("2026-11-26 08:11"))["today"] == before["today"] + 1


def test_counts_go_on_where_tracking_begins_anew() -> None:
    street = Street(BERLIN, at("2026-11-26 08:00"))
    before = street.until(at("2026-11-26 09:10"))
    street.calendar.carry(street.totals())
    street.crossed = 0
    assert street.said() == before
    assert street.until(at("2026-11-26 09:15")) == {key: number + 5 for key, number in before.items()}


def test_a_line_that_was_moved_counts_from_zero_and_never_below() -> None:
    street = Street(BERLIN, at("2026-11-26 08:00"))
    street.until(at("2026-11-26 09:10"))
    street.crossed = 0
    assert street.said() == {"ever": 0, "today": 0, "hour": 0}


def test_the_metric_tells_the_same() -> None:
    street = Street(BERLIN, at("2026-11-26 08:00"))
    street.until(at("2026-11-26 09:10"))
    samples = {sample.labels: sample.value for sample in street.calendar.series(street.totals()).samples}
    assert samples["hour", "line", "door", "car", "in"] == 10
    assert (
        samples["today", "unique", "", "car", ""] == samples["ever", "zone", "yard", "car", "entries"] == 70
    )
    assert Calendar(BERLIN).series({}).samples == ()
    assert Calendar(BERLIN).summary({}) == {}


def test_time_zones_go_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def config(zone: str | None) -> Config:
        return Config.model_validate({"streams": {"gate": {"source": "x"}}, "time_zone": zone})

    assert config("Europe/Berlin").time_zone == "Europe/Berlin"
    for wrong in ("Berlin", "../etc/passwd", "", "/etc/passwd"):
        with pytest.raises(ValidationError, match="expected a name such as Europe/Berlin"):
            config(wrong)
    assert zone_of(None).key
