"""A sink that is too slow for a camera misses frames; counting does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.sink_backlog import SinkBacklog
from tests.sinks.test_frame_writer import tracks

SLOTS, FPS = 12, 25


def test_frames_that_came_twice_are_passed_over() -> None:
    backlog = SinkBacklog(SLOTS)
    for seq in (3, 4, 3, 4, 5):
        backlog.add(tracks(seq), 0.0)
    found = []
    for seq in (3, 4, 5):
        one = backlog.next(seq)
        assert one is not None
        found.append(one.seq)
        backlog.pop()
    assert found == [3, 4, 5]
    assert backlog.next(6) is None and len(backlog) == 0


def test_a_burst_is_not_late() -> None:
    backlog = SinkBacklog(SLOTS)
    for seq in range(SLOTS):
        backlog.add(tracks(seq), 10.0)
    assert not backlog.is_late(10.05)
    assert backlog.is_late(10.3)


@given(st.floats(0.0, 1.0))
def test_whatever_a_frame_takes_to_be_written_most_slots_stay_free(write_s: float) -> None:
    """25 frames a second come; each that is not left out keeps the sink for `write_s`."""
    backlog, now_s, due, written, left_out = SinkBacklog(SLOTS), 0.0, 0, 0, 0
    looked_s = 0.0
    for _ in range(400):
        while due / FPS <= now_s:
            backlog.add(tracks(due), looked_s)
            due += 1
        looked_s = now_s
        assert len(backlog) <= SLOTS // 3 + 1 + max(0.2, write_s) * FPS, (
            "no more than come while one is written"
        )
        while backlog.is_late(now_s):
            backlog.pop()
            left_out += 1
        if len(backlog):
            backlog.pop()
            written += 1
            now_s += write_s
        else:
            now_s += 1 / FPS
    assert written + left_out + len(backlog) == due
    assert left_out == 0 or write_s > 0.9 / FPS, "a sink that is fast enough misses nothing"
    assert written > 0
