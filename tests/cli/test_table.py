"""The table at the end of a run."""

from io import StringIO

import pytest
from rich.console import Console

from pipeline.cli import table as live
from pipeline.cli.table import final_table
from pipeline.runtime.results import StreamView
from pipeline.transport.messages import Counts


def shown(counts: Counts) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(final_table({"gate": StreamView(counts=counts)}))
    return capture.get()


def test_a_unique_count_says_by_how_much_it_may_be_off() -> None:
    assert "34 ± 2" in shown(Counts(unique={"person": 34}, uncertainty={"person": 2}))


def test_a_count_beyond_doubt_stands_alone() -> None:
    text = shown(Counts(unique={"person": 34}, uncertainty={"person": 0}))
    assert "34" in text
    assert "±" not in text


def test_progress_in_a_log_file_is_one_line_however_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(unique=dict.fromkeys(("person", "bicycle", "car", "bus", "truck"), 100))
    monkeypatch.setattr(live, "views", lambda _: {"gate": StreamView(counts=counts)})
    monkeypatch.setattr(live, "LINE_EVERY_S", 0.0)
    file = StringIO()
    live.LiveTable(Console(width=40, file=file)).update([])
    assert len(file.getvalue().splitlines()) == 1
    assert file.getvalue().rstrip().endswith("truck 100")
