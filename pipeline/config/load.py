"""Reads a configuration file: YAML, environment variables, `--set` and `--source`, then the checks.

Whatever comes in, the result is a `Config` or a `ConfigError` that names the file, the place, what came, and
what was expected. No message holds the value of an environment variable or a password of a URL.
"""

from __future__ import annotations

import builtins
import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.schema import Config, Part
from pipeline.config.yaml_reader import parse_yaml
from pipeline.errors import ConfigError
from pipeline.redact import shown

MAX_BYTES = 1 << 20
MAX_MISTAKES = 10
"""Lines in one error at most; the rest is counted."""

Place = tuple[str | int, ...]
"""Keys and list indices from the top of the configuration to a value."""

_VARIABLE = re.compile(r"\$(?:(\$)(?=\{)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{))")

_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping",
    "finite_number": "expected a finite number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "model_type": "expected a mapping",
    "path_type": "expected a path",
    "string_type": "expected text",
    "tuple_type": "expected a list",
}
"""Words for pydantic's kinds of error; the others speak for themselves."""


def load(path: Path | str, overrides: Sequence[str] = (), source: str | None = None) -> Config:
    """The configuration in a file.

    In text values `${NAME}` is replaced by the environment variable, `${NAME:-default}` by the default where it
    is not set; `$${` is a plain `${`. Relative paths of the model and of file sources are looked up in the
    current directory first, then beside the configuration file.

    Args:
        path: a YAML file.
        overrides: `a.b=value` each, the value in YAML; missing mappings on the way are made.
        source: replaces the source of a configuration with exactly one stream.

    Raises:
        ConfigError: one line for each mistake.
    """
    path = Path(path)
    data = parse_yaml(_read(path), str(path))
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"holds {_kind(data)}"
        raise ConfigError(f"{path}: {what}, expected a mapping with `streams`")
    overridden = [_override(data, text) for text in overrides]
    if source is not None:
        _replace_source(data, source, path)
    given: set[Place] = set()
    data = _with_environment(data, (), given, path, skip=_single_source(data) if source is not None else None)
    _beside(data, path.parent, fixed=source is not None)
    return _checked(data, path, overridden, given)


def load_without_file(overrides: Sequence[str] = ()) -> Config:
    """The defaults with `a.b=value` changes, for commands that use the model alone; its one stream has no source.

    Raises:
        ConfigError: one line for each mistake.
    """
    data: dict[str, Any] = {"streams": {"none": {"source": "none"}}}
    overridden = [_override(data, text) for text in overrides]
    return _checked(data, Path("the defaults"), overridden, set())


def _checked(data: dict[str, Any], path: Path, overridden: Sequence[Place], given: set[Place]) -> Config:
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        mistakes = [_mistake(details, overridden, given, path) for details in error.errors(include_url=False)]
    mistakes = list(dict.fromkeys(mistakes))
    if len(mistakes) > MAX_MISTAKES:
        mistakes[MAX_MISTAKES:] = [f"{path}: and {len(mistakes) - MAX_MISTAKES} more mistakes"]
    raise ConfigError("\n".join(mistakes))


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
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _override(data: dict[str, Any], text: str) -> Place:
    """Puts one `a.b=value` into `data` and returns its place."""
    name, equals, value = text.partition("=")
    name = name.strip()
    where = f"--set {shown(name)}"
    if not equals or not all(name.split(".")):
        raise ConfigError(f"--set {shown(text)}: expected name.name=value")
    parsed = parse_yaml(value, where)
    here: Any = data
    place: Place = ()
    rest = name
    while True:
        key, rest = _step(here, rest, f"{where}: {_dotted(place)}")
        place = (*place, key)
        if not rest:
            here[key] = parsed
            return place
        if isinstance(here, dict) and here.get(key) is None:
            here[key] = {}
        here = here[key]


def _step(here: Any, rest: str, where: str) -> tuple[str | int, str]:
    """The next key of a dotted name and what is left of the name. A key that is there may hold dots."""
    first, _, after = rest.partition(".")
    if isinstance(here, list):
        if not re.fullmatch("[0-9]{1,6}", first) or int(first) >= len(here):
            raise ConfigError(f"{where} is a list of {len(here)}, got '{shown(first)}'")
        return int(first), after
    if not isinstance(here, dict):
        raise ConfigError(f"{where} is {_kind(here)}, which has no '{shown(first)}'")
    known = [key for key in here if rest == key or rest.startswith(f"{key}.")]
    if known:
        key = max(known, key=len)
        return key, rest[len(key) + 1 :]
    return first, after


def _replace_source(data: dict[str, Any], source: str, path: Path) -> None:
    streams = data.get("streams")
    if not isinstance(streams, dict) or not streams:
        raise ConfigError(f"{path}: streams: --source replaces the source of a stream, but there is none")
    if len(streams) > 1:
        raise ConfigError(
            f"{path}: streams: --source needs a configuration with one stream, this one has {len(streams)} "
            f"({', '.join(map(shown, streams))}); use --set streams.NAME.source={shown(source, 200)}"
        )
    name, stream = next(iter(streams.items()))
    if stream is None:
        stream = streams[name] = {}
    if isinstance(stream, dict):  # anything else is refused by the checks
        streams[name] = {**stream, "source": source}


def _single_source(data: dict[str, Any]) -> Place:
    return ("streams", next(iter(data["streams"])), "source")


def _with_environment(value: Any, place: Place, given: set[Place], path: Path, skip: Place | None) -> Any:
    """`value` with the variables in its texts replaced; `given` learns the places of those texts."""
    if isinstance(value, dict):
        return {k: _with_environment(v, (*place, k), given, path, skip) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_environment(v, (*place, i), given, path, skip) for i, v in enumerate(value)]
    if not isinstance(value, str) or place == skip or "$" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        escaped, name, default, _ = match.groups()
        if escaped:
            return "$"
        if not name:
            raise ConfigError(
                f"{path}: {_dotted(place)}: got `${{` without `NAME}}`; write $${{ for the characters themselves"
            )
        given.add(place)
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(
                f"{path}: {_dotted(place)}: the environment variable {name} is not set; "
                f"set it, or write ${{{name}:-default}}"
            )
        return found

    return _VARIABLE.sub(replace, value)


def _beside(data: dict[str, Any], folder: Path, fixed: bool) -> None:
    """Paths that are not in the current directory but beside the configuration file are taken from there."""

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
    if isinstance(streams, dict) and not fixed:
        for stream in streams.values():
            if isinstance(stream, dict) and "source" in stream:
                stream["source"] = found(stream["source"])


def _mistake(details: ErrorDetails, overridden: Sequence[Place], given: set[Place], path: Path) -> str:
    """One mistake that pydantic found, as one line."""
    place: Place = details["loc"]
    kind, value = details["type"], details["input"]
    where = next(("--set" for at in overridden if place[: len(at)] == at), str(path))
    if kind == "extra_forbidden":
        known = sorted(_part_at(place[:-1]).model_fields)
        key = str(place[-1])
        nearest = difflib.get_close_matches(key.lower(), known, 1, 0.5)
        hint = f"did you mean `{nearest[0]}`?" if nearest else f"known are {', '.join(known)}"
        text, place = f"unknown key `{shown(key)}`; {hint}", place[:-1]
    elif kind == "missing":
        text = "is missing"
    elif kind == "value_error":
        text = details["msg"].removeprefix("Value error, ")
    elif kind == "string_pattern_mismatch":
        got = "a text from the environment" if place in given else f"'{shown(str(value))}'"
        text = f"got {got}, a name has letters, digits, `_`, `-` and `.`, at most 64"
        place = place[:-2] if place[-1] == "[key]" else place
    else:
        text = _EXPECTED.get(kind) or details["msg"].replace("Input should be", "expected")
        if kind in ("too_short", "too_long"):
            limits = details.get("ctx", {})
            at_least, at_most = limits.get("min_length"), limits.get("max_length")
            text = f"expected at least {at_least}" if kind == "too_short" else f"expected at most {at_most}"
        text += " (it came from the environment)" if place in given else f", got {_short(value)}"
    return f"{where}: {_dotted(place)}: {text}" if place else f"{where}: {text}"


def _part_at(place: Place) -> type[Part]:
    """The configuration part that `place` leads to."""
    part: Any = Config
    for key in place:
        match get_origin(part):
            case builtins.dict:
                part = get_args(part)[1]
            case builtins.tuple:
                part = get_args(part)[0]
            case _:
                part = part.model_fields[str(key)].annotation
    if not (isinstance(part, type) and issubclass(part, Part)):
        raise TypeError(f"{_dotted(place)} is no part of the configuration")
    return part


def _dotted(place: Place) -> str:
    """`streams.gate.lines.door.points[0]`."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{shown(key)}" for key in place if key != "[key]"]
    return "".join(parts).removeprefix(".")


def _short(value: object) -> str:
    if isinstance(value, str):
        return f"'{shown(value)}'"
    if isinstance(value, bool | int | float):
        return shown(str(value).lower() if isinstance(value, bool) else repr(value))
    return _kind(value)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "nothing" if value is None else f"a single value ({_short(value)})"
