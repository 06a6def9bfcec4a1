"""`tallycam models` from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.cli.app import main
from pipeline.models import registry
from pipeline.models.detections import Detections
from pipeline.transport.planes import Planes


class Quick:
    """Finds nothing, at once."""

    classes = ("person",)
    device = "a test"

    def warm_up(self) -> None:
        pass

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        assert {(frame.width, frame.height) for frame in frames} == {(320, 180)}
        return [Detections.empty()] * len(frames)


def command(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """Exit code of `tallycam models`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["tallycam", "models", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_ls_lists_what_there_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch, "ls") == 0
    lines = capsys.readouterr().out.splitlines()
    first = [line.split() for line in lines if not line.startswith(" ")]
    assert [words[0] for words in first] == [
        "street", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2",
        "rfdetr-seg-nano", "rfdetr-seg-small", "rfdetr-seg-medium", "rfdetr-seg-large", "auto", "motion",
    ]  # fmt: skip
    assert "    classes: person, bicycle, car, bus" in lines
    assert any(line.endswith(", bus and 74 more") for line in lines)


def test_bench_prints_a_table_and_writes_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "load", lambda config: Quick())
    words = ("bench", "street", "--batches", "1,2", "--size", "320x180", "--seconds", "0")
    assert command(monkeypatch, *words, "--json", tmp_path / "b.json") == 0
    written = json.loads((tmp_path / "b.json").read_text())
    assert (written["device"], written["width"]) == ("a test", 320)
    assert [(row["batch"], row["runs"]) for row in written["rows"]] == [(1, 3), (2, 3)]
    assert "street on a test, 320x180" in capsys.readouterr().out


def test_pull_of_a_name_that_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "pull", "yolo") == 2
    assert capsys.readouterr().err.startswith(
        "tallycam: models pull: got yolo, expected maskrcnn_resnet50_fpn"
    )
