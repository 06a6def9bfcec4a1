"""A stream is added to the text of a configuration or taken out; everything else stays, comments included."""

from __future__ import annotations

import pytest

from pipeline.config.yaml_reader import parse_yaml
from pipeline.config.yaml_streams import add_stream, remove_stream
from pipeline.errors import ConfigError

SITE = """\
model: {name: street}   # the one that ships

streams:
  # the main entrance
  gate:
    source: rtsp://gate.local/1   # behind glass
    lines:
      door:
        points:
          - [0.1, 0.6]
          - [0.9, 0.6]   # the sill
  yard: {source: yard.mp4, fps: 5}

# no video
output: {video: {codec: none}}
"""
HALL = {"source": "rtsp://u:p@hall.local/1", "lines": {"door": {"points": [[0.1, 0.6], [0.9, 0.6]]}}}


def test_a_stream_is_added_behind_the_last_one_and_nothing_else_changes() -> None:
    text = add_stream(SITE, "hall", HALL, "site.yaml")
    assert list(parse_yaml(text, "")["streams"]) == ["gate", "yard", "hall"]
    assert parse_yaml(text, "")["streams"]["hall"] == HALL
    assert set(SITE.splitlines()) < set(text.splitlines())
    assert remove_stream(text, "hall", "site.yaml") == SITE


def test_a_stream_of_several_lines_is_taken_out_whole() -> None:
    text = remove_stream(SITE, "gate", "site.yaml")
    assert list(parse_yaml(text, "")["streams"]) == ["yard"]
    assert "the sill" not in text and "no video" in text


@pytest.mark.parametrize("end", ["", "\n", "\n\n  # further cameras\n"])
def test_a_stream_is_added_at_the_end_of_the_file(end: str) -> None:
    text = add_stream(f"streams:\n  gate:\n    source: a.mp4{end}", "hall", HALL, "site.yaml")
    assert list(parse_yaml(text, "")["streams"]) == ["gate", "hall"]


def test_a_block_of_text_keeps_its_lines() -> None:
    text = "streams:\n  gate:\n    source: >-\n      a.mp4\n\noutput: {}\n"
    assert parse_yaml(add_stream(text, "hall", HALL, "f"), "")["streams"]["gate"] == {"source": "a.mp4"}


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        (SITE, "hal", "there is no stream `hal` .known: gate, yard."),
        ("streams:\n  gate: {source: a}\n", "gate", "is the only stream"),
        ("streams: {gate: {source: a}, yard: {source: b}}", "gate", "written in braces"),
        ("streams:\n  a: &one\n    source: x\n  b:\n    <<: *one\n", "a", "edit it by hand"),
    ],
)
def test_what_cannot_be_taken_out_is_refused(text: str, name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        remove_stream(text, name, "site.yaml")


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is a stream `gate` already"):
        add_stream(SITE, "gate", HALL, "site.yaml")
