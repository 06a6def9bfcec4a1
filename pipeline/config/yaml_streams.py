"""Adds a stream to the text of a configuration, or takes one out; everything else stays as it is, comments included."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from pipeline.config.yaml_reader import parse_yaml
from pipeline.config.yaml_writer import as_yaml
from pipeline.errors import ConfigError
from pipeline.redact import shown


def add_stream(text: str, name: str, stream: dict[str, Any], where: str) -> str:
    """The text with one stream more.

    Args:
        text: YAML with `streams`.
        name: Of the new stream.
        stream: Its settings, plain values.
        where: The file, for the messages.

    Raises:
        ConfigError: There is a stream of this name; the text is no configuration, or is written in a way that leaves no
            place for a line.
    """
    data = _parsed(text, where)
    if name in data["streams"]:
        raise ConfigError(f"{where}: there is a stream `{shown(name)}` already; give another name")
    node = _streams_node(text, where)
    indent = " " * node.value[0][0].start_mark.column
    lines = text.splitlines(keepends=True)
    at = _last_line(node) + 1
    if not lines[at - 1].endswith("\n"):
        lines[at - 1] += "\n"
    lines[at:at] = [f"{indent}{line}" for line in as_yaml({name: stream}).splitlines(keepends=True)]
    expected = copy.deepcopy(data)
    expected["streams"][name] = stream
    return _checked("".join(lines), expected, where)


def remove_stream(text: str, name: str, where: str) -> str:
    """The text without one of its streams.

    Args:
        text: YAML with `streams`.
        name: Of the stream.
        where: The file, for the messages.

    Raises:
        ConfigError: There is no such stream, or no other; as `add_stream`.
    """
    data = _parsed(text, where)
    if name not in data["streams"]:
        known = ", ".join(map(shown, data["streams"]))
        raise ConfigError(f"{where}: there is no stream `{shown(name)}` (known: {known})")
    if len(data["streams"]) == 1:
        raise ConfigError(f"{where}: `{shown(name)}` is the only stream; stop the run instead (Ctrl-C)")
    node = _streams_node(text, where)
    key, value = next(pair for pair in node.value if pair[0].value == name)
    lines = text.splitlines(keepends=True)
    del lines[key.start_mark.line : max(key.end_mark.line, _last_line(value)) + 1]
    expected = copy.deepcopy(data)
    del expected["streams"][name]
    return _checked("".join(lines), expected, where)


def _parsed(text: str, where: str) -> dict[str, Any]:
    data = parse_yaml(text, where)
    if not isinstance(data, dict) or not isinstance(data.get("streams"), dict) or not data["streams"]:
        raise ConfigError(f"{where}: has no `streams`")
    return data


def _streams_node(text: str, where: str) -> yaml.MappingNode:
    """The mapping of the streams, with the places of its parts in the text."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    parts = root.value if isinstance(root, yaml.MappingNode) else []
    node = next((value for key, value in parts if key.value == "streams"), None)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise ConfigError(
            f"{where}: the streams are written in braces; edit the file by hand, the run follows it"
        )
    return node


def _last_line(node: yaml.Node) -> int:
    """Line, from 0, on which the text of a node ends; the end of a block is only known by its last part."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return max(_last_line(part) for pair in node.value for part in pair)
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return max(_last_line(part) for part in node.value)
    end = node.end_mark
    return int(end.line - 1 if end.column == 0 and end.line > node.start_mark.line else end.line)


def _checked(text: str, expected: dict[str, Any], where: str) -> str:
    """The new text, if it means what it has to."""
    try:
        found = parse_yaml(text, where)
    except ConfigError:
        found = None
    if found != expected:
        raise ConfigError(
            f"{where}: cannot be changed without changing other streams; edit it by hand, the run follows it"
        )
    return text
