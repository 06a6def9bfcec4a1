"""The configuration that a source by itself stands for: `tallycam run my.mp4`."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_CONFIGURATIONS = (".yaml", ".yml", ".json")
_HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/")
"""Paths under which a shell hands over what another program writes: `tallycam run <(...)`."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_LOOKED_AT_BYTES = 4096
_FALLBACK = "video"
_TAKEN = "run"
"""`DIR/log/run.log` is the log of the whole run."""


def is_configuration(argument: str) -> bool:
    """Whether an argument names a configuration file rather than a source.

    Its ending tells; a file with another ending is a configuration if it is text.

    Args:
        argument: of `tallycam run`.
    """
    if Path(argument).suffix.lower() in _CONFIGURATIONS and "://" not in argument:
        return True
    if argument.startswith(_HANDED_OVER):
        return True
    try:
        path = Path(argument)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            begin = file.read(_LOOKED_AT_BYTES)
    except (OSError, ValueError):
        return False
    try:
        begin[:-4].decode()  # a character may be cut off at the end
    except UnicodeDecodeError:
        return False
    return b"\0" not in begin


def mapping_of(source: str) -> dict[str, Any]:
    """The configuration with one source, as a file would hold it.

    Args:
        source: its address, in which `${` has no meaning.
    """
    return {"streams": {stream_name(source): {"source": source.replace("${", "$${")}}}


def with_real_model(data: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the model in its first place; `auto`, unless it names one.

    Args:
        data: the parsed configuration.
    """
    model = data.get("model") or {}
    if isinstance(model, dict) and model.get("name") is None and model.get("path") is None:
        model = {**model, "name": "auto"}
    return {"model": model} | {key: data[key] for key in data if key != "model"}


def stream_name(source: str) -> str:
    """The name of the stream of a source: that of the file without its ending, of the folder, or of the host.

    It depends on the address alone, and holds nothing of a password.

    Args:
        source: its address.
    """
    plain = unicodedata.normalize("NFKD", _raw_name(source)).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).lstrip("-._")[:48].rstrip("-._")
    return f"{name}-{_FALLBACK}" if name == _TAKEN else name or _FALLBACK


def _raw_name(source: str) -> str:
    if source == "-":
        return "stdin"
    source = source.removeprefix("snapshot:")
    parts = _SCHEME.fullmatch(source)
    if parts is None or parts.group(1) == "file" or os.path.lexists(source):
        path = os.path.abspath(os.path.expanduser(source.removeprefix("file://")))
        return os.path.basename(path) if os.path.isdir(path) else Path(path).stem
    scheme, rest = parts.groups()
    if not rest.startswith("//"):  # camera:0, synthetic:7
        return scheme + (rest if rest.isascii() and rest.isdecimal() else "")
    try:
        address = urlsplit(source)
        return address.hostname or f"{scheme}{address.port or ''}"
    except ValueError:  # no URL: whoever opens it says so
        return scheme
