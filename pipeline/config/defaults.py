"""What streams inherit from `defaults`, in a configuration that has been parsed but not validated."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails


def with_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """The configuration with what each stream inherits written into it.

    Mappings are merged key by key, at any depth; everything else that a stream writes replaces what it would inherit.
    An inherited mapping for which a stream writes null is left out: `lines: {door: null}`.

    Args:
        data: The parsed configuration, which is not changed; what is no mapping is left for validation to refuse.
    """
    defaults, streams = data.get("defaults"), data.get("streams")
    if not isinstance(defaults, dict) or not isinstance(streams, dict):
        return data
    merged = {
        name: _merged(defaults, stream) if isinstance(stream, dict) else stream
        for name, stream in streams.items()
    }
    return {**data, "streams": merged}


def without_inherited(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """The errors of a validation without those that streams have inherited: a mistake in `defaults` is told once.

    Args:
        errors: As `ValidationError.errors()` returns them.
    """
    at_defaults = {(one["loc"][1:], one["type"]) for one in errors if one["loc"][:1] == ("defaults",)}
    return [
        one
        for one in errors
        if one["loc"][:1] != ("streams",) or (one["loc"][2:], one["type"]) not in at_defaults
    ]


def _merged(below: dict[Any, Any], above: dict[Any, Any]) -> dict[Any, Any]:
    """`below` with the values of `above` in their places."""
    result = copy.deepcopy(below)
    for key, value in above.items():
        inherited = below.get(key)
        if isinstance(inherited, dict) and isinstance(value, dict):
            result[key] = _merged(inherited, value)
        elif isinstance(inherited, dict) and value is None:
            del result[key]
        else:
            result[key] = value
    return result
