"""The report of an evaluation: headline figures, tables and plots, for the terminal, as JSON and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.errors import TallycamError

Cell = str | int | float | None
NOT_AVAILABLE = "-"
"""Shown for a figure that is undefined, such as the recall if there is no true object."""


class EvaluationError(TallycamError):
    """Truth or results that cannot be read or do not belong together (exit code 2)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One headline figure.

    Attributes:
        name: e.g. `HOTA`.
        value: formatted, e.g. `48.1 %`.
        hint: a detail, e.g. `19 of 19 people`.
        wrong: highlighted as a deviation.
    """

    name: str
    value: str
    hint: str = ""
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table. Integers are shown as they are, floats with one decimal, None and NaN as dashes.

    Attributes:
        title: above the table.
        header: names of the columns.
        rows: the cells, as many in each row as `header` has.
        note: an explanation.
        total: whether the last row is the total of the others.
        wrong: indices of rows that are highlighted as deviations.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    total: bool = False
    wrong: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot.

    Attributes:
        title: above the plot.
        svg: an `svg` element, which takes its colours from the page.
        note: an explanation.
        wide: takes the whole width of the page.
    """

    title: str
    svg: str
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The report of one evaluation.

    Attributes:
        title: of the report.
        subject: what was compared with what.
        facts: headline figures.
        sheets: tables.
        figures: plots.
        data: the figures as plain JSON values.
        notes: what the reader must know, e.g. what could not be evaluated.
    """

    title: str
    subject: str
    facts: tuple[Fact, ...]
    sheets: tuple[Sheet, ...]
    figures: tuple[Figure, ...]
    data: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


def text(cell: Cell) -> str:
    """A cell as text."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return NOT_AVAILABLE
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


def numeric(sheet: Sheet) -> list[bool]:
    """Which columns contain only numbers."""
    return [
        not any(isinstance(row[column], str) for row in sheet.rows) and bool(sheet.rows)
        for column in range(len(sheet.header))
    ]


def rich_table(sheet: Sheet) -> Table:
    """The table for a terminal. Cells may wrap, but no word is cut."""
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
    """`part` in percent of `whole`; NaN if `whole` is 0."""
    return 100.0 * part / whole if whole else math.nan


def f1(hits: int, counted: int, true: int) -> float:
    """F1 score in percent.

    Args:
        hits: number of matches.
        counted: number of counted events.
        true: number of true events.

    Returns:
        100 if there are neither counted nor true events.
    """
    return 200.0 * hits / (counted + true) if counted + true else 100.0


def percent_text(value: float, unit: str = " %") -> str:
    """A percentage for a headline."""
    return NOT_AVAILABLE if not math.isfinite(value) else f"{value:.1f}{unit}"


def total(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Sum of each column."""
    return tuple(map(sum, zip(*rows, strict=True)))
