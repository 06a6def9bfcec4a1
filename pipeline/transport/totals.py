"""Counts of one stream so far: the only form in which counts leave the counting rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.metrics.series import Series

COUNTED = ("what", "class", "count")
"""Columns of the table at the end of a run, after the column with the stream."""


@dataclass(frozen=True, slots=True)
class Table:
    """Part of the tables on the terminal at the end of a run. Parts with the same title and columns are shown as one.

    Attributes:
        rows: one cell for each column; the last one is aligned to the right.
    """

    rows: tuple[tuple[str, ...], ...]
    title: str = "Counted"
    columns: tuple[str, ...] = COUNTED


class StreamTotals(msgspec.Struct, frozen=True, kw_only=True):
    """All counts of one stream, in every form in which they are shown; the counting rules make it.

    It travels with the heartbeat of `track` to the supervisor. No part of it depends on which rules there are.
    """

    frames: int = 0
    """Frames counted."""
    skipped: dict[str, int] = {}
    """Reason -> frames among them that the model did not see."""
    summary: dict[str, Any] = {}
    """Key of the stream's part of `summary.json` -> plain JSON values."""
    series: tuple[Series, ...] = ()
    """Metric families for Prometheus."""
    live: dict[str, str] = {}
    """Column of the terminal's table during a run -> text, a line for each thing counted."""
    tables: tuple[Table, ...] = ()
    """Rows for the tables on the terminal at the end of a run."""
