"""How long objects were at each place in the picture."""

from __future__ import annotations

import pytest

from pipeline.counting.heat import COLUMNS, HeatGrid
from tests.counting.counting_scenes import HEIGHT, WIDTH, counter, play, walk


def test_time_is_laid_where_the_object_was() -> None:
    subject = counter()
    play(subject, walk([(200, 300), (200, 300), (500, 300)], [4, 3]))
    seconds = subject.heat()["person"]
    assert seconds.sum() == pytest.approx(7, abs=0.1)
    row, column = divmod(int(seconds.argmax()), COLUMNS)
    assert ((column + 0.5) * WIDTH / COLUMNS, (row + 0.5) * WIDTH / COLUMNS) == pytest.approx(
        (200, 300), abs=5
    )
    assert (seconds[:, 40:100].sum(axis=0) > 0).all()
    assert seconds[: HEIGHT // 2 * COLUMNS // WIDTH].sum() == 0


def test_a_fast_object_leaves_no_holes_at_a_low_frame_rate() -> None:
    heat = HeatGrid((WIDTH, HEIGHT))
    heat.observe(1, "car", (0.0, 100.0), 0.0)
    heat.observe(1, "car", (600.0, 100.0), 0.5)
    used = heat.seconds["car"].sum(axis=0)
    assert (used[:119] > 0).all()
    assert used.sum() == pytest.approx(0.5)


def test_after_a_long_gap_nothing_is_laid_between() -> None:
    heat = HeatGrid((WIDTH, HEIGHT))
    heat.observe(1, "car", (0.0, 100.0), 0.0)
    heat.observe(1, "car", (600.0, 100.0), 60.0)
    assert heat.seconds == {}


def test_memory_does_not_grow_with_objects_that_are_gone() -> None:
    heat = HeatGrid((WIDTH, HEIGHT))
    for number in range(1000):
        heat.observe(number, "car", (10.0, 10.0), number)
        heat.end(number)
    assert not heat._last
