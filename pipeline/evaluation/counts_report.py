"""The report on counts: figures, tables, and a timeline of matched, missed and false events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.evaluation import svg
from pipeline.evaluation.count_truth import ComparedEvent
from pipeline.evaluation.counts import CountScores, MatchedEvents
from pipeline.evaluation.report import Cell, Evaluation, Fact, Figure, Sheet, percent_text

HEADER = ("class", "direction", "counted", "true", "matched", "missed", "false", "F1 %")


def counts_report(scores: CountScores, subject: str) -> Evaluation:
    """The report of an evaluation of counts.

    Args:
        scores: what was evaluated.
        subject: what was compared with what, in words.
    """
    facts = []
    if scores.lines.true or scores.lines.counted:
        facts.append(_fact("line crossings", scores.lines))
        facts.append(
            Fact(
                "line precision",
                percent_text(scores.lines.precision),
                f"recall {percent_text(scores.lines.recall)}",
            )
        )
    if scores.unique is not None:
        counted, true = (sum(pair[place] for pair in scores.unique.values()) for place in (0, 1))
        facts.append(
            Fact("unique-count error", percent_text(scores.unique_error), f"{counted} counted, {true} true",
                 wrong=scores.unique_error > 0)
        )  # fmt: skip
    if scores.zones.true or scores.zones.counted:
        facts.append(_fact("zone passages", scores.zones))
    sheets = []
    if scores.unique is not None:
        rows = tuple((cls, counted, true, counted - true) for cls, (counted, true) in scores.unique.items())
        total = (counted, true, counted - true)
        off = frozenset(place for place, row in enumerate(rows) if row[3])
        sheets.append(
            Sheet("Unique objects", ("class", "counted", "true", "off by"), (*rows, ("all", *total)), total=True,
                  wrong=off)
        )  # fmt: skip
    sheets += [_sheet(f"Line {name}", part) for name, part in _parts(scores.lines)]
    sheets += [_sheet(f"Zone {name}", part) for name, part in _parts(scores.zones)]
    wrong = _wrong(scores)
    if wrong.rows:
        sheets.append(wrong)
    notes = []
    if scores.left_out:
        notes.append(f"Left out, because they have no ground truth: {', '.join(scores.left_out)}.")
    return Evaluation(
        "Counts against the truth", subject, tuple(facts), tuple(sheets), tuple(_figures(scores)), _data(scores),
        tuple(notes),
    )  # fmt: skip


def _fact(name: str, part: MatchedEvents) -> Fact:
    hint = f"{part.hits} of {len(part.true)} found, {len(part.counted) - part.hits} false"
    return Fact(f"{name}, F1", percent_text(part.f1), hint, wrong=part.f1 < 100)


def _parts(whole: MatchedEvents) -> list[tuple[str, MatchedEvents]]:
    names = sorted({event.name for event in (*whole.true, *whole.counted)})
    return [(name, whole.only(lambda event, name=name: event.name == name)) for name in names]  # type: ignore[misc]


def _sheet(title: str, whole: MatchedEvents) -> Sheet:
    rows: list[tuple[Cell, ...]] = []
    for cls, direction in sorted({(e.class_name, e.direction) for e in (*whole.true, *whole.counted)}):
        rows.append(_row(cls, direction, whole.only(_is(cls, direction))))
    wrong = frozenset(place for place, row in enumerate(rows) if row[5] or row[6])
    if len(rows) > 1:
        rows.append(_row("all", "", whole))
    return Sheet(title, HEADER, tuple(rows), total=len(rows) > 1, wrong=wrong)


def _is(class_name: str, direction: str) -> Any:
    return lambda event: event.class_name == class_name and event.direction == direction


def _row(class_name: str, direction: str, part: MatchedEvents) -> tuple[Cell, ...]:
    true, counted, hits = len(part.true), len(part.counted), part.hits
    return class_name, direction, counted, true, hits, true - hits, counted - hits, part.f1


def _wrong(scores: CountScores) -> Sheet:
    """Every missed event and every false one."""
    rows: list[tuple[Cell, ...]] = []
    for part in (scores.lines, scores.zones):
        for mark, event in _marked(part):
            if mark != "hit":
                what = "missed" if mark == "miss" else "false"
                rows.append((what, f"{event.time_s:.2f} s", *_words(event), event.detail))
    return Sheet(
        "Missed and false events",
        ("what", "time", "line or zone", "class", "direction", ""),
        tuple(rows),
        f"True and counted events of the same line, class and direction within {scores.tolerance_s:g} s match.",
    )


def _words(event: ComparedEvent) -> tuple[str, str, str]:
    return event.name, event.class_name, event.direction


def _marked(part: MatchedEvents) -> Iterable[tuple[svg.Mark, ComparedEvent]]:
    """Every true event as hit or miss, and the false ones as extra, in the order of time."""
    found, used = {a for a, _ in part.pairs}, {b for _, b in part.pairs}
    marks: list[tuple[svg.Mark, ComparedEvent]] = [
        ("hit" if place in found else "miss", event) for place, event in enumerate(part.true)
    ]
    marks += [("extra", event) for place, event in enumerate(part.counted) if place not in used]
    return sorted(marks, key=lambda one: one[1].time_s)


def _figures(scores: CountScores) -> list[Figure]:
    figures = []
    rows: dict[str, list[tuple[float, svg.Mark, str]]] = {}
    for part in (scores.lines, scores.zones):
        for mark, event in _marked(part):
            words = f"{event.time_s:.2f} s, {event.class_name} {event.direction}, {event.detail}"
            label = f"{event.name} {event.direction}: {event.class_name}"
            rows.setdefault(label, []).append((event.time_s, mark, words))
    moments = [svg.TimelineRow(label, tuple(marks)) for label, marks in sorted(rows.items())]
    plot = svg.timeline(moments, scores.end_s, "seconds")
    figures.append(
        Figure("What was counted, and when", plot, "Point at a mark to read its details.", wide=True)
    )
    for name, part in _parts(scores.lines):
        figures.append(Figure(f"Line {name}: crossings over time", _so_far(part, scores.end_s)))
    if scores.unique:
        groups = [
            svg.Bars(cls, (float(counted), float(true))) for cls, (counted, true) in scores.unique.items()
        ]
        figures.append(Figure("Unique objects", svg.bars(groups, ("counted", "true"))))
    groups = [
        svg.Bars(name, (float(len(part.counted)), float(len(part.true))))
        for name, part in _parts(scores.zones)
    ]
    if groups:
        figures.append(Figure("Zone passages", svg.bars(groups, ("counted", "true"))))
    return figures


def _so_far(part: MatchedEvents, end_s: float) -> str:
    """Cumulative crossings over time, counted and true, by direction."""
    lines = []
    most = 1
    directions = sorted({event.direction for event in (*part.true, *part.counted)})
    for place, direction in enumerate(directions):
        for events, pale, word in ((part.true, True, "true"), (part.counted, False, "counted")):
            times = sorted(event.time_s for event in events if event.direction == direction)
            points = [(0.0, 0.0), *((time, float(n)) for n, time in enumerate(times, start=1))]
            points.append((end_s, float(len(times))))
            most = max(most, len(times))
            colour = (0, 3, 2, 4, 5, 1)[place % 6]
            lines.append(svg.Curve(f"{direction} {word}", tuple(points), colour, steps=True, pale=pale))
    return svg.curves(lines, x=(0.0, end_s, "seconds"), y=(0.0, float(most), "crossings"), whole=True)


def _data(scores: CountScores) -> dict[str, Any]:
    data: dict[str, Any] = {
        "kind": "counts", "stream": scores.stream, "tolerance_s": scores.tolerance_s,
        "lines": _part_data(scores.lines) | {"by_line": _by_name(scores.lines)},
        "zones": _part_data(scores.zones) | {"by_zone": _by_name(scores.zones)},
        "left_out": list(scores.left_out),
    }  # fmt: skip
    if scores.unique is not None:
        data["unique"] = {
            "error": scores.unique_error,
            "by_class": {cls: {"counted": a, "true": b} for cls, (a, b) in scores.unique.items()},
        }
    data["wrong"] = [
        {"what": "missed" if mark == "miss" else "false", "kind": event.kind, "time_s": event.time_s,
         "name": event.name, "class": event.class_name, "direction": event.direction}
        for part in (scores.lines, scores.zones)
        for mark, event in _marked(part)
        if mark != "hit"
    ]  # fmt: skip
    return data


def _by_name(whole: MatchedEvents) -> dict[str, Any]:
    return {
        name: {
            f"{cls} {direction}": _part_data(part.only(_is(cls, direction)))
            for cls, direction in sorted({(e.class_name, e.direction) for e in (*part.true, *part.counted)})
        }
        for name, part in _parts(whole)
    }


def _part_data(part: MatchedEvents) -> dict[str, float]:
    return {
        "counted": len(part.counted), "true": len(part.true), "matched": part.hits, "f1": part.f1,
        "precision": part.precision, "recall": part.recall,
    }  # fmt: skip
