"""The tables on the terminal, while a run goes on and at its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Self

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.results import StreamView, device, restarts, views
from pipeline.transport.messages import STATIC
from pipeline.transport.totals import Table as CountedTable
from pipeline.video.sources.source import CONNECTING, RETRYING, STALLED

COLUMNS: tuple[tuple[str, JustifyMethod], ...] = (
    ("stream", "left"), ("progress", "left"), ("fps in", "right"), ("fps out", "right"),
    ("latency p50/p99", "right"), ("dropped", "right"),
)  # fmt: skip
"""Columns of the table while a run goes on, with their alignment; those of the counting rules follow."""

LINE_EVERY_S = 10.0
"""Interval of the lines that are printed instead of the table where there is no terminal."""


def print_above(console: Console) -> Callable[[str], None]:
    """Prints lines of the log above a table that is being redrawn on the same terminal."""
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveTable:
    """Shows a run: a table that is redrawn in place on a terminal, otherwise a line every `LINE_EVERY_S`.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = (
            Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        )
        self._began_s = self._said_s = time.monotonic()
        self._before: dict[str, tuple[float, int, float]] = {}
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self._live.stop()

    def update(self, entries: list[ProcessState]) -> None:
        """Shows the present state; to be called several times a second.

        Args:
            entries: the processes of the run.
        """
        for entry in entries:
            address = entry.report.texts.get("live", "")
            if address and address not in self._told:
                self._told.add(address)
                self._say(f"Live picture of {entry.process.label}: {address}")
        if self._live is not None:
            self._live.update(self._table(entries))
        elif time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            for name, view in views(entries).items():
                of = f" of {view.frames}" if view.frames else ""
                left = f", {_time(left_s)} left" if (left_s := _left_s(view)) else ""
                away = f", source {view.state}" if view.state in (CONNECTING, STALLED, RETRYING) else ""
                away = away or (f", camera {view.condition}" if view.condition else "")
                self._say(
                    f"{name}: {view.counts.frames}{of} frames, {view.pace.fps:.1f} fps{left}{away}; {_first(view)}"
                )

    def _say(self, line: str) -> None:
        """Prints one line that is not wrapped, so that it stays one line in a file, too."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def _table(self, entries: list[ProcessState]) -> RenderableType:
        table = Table(
            title=_title(entries, time.monotonic() - self._began_s), title_justify="left", expand=False
        )
        streams = views(entries)
        counted = list(dict.fromkeys(column for view in streams.values() for column in view.counts.live))
        for column, justify in COLUMNS:
            table.add_column(column, justify=justify)
        for column in counted:
            table.add_column(column)
        for name, view in streams.items():
            rate_in, rate_out = self._rates(name, view)
            table.add_row(
                name,
                _progress(view),
                f"{rate_in:.1f}",
                f"{rate_out:.1f}",
                f"{view.pace.p50_ms:.0f}/{view.pace.p99_ms:.0f} ms",
                str(sum(view.dropped.values())),
                *(view.counts.live.get(column, "") for column in counted),
            )
        again = restarts(entries)
        notes = [Text(f"started again: {', '.join(f'{k} x{n}' for k, n in again.items())}")] if again else []
        return Group(table, *notes)

    def _rates(self, name: str, view: StreamView) -> tuple[float, float]:
        """Frames per second, decoded and written, over about the last second."""
        now_s = time.monotonic()
        key_in, key_out = f"{name}/in", f"{name}/out"
        return self._rate(key_in, view.decoded, now_s), self._rate(key_out, view.pace.frames, now_s)

    def _rate(self, key: str, total: int, now_s: float) -> float:
        since_s, before, rate = self._before.get(key, (now_s, total, 0.0))
        if now_s - since_s >= 1.0:
            rate = (total - before) / (now_s - since_s)
            since_s, before = now_s, total
        self._before[key] = (since_s, before, rate)
        return rate


def final_table(streams: dict[str, StreamView]) -> RenderableType:
    """What was counted: the tables of all counting rules, merged where they have the same title and columns.

    Args:
        streams: name -> its state at the end.
    """
    tables: dict[tuple[str, tuple[str, ...]], Table] = {}
    for name, view in streams.items():
        for part in (CountedTable(()), *view.counts.tables):
            key = part.title, part.columns
            if key not in tables:
                tables[key] = _empty_table(part)
            for row in part.rows:
                tables[key].add_row(name, *row)
    return Group(*tables.values())


def _empty_table(part: CountedTable) -> Table:
    table = Table(title=part.title, title_justify="left")
    for column in ("stream", *part.columns[:-1]):
        table.add_column(column)
    table.add_column(part.columns[-1], justify="right")
    return table


def notes(streams: dict[str, StreamView]) -> list[str]:
    """One line for each thing that qualifies the counts: an early stop, damage, dropped frames, reconnections."""
    lines = []
    for name, view in streams.items():
        if not view.ended:
            lines.append(f"{name}: stopped at {view.stopped_at()}; the next run in the folder goes on")
        if view.damaged:
            lines.append(
                f"{name}: {view.damaged} damaged parts of the source were left out; last: {view.trouble}"
            )
        dropped = {**view.dropped, **view.counts.skipped}
        if static := dropped.pop(STATIC, 0):
            lines.append(
                f"{name}: {static} of {view.counts.frames} frames needed no inference: nothing moved"
            )
        if total := sum(dropped.values()):
            reasons = ", ".join(f"{reason} {frames}" for reason, frames in dropped.items() if frames)
            lines.append(f"{name}: {total} frames dropped: {reasons}")
        if view.reconnects:
            lines.append(f"{name}: {view.reconnects} reconnections")
    return lines


def _title(entries: Iterable[ProcessState], spent_s: float) -> str:
    where = device(entries)
    return f"Tallycam  {_time(spent_s)}" + (f"  model on {where}" if where else "  starting")


def _progress(view: StreamView) -> RenderableType:
    if view.state in (CONNECTING, STALLED, RETRYING):
        return Text(f"{view.state} {_time(max(0.0, time.time() - view.since_s))}", style="yellow")
    if view.condition:
        lasts_s = max(0.0, time.time() - view.condition_since_s)
        return Text(f"camera {view.condition} {_time(lasts_s)}", style="yellow")
    if view.overloaded_since_s:
        lasts_s = max(0.0, time.time() - view.overloaded_since_s)
        return Text(f"live {_time(view.pace.pts_s)}  overloaded {_time(lasts_s)}", style="yellow")
    if view.live or not view.frames:
        return Text(f"{'live ' if view.live else ''}{_time(view.pace.pts_s)}")
    left_s = _left_s(view)
    line = Table.grid(padding=(0, 1))
    line.add_row(
        ProgressBar(total=view.frames, completed=min(view.counts.frames, view.frames), width=18),
        Text(
            f"{100 * view.counts.frames / view.frames:3.0f} %" + (f"  {_time(left_s)} left" if left_s else "")
        ),
    )
    return line


def _left_s(view: StreamView) -> float:
    if view.live or not view.frames or view.pace.fps <= 0:
        return 0.0
    return max(0.0, view.frames - view.counts.frames) / view.pace.fps


def _first(view: StreamView) -> str:
    """What the first counting rule says, as one line."""
    return next(iter(view.counts.live.values()), "nothing yet").replace("\n", "; ")


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
