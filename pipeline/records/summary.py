"""`summary.json`: what a run counted and how it went, in one file that appears whole or not at all."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """One stream of the summary.

    Attributes:
        decoded: frames that came out of the source's decoder.
        processed: frames that went through the whole pipeline.
        dropped: reason -> frames; with `processed` they add up to `decoded`.
        static: processed frames that the model was spared because nothing moved; shown where there are any.
        unique: class -> unique objects.
        uncertain: class -> by how many objects `unique` may be off, as in 34 ± 2.
        doubtful: class -> decisions behind `unique` that might as well have been the other way.
        lines: line -> class -> direction -> crossings.
        net: line -> class -> crossings in the first direction less those in the second.
        zones: zone -> class -> {"now", "entries", "exits", "dwell_s", "dwell_p95_s", "peak", "appeared", "vanished"}.
        speeds: line -> class -> {"count", "median_kmh", "p85_kmh", "p95_kmh"}; left out where nothing was measured.
        od: origin -> destination -> class -> objects; left out without lines and zones.
        fps: processed frames by wall second.
        latency_ms: "p50" and "p99" of the time from decoding to the end, where measured.
        extra: more keys of the stream, e.g. `source`, `damage`; none of the names above.
    """

    decoded: int
    processed: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    static: int = 0
    unique: Mapping[str, int] = field(default_factory=dict)
    uncertainty: Mapping[str, int] = field(default_factory=dict)
    ambiguous: Mapping[str, int] = field(default_factory=dict)
    lines: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    net: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    zones: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    speeds: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    od: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    fps: float = 0.0
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        frames = {"decoded": self.decoded, "processed": self.processed, "dropped": dict(self.dropped)}
        contract = {
            "frames": frames | ({"static": self.static} if self.static else {}),
            "unique": self.unique,
            "lines": self.lines,
            "zones": self.zones,
            "fps": self.fps,
            "latency_ms": {"p50": self.latency_ms.get("p50"), "p99": self.latency_ms.get("p99")},
        }
        added = {
            "uncertain": self.uncertainty,
            "doubtful": self.ambiguous,
            "net": self.net,
            "speeds": self.speeds,
            "od": self.od,
        }
        return _with_extra(contract | {key: value for key, value in added.items() if value}, self.extra)


def build(streams: Mapping[str, StreamSummary], **extra: Any) -> dict[str, Any]:
    """The whole summary as plain JSON values; `extra` are further keys beside `streams`.

    Numbers that JSON does not have (NaN, infinity) become null, passwords in URLs are hidden.
    """
    whole = _with_extra({"streams": {name: stream.as_json() for name, stream in streams.items()}}, extra)
    plain: dict[str, Any] = _plain(whole)
    return plain


def write_json(path: Path | str, value: Any, mode: int = 0o666) -> None:
    """Writes plain values to `path`; a reader sees the old file or the whole new one.

    Args:
        path: the file.
        value: mappings, lists, texts and numbers; passwords in texts are hidden.
        mode: permissions of the file, less those that the umask takes away: 0o600 for its owner alone.

    Raises:
        OutputError: the folder cannot be written or the disk is full; an older file stays as it was.
    """
    path = Path(path)
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode(), durable=True, mode=mode)


def _with_extra(contract: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    if taken := sorted(contract.keys() & extra.keys()):
        raise ValueError(f"extra keys {taken} are part of the summary's contract")
    return contract | dict(extra)


def _plain(value: Any) -> Any:
    """Only what JSON knows: mappings, lists, text, whole numbers, finite numbers, true, false, null."""
    if isinstance(value, Mapping):
        return {redact(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, str | os.PathLike):
        return redact(str(value))
    if value is None or isinstance(value, bool | int):
        return value
    number = value.item() if hasattr(value, "item") else value  # a NumPy scalar
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    if isinstance(number, bool | int):
        return number
    raise TypeError(f"{type(value).__name__} cannot be part of a summary")
