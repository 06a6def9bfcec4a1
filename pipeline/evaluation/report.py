"""What an evaluation says: headline figures, tables and plots, for the terminal, as JSON and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.errors import TallycamError

Cell = str | int | float | None
NOTHING = "-"
"""What stands for a figure that cannot be computed, e.g. the recall of nothing."""


class EvaluationError(TallycamError):
    """Truth or results cannot be read, or do not belong together (exit code 2)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One headline figure.

    Attributes:
        name: what it is, e.g. `HOTA`.
        value: ready to be shown, e.g. `48.1 %`.
        hint: a few words more, e.g. `19 of 19 people`.
        wrong: shown as something to look at.
    """

    name: str
    value: str
    hint: str = ""
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table. Whole numbers stay as they are, others get one digit; None and NaN are dashes.

    Attributes:
        rows: of as many cells as `header` has.
        total: whether the last row sums the others up.
        wrong: numbers of rows to be shown as something to look at.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    total: bool = False
    wrong: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot: an `svg` element that takes its colours from the page.

    Attributes:
        wide: needs the page's whole width.
    """

    title: str
    svg: str
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that is said of one evaluation.

    Attributes:
        subject: what was held against what.
        data: the figures as plain JSON values.
        notes: what a reader must know, e.g. what could not be evaluated.
    """

    title: str
    subject: str
    facts: tuple[Fact, ...]
    sheets: tuple[Sheet, ...]
    figures: tuple[Figure, ...]
    data: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


def text(cell: Cell) -> str:
    """A cell as it is shown."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return NOTHING
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


def numeric(sheet: Sheet) -> list[bool]:
    """Which columns hold numbers alone."""
    return [
        not any(isinstance(row[column], str) for row in sheet.rows) and bool(sheet.rows)
        for column in range(len(sheet.header))
    ]


def rich_table(sheet: Sheet) -> Table:
    """The table for a terminal. Cells may wrap, but no word is cut, also where the terminal is 80 columns wide."""
    table = Table(
        title=sheet.title,
        title_justify="left",
        caption=sheet.note or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for place, (name, number) in enumerate(zip(sheet.header, numeric(sheet), strict=True)):
        words = " ".join([name, *(text(row[place]) for row in sheet.rows)]).split()
        table.add_column(
            name, justify="right" if number else "left", overflow="fold", min_width=max(map(len, words))
        )
    for place, row in enumerate(sheet.rows):
        last = sheet.total and place == len(sheet.rows) - 1
        style = "red" if place in sheet.wrong else "bold" if last else None
        if last and place:
            table.add_section()
        table.add_row(*map(text, row), style=style)
    return table


def percent(part: float, whole: float) -> float:
    """100 x part / whole; NaN where there is nothing."""
    return 100.0 * part / whole if whole else math.nan


def f1(hits: int, counted: int, true: int) -> float:
    """F1 in percent: 100 where both are empty, there was nothing to be found and nothing was."""
    return 200.0 * hits / (counted + true) if counted + true else 100.0


def shown(value: float, unit: str = " %") -> str:
    """A figure for a headline."""
    return NOTHING if not math.isfinite(value) else f"{value:.1f}{unit}"


def total(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Sums of columns."""
    return tuple(map(sum, zip(*rows, strict=True)))
