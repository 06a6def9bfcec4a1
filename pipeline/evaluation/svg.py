"""Plots as SVG elements: bars, curves, a timeline and a histogram.

Colours are CSS variables of the page, so that plots follow its light or dark scheme. A plot has its own coordinates
(`viewBox`) and scales with the page. Marks differ in shape as well as in colour, and each has a `title` that browsers
show as a tooltip. Why no library: docs/decisions/0008-what-stays-by-hand.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

NARROW, WIDE = 460, 960
"""Widths of plots: half of the page on a desktop and all of it on a phone, or all of it on both."""
ROW, BAR, FONT = 26, 9, 12
Mark = Literal["hit", "miss", "extra"]
COLOURS = ("one", "two", "three", "four", "five", "six")
"""CSS classes of the series, in order."""


@dataclass(frozen=True, slots=True)
class Bars:
    """A group of bars.

    Attributes:
        label: of the group.
        values: of each series; NaN: no bar.
    """

    label: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve.

    Attributes:
        name: for the legend.
        points: (x, y), connected in order.
        place: index of its colour in `COLOURS`.
        steps: draw a step function.
        pale: draw a wide pale band below the other curves, as a reference for one of the same colour.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    place: int = 0
    steps: bool = False
    pale: bool = False


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A row of a timeline.

    Attributes:
        label: of the row.
        marks: (time, mark, tooltip).
    """

    label: str
    marks: tuple[tuple[float, Mark, str], ...]


def bars(groups: Sequence[Bars], series: Sequence[str], *, most: float | None = None, unit: str = "") -> str:
    """Draw horizontal bars.

    Args:
        groups: from top to bottom.
        series: names for the legend, as many as each group has values.
        most: length of the axis; default: the largest value.
        unit: appended to the values.
    """
    longest = max([len(group.label) for group in groups], default=0)
    left = min(170, 18 + 6.6 * longest)
    right, top = 46, 24 if len(series) > 1 else 8
    high = max(ROW, (BAR + 3) * len(series) + 10)
    values = [value for group in groups for value in group.values if math.isfinite(value)]
    span = most or max([*values, 1e-9])
    width = NARROW - left - right
    parts = [_legend(series, left)] if len(series) > 1 else []
    for number, group in enumerate(groups):
        y = top + number * high
        middle = y + high / 2
        parts.append(_text(left - 8, middle + 4, _short(group.label, 24), "end"))
        first = middle - ((BAR + 3) * len(series) - 3) / 2
        for place, value in enumerate(group.values):
            if not math.isfinite(value):
                continue
            length = max(1.0, min(1.0, max(0.0, value) / span) * width)
            at = first + place * (BAR + 3)
            tip = f"{group.label}: {series[place]} {_number(value)}{unit}"
            parts.append(
                f'<rect class="fill {COLOURS[place]}" x="{left:.1f}" y="{at:.1f}" width="{length:.1f}" '
                f'height="{BAR}" rx="2">{_title(tip)}</rect>'
            )
            parts.append(_text(left + length + 5, at + BAR - 0.5, _number(value) + unit, "start", "small"))
    return _svg(NARROW, top + high * len(groups) + 6, parts)


def curves(
    lines: Sequence[Curve],
    *,
    x: tuple[float, float, str],
    y: tuple[float, float, str],
    width: int = NARROW,
    height: int = 270,
    whole: bool = False,
) -> str:
    """Draw curves with axes and a legend.

    Args:
        lines: the curves.
        x: (from, to, label) of the x axis.
        y: (from, to, label) of the y axis.
        width: of the plot.
        height: of the plot.
        whole: y is a count: its ticks are integers.
    """
    left, right, bottom = 44, 14, 40
    names = [line.name for line in lines]
    top = 12 + 18 * _legend_rows(names, width - left)
    across, down = width - left - right, height - top - bottom

    def place(point: tuple[float, float]) -> tuple[float, float]:
        part_x = (point[0] - x[0]) / max(x[1] - x[0], 1e-9)
        part_y = (point[1] - y[0]) / max(y[1] - y[0], 1e-9)
        return left + part_x * across, top + down - part_y * down

    parts = [_axes(left, top, across, down, x, y, whole)]
    kinds = [f"{COLOURS[line.place]} pale" if line.pale else COLOURS[line.place] for line in lines]
    parts.append(_legend(names, left, kinds, width - left))
    for line in sorted(lines, key=lambda one: not one.pale):
        points = [place(point) for point in line.points]
        if not points:
            continue
        data = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
        for px, py in points[1:]:
            data += f"H{px:.1f}V{py:.1f}" if line.steps else f"L{px:.1f},{py:.1f}"
        kind = f"{COLOURS[line.place]} pale" if line.pale else COLOURS[line.place]
        parts.append(f'<path class="line {kind}" d="{data}">{_title(line.name)}</path>')
    return _svg(width, height, parts)


def timeline(rows: Sequence[TimelineRow], end_s: float, unit: str = "s") -> str:
    """Draw events over time: dots are matched, rings are missed, crosses are false.

    Args:
        rows: from top to bottom.
        end_s: end of the time axis.
        unit: of the time axis.
    """
    longest = max([len(row.label) for row in rows], default=0)
    left, right, top = min(230.0, 20 + 6.6 * longest), 18, 34
    across, bottom = WIDE - left - right, top + ROW * max(1, len(rows))
    span = max(end_s, 1e-9)
    parts = []
    for number, word in enumerate(("matched", "missed", "false")):
        cx = left + 8 + number * 96
        parts.append(_mark(cx, 12, ("hit", "miss", "extra")[number], word))
        parts.append(_text(cx + 10, 16, word, "start", "small"))
    for tick in _ticks(0, span, 8):
        at = left + tick / span * across
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{bottom}"/>')
        parts.append(_text(at, bottom + 16, f"{tick:g}", "middle", "small"))
    parts.append(_text(left - 12, bottom + 16, unit, "end", "small"))
    for number, row in enumerate(rows):
        y = top + ROW * (number + 0.5)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + across:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 12, y + 4, _short(row.label, 34), "end"))
        for time, mark, tip in row.marks:
            parts.append(_mark(left + min(1.0, max(0.0, time / span)) * across, y, mark, tip))
    return _svg(WIDE, bottom + 26, parts)


def columns(counts: Sequence[int], *, x: tuple[float, float, str], y: str) -> str:
    """Draw a histogram.

    Args:
        counts: of equal bins between x[0] and x[1].
        x: (from, to, label) of the x axis.
        y: label of the y axis.
    """
    left, right, top, bottom, height = 44, 14, 12, 40, 240
    across, down = NARROW - left - right, height - top - bottom
    most = max([*counts, 1])
    parts = [_axes(left, top, across, down, x, (0.0, float(most), y), True)]
    step = across / max(1, len(counts))
    size = (x[1] - x[0]) / max(1, len(counts))
    for number, count in enumerate(counts):
        tall = count / most * down
        tip = f"{x[0] + number * size:.2f} to {x[0] + (number + 1) * size:.2f}: {count}"
        parts.append(
            f'<rect class="fill one" x="{left + number * step + 1:.1f}" y="{top + down - tall:.1f}" '
            f'width="{max(1.0, step - 2):.1f}" height="{tall:.1f}">{_title(tip)}</rect>'
        )
    return _svg(NARROW, height, parts)


def _axes(
    left: float,
    top: float,
    across: float,
    down: float,
    x: tuple[float, float, str],
    y: tuple[float, float, str],
    whole: bool,
) -> str:
    parts = []
    for tick in _ticks(x[0], x[1], 6):
        at = left + (tick - x[0]) / max(x[1] - x[0], 1e-9) * across
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + down:.1f}"/>')
        parts.append(_text(at, top + down + 16, f"{tick:g}", "middle", "small"))
    for tick in _ticks(y[0], y[1], min(5, max(1, int(y[1]))) if whole else 5):
        at = top + down - (tick - y[0]) / max(y[1] - y[0], 1e-9) * down
        parts.append(f'<line class="grid" x1="{left}" y1="{at:.1f}" x2="{left + across:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(left - 6, at + 4, f"{tick:g}", "end", "small"))
    parts.append(_text(left + across, top + down + 33, x[2], "end", "small"))
    parts.append(_text(left + 6, top + 12, y[2], "start", "small"))
    return "".join(parts)


def _legend_rows(names: Sequence[str], width: float) -> int:
    return len(_legend_places(names, width))


def _legend_places(names: Sequence[str], width: float) -> list[list[int]]:
    """Indices of the names in each row of a legend."""
    rows: list[list[int]] = [[]]
    used = 0.0
    for number, name in enumerate(names):
        wide = 26 + 6.4 * len(name)
        if rows[-1] and used + wide > width:
            rows.append([])
            used = 0.0
        rows[-1].append(number)
        used += wide
    return rows


def _legend(names: Sequence[str], left: float, kinds: Sequence[str] = COLOURS, width: float = NARROW) -> str:
    parts = []
    for row, members in enumerate(_legend_places(names, width)):
        at = left
        for number in members:
            y = 5 + 18 * row
            parts.append(
                f'<rect class="fill {kinds[number]}" x="{at:.1f}" y="{y}" width="10" height="10" rx="2"/>'
            )
            parts.append(_text(at + 15, y + 9, names[number], "start", "small"))
            at += 26 + 6.4 * len(names[number])
    return "".join(parts)


def _mark(x: float, y: float, mark: Mark, tip: str) -> str:
    if mark == "extra":
        shape = f'<path class="mark extra" d="M{x - 5:.1f},{y - 5:.1f}l10,10m0,-10l-10,10">'
        return f"{shape}{_title(tip)}</path>"
    radius = 4.5 if mark == "hit" else 5.5
    return f'<circle class="mark {mark}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{_title(tip)}</circle>'


def _ticks(low: float, high: float, about: int) -> list[float]:
    """About `about` round numbers from `low` to `high`."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{name}>{escape(words)}</text>'


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" xmlns="http://www.w3.org/2000/svg">'
        + "".join(parts)
        + "</svg>"
    )
