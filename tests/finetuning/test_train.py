"""`tallycam train DATA`: a model comes out, a killed training goes on to the same losses, and so does a team's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pipeline.finetuning.distributed import Team
from pipeline.finetuning.examples import Examples
from pipeline.finetuning.fit import Fit, Hooks
from pipeline.finetuning.folder import TrainingFolder
from pipeline.finetuning.new_heads import start_network
from pipeline.finetuning.settings import Settings
from pipeline.models.maskrcnn.compact_weights import load_weights
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.transport.planes import Planes
from tests.finetuning import toys
from tests.in_process import Command, command_of
from tests.running import wait_until

pytest.importorskip("pycocotools", reason="pycocotools is not installed: tallycam[train]")

SMALL = ("--batch", "1", "--workers", "0", "--threads", "1", "--device", "cpu", "--warm-up", "2")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The same sums in the same order, however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """`tallycam` in this process, which keeps its handlers of signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield command_of(capsys, monkeypatch)
    for number, handler in before.items():
        signal.signal(number, handler)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[tuple[int, dict[str, float]]]:
    return [(one["step"], one["losses"]) for one in records(out) if "losses" in one]


def ended(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
def test_a_model_with_its_card_and_its_evaluation_comes_out_and_runs(
    tmp_path: Path, command: Command
) -> None:
    toys.write(tmp_path)
    out = tmp_path / "out"
    code, said, _ = command("train", tmp_path, "--out", out, "--steps", "6", *SMALL, "--evaluate-every", "6")
    assert code == 0
    assert "ball: 4 and 2 objects" in said
    first, *_, last = losses(out)
    assert sum(last[1].values()) < sum(first[1].values())
    with safe_open(out / "best.safetensors", "pt") as file:
        about = file.metadata()
    assert json.loads(about["classes"]) == ["ball", "brick"]
    assert json.loads(about["images"]) == {"train": 4, "val": 2}
    assert set(json.loads(about["metrics"])) == {"AP", "AP50", "AP75", "IoU", "precision", "recall"}
    assert (out / "last.safetensors").is_file()
    card = (out / "README.md").read_text()
    assert "model: {path: best.safetensors, score: 0." in card
    assert "| ball | 4 | 2 |" in card
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert np.array(evaluation["confusion"]).shape == (3, 3)
    assert "Confusion" in (out / "evaluation.html").read_text()
    model = MaskRcnn.load(out / "best.safetensors", device="cpu", score=0.05)
    assert model.classes == ("ball", "brick")
    assert len(model.segment([Planes.from_rgb(toys.picture(500)[0])])[0].scores)


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_exactly_the_losses_it_would_have_had(
    tmp_path: Path, command: Command
) -> None:
    toys.write(tmp_path)
    options = ("--steps", "4", *SMALL, "--evaluate-every", "3", "--save-every", "1")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert command("train", tmp_path, "--out", whole, *options)[0] == 0

    arguments = ["train", str(tmp_path), "--out", str(broken), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments, "--workers", "1"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: (broken / "checkpoint.pt").is_file() and len(losses(broken)) >= 2, what="two steps")
    process.kill()
    process.wait()
    wait_until(lambda: ended(process.pid), what="the process that prepares images ends as well")
    assert len(losses(broken)) < 4

    code, said, _ = command(*arguments)
    assert code == 0
    assert "going on after step" in said
    assert losses(broken) == losses(whole)
    (first, _), (second, _) = (
        load_weights(broken / "best.safetensors"),
        load_weights(whole / "best.safetensors"),
    )
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_as_many_images(tmp_path: Path, command: Command) -> None:
    toys.write(tmp_path)
    options = ("--steps", "2", *SMALL, "--evaluate-every", "2")
    assert command("train", tmp_path, "--out", tmp_path / "alone", *options, "--accumulate", "2")[0] == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["-m", "pipeline", "train", str(tmp_path), "--out", str(tmp_path / "team"), *options]
    subprocess.run(
        [*torchrun, *arguments], check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    for (_, alone), (_, team) in zip(losses(tmp_path / "alone"), losses(tmp_path / "team"), strict=True):
        assert team == pytest.approx(alone, rel=0.01, abs=1e-3)
    assert (tmp_path / "team" / "best.safetensors").is_file()


def test_a_folder_with_another_training_is_not_touched(tmp_path: Path, command: Command) -> None:
    toys.write(tmp_path)
    out = tmp_path / "out"
    assert command("train", tmp_path, "--out", out, "--steps", "1", *SMALL)[0] == 0
    kept = (out / "best.safetensors").read_bytes()
    code, _, err = command("train", tmp_path, "--out", out, "--steps", "2", *SMALL, "--evaluate-every", "1")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "holds a training with steps 1, this one has steps 2; give another folder" in err
    code, _, err = command("train", tmp_path, "--out", out, "--steps", "1", *SMALL, "--classes", "ball")
    assert code == 2
    assert "holds a training with classes ball, brick, this one has classes ball" in err
    assert (out / "best.safetensors").read_bytes() == kept


def test_training_stops_early_when_nothing_gets_better(tmp_path: Path) -> None:
    data = toys.data(tmp_path)
    settings = Settings(data.classes, steps=9, batch=1, evaluate_every=1, patience=2)
    start = start_network(None, data.classes, 1)
    fit = Fit(start, settings, Team(0, 1, torch.device("cpu")), tmp_path / "checkpoint.pt")
    steps: list[int] = []
    aps = iter([20.0, 30.0, 30.0, 25.0])
    best: list[int] = []
    hooks = Hooks(
        step=lambda step: steps.append(step.number),
        evaluate=lambda model, course: next(aps),
        improved=lambda model, course: best.append(course.step),
        stopping=lambda: False,
    )
    fit.run(Examples(data.train, start.preprocessor, settings), hooks, workers=0)
    assert steps == [1, 2, 3, 4]
    assert best == [1, 2]
    assert (fit.state.course.best, fit.state.course.ended) == (30.0, True)


def test_two_trainings_are_not_in_one_folder(tmp_path: Path, command: Command) -> None:
    toys.write(tmp_path)
    with TrainingFolder(tmp_path / "out").locked():
        code, _, err = command("train", tmp_path, "--out", tmp_path / "out", "--overwrite")
    assert code == 2
    assert "another training is running in it" in err
    assert not (tmp_path / "out" / "training.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "nowhere"),
        (("DATA", "--classes", "bal"), "has no bal, it has ball, brick"),
        (("DATA", "--from", "rfdetr-seg-nano"), "expected a Mask R-CNN"),
        (("DATA", "--from", "none.safetensors"), "--from: there is no file none.safetensors"),
        (("DATA", "--device", "gpu"), "expected auto, cpu, cuda"),
        (("DATA", "--shortest-side", "480"), "input of street has a fixed size"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, command: Command, arguments: tuple[str, ...], words: str
) -> None:
    toys.write(tmp_path)
    given = [str(tmp_path) if one == "DATA" else one for one in arguments]
    code, _, err = command("train", *given, "--out", tmp_path / "out")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert words in err
