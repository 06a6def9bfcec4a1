"""The history of a training that goes on has each step once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.finetuning.fit import Step
from pipeline.finetuning.history import History


def step(number: int) -> Step:
    return Step(number, {"mask": 0.5}, 1e-3, 0.1)


def test_steps_after_the_checkpoint_are_dropped_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with History(path, 0) as history:
        for number in (1, 2, 3):
            history.step(step(number))
            history.evaluation(number, {"AP": 10.0})
    before = path.read_text().splitlines()
    path.write_text("\n".join(before) + '\n{"step": 4, "los')  # a kill cut the last line short
    with History(path, 2) as history:
        history.step(step(3))
    assert path.read_text().splitlines() == before[:5]


def test_tensorboard_has_the_losses(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    with History(tmp_path / "history.jsonl", 0, tmp_path / "board") as history:
        history.step(step(1))
        history.evaluation(1, {"AP": 10.0})
    events = accumulator.EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    assert {"loss/mask", "loss/sum", "learning rate", "evaluation/AP"} <= set(events.Tags()["scalars"])
