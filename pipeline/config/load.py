"""Reading a configuration: YAML, environment variables, `--set` and `--source`, then validation.

The result is a `Config`, or a `ConfigError` that names the file, the place, what came and what was expected. No
message contains the value of an environment variable or the password of a URL.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.additions import Additions
from pipeline.config.defaults import with_defaults, without_inherited
from pipeline.config.from_source import mapping_of, with_real_model
from pipeline.config.overrides import Overrides, replace_source
from pipeline.config.schema import Config
from pipeline.config.validation import KeyPath, describe, dotted, kind_of
from pipeline.config.yaml_reader import parse_yaml
from pipeline.config.yaml_writer import as_yaml
from pipeline.errors import ConfigError
from pipeline.files import reason

MAX_BYTES = 1 << 20

_NO_FILE = Path("configuration")
"""Stands for the file in the messages about a configuration that comes from none."""
_NOTHING = Additions()

_VARIABLE = re.compile(r"\$(?:(\$)(?=\{)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{))")


def load(
    path: Path | str,
    overrides: Sequence[str] = (),
    source: str | None = None,
    additions: Additions = _NOTHING,
) -> Config:
    """Load the configuration in a file.

    In text values `${NAME}` is replaced by the environment variable, `${NAME:-default}` by the default if it is
    not set; `$${` stands for a literal `${`. Relative paths of the model and of file sources are looked up in the
    current directory first, then beside the configuration file.

    Args:
        path: a YAML file.
        overrides: `a.b=value` each, the value in YAML; missing mappings on the way are created.
        source: replaces the source of a configuration with exactly one stream.
        additions: lines, zones and classes for a configuration with exactly one stream.

    Raises:
        ConfigError: one line for each mistake.
    """
    path = Path(path)
    data = parse_yaml(_read(path), str(path))
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"holds {kind_of(data)}"
        raise ConfigError(f"{path}: {what}, expected a mapping with `streams`")
    additions.apply(data, path)
    return _resolved(data, path, overrides, source)


def load_source(
    source: str, overrides: Sequence[str] = (), additions: Additions = _NOTHING
) -> tuple[Config, str]:
    """The configuration that a source by itself stands for.

    Args:
        source: its address.
        overrides: as for `load`.
        additions: its lines, zones and classes.

    Returns:
        The configuration, and the YAML from which `load` makes the same one. It holds the password of the source.

    Raises:
        ConfigError: one line for each mistake.
    """
    data = mapping_of(source)
    additions.apply(data, _NO_FILE)
    changes = Overrides()
    for text in overrides:
        changes.apply(data, text)
    data = with_real_model(data)
    return _resolved(data, _NO_FILE, (), None, changes), as_yaml(data)


def load_mapping(data: Mapping[str, Any], source: str | None = None) -> Config:
    """The configuration in a mapping with the keys of a file, which is not changed; otherwise as `load`.

    Raises:
        ConfigError: one line for each mistake.
    """
    return _resolved(copy.deepcopy(dict(data)), _NO_FILE, (), source)


def _resolved(
    data: dict[str, Any],
    path: Path,
    overrides: Sequence[str],
    source: str | None,
    changes: Overrides | None = None,
) -> Config:
    changes = changes or Overrides()
    for text in overrides:
        changes.apply(data, text)
    literal = replace_source(data, source, path) if source is not None else None
    substituted: set[KeyPath] = set()
    data = _with_environment(data, (), substituted, path, literal)
    _resolve_paths(data, path.parent, fixed_source=source is not None)
    return _validated(with_defaults(data), path, changes, substituted)


def load_without_file(overrides: Sequence[str] = ()) -> Config:
    """The default configuration with `a.b=value` changes, for commands that use the model or tracker alone.

    Its only stream has no usable source.

    Raises:
        ConfigError: one line for each mistake.
    """
    data: dict[str, Any] = {"streams": {"none": {"source": "none"}}}
    changes = Overrides()
    for text in overrides:
        changes.apply(data, text)
    return _validated(data, Path("the defaults"), changes, ())


def _validated(data: Any, path: Path, changes: Overrides, substituted: Collection[KeyPath]) -> Config:
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = describe(
            without_inherited(error.errors(include_url=False)),
            Config,
            path,
            overridden=changes.paths,
            added=changes.added,
            from_environment=substituted,
        )
    raise ConfigError("\n".join(lines))


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder, expected a YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_BYTES} bytes, which no configuration is")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text file, expected YAML in UTF-8") from None
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {reason(error)}") from None


def _with_environment(
    value: Any, place: KeyPath, substituted: set[KeyPath], path: Path, literal: KeyPath | None
) -> Any:
    """`value` with environment variables substituted in its texts, except in the one at `literal`.

    The paths of the texts that changed are added to `substituted`.
    """
    if isinstance(value, dict):
        return {k: _with_environment(v, (*place, k), substituted, path, literal) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_environment(v, (*place, i), substituted, path, literal) for i, v in enumerate(value)]
    if not isinstance(value, str) or place == literal or "$" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        escaped, name, default, _ = match.groups()
        if escaped:
            return "$"
        if not name:
            raise ConfigError(
                f"{path}: {dotted(place)}: got `${{` without `NAME}}`; write $${{ for the characters themselves"
            )
        substituted.add(place)
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(
                f"{path}: {dotted(place)}: the environment variable {name} is not set; "
                f"set it, or write ${{{name}:-default}}"
            )
        return found

    return _VARIABLE.sub(replace, value)


def _resolve_paths(data: dict[str, Any], folder: Path, *, fixed_source: bool) -> None:
    """Replace paths that do not exist in the current directory but beside the configuration file."""

    def found(value: Any) -> Any:
        if not isinstance(value, str) or "://" in value or not value or "\0" in value:
            return value
        try:
            if not Path(value).exists() and (folder / value).exists():
                return str(folder / value)
        except OSError:  # a name too long to be a path: the checks say what is wrong with it
            return value
        return value

    model, streams = data.get("model"), data.get("streams")
    if isinstance(model, dict) and "path" in model:
        model["path"] = found(model["path"])
    if isinstance(model, dict) and str(model.get("name", "")).startswith("replay:"):
        model["name"] = "replay:" + found(str(model["name"]).removeprefix("replay:"))
    if isinstance(streams, dict) and not fixed_source:
        for stream in streams.values():
            if isinstance(stream, dict) and "source" in stream:
                stream["source"] = found(stream["source"])
