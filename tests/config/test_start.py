"""When a recording began: times, patterns of file names, and the names that recorders give."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.start import check_start, time_in_name, time_of

BERLIN = ZoneInfo("Europe/Berlin")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize("name", [
    "2026-03-29_01-30-00.mp4", "20260329T003000Z.mkv", "VID_20260329_013000.mp4", "gate 2026-03-29 01.30.00.mov",
    "cam1_20260329013000_20260329020000.mp4", "gate-2026.03.29-01h30m00.avi", "20260329T023000+0200.mp4",
])  # fmt: skip
def test_the_names_that_recorders_give_are_read_by_the_time_zone_of_the_site(name: str) -> None:
    assert time_in_name(name, BERLIN) == utc(2026, 3, 29, 0, 30, 0)


@pytest.mark.parametrize("name", [
    "people.mp4", "people_1920x1080_2026.mp4", "20261340_013000.mp4", "serial-2026032901300099.mp4", "1774747800.mp4",
    "18000101_000000.mp4", "19700101_000000.mp4",
])  # fmt: skip
def test_digits_that_are_no_time_are_none(name: str) -> None:
    assert time_in_name(name, BERLIN) is None


@pytest.mark.parametrize(("pattern", "name", "expected"), [
    ("gate_%d.%m.%Y-%H%M", "gate_29.03.2026-0130.mp4", utc(2026, 3, 29, 0, 30)),
    ("%Y-%m-%d/001/%H.%M.%S", "/rec/2026-03-29/001/03.30.00-04.00.00[R].dav", utc(2026, 3, 29, 1, 30)),
    ("%s", "1774747800.mp4", utc(2026, 3, 29, 1, 30)),
    ("%Y%m%d%H%M%S.%f%z", "20260329013000.25-0100.mp4", utc(2026, 3, 29, 2, 30, 0, 250_000)),
    ("100%%_%Y%m%d%H%M", "100%_202603290130.mp4", utc(2026, 3, 29, 0, 30)),
    ("%Y%m%d%H%M", "gate.mp4", None),
])  # fmt: skip
def test_a_pattern_reads_other_names(pattern: str, name: str, expected: datetime | None) -> None:
    assert check_start(pattern) == pattern
    assert time_in_name(name, BERLIN, pattern) == expected


def test_the_change_of_the_clocks_is_that_of_the_site() -> None:
    assert time_of("2026-03-29T01:59:59", BERLIN) == utc(2026, 3, 29, 0, 59, 59)
    assert time_of("2026-03-29T03:00:00", BERLIN) == utc(2026, 3, 29, 1, 0, 0)
    assert time_of("2026-10-25T02:30:00", BERLIN) == utc(2026, 10, 25, 0, 30), "the first of two"
    assert time_of("2026-10-25T02:30:00+01:00", BERLIN) == utc(2026, 10, 25, 1, 30)


@pytest.mark.parametrize(("value", "complaint"), [
    ("tomorrow", "got 'tomorrow', expected a time such as 2026-03-29T01:30:00"),
    ("1904-01-01T00:00:00", "expected a time after 1990"),
    ("%Y", "the pattern '%Y' lacks a part: %Y %m %d %H %M, or %s, are needed"),
    ("%Y%m%d%H%M%", "got % in the pattern"),
    ("%Y%Y%m%d%H%M", "got %Y in the pattern"),
    ("%Q%Y%m%d%H%M", "got %Q in the pattern"),
])  # fmt: skip
def test_what_is_no_start_is_one_line(value: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        check_start(value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_no_name_and_no_pattern_is_a_traceback(text: str) -> None:
    time_in_name(text, BERLIN)
    try:
        check_start(text)
    except ValueError:
        return
    if "%" in text:
        time_in_name(text, BERLIN, text)


@given(st.integers(utc(1990, 1, 1).timestamp(), utc(2099, 12, 31).timestamp()))
def test_a_time_in_a_name_comes_back(time_s: int) -> None:
    expected = moment = datetime.fromtimestamp(time_s, UTC)
    assert time_in_name(f"gate_{moment:%Y%m%d_%H%M%S}.mp4", UTC) == expected
    assert time_in_name(f"{moment:%d-%m-%Y %H.%M.%S}", UTC, "%d-%m-%Y %H.%M.%S") == expected
