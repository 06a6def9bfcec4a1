"""Streams inherit from `defaults`, and replace what they write themselves."""

from __future__ import annotations

import pytest

from pipeline.config.load import load_mapping
from pipeline.config.schema import Config, StreamConfig
from pipeline.errors import ConfigError

DOOR = {"points": [[0.1, 0.6], [0.9, 0.6]], "directions": ["in", "out"]}


def stream(defaults: object, **own: object) -> StreamConfig:
    config = load_mapping({"defaults": defaults, "streams": {"gate": {"source": "a.mp4", **own}}})
    return config.streams["gate"]


def mistakes(defaults: object, *streams: dict[str, object]) -> list[str]:
    named = {f"s{number}": {"source": "a.mp4", **one} for number, one in enumerate(streams)}
    with pytest.raises(ConfigError) as caught:
        load_mapping({"defaults": defaults, "streams": named})
    return str(caught.value).splitlines()


def test_a_stream_has_what_it_does_not_write_itself() -> None:
    assert (
        stream({"fps": 5, "classes": ["person"]}, fps=15).model_dump()
        == stream({}, fps=15, classes=["person"]).model_dump()
    )


def test_mappings_are_merged_and_lists_are_replaced() -> None:
    found = stream(
        {"lines": {"door": DOOR}, "classes": ["person", "car"]},
        lines={"door": {"points": [[0, 0], [1, 1]]}, "gate": DOOR},
        classes=["dog"],
    )
    assert found.lines["door"].points == ((0, 0), (1, 1))
    assert found.lines["door"].directions == ("in", "out")
    assert list(found.lines) == ["door", "gate"]
    assert found.classes == ("dog",)


def test_null_leaves_an_inherited_mapping_out() -> None:
    assert stream({"lines": {"door": DOOR, "gate": DOOR}}, lines={"door": None}).lines.keys() == {"gate"}
    assert stream({"lines": {"door": DOOR}}, lines=None).lines == {}


def test_a_switch_replaces_inherited_settings() -> None:
    assert not stream({"skip_static": {"enabled": True}}, skip_static=False).skip_static.enabled


def test_streams_do_not_share_what_they_inherit() -> None:
    streams = {"a": {"source": "a.mp4"}, "b": {"source": "b.mp4", "lines": {"door": {"classes": ["car"]}}}}
    config = load_mapping({"defaults": {"lines": {"door": DOOR}}, "streams": streams})
    assert config.streams["a"].lines["door"].classes is None
    assert config.streams["b"].lines["door"].classes == ("car",)


def test_a_mistake_in_the_defaults_is_told_once_and_where_it_is() -> None:
    assert mistakes({"fps": -1}, {}, {}) == ["configuration: defaults.fps: expected greater than 0, got -1"]
    (line,) = mistakes({"source": "a.mp4"}, {})
    assert line.startswith("configuration: defaults: unknown key `source`")


def test_a_mistake_of_a_stream_is_told_beside_one_in_the_defaults() -> None:
    assert [line.split(":")[1].strip() for line in mistakes({"fps": -1}, {"skip": -1}, {})] == [
        "defaults.fps",
        "streams.s0.skip",
    ]


def test_what_is_written_for_the_processes_of_a_run_inherits_nothing_again() -> None:
    config = load_mapping(
        {
            "defaults": {"lines": {"door": DOOR}},
            "streams": {"gate": {"source": "a.mp4", "lines": {"door": None}}},
        }
    )
    assert Config.model_validate(config.model_dump(mode="json")).streams["gate"].lines == {}
