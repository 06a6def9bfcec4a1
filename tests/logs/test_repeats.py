"""Repeated lines are summed; what is new is passed on at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.logs.repeats import LINES_MAX, WINDOW_S, RepeatFilter


def test_a_damaged_stream_that_repeats_itself_gives_two_lines() -> None:
    repeats = RepeatFilter()
    shown = [
        line
        for number in range(58)
        for line in repeats.add(f"[h264 @ 0x55{number:04x}] error while decoding MB {number} 3", number / 10)
    ]
    assert shown == ["[h264 @ 0x550000] error while decoding MB 0 3"]
    assert repeats.due(WINDOW_S) == ["[h264 @ 0x550039] error while decoding MB 57 3 (repeated 57 times)"]
    assert repeats.due(2 * WINDOW_S) == []


def test_lines_that_take_turns_are_summed_each() -> None:
    repeats = RepeatFilter()
    for _ in range(3):
        repeats.add("one", 0.0)
        repeats.add("other", 0.0)
    assert repeats.due(WINDOW_S) == ["one (repeated 2 times)", "other (repeated 2 times)"]


def test_the_same_line_is_news_again_later() -> None:
    repeats = RepeatFilter()
    assert repeats.add("lost", 0.0) == ["lost"]
    assert repeats.add("lost", WINDOW_S + 1) == ["lost"]


def test_the_body_of_a_traceback_is_not_summed() -> None:
    repeats = RepeatFilter()
    body = ["  File a, line 1", "    ^^^^", "  File b, line 2", "    ^^^^"]
    assert [line for text in body for line in repeats.add(text, 0.0)] == body


def test_even_a_flood_of_different_lines_is_bounded_and_the_rest_counted() -> None:
    repeats = RepeatFilter()
    words = [f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(1000)]
    shown = [line for text in words for line in repeats.add(text, 0.0)]
    assert len(shown) == LINES_MAX
    assert repeats.due(WINDOW_S) == [f"{1000 - LINES_MAX} more lines were left out"]


@given(st.lists(st.tuples(st.sampled_from(["a", "b 1", "b 2", " c"]), st.floats(0, 3)), max_size=60))
def test_every_line_is_shown_or_counted_in_a_sum(steps: list[tuple[str, float]]) -> None:
    repeats, now_s, shown = RepeatFilter(), 0.0, []
    for text, pause_s in steps:
        now_s += pause_s
        shown += repeats.add(text, now_s)
    shown += repeats.due(now_s, all_of_them=True)
    counted = 0
    for line in shown:
        _, sign, count = line.partition(" (repeated ")
        counted += 1 if not sign else 1 if count.startswith("once") else int(count.split(" ")[0])
    assert counted == len(steps)
