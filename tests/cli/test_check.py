"""`tallycam check`, and what `tallycam run` refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.in_process import Command, command_of


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(capsys, monkeypatch)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration without a model file, in a folder of its own that is also the current one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "gate.yaml"
    path.write_text("model: {name: motion}\nstreams: {gate: {source: gate.mp4}}\nmetrics: {enabled: false}\n")
    return path


def images(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (64, 48)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_missing_source_is_named_with_its_stream(command: Command, config: Path, verb: str) -> None:
    code, _, err = command(verb, config)
    assert code == 3
    assert err.startswith("tallycam: streams.gate.source: gate.mp4: no such file or folder; check the path")
    assert len(err.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_photo_is_sent_to_tallycam_image(command: Command, config: Path, verb: str) -> None:
    Image.new("RGB", (64, 48)).save("Party.JPG")
    code, _, err = command(verb, config, "--source", "Party.JPG")
    assert code == 3
    assert "Party.JPG: is a photo, expected a video; `tallycam image Party.JPG`" in err
    assert len(err.splitlines()) == 1


def test_check_tells_the_frame_rate_of_a_folder_of_images(command: Command, config: Path) -> None:
    folder = images(config.parent / "walk")
    code, out, _ = command("check", config, "--source", folder)
    assert code == 0
    assert f"gate: the images of {folder} are read at 25 frames per second" in out
    assert "set streams.gate.fps" in out
    _, out, _ = command("check", config, "--source", folder, "--set", "streams.gate.fps=2")
    assert "frames per second" not in out


@pytest.mark.slow
def test_run_tells_the_frame_rate_of_a_folder_of_images(command: Command, config: Path) -> None:
    code, out, _ = command("run", config, "--source", images(config.parent / "walk"))
    assert code == 0
    assert "are read at 25 frames per second" in out


def test_a_camera_is_not_tried_by_check(command: Command, config: Path) -> None:
    code, out, _ = command("check", config, "--source", "rtsp://127.0.0.1:9/nobody-answers")
    assert code == 0
    assert out.endswith("valid\n")
