"""Pydantic's validation errors as lines that say where, what came, what was expected, and what to do."""

from __future__ import annotations

import builtins
import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_origin

from pydantic_core import ErrorDetails

from pipeline.config.fields import ConfigModel
from pipeline.redact import shown

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top of a configuration to a value."""

MAX_LINES = 10
"""Lines of one error; the remaining mistakes are only counted."""

PIXELS_FROM = 2.0
"""A coordinate above this is taken for pixels rather than for a point slightly outside the frame."""

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
"""Words for pydantic's kinds of error. The messages of other kinds are used as they are."""

_ENTRIES = {"streams": "stream", "lines": "line", "zones": "zone"}
"""Mappings whose keys are names given by the user, and what one entry is called."""


def describe(
    errors: Sequence[ErrorDetails],
    root: type[ConfigModel],
    path: Path,
    *,
    overridden: Collection[KeyPath] = (),
    added: Mapping[KeyPath, Sequence[str]] | None = None,
    from_environment: Collection[KeyPath] = (),
) -> list[str]:
    """One line for each mistake.

    Args:
        errors: as `ValidationError.errors()` returns them.
        root: the model that was validated.
        path: the configuration file, for the beginning of the lines.
        overridden: values that `--set` changed.
        added: mappings that `--set` added -> names that stood beside them.
        from_environment: texts into which environment variables were substituted; their values are not shown.
    """
    lines: dict[str, None] = {}  # an ordered set: several errors may give the same line
    in_pixels = _lists_in_pixels(errors)
    for details in errors:
        place: KeyPath = details["loc"]
        where = next(("--set" for other in overridden if place[: len(other)] == other), str(path))
        if place[:-2] in in_pixels:
            place = place[:-2]
            text = (
                f"got {in_pixels[place]:g}, but points are fractions of the frame from 0 to 1, not pixels; "
                "divide x by the width and y by the height of the video"
            )
        elif details["type"] == "missing" and _is_unknown_entry(place[:-1], added or {}):
            text, place, where = *_unknown_entry(place, (added or {})[place[:-1]]), "--set"
        else:
            text, place = _one_mistake(details, root, place in from_environment)
        lines[f"{where}: {dotted(place)}: {text}" if place else f"{where}: {text}"] = None
    result = list(lines)
    if len(result) > MAX_LINES:
        result[MAX_LINES:] = [f"{path}: and {len(result) - MAX_LINES} more mistakes"]
    return result


def _lists_in_pixels(errors: Sequence[ErrorDetails]) -> dict[KeyPath, float]:
    """Lists of points with coordinates that can only be pixels -> the largest one."""
    found: dict[KeyPath, float] = {}
    for details in errors:
        place, value = details["loc"], details["input"]
        if (
            details["type"] == "less_than_equal"
            and len(place) > 2
            and place[-3] == "points"
            and isinstance(value, int | float)
            and value > PIXELS_FROM
        ):
            found[place[:-2]] = max(float(value), found.get(place[:-2], 0.0))
    return found


def _is_unknown_entry(place: KeyPath, added: Mapping[KeyPath, Sequence[str]]) -> bool:
    return place in added and len(place) > 1 and place[-2] in _ENTRIES


def _unknown_entry(missing: KeyPath, known: Sequence[str]) -> tuple[str, KeyPath]:
    """`--set` gave a value of an entry that is not in the file, where most likely another one was meant."""
    *above, name, key = missing
    entry = _ENTRIES[str(above[-1])]
    hint = f"known: {', '.join(map(shown, known))}" if known else "known: none"
    if nearest := difflib.get_close_matches(str(name), known, 1, 0.5):
        hint += f"; did you mean `{shown(nearest[0])}`?"
    return (
        f"there is no {entry} `{shown(str(name))}` ({hint}); to add it, set its {key} too",
        tuple(above),
    )


def _one_mistake(
    details: ErrorDetails, root: type[ConfigModel], from_environment: bool
) -> tuple[str, KeyPath]:
    """What is wrong, and the path of the value that has to change."""
    place: KeyPath = details["loc"]
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        known = sorted(_model_at(place[:-1], root).model_fields)
        key = str(place[-1])
        nearest = difflib.get_close_matches(key.lower(), known, 1, 0.5)
        hint = f"did you mean `{nearest[0]}`?" if nearest else f"known are {', '.join(known)}"
        return f"unknown key `{shown(key)}`; {hint}", place[:-1]
    if kind == "missing":
        return "is missing", place
    if kind == "value_error":
        return details["msg"].removeprefix("Value error, "), place
    if kind == "string_pattern_mismatch":
        got = "a text from the environment" if from_environment else f"'{shown(str(value))}'"
        text = f"got {got}, a name has letters, digits, `_`, `-` and `.`, at most 64"
        return text, place[:-2] if place[-1] == "[key]" else place
    text = _EXPECTED.get(kind) or details["msg"].replace("Input should be", "expected")
    if kind in ("too_short", "too_long"):
        limits = details.get("ctx", {})
        at_least, at_most = limits.get("min_length"), limits.get("max_length")
        text = f"expected at least {at_least}" if kind == "too_short" else f"expected at most {at_most}"
    return text + (" (it came from the environment)" if from_environment else f", got {_short(value)}"), place


def _model_at(place: KeyPath, root: type[ConfigModel]) -> type[ConfigModel]:
    """The configuration model that `place` leads to."""
    model: Any = root
    for key in place:
        match get_origin(model):
            case builtins.dict:
                model = get_args(model)[1]
            case builtins.tuple:
                model = get_args(model)[0]
            case _:
                model = model.model_fields[str(key)].annotation
    if not (isinstance(model, type) and issubclass(model, ConfigModel)):
        raise TypeError(f"{dotted(place)} is no part of the configuration")
    return model


def dotted(place: KeyPath) -> str:
    """`streams.gate.lines.door.points[0]`."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{shown(key)}" for key in place if key != "[key]"]
    return "".join(parts).removeprefix(".")


def kind_of(value: object) -> str:
    """A few words on a value of the wrong kind: `a mapping`, `a list of 3`, `nothing`."""
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "nothing" if value is None else f"a single value ({_short(value)})"


def _short(value: object) -> str:
    if isinstance(value, str):
        return f"'{shown(value)}'"
    if isinstance(value, bool | int | float):
        return shown(str(value).lower() if isinstance(value, bool) else repr(value))
    return kind_of(value)
