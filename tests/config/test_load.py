"""Loading a configuration: what a user gets wrong is told in one line; everything else is a `Config`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.load import load
from pipeline.config.schema import Config, LineConfig, ModelConfig, StreamConfig
from pipeline.errors import ConfigError

Write = Callable[..., Path]

GATE = """
model: {name: street}
streams:
  gate:
    source: rtsp://viewer:${CAMERA_PASSWORD:-hush}@camera.local/stream1
    lines:
      door: {points: [[0.1, 0.6], [0.9, 0.6]], classes: [person], directions: [in, out]}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a configuration into the current directory, an empty folder, and gives its relative path."""
    monkeypatch.chdir(tmp_path)

    def write_text(text: str | bytes, name: str = "gate.yaml") -> Path:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return Path(name)

    return write_text


def mistake(path: Path, *overrides: str, source: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides, source)
    assert caught.value.__cause__ is None
    return str(caught.value)


def with_stream(text: str) -> str:
    return f"streams: {{gate: {{source: a.mp4, {text}}}}}"


def test_recorded_instances_are_looked_for_beside_the_configuration_as_well(write: Write) -> None:
    write("", "site/people.log")
    write("", "site/a.mp4")
    config = load(
        write("model: {name: 'replay:people.log'}\nstreams: {gate: {source: a.mp4}}", "site/gate.yaml")
    )
    assert config.model.name == "replay:site/people.log"
    assert config.streams["gate"].source == "site/a.mp4"


def test_the_example_of_the_design_loads(write: Write) -> None:
    config = load(write(GATE))
    assert config.model.name == "street"
    assert config.streams["gate"].source == "rtsp://viewer:hush@camera.local/stream1"
    assert config.streams["gate"].lines["door"] == LineConfig(
        points=((0.1, 0.6), (0.9, 0.6)), classes=("person",), directions=("in", "out")
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty, expected a mapping with `streams`"),
        ("# only a comment", "is empty, expected a mapping with `streams`"),
        ("- a", "holds a list of 1, expected a mapping with `streams`"),
        ("a word", "holds a single value ('a word'), expected a mapping with `streams`"),
        (b"\x00\x01\xff\xfe", "is not a text file, expected YAML in UTF-8"),
        ("streams: {gate: [}", "line 1, column 18: not valid YAML: expected the node content, but found '}'"),
        ("\tstreams:", "line 1, column 1: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: *b", "line 1, column 4: not valid YAML: found undefined alias 'b'"),
        ("[" * 5000, "nested too deep"),
        ("a: &a [*a]", "line 1: nested deeper than 32 levels"),
        ("a: !!python/name:os.system x", "line 1: the tag !!python/name:os.system is not allowed"),
        ("? [a]\n: b", "line 1: a key must be a word, not a list or a mapping"),
        ('a: "\\ud800"', "line 1: text may not hold '\\ud800'"),
        ("x" * 2_000_000, "is larger than 1048576 bytes, which no configuration is"),
    ],
)
def test_what_is_no_configuration_at_all(write: Write, text: str | bytes, says: str) -> None:
    assert mistake(write(text)) == f"gate.yaml: {says}"


def test_two_mistakes_are_two_lines(write: Write) -> None:
    assert mistake(write(with_stream("fps: fast, skip: -1"))).splitlines() == [
        "gate.yaml: streams.gate.fps: expected a number, got 'fast'",
        "gate.yaml: streams.gate.skip: expected greater than or equal to 0, got -1",
    ]


def test_an_alias_bomb_is_refused_quickly(write: Write) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "more than 100000 values" in mistake(write("\n".join(rows)))


def test_a_file_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    assert mistake(Path("none.yaml")) == "none.yaml: there is no such file"
    Path("folder").mkdir()
    assert mistake(Path("folder")) == "folder: is a folder, expected a YAML file"
    assert mistake(write(GATE) / "x") == "gate.yaml/x: cannot be read: Not a directory"
    assert mistake(Path("a\0b")).endswith("cannot be read: embedded null byte")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("streams:", "streams: expected a mapping, got nothing"),
        ("streams: {}", "streams: expected at least 1, got an empty mapping"),
        ("model: {}", "streams: is missing"),
        ("streams: {gate: }", "streams.gate: expected a mapping, got nothing"),
        ("streams: {gate: {fps: 5}}", "streams.gate.source: is missing"),
        ("streams: {'a b': {source: x}}",
         "streams: got 'a b', a name has letters, digits, `_`, `-` and `.`, at most 64"),
        (with_stream("sorce: b"), "streams.gate: unknown key `sorce`; did you mean `source`?"),
        (with_stream("Lines: {}"), "streams.gate: unknown key `Lines`; did you mean `lines`?"),
        (with_stream("fps: [1]"), "streams.gate.fps: expected a number, got a list of 1"),
        (with_stream("fps: fast"), "streams.gate.fps: expected a number, got 'fast'"),
        (with_stream("fps: 0"), "streams.gate.fps: expected greater than 0, got 0"),
        (with_stream("fps: .nan"), "streams.gate.fps: expected a finite number, got nan"),
        (with_stream("skip: 1.5"), "streams.gate.skip: expected a whole number, got 1.5"),
        (with_stream("loop: perhaps"), "streams.gate.loop: expected true or false, got 'perhaps'"),
        (with_stream("size: [640]"), "streams.gate.size[1]: is missing"),
        (with_stream("size: [640, 9]"), "streams.gate.size[1]: expected greater than or equal to 16, got 9"),
        (with_stream("stop_s: 3, start_s: 5"), "streams.gate: stop_s 3.0 is not after start_s 5.0"),
        ("streams: {gate: {source: ' '}}",
         "streams.gate.source: is empty; give a file, a folder, camera:N, synthetic:SEED or a URL"),
        ("streams: {gate: {source: 5}}", "streams.gate.source: expected text, got 5"),
        (with_stream("lines: {door: {points: [[0, 0]]}}"),
         "streams.gate.lines.door.points: expected at least 2, got a list of 1"),
        (with_stream("lines: {door: {points: [[0, 0], [1, 1], [0, 1], [1, 0]]}}"),
         ("streams.gate.lines.door.points: segments 1 and 3 meet, a line must not meet itself; "
         "to count in and out of an area use a zone")),
        (with_stream("lines: {door: {points: [[0, 0], [0.5, 0.5], [0.1, 0.1]]}}"),
         ("streams.gate.lines.door.points: segments 1 and 2 meet, a line must not meet itself; "
         "to count in and out of an area use a zone")),
        (with_stream("lines: {door: {points: [[0, 0], [1, 1.5]]}}"),
         "streams.gate.lines.door.points[1][1]: expected less than or equal to 1, got 1.5"),
        (with_stream("lines: {door: {points: [[0, 0], [0, 0]]}}"),
         "streams.gate.lines.door.points: two neighbouring points are the same: [0.0, 0.0]"),
        (with_stream("lines: {door: {points: across}}"),
         "streams.gate.lines.door.points: expected a list, got 'across'"),
        (with_stream("lines: {door: {points: [[0, 0], [1, 1]], directions: [in, in]}}"),
         "streams.gate.lines.door.directions: the two directions need two names, got in twice"),
        (with_stream("lines: {door: {points: [[0, 0], [1, 1]], anchor: feet}}"),
         "streams.gate.lines.door.anchor: expected 'foot', 'center' or 'mask', got 'feet'"),
        (with_stream("zones: {yard: {points: [[0, 0], [1, 1]]}}"),
         "streams.gate.zones.yard.points: expected at least 3, got a list of 2"),
        (with_stream("zones: {yard: {points: [[0, 0], [1, 1], [0.5, 0.5]]}}"),
         "streams.gate.zones.yard.points: all points are on one line; a zone needs an area"),
        (with_stream("zones: {yard: {points: [[0, 0], [1, 1], [1, 0], [0, 1]]}}"),
         ("streams.gate.zones.yard.points: the edges from point 1 to 2 and from 3 to 4 cross; "
         "list the points in order around the zone")),
        (with_stream("filter: {exclude: [[[0, 0], [1, 0], [0.2, 1], [0.5, -0.0], [0.8, 1]]]}"),
         ("streams.gate.filter.exclude[0].points: the edges from point 2 to 3 and from 4 to 5 cross; "
         "list the points in order around the zone")),
        (with_stream("classes: []"), "streams.gate.classes: expected at least 1, got a list of 0"),
        ("model: {name: street, path: x.onnx}\n" + with_stream(""),
         "model: give name or path, not both; --set model.name=null removes the name"),
        ("mdel: {}\n" + with_stream(""), "unknown key `mdel`; did you mean `model`?"),
        ("metrics: {qqq: 1}\n" + with_stream(""), "metrics: unknown key `qqq`; known are enabled, host, port"),
    ],
)  # fmt: skip
def test_one_line_says_where_what_came_and_what_was_expected(write: Write, text: str, says: str) -> None:
    assert mistake(write(text)) == f"gate.yaml: {says}"


def test_a_zone_may_touch_itself_and_end_at_its_first_point(write: Write) -> None:
    ring = (
        "[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0.2, 0.2], [0.2, 0.8], [0.8, 0.8], [0.8, 0.2], [0.2, 0.2]]"
    )
    closed = "[[0, 0], [1, 0], [1, 1], [0, 0]]"
    config = load(write(with_stream(f"zones: {{ring: {{points: {ring}}}, closed: {{points: {closed}}}}}")))
    assert list(config.streams["gate"].zones) == ["ring", "closed"]


def test_an_unknown_preset_is_told_with_the_known_ones(write: Write) -> None:
    text = mistake(write("output: {video: {preset: warp}}\n" + with_stream("")))
    assert text.startswith("gate.yaml: output.video.preset: expected 'ultrafast', 'superfast', 'veryfast',")
    assert text.endswith("'veryslow' or 'placebo', got 'warp'")


def test_two_streams_with_one_name_are_refused_with_both_lines(write: Write) -> None:
    text = "streams:\n  gate: {source: a}\n  yard: {source: b}\n  'gate': {source: c}\n"
    assert mistake(write(text)) == "gate.yaml: line 4: 'gate' is there twice, first on line 2"


def test_words_are_not_turned_into_truth_values_or_times(write: Write) -> None:
    text = with_stream("fps: 1e+1, lines: {no: {points: [[0, 0], [1, 1]], directions: [on, off]}}")
    stream = load(write(text)).streams["gate"]
    assert stream.lines["no"].directions == ("on", "off")
    assert stream.fps == 10


def test_several_cameras_share_what_an_anchor_names(write: Write) -> None:
    text = "streams:\n  a: &camera {source: a.mp4, fps: 5, skip: 1}\n  b: {<<: *camera, source: b.mp4, skip: 2}\n"
    assert load(write(text)).streams["b"] == StreamConfig(source="b.mp4", fps=5, skip=2)


def test_variables_come_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "p{}: [${NAME}")
    monkeypatch.setenv("FPS", "12.5")
    config = load(write(GATE), ["streams.gate.fps=${FPS}", "output.events=$${x}/${NONE:-}.db"])
    assert config.streams["gate"].source == "rtsp://viewer:p{}: [${NAME}@camera.local/stream1"
    assert config.streams["gate"].fps == 12.5
    assert config.output.events == "${x}/.db"


def test_a_variable_that_is_not_set_is_named_with_its_place(write: Write) -> None:
    assert mistake(write("streams: {gate: {source: 'rtsp://u:${NO_SUCH_THING}@h'}}")) == (
        "gate.yaml: streams.gate.source: the environment variable NO_SUCH_THING is not set; "
        "set it, or write ${NO_SUCH_THING:-default}"
    )
    assert mistake(write(with_stream("lines: {'d': {points: ['${']}}"))).startswith(
        "gate.yaml: streams.gate.lines.d.points[0]: got `${` without `NAME}`"
    )


def test_no_message_and_no_repr_holds_a_secret(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hush")
    config = load(write(GATE), ["output.events=postgresql://u:hush@h/db"])
    for shown in (repr(config), str(config), repr(config.streams["gate"])):
        assert "hush" not in shown
        assert "viewer:***@camera.local" in shown
    for text in (
        with_stream("fps: '${SECRET}'"),
        with_stream("fps: 'rtsp://u:hush@h'"),
        with_stream("'rtsp://u:hush@h': 1"),
        "streams: {'rtsp://u:hush@h': {source: x}}",
        "'rtsp://u:hush@h/?password=hush'",
        "streams: {gate: {source: {x: 'rtsp://u:hush@h'}}}",
    ):
        assert "hush" not in mistake(write(text))
    two = "streams: {a: {source: 'rtsp://u:hush@h'}, b: {source: x}}"
    assert "hush" not in mistake(write(two), source="rtsp://u:hush@h")
    assert "hush" not in mistake(write(GATE), "streams.gate.source.x=1")
    assert "hush" not in mistake(write(GATE), "rtsp://u:hush@h")


def test_set_changes_one_value_and_makes_what_is_missing_on_the_way(write: Write) -> None:
    config = load(
        write(GATE),
        [
            "model.score=0.3",
            "model.name=",
            "model.path=models/a.b.onnx",
            "streams.gate.lines.door.points.0=[0, 0.5]",
            "streams.gate.lines.back.points=[[0, 0], [1, 1]]",
            "streams.gate.realtime=true",
            "metrics.port=9401",
        ],
    )
    assert config.model == ModelConfig(path=Path("models/a.b.onnx"), score=0.3)
    assert config.streams["gate"].lines["door"].points == ((0, 0.5), (0.9, 0.6))
    assert list(config.streams["gate"].lines) == ["door", "back"]
    assert config.streams["gate"].realtime
    assert config.metrics.port == 9401


def test_set_reaches_a_stream_whose_name_has_dots(write: Write) -> None:
    config = load(
        write("streams: {a: {source: x}, a.b: {source: x}, a.b.c: {source: x}}"), ["streams.a.b.source=y"]
    )
    assert [stream.source for stream in config.streams.values()] == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.score", "--set model.score: expected name.name=value"),
        ("=1", "--set =1: expected name.name=value"),
        ("model..score=1", "--set model..score=1: expected name.name=value"),
        ("model.score=[",
         "--set model.score: line 1, column 2: not valid YAML: expected the node content, but found '<stream end>'"),
        ("model.score=high", "--set: model.score: expected a number, got 'high'"),
        ("model.scores=1", "--set: model: unknown key `scores`; did you mean `score`?"),
        ("model.name.x=1", "--set model.name.x: model.name is a single value ('street'), which has no 'x'"),
        ("streams.gate.lines.door.points.2=[0, 0]",
         "--set streams.gate.lines.door.points.2: streams.gate.lines.door.points is a list of 2, got '2'"),
    ],
)  # fmt: skip
def test_a_wrong_set_names_itself(write: Write, override: str, says: str) -> None:
    assert mistake(write(GATE), override) == says


def test_set_on_a_stream_that_is_not_there_names_it_and_the_known_ones(write: Write) -> None:
    two = write("streams: {video: {source: a.mp4}, gate: {source: b.mp4}}")
    assert mistake(two, "streams.vid.fps=3") == (
        "--set: streams: there is no stream `vid` (known: video, gate; did you mean `video`?); "
        "to add it, set its source too"
    )
    assert load(two, ["streams.vid.fps=3", "streams.vid.source=c.mp4"]).streams["vid"].fps == 3
    assert mistake(write(GATE), "streams.gate.lines.dor.anchor=mask") == (
        "--set: streams.gate.lines: there is no line `dor` (known: door; did you mean `door`?); "
        "to add it, set its points too"
    )
    assert mistake(write(GATE), "streams.gate.zones.yard.share=0.2").startswith(
        "--set: streams.gate.zones: there is no zone `yard` (known: none)"
    )


@pytest.mark.parametrize(
    ("text", "place", "got"),
    [
        ("lines: {door: {points: [[100, 600], [900, 610]]}}", "lines.door.points", "900"),
        ("lines: {door: {points: [[0, 600], [1280, 610.5]]}}", "lines.door.points", "1280"),
        ("zones: {yard: {points: [[0, 0], [640, 0], [640, 480]]}}", "zones.yard.points", "640"),
        ("filter: {exclude: [[[0, 0], [640, 0], [640, 480]]]}", "filter.exclude[0].points", "640"),
        ("ground: {points: [[9, 9], [90, 9], [90, 99], [9, 99]], metres: [[0, 9], [9, 9], [9, 0], [0, 0]]}",
         "ground.points", "99"),
    ],
)  # fmt: skip
def test_points_in_pixels_are_told_once_that_they_are_fractions(
    write: Write, text: str, place: str, got: str
) -> None:
    assert mistake(write(with_stream(text))) == (
        f"gate.yaml: streams.gate.{place}: got {got}, but points are fractions of the frame from 0 to 1, not pixels; "
        "divide x by the width and y by the height of the video"
    )


def test_source_replaces_the_source_of_the_only_stream_as_it_is(write: Write) -> None:
    assert load(write(GATE), source="odd ${name}.mp4").streams["gate"].source == "odd ${name}.mp4"
    assert load(write("streams: {gate: }"), source="a.mp4").streams["gate"].source == "a.mp4"


def test_source_with_several_streams_or_none_is_refused(write: Write) -> None:
    assert mistake(write("streams: {a: {source: x}, b: {source: y}}"), source="rtsp://u:p@h/1") == (
        "gate.yaml: streams: --source needs a configuration with one stream, this one has 2 (a, b); "
        "use --set streams.NAME.source=rtsp://u:***@h/1"
    )
    assert mistake(write("model: {}"), source="x").endswith("but there is none")


def test_paths_are_looked_up_here_first_and_then_beside_the_file(write: Write) -> None:
    text = (
        "model: {path: m.onnx}\nstreams: {a: {source: a.mp4}, b: {source: none.mp4}, c: {source: 'camera:0'}}"
    )
    path = write(text, "configs/gate.yaml")
    write("", "configs/m.onnx")
    write("", "configs/a.mp4")
    config = load(path)
    assert config.model.path == Path("configs/m.onnx")
    assert [stream.source for stream in config.streams.values()] == ["configs/a.mp4", "none.mp4", "camera:0"]
    write("", "a.mp4")
    assert load(path).streams["a"].source == "a.mp4"


def test_a_source_on_the_command_line_is_looked_up_here_only(write: Write) -> None:
    path = write("streams: {a: {source: x}}", "configs/gate.yaml")
    write("", "configs/a.mp4")
    assert load(path, source="a.mp4").streams["a"].source == "a.mp4"


def test_many_mistakes_are_ten_lines_and_a_number(write: Write) -> None:
    lines = mistake(write(with_stream(", ".join(f"key{i}: 1" for i in range(15))))).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "gate.yaml: and 5 more mistakes"


keys = st.sampled_from(
    [
        *Config.model_fields,
        *StreamConfig.model_fields,
        *LineConfig.model_fields,
        *ModelConfig.model_fields,
        "gate",
        "<<",
    ]
) | st.text(max_size=5)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates()
    | st.sampled_from(["${HOME}", "${", "$${", "${NO_SUCH_THING}", "${A:-${B}}", "foot", "person", "x" * 300, "~"])
)  # fmt: skip
things = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)
likely = st.fixed_dictionaries(
    {"streams": st.dictionaries(keys, st.fixed_dictionaries({"source": scalars}, optional={
        "lines": st.dictionaries(keys, st.fixed_dictionaries({"points": things})), "fps": scalars, "skip": things,
    }) | things, max_size=2)},
    optional={"model": things, "output": things, "tracker": things, "metrics": things},
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    data=things | likely,
    overrides=st.lists(st.text(max_size=12) | st.builds("{}.{}={}".format, keys, keys, scalars), max_size=2),
    source=st.none() | st.text(max_size=8),
)
def test_whatever_comes_in_a_config_or_one_clear_error_comes_out(
    tmp_path_factory: pytest.TempPathFactory, data: object, overrides: list[str], source: str | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    check_outcome(path, overrides, source)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60) | st.text("{}[]:,-&*!|>'\"%@`#? \n\tab01<", max_size=60).map(str.encode))
def test_whatever_bytes_come_in_a_config_or_one_clear_error_comes_out(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random-bytes.yaml"
    path.write_bytes(data)
    check_outcome(path, [], None)


def check_outcome(path: Path, overrides: list[str], source: str | None) -> None:
    try:
        config = load(path, overrides, source)
    except ConfigError as error:
        text = str(error)
        assert all(line.startswith((str(path), "--set")) for line in text.splitlines())
        text.encode()
        assert text.replace("\n", "").isprintable()
    else:
        assert isinstance(config, Config)
