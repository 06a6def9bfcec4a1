"""The table at the end of a run."""

from rich.console import Console

from pipeline.live import final_table
from pipeline.messages import Counts
from pipeline.results import StreamView


def shown(counts: Counts) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(final_table({"gate": StreamView(counts=counts)}))
    return capture.get()


def test_a_unique_count_says_by_how_much_it_may_be_off() -> None:
    assert "34 ± 2" in shown(Counts(unique={"person": 34}, uncertain={"person": 2}))


def test_a_count_beyond_doubt_stands_alone() -> None:
    text = shown(Counts(unique={"person": 34}, uncertain={"person": 0}))
    assert "34" in text
    assert "±" not in text
