"""The scripts in `examples/`, each as a user runs it, on small inputs."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.demo.clip import DEMO_VIDEO
from tests.running import write_clip

EXAMPLES = Path(__file__).parents[1] / "examples"
RUN_HERE = {"count_lines", "own_detector", "look_closer"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run_script(name: str, *arguments: str | Path) -> tuple[dict[str, Any], str]:
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        made = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return made, capsys.readouterr().out

    return run_script


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == RUN_HERE
    assert all(len(path.read_text().splitlines()) <= 50 for path in EXAMPLES.glob("*.py"))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two seconds of the clip that ships, packets as they are."""
    path = tmp_path_factory.mktemp("street") / "street.mp4"
    with av.open(str(DEMO_VIDEO)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None and packet.pts * packet.time_base < 2:
                packet.stream = stream
                target.mux(packet)
    return path


@pytest.mark.slow
def test_count_lines(run, street: Path) -> None:
    made, out = run("count_lines", street)
    *crossings, totals = out.splitlines()
    assert crossings
    assert all("crossed to the" in line for line in crossings)
    assert str(made["video"].totals["lines"]["middle"]) == totals


def test_own_detector(run, tmp_path: Path) -> None:
    write_clip(tmp_path / "bar.mp4", 100)  # a bar that goes from the left to the right once
    made, out = run("own_detector", tmp_path / "bar.mp4")
    assert made["line"].counts == {"moving": {"right": 1, "left": 0}}
    assert "objects: {'moving': 1}" in out
    assert "zone: {'moving': {'now': 0, " in out


@pytest.mark.slow
def test_look_closer(run) -> None:
    made, out = run("look_closer")
    assert out.startswith("30 frames, {")
    assert made["picture"].shape == (360, 640, 3)
    assert len(made["rows"]) > 100
    assert all(row["time_s"] < 6 for row in made["rows"])
