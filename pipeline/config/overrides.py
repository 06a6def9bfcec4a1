"""Changes from the command line to a configuration that has been parsed but not validated: `--set` and `--source`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.validation import KeyPath, dotted, kind_of
from pipeline.config.yaml_reader import parse_yaml
from pipeline.errors import ConfigError
from pipeline.redact import shown


@dataclass(slots=True)
class Overrides:
    """What `--set` has changed.

    Attributes:
        paths: paths of the values that were set.
        added: path of each mapping that did not exist before -> keys that stood beside it.
    """

    paths: list[KeyPath] = field(default_factory=list)
    added: dict[KeyPath, list[str]] = field(default_factory=dict)

    def apply(self, data: dict[str, Any], text: str) -> None:
        """Apply one override; missing mappings on the way are created.

        Args:
            data: the parsed configuration, which is changed.
            text: `a.b=value`, the value in YAML.

        Raises:
            ConfigError: `text` is not of this form, or leads into something that has no keys.
        """
        name, equals, value = text.partition("=")
        name = name.strip()
        where = f"--set {shown(name)}"
        if not equals or not all(name.split(".")):
            raise ConfigError(f"--set {shown(text)}: expected name.name=value")
        parsed = parse_yaml(value, where)
        here: Any = data
        path: KeyPath = ()
        rest = name
        while True:
            key, rest = _next_key(here, rest, f"{where}: {dotted(path)}")
            path = (*path, key)
            if not rest:
                here[key] = parsed
                self.paths.append(path)
                return
            if isinstance(here, dict) and here.get(key) is None:
                self.added.setdefault(path, [str(other) for other in here if other != key])
                here[key] = {}
            here = here[key]


def _next_key(here: Any, rest: str, where: str) -> tuple[str | int, str]:
    """The first key of a dotted name and the rest of the name. An existing key may itself contain dots."""
    first, _, after = rest.partition(".")
    if isinstance(here, list):
        if not re.fullmatch("[0-9]{1,6}", first) or int(first) >= len(here):
            raise ConfigError(f"{where} is a list of {len(here)}, got '{shown(first)}'")
        return int(first), after
    if not isinstance(here, dict):
        raise ConfigError(f"{where} is {kind_of(here)}, which has no '{shown(first)}'")
    known = [key for key in here if rest == key or rest.startswith(f"{key}.")]
    if known:
        key = max(known, key=len)
        return key, rest[len(key) + 1 :]
    return first, after


def replace_source(data: dict[str, Any], source: str, path: Path) -> KeyPath:
    """Set the source of a configuration with exactly one stream.

    Args:
        data: the parsed configuration, which is changed.
        source: the new source.
        path: the configuration file, for error messages.

    Returns:
        The path of the source.

    Raises:
        ConfigError: there is no stream, or there are several.
    """
    streams = data.get("streams")
    if not isinstance(streams, dict) or not streams:
        raise ConfigError(f"{path}: streams: --source replaces the source of a stream, but there is none")
    if len(streams) > 1:
        raise ConfigError(
            f"{path}: streams: --source needs a configuration with one stream, this one has {len(streams)} "
            f"({', '.join(map(shown, streams))}); use --set streams.NAME.source={shown(source, 200)}"
        )
    name, stream = next(iter(streams.items()))
    if stream is None or isinstance(stream, dict):  # validation refuses anything else
        streams[name] = {**(stream or {}), "source": source}
    return ("streams", name, "source")
