"""A source by itself, with lines, zones and classes of the command line, and the YAML that it stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.additions import parse_additions
from pipeline.config.from_source import is_configuration, stream_name
from pipeline.config.load import load, load_source
from pipeline.config.yaml_reader import parse_yaml
from pipeline.config.yaml_writer import as_yaml
from pipeline.errors import ConfigError

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("my clip.mp4", "my-clip"),
        ("/videos/gate.2026-03-29.mp4", "gate.2026-03-29"),
        ("file:///videos/yard.mkv", "yard"),
        ("Straße.mp4", "Strae"),
        ("視頻.mp4", "video"),
        ("run.mp4", "run-video"),
        ("-", "stdin"),
        ("camera:0", "camera0"),
        ("/dev/video2", "video2"),
        ("synthetic:7", "synthetic7"),
        ("rtsp://viewer:hush@gate.local:554/stream1?token=secret", "gate.local"),
        ("rtsp://viewer:hush@[fe80::1]/s", "fe80-1"),
        ("udp://@:5000", "udp5000"),
        ("snapshot:http://door.local/picture", "door.local"),
        ("own:secret", "own"),
        ("http://[", "http"),
    ],
)
def test_the_name_of_a_stream_comes_from_its_source_and_holds_no_password(source: str, name: str) -> None:
    assert stream_name(source) == name


@given(st.text(max_size=80))
def test_every_source_gives_a_name_that_a_configuration_accepts(source: str) -> None:
    if source.strip():
        config, _ = load_source(source)
        assert list(config.streams) == [stream_name(source)]


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_written_as_yaml_is_read_back_the_same(data: dict[str, object]) -> None:
    assert (parse_yaml(as_yaml(data), "made") or {}) == data


def test_the_yaml_of_a_source_is_short_and_loads_to_the_same_configuration(tmp_path: Path) -> None:
    additions = parse_additions(
        ["0.1,0.6,0.9,0.6", "door=0, .5, 1, .5"], ["0.1,0.6,0.9,0.6,0.9,1"], ["person", "person", "traffic light"]
    )  # fmt: skip
    config, text = load_source("rtsp://viewer:hu${sh@gate.local/1", ["model.score=0.3"], additions)
    assert text.splitlines() == [
        "model: {score: 0.3, name: auto}",
        "streams:",
        "  gate.local:",
        '    source: "rtsp://viewer:hu$${sh@gate.local/1"',
        '    classes: [person, "traffic light"]',
        "    lines:",
        "      line1: {points: [[0.1, 0.6], [0.9, 0.6]]}",
        "      door: {points: [[0.0, 0.5], [1.0, 0.5]]}",
        "    zones:",
        "      zone1: {points: [[0.1, 0.6], [0.9, 0.6], [0.9, 1.0]]}",
    ]
    (tmp_path / "gate.yaml").write_text(text)
    assert load(tmp_path / "gate.yaml") == config


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("line", "640,360,900,360", "got 900, but points are fractions of the frame from 0 to 1, not pixels"),
        ("line", "0.1,0.6,0.9", "got 3 numbers, expected x and y of each point, e.g. --line 0.1,0.6,0.9,0.6"),
        ("line", "0.1,0.6", "expected at least 2, got a list of 1"),
        (
            "line",
            "here,there",
            "expected numbers with commas, x and y of each point in fractions of the frame",
        ),
        ("line", "0.1,0.6,0.1,0.6", "two neighbouring points are the same"),
        ("line", "nan,0.6,0.9,0.6", "expected numbers with commas"),
        ("line", "", "expected numbers with commas"),
        ("line", "a b=0.1,0.6,0.9,0.6", "a name has letters, digits"),
        ("line", "=0.1,0.6,0.9,0.6", "a name has letters, digits"),
        ("zone", "0,0,1,1,1,0,0,1", "cross; list the points in order around the zone"),
        ("zone", "0.1,0.6,0.9,0.6", "expected at least 3, got a list of 2"),
    ],
)
def test_a_line_that_is_none_is_refused_in_one_line(option: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_additions(**{f"{option}s": [value]})
    message = str(caught.value)
    assert message.startswith(f"--{option} {value}: ")
    assert said in message
    assert len(message.splitlines()) == 1


def test_a_line_of_the_command_line_stands_beside_those_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("streams: {gate: {source: a.mp4, lines: {line2: {points: [[0, 0], [1, 1]]}}, zones: {}}}")
    added = parse_additions(["0.1,0.6,0.9,0.6", "0.2,0.6,0.8,0.6"], classes=["person"])
    stream = load(path, additions=added).streams["gate"]
    assert list(stream.lines) == ["line2", "line1", "line3"]
    assert stream.classes == ("person",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: {source: a.mp4}, b: {source: b.mp4}}", "need a configuration with one stream, this one has 2 (a, b)"),
        ("{a: {source: a.mp4, classes: [car]}}", "streams.a.classes is set; change it there, or leave out --class"),
        ("{a: {source: a.mp4, lines: {door: {points: [[0, 0], [1, 1]]}}}}", "there is a line `door` already"),
        ("{a: {source: a.mp4, lines: 5}}", "streams.a.lines: expected a mapping"),
        ("{}", "streams: expected at least 1"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_take_them_says_why(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(f"streams: {text}")
    with pytest.raises(ConfigError, match=r"gate\.yaml: ") as caught:
        load(path, additions=parse_additions(["door=0.1,0.6,0.9,0.6"], classes=["person"]))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_source_by_itself_is_counted_with_a_model_of_real_pictures_unless_one_is_named() -> None:
    def model(*overrides: str) -> tuple[str | None, str | None]:
        config, _ = load_source("walk.mp4", overrides)
        return config.model.name, config.model.path and str(config.model.path)

    assert model() == ("auto", None)
    assert model("model.name=null") == ("auto", None)
    assert model("model.name=street") == ("street", None)
    assert model("model.path=own.onnx") == (None, "own.onnx")
    with pytest.raises(ConfigError, match="--set: model: expected a mapping"):
        load_source("walk.mp4", ["model=5"])


def test_the_ending_or_the_content_tells_a_configuration_from_a_source(tmp_path: Path) -> None:
    (tmp_path / "gate.conf").write_text("streams: {}  # Straße")
    (tmp_path / "gate.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    assert is_configuration(str(tmp_path / "gate.conf"))
    assert is_configuration("not-there.yaml")
    assert is_configuration("/dev/fd/63")
    assert not is_configuration(str(tmp_path / "gate.mp4"))
    assert not is_configuration(str(tmp_path))
    assert not is_configuration("not-there.mp4")
    assert not is_configuration("http://camera.local/live.json")
    assert not is_configuration("-")
