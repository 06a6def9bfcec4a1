"""Ground truth of counts: that of a rendered scene, or a table made by a person.

A table is CSV with a header, or JSON with a list of such records or `{"events": [...], "unique": {...}}`:

    time_s,line,class,direction
    12.4,door,person,in
    13.1,door,person,out

`time_s` is media time in seconds, as in `events.db`. An optional column `kind` is `line` (the default), `zone` (with
the name of the zone in `line` and `entry` or `exit` in `direction`) or `unique` (one row for each object, which needs
only `class`).
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.truth_files import read_json, scene_truth
from pipeline.files import reading

KINDS = ("line", "zone", "unique")
ENTRY = "entry"
COLUMNS = ("kind", "time_s", "line", "class", "direction")


@dataclass(frozen=True, slots=True)
class ComparedEvent:
    """A true or counted event.

    Attributes:
        kind: `line` or `zone`.
        time_s: media time in seconds.
        name: of the line or zone.
        class_name: of the object.
        direction: of the crossing; `entry` or `exit` for a zone.
        detail: a description for people, with frame and track.
    """

    kind: str
    time_s: float
    name: str
    class_name: str
    direction: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TrueCounts:
    """Ground truth of counts.

    Attributes:
        events: in the order of time.
        unique: class -> number of objects; None if not known.
        lines: names of the lines whose events are known.
        zones: names of the zones whose events are known.
        entries_only: the exits of the zones are not known.
        end_s: length of the footage in seconds; None: that of the run.
        fps: set if the true times come from frame numbers: the times of counted events then do, too.
    """

    events: tuple[ComparedEvent, ...]
    unique: Mapping[str, int] | None
    lines: frozenset[str]
    zones: frozenset[str]
    entries_only: bool = False
    end_s: float | None = None
    fps: float | None = None


def read_count_truth(path: Path) -> TrueCounts:
    """Read the truth of a rendered scene (`.json`, `.json.gz`) or a table (`.csv`, `.json`).

    Raises:
        EvaluationError: it cannot be read, or a record, which is named, is invalid.
    """
    if path.suffix == ".csv":
        return _from_table(path, _csv(path), None)
    data = read_json(path)
    if isinstance(data, dict) and "frames" in data and "layout" in data:
        return _from_scene(path, data)
    if isinstance(data, list):
        return _from_table(path, data, None)
    if isinstance(data, dict) and isinstance(data.get("events"), list):
        return _from_table(path, data["events"], data.get("unique"))
    raise EvaluationError(
        f"{path}: is no truth of counts; expected the truth of a rendered scene, or records of {', '.join(COLUMNS[1:])}"
    )


def _csv(path: Path) -> list[dict[str, Any]]:
    try:
        with reading(path, EvaluationError):
            text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: is not text in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    if not {"line", "class"} <= set(reader.fieldnames or ()):
        raise EvaluationError(
            f"{path}: got the columns {', '.join(reader.fieldnames or ()) or 'none'}, expected {', '.join(COLUMNS[1:])}"
        )
    return list(reader)


def _from_table(path: Path, records: Sequence[Any], unique: Any) -> TrueCounts:
    events, counted = [], Counter[str]()
    lines, zones, objects = set[str](), set[str](), False
    for number, record in enumerate(records, start=1):
        where = f"{path}: record {number}"
        if not isinstance(record, dict):
            raise EvaluationError(f"{where}: got {type(record).__name__}, expected {', '.join(COLUMNS[1:])}")
        kind = str(record.get("kind") or "line")
        if kind not in KINDS:
            raise EvaluationError(f"{where}: kind: got {kind}, expected {', '.join(KINDS)}")
        class_name = _word(record, "class", where)
        if kind == "unique":
            objects = True
            counted[class_name] += 1
            continue
        name, direction = _word(record, "line", where), _word(record, "direction", where)
        (lines if kind == "line" else zones).add(name)
        events.append(ComparedEvent(kind, _time(record, where), name, class_name, direction))
    if unique is not None:
        if not (isinstance(unique, dict) and all(isinstance(count, int) for count in unique.values())):
            raise EvaluationError(f"{path}: unique: expected numbers of objects by class")
        objects = True
        counted.update(unique)
    events.sort(key=lambda event: event.time_s)
    return TrueCounts(tuple(events), dict(counted) if objects else None, frozenset(lines), frozenset(zones))


def _word(record: Mapping[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise EvaluationError(f"{where}: {key}: got {value!r}, expected a name")
    return value.strip()


def _time(record: Mapping[str, Any], where: str) -> float:
    try:
        time_s = float(record["time_s"])
    except (KeyError, TypeError, ValueError):
        time_s = math.nan
    if not math.isfinite(time_s):
        raise EvaluationError(
            f"{where}: time_s: got {record.get('time_s')!r}, expected seconds of media time"
        )
    return time_s


def _from_scene(path: Path, data: Any) -> TrueCounts:
    truth = scene_truth(path, data)
    events = [
        ComparedEvent(
            "line", one.frame / truth.fps, one.line, one.class_name, one.direction, f"object {one.track_id}"
        )
        for one in truth.crossings
    ]
    events += [
        ComparedEvent(
            "zone", one.frame / truth.fps, one.zone, one.class_name, ENTRY, f"object {one.track_id}"
        )
        for one in truth.entries
    ]
    events.sort(key=lambda event: event.time_s)
    return TrueCounts(
        tuple(events),
        truth.unique,
        frozenset(truth.lines),
        frozenset(truth.zones),
        entries_only=True,
        end_s=len(truth.frames) / truth.fps,
        fps=truth.fps,
    )
