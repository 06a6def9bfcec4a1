"""The tables on the terminal: what the counting rules say, in the columns and under the titles that they ask for."""

from io import StringIO

import pytest
from rich.console import Console

from pipeline.cli import table as live
from pipeline.cli.table import LiveTable, final_table
from pipeline.runtime.results import StreamView
from pipeline.transport.totals import StreamTotals, Table


def final(**streams: StreamTotals) -> list[str]:
    """Lines of the tables at the end of a run."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(final_table({name: StreamView(counts=totals) for name, totals in streams.items()}))
    return [" ".join(line.split()) for line in capture.get().replace("│", " ").splitlines()]


def test_what_rules_count_is_one_table_with_the_stream_in_front() -> None:
    gate = StreamTotals(tables=(Table((("unique objects", "person", "34 ± 2"),)),))
    yard = StreamTotals(
        tables=(
            Table(
                (("line door", "car", "in 3 out 4"), ("zone lot", "car", "now 1")),
            ),
        )
    )
    lines = final(gate=gate, yard=yard)
    assert lines.count("Counted") == 1
    for row in (
        "gate unique objects person 34 ± 2",
        "yard line door car in 3 out 4",
        "yard zone lot car now 1",
    ):
        assert row in lines


def test_a_rule_may_have_a_table_of_its_own() -> None:
    journeys = Table((("west", "east", "person", "5"),), "From and to", ("from", "to", "class", "count"))
    lines = final(gate=StreamTotals(tables=(journeys,)), yard=StreamTotals(tables=(journeys,)))
    assert lines.count("From and to") == 1
    assert lines.index("gate west east person 5") < lines.index("yard west east person 5")


def test_a_run_that_counted_nothing_has_an_empty_table() -> None:
    assert "Counted" in final(gate=StreamTotals())


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, **streams: StreamTotals) -> str:
    """What is printed while a run goes on."""
    views = {name: StreamView(counts=totals) for name, totals in streams.items()}
    monkeypatch.setattr(live, "views", lambda _: views)
    monkeypatch.setattr(live, "LINE_EVERY_S", 0.0)
    file = StringIO()
    console = Console(width=200 if terminal else 40, file=file, force_terminal=terminal)
    with LiveTable(console) as table:
        table.update([])
    return file.getvalue()


def test_while_it_runs_each_rule_that_says_something_short_has_a_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = StreamTotals(live={"unique": "person 3", "lines": "door: in 1  out 2"})
    yard = StreamTotals(live={"unique": "nothing yet", "queues": "till 4"})
    text = shown(monkeypatch, terminal=True, gate=gate, yard=yard)
    for word in ("unique", "lines", "queues", "person 3", "door: in 1  out 2", "till 4"):
        assert word in text


def test_progress_in_a_log_file_is_one_line_however_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    unique = "  ".join(f"{name} 100" for name in ("person", "bicycle", "car", "bus", "truck"))
    text = shown(
        monkeypatch, terminal=False, gate=StreamTotals(live={"unique": unique, "lines": "door: 3\ntill: 4"})
    )
    assert len(text.splitlines()) == 1
    assert text.rstrip().endswith("truck 100")
