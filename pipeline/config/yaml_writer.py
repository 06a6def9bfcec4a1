"""A configuration as YAML that `yaml_reader` reads back to the same values."""

from __future__ import annotations

import json
import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+~@%-]*")
"""Texts without quotes; a subset of what YAML allows."""
_NO_TEXT = re.compile(r"(?i)true|false|null|[-+]?\.(inf|nan)|[-+]?\.?[0-9].*")
"""Texts that would be read as another kind of value."""
_LONG = 100


def as_yaml(data: dict[str, Any]) -> str:
    """A mapping as a YAML document. Short mappings of plain values are on one line.

    Args:
        data: text keys; dicts, lists, text, numbers, bool and None.
    """
    return "".join(f"{line}\n" for line in _lines(data, ""))


def _lines(data: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in data.items():
        flow = _flow(value)
        if isinstance(value, dict) and (
            len(flow) > _LONG or any(isinstance(v, dict) for v in value.values())
        ):
            lines += [f"{indent}{_text(key)}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{_text(key)}: {flow}")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)
