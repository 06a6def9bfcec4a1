"""The forms in which the Python API takes a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from pipeline.config.fields import ConfigModel
from pipeline.config.load import load, load_mapping
from pipeline.config.schema import Config
from pipeline.config.validation import describe
from pipeline.errors import ConfigError

Configuration: TypeAlias = str | Path | Mapping[str, Any] | Config | None
"""A YAML file, a mapping with the same keys, a `Config`; None: the defaults."""

_Part = TypeVar("_Part", bound=ConfigModel)

STREAM = "video"
"""Name of the stream where no configuration names one."""


def config_of(source: str | Path | None, config: Configuration) -> Config:
    """The configuration with `source` as the source of its one stream, where it is given.

    Raises:
        ConfigError: the configuration is wrong, or a source is given for a configuration with several streams.
    """
    text = None if source is None else str(source)
    if isinstance(config, str | Path):
        return load(config, source=text)
    if isinstance(config, Config):
        if text is None:
            return config
        name = single_stream(config, None)
        stream = config.streams[name].model_copy(update={"source": text})
        return config.model_copy(update={"streams": {name: stream}})
    return load_mapping({"streams": {STREAM: {}}} if config is None else config, text)


def validated(part: type[_Part], values: Mapping[str, Any], name: str) -> _Part:
    """A part of the configuration from plain values.

    Args:
        part: its model.
        values: by key; points may be arrays.
        name: begins the lines of the error.

    Raises:
        ConfigError: one line for each mistake.
    """
    plain = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in values.items()}
    try:
        return part.model_validate(plain)
    except ValidationError as error:
        mistakes = describe(error.errors(include_url=False), part, Path(name))
    raise ConfigError("\n".join(mistakes))


def single_stream(config: Config, name: str | None) -> str:
    """The name of the stream that is meant.

    Raises:
        ConfigError: there are several and none is named, or there is none of that name.
    """
    names = ", ".join(config.streams)
    if name is None and len(config.streams) > 1:
        raise ConfigError(f"streams: there are {len(config.streams)} ({names}); name one with stream=")
    if name is not None and name not in config.streams:
        raise ConfigError(f"stream: got {name!r}, the configuration has {names}")
    return name or next(iter(config.streams))
