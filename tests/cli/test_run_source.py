"""`tallycam run SOURCE`: from an address to counts without a configuration file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.in_process import Command, command_of
from tests.running import tallycam, write_clip, write_log


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return command_of(capsys, monkeypatch)


MOTION = ("--set", "model.name=motion")
LINE = ("--line", "0.5,1,0.5,0")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.mp4"], 3, "gone.mp4: no such file or folder; check the path"),
        (["rstp://a/b"], 3, "did you mean rtsp:"),
        (["walk.mp4", "--source", "b.mp4"], 2, "--source replaces the source of a configuration"),
        (["walk.mp4", "--line", "640,0,640,360"], 2, "not pixels; divide x by the width"),
        (["walk.mp4", "--class", "persn"], 2, "streams.walk.classes: the model has no class 'persn'"),
        (["walk.mp4", "--class", ""], 2, "--class: is empty"),
        (["gate.yaml", "--save", "b.yaml"], 2, "gate.yaml is a configuration already"),
        (
            ["walk.mp4", *MOTION, "--save", "gate.yaml"],
            2,
            "there is another gate.yaml already; give another name",
        ),
        (["walk.mp4", *MOTION, "--save", "no/gate.yaml"], 2, "no/gate.yaml: cannot be written: No such file"),
    ],
)
def test_what_cannot_run_is_one_line_and_nothing_is_written(
    command: Command, arguments: list[str], code: int, said: str
) -> None:
    write_clip(Path("walk.mp4"), 3)
    Path("gate.yaml").write_text("streams: {gate: {source: walk.mp4}}\n")
    ended, _, err = command("run", *arguments)
    assert (ended, len(err.splitlines())) == (code, 1)
    assert said in err
    assert sorted(path.name for path in Path().iterdir()) == ["gate.yaml", "walk.mp4"]


def test_a_password_is_saved_for_the_owner_alone_and_never_printed(command: Command) -> None:
    Path("taken").mkdir()
    Path("taken/summary.json").write_text("{}")  # the run is refused after the configuration is saved
    camera = "rtsp://viewer:hush-4711@127.0.0.1:9/1"
    code, out, err = command("run", camera, *LINE, *MOTION, "--save", "gate.yaml", "--out", "taken")
    assert code == 2, err
    assert "taken/summary.json: is in the way" in err
    assert "hush-4711" not in out + err
    assert 'source: "rtsp://viewer:***@127.0.0.1:9/1"' in out
    assert "Saved for `tallycam run gate.yaml`. It holds a password, and only you can read it." in out
    assert camera in Path("gate.yaml").read_text()
    assert Path("gate.yaml").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_what_was_saved_counts_the_same(tmp_path: Path) -> None:
    write_clip(tmp_path / "walk.mp4", 60)
    write_log(tmp_path / "made.log", 60, stream="walk")
    (tmp_path / "sites").mkdir()
    options = ("--class", "person", "--set", "model.name=replay:made.log", "--set", "output.video.codec=none")
    code, out, err = tallycam(
        "run", "walk.mp4", *LINE, *options, "--save", "sites/gate.yaml", folder=tmp_path
    )
    assert code == 0, err
    assert "line1: {points: [[0.5, 1.0], [0.5, 0.0]]}" in out
    code, _, err = tallycam("run", "sites/gate.yaml", "--out", "b", folder=tmp_path)
    assert code == 0, err
    outs = ("out/walk", "b")
    first, second = (json.loads((tmp_path / out / "summary.json").read_text()) for out in outs)
    lines = first["streams"]["walk"]["lines"]
    assert sum(lines["line1"]["person"][way] for way in ("forward", "back")) > 0
    assert lines == second["streams"]["walk"]["lines"]
    configs = [json.loads((tmp_path / out / "config.json").read_text()) for out in outs]
    assert configs[0] == configs[1]
