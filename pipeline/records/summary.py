"""`summary.json`: what a run counted and how it went. The file is replaced as a whole, so it is never half written."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.files import write_bytes
from pipeline.redact import redact

ALWAYS = ("unique", "lines", "zones")
"""Counts that are there for every stream, even if nothing was counted. Other counts are left out when empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """One stream of the summary.

    Attributes:
        decoded: frames that came out of the source's decoder.
        processed: frames that went through the whole pipeline.
        dropped: reason -> frames; with `processed` they add up to `decoded`.
        static: processed frames that needed no inference because nothing moved; left out where there are none.
        counts: key -> what was counted, as the counting rules give it (`StreamTotals.summary`).
        fps: processed frames per second of wall time; None where nothing was left to do.
        latency_ms: "p50" and "p99" of the time from decoding to the end of the pipeline, where measured.
        extra: further keys of the stream, e.g. `source`, `damage`; none of the names above.
    """

    decoded: int
    processed: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    static: int = 0
    counts: Mapping[str, Any] = field(default_factory=dict)
    fps: float | None = None
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The stream's part of `summary.json`."""
        frames = {"decoded": self.decoded, "processed": self.processed, "dropped": dict(self.dropped)}
        run = {
            "fps": self.fps,
            "latency_ms": {"p50": self.latency_ms.get("p50"), "p99": self.latency_ms.get("p99")},
        }
        contract = {
            "frames": frames | ({"static": self.static} if self.static else {}),
            **{key: self.counts.get(key, {}) for key in ALWAYS},
            **run,
        }
        others = {key: value for key, value in self.counts.items() if value and key not in ALWAYS}
        return _with_extra(_with_extra(contract, others), self.extra)


def build(streams: Mapping[str, StreamSummary], **extra: Any) -> dict[str, Any]:
    """The whole summary as plain JSON values (see `plain`).

    Args:
        streams: name -> its part.
        extra: further keys beside `streams`.

    Raises:
        ValueError: a further key has the name of one of the contract.
    """
    whole = _with_extra({"streams": {name: stream.as_json() for name, stream in streams.items()}}, extra)
    result: dict[str, Any] = plain(whole)
    return result


def write_json(path: Path | str, value: Any, mode: int = 0o666) -> None:
    """Writes plain values to a file; readers see either the old file or the complete new one.

    Args:
        path: the file.
        value: as `plain` takes it.
        mode: permissions of the file, before the umask; 0o600 for its owner alone.

    Raises:
        OutputError: the folder cannot be written or the disk is full; an older file stays as it was.
    """
    path = Path(path)
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode(), durable=True, mode=mode)


def _with_extra(contract: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    if taken := sorted(contract.keys() & extra.keys()):
        raise ValueError(f"extra keys {taken} are part of the summary's contract")
    return contract | dict(extra)


def plain(value: Any) -> Any:
    """Converts a value to JSON types. Passwords in texts are redacted; NaN and infinities become null.

    Args:
        value: mappings, sequences, sets, texts, paths, and numbers of Python or NumPy, nested.

    Raises:
        TypeError: a value has no such form.
    """
    if isinstance(value, Mapping):
        return {redact(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, str | os.PathLike):
        return redact(str(value))
    if value is None or isinstance(value, bool | int):
        return value
    number = value.item() if hasattr(value, "item") else value  # a NumPy scalar
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    if isinstance(number, bool | int):
        return number
    raise TypeError(f"{type(value).__name__} cannot be part of a summary: it has no form in JSON")
