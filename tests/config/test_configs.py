"""The examples in `configs/` load, say what they mean, and follow the code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config import schema as config
from pipeline.config.load import load
from pipeline.config.schema import Config
from pipeline.demo.clip import DEMO_SEED
from pipeline.demo.scene.world import Scene

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = ["camera-rtsp", "demo", "file", "motion", "people-onnx", "several-cameras"]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("CAMERA_PASSWORD", "hush")
    monkeypatch.chdir(tmp_path)
    return lambda name: load(CONFIGS / f"{name}.yaml")


def test_every_example_is_known_here() -> None:
    assert sorted(path.stem for path in CONFIGS.glob("*.yaml")) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_loads(example, name: str) -> None:
    assert isinstance(example(name), Config)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_begins_with_its_schema_for_editors_and_how_to_run_it(name: str) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert f"tallycam run configs/{name}.yaml" in text


def test_the_schema_is_the_one_of_the_code() -> None:
    written = json.loads((CONFIGS / "schema.json").read_text(encoding="utf-8"))
    assert written == config.schema(), "run `make schema`"


def test_the_demo_counts_on_the_lines_and_zone_of_its_scene(example) -> None:
    layout = Scene.from_seed(DEMO_SEED, width=640, height=360, duration_s=30).layout
    stream = example("demo").streams["street"]
    lines = {line.name: (line.points, line.classes, line.directions) for line in layout.lines}
    zones = {zone.name: (zone.polygon, zone.classes) for zone in layout.zones}
    assert {k: (line.points, line.classes, line.directions) for k, line in stream.lines.items()} == lines
    assert {k: (zone.points, zone.classes) for k, zone in stream.zones.items()} == zones


def test_several_cameras_share_what_they_have_in_common(example) -> None:
    streams = example("several-cameras").streams
    assert list(streams) == ["north", "south", "yard"]
    assert streams["south"].source == "rtsp://viewer:hush@south.local/stream1"
    assert (
        streams["south"].lines["gate"].directions
        == streams["north"].lines["gate"].directions
        == ("in", "out")
    )
    assert streams["south"].lines["gate"].points != streams["north"].lines["gate"].points
    assert (streams["north"].fps, streams["yard"].fps, streams["yard"].lines) == (15, 5, {})


def test_people_are_counted_on_a_line_at_three_quarters(example) -> None:
    stream = example("people-onnx").streams["people"]
    assert stream.classes == ("person",)
    assert stream.lines["exit"].points == ((0.75, 1.0), (0.75, 0.0))
    assert stream.lines["exit"].directions == ("right", "left")
