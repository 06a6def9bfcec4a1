"""Events for the spool: the same for the same number."""

from __future__ import annotations

from pipeline.records.event import CountEvent

NOW_S = 1.8e9


def crossing(seq: int) -> CountEvent:
    """Somebody crosses a line in frame `seq`."""
    return CountEvent(
        stream="gate", kind="line", name="door", class_name="person", direction="in", track=7, epoch=0, seq=seq,
        index=seq, pts_s=seq / 25, wall_s=NOW_S + seq / 25, score=0.9, box_px=(1, 2, 3, 4),
    )  # fmt: skip
