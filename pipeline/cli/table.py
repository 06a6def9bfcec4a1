"""The table on the terminal, while a run goes on and at its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.results import StreamView, device, restarts, views
from pipeline.transport.messages import STATIC, net_of

LINE_EVERY_S = 10.0
"""Without a terminal a line is printed so often instead."""


def print_above(console: Console) -> Callable[[str], None]:
    """Prints lines of the log above a table that is being redrawn on the same terminal."""
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveTable:
    """Shows a run. On a terminal it is redrawn in place; else a line is printed now and then."""

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
        """Called several times a second with the process table."""
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
                self._say(
                    f"{name}: {view.counts.frames}{of} frames, {view.fps:.1f} fps{left}; {_unique(view)}"
                )

    def _say(self, line: str) -> None:
        """One line, also in a log file, however long it is."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def _table(self, entries: list[ProcessState]) -> RenderableType:
        table = Table(
            title=_title(entries, time.monotonic() - self._began_s), title_justify="left", expand=False
        )
        for column, justify in (
            ("stream", "left"), ("progress", "left"), ("fps in", "right"), ("fps out", "right"),
            ("latency p50/p99", "right"), ("dropped", "right"), ("unique", "left"), ("lines", "left"),
        ):  # fmt: skip
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        for name, view in views(entries).items():
            rate_in, rate_out = self._rates(name, view)
            table.add_row(
                name, _progress(view), f"{rate_in:.1f}", f"{rate_out:.1f}",
                f"{view.p50_ms:.0f}/{view.p99_ms:.0f} ms", str(sum(view.dropped.values())), _unique(view), _lines(view),
            )  # fmt: skip
        again = restarts(entries)
        notes = [Text(f"started again: {', '.join(f'{k} x{n}' for k, n in again.items())}")] if again else []
        return Group(table, *notes)

    def _rates(self, name: str, view: StreamView) -> tuple[float, float]:
        """Frames a second, in and out, over the last second or so."""
        now_s = time.monotonic()
        key_in, key_out = f"{name}/in", f"{name}/out"
        return self._rate(key_in, view.decoded, now_s), self._rate(key_out, view.written, now_s)

    def _rate(self, key: str, total: int, now_s: float) -> float:
        since_s, before, rate = self._before.get(key, (now_s, total, 0.0))
        if now_s - since_s >= 1.0:
            rate = (total - before) / (now_s - since_s)
            since_s, before = now_s, total
        self._before[key] = (since_s, before, rate)
        return rate


def final_table(streams: dict[str, StreamView]) -> RenderableType:
    """What was counted, in the end."""
    return Group(
        _counted(streams), *(_journeys(name, view) for name, view in streams.items() if view.counts.od)
    )


def _counted(streams: dict[str, StreamView]) -> Table:
    table = Table(title="Counted", title_justify="left")
    for column in ("stream", "what", "class"):
        table.add_column(column)
    table.add_column("count", justify="right")
    for name, view in streams.items():
        for cls, count in view.counts.unique.items():
            table.add_row(name, "unique objects", cls, _with_margin(view, cls, count))
        for line, classes in view.counts.lines.items():
            for cls, directions in classes.items():
                words = "  ".join(f"{direction} {count}" for direction, count in directions.items())
                words += f"  net {net_of(view.counts.lines)[line][cls]}"
                table.add_row(name, f"line {line}", cls, words)
        for line, speeds in view.counts.speeds.items():
            for cls, kmh in speeds.items():
                words = f"median {kmh['median_kmh']:.0f}  85 % {kmh['p85_kmh']:.0f}  95 % {kmh['p95_kmh']:.0f} km/h"
                table.add_row(name, f"speed at {line}", cls, words)
        for zone, classes_of_zone in view.counts.zones.items():
            for cls, numbers in classes_of_zone.items():
                words = "  ".join(
                    f"{key} {numbers.get(key, 0):.0f}" for key in ("entries", "exits", "now", "peak")
                )
                table.add_row(name, f"zone {zone}", cls, words)
                if median_s := numbers.get("dwell_s"):
                    words = f"median {median_s:.1f} s  95 % {numbers.get('dwell_p95_s', 0):.1f} s"
                    table.add_row(name, f"time in {zone}", cls, words)
    return table


def _journeys(name: str, view: StreamView) -> Table:
    """From which line or zone to which."""
    table = Table(title=f"From and to, {name}", title_justify="left")
    for column in ("from", "to", "class"):
        table.add_column(column)
    table.add_column("count", justify="right")
    for first, ends in view.counts.od.items():
        for last, classes in ends.items():
            for cls, count in classes.items():
                table.add_row(first, last, cls, str(count))
    return table


def notes(streams: dict[str, StreamView]) -> list[str]:
    """What a reader of the counts must know: damage, drops, reconnections."""
    lines = []
    for name, view in streams.items():
        if not view.ended:
            lines.append(f"{name}: stopped at {view.stopped_at()}; --resume goes on")
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
    if view.live or not view.frames:
        return Text(f"{'live ' if view.live else ''}{_time(view.pts_s)}")
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
    if view.live or not view.frames or view.fps <= 0:
        return 0.0
    return max(0.0, view.frames - view.counts.frames) / view.fps


def _unique(view: StreamView) -> str:
    words = (f"{cls} {_with_margin(view, cls, count)}" for cls, count in view.counts.unique.items())
    return "  ".join(words) or "nothing yet"


def _with_margin(view: StreamView, cls: str, count: int) -> str:
    """A unique count and by how much it may be off: `34 ± 2`."""
    margin = view.counts.uncertainty.get(cls, 0)
    return f"{count} ± {margin}" if margin else str(count)


def _lines(view: StreamView) -> str:
    rows = []
    for line, classes in view.counts.lines.items():
        sums: dict[str, int] = {}
        for directions in classes.values():
            for direction, count in directions.items():
                sums[direction] = sums.get(direction, 0) + count
        words = "  ".join(f"{direction} {count}" for direction, count in sums.items())
        net = sum(net_of(view.counts.lines)[line].values())
        rows.append(f"{line}: {words}  net {net}" if classes else f"{line}: 0")
    return "\n".join(rows)


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
