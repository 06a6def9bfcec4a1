"""The report on tracks: figures, tables and plots."""

from __future__ import annotations

from typing import Any

from pipeline.evaluation import svg
from pipeline.evaluation.report import Cell, Evaluation, Fact, Figure, Sheet, f1, percent, percent_text
from pipeline.evaluation.track_scores import LineScore, SequenceScore, TrackScores

SCORES = ("sequence", "HOTA %", "DetA %", "AssA %", "MOTA %", "IDF1 %")
COUNTS = ("sequence", "unique", "true", "error %", "switches", "false boxes", "missed boxes")


def tracks_report(scores: TrackScores, subject: str, notes: tuple[str, ...] = ()) -> Evaluation:
    """The report of an evaluation of tracks.

    Args:
        scores: what was evaluated.
        subject: what was compared with what, in words.
        notes: what the reader must know.
    """
    total = scores.total
    facts = [
        Fact("HOTA", percent_text(total.hota), f"detection {total.deta:.1f}, association {total.assa:.1f}"),
        Fact("IDF1", percent_text(total.idf1)),
        Fact("MOTA", percent_text(total.mota), f"{total.switches} identity switches"),
        Fact("unique-count error", percent_text(total.unique_error),
             f"{total.unique_counted} counted, {total.unique_true} true, WRAE {scores.wrae:.1f} %",
             wrong=total.unique_off > 0),
    ]  # fmt: skip
    if scores.lines:
        true = sum(len(one.true) for one in scores.lines)
        counted = sum(len(one.counted) for one in scores.lines)
        found = sum(len(one.pairs) for one in scores.lines)
        facts += [
            Fact(
                "line F1",
                percent_text(scores.line_f1),
                f"{found} of {true} crossings matched",
                wrong=found < true,
            ),
            Fact("line-count error", percent_text(scores.line_error), f"{counted} counted, {true} true"),
        ]
    several = len(scores.sequences) > 1
    sequences = (*scores.sequences, total) if several else scores.sequences
    sheets = [
        Sheet("Tracks", SCORES, tuple(map(_scores, sequences)), total=several),
        Sheet("Identities and boxes", COUNTS, tuple(map(_counts, sequences)), total=several),
    ]
    if scores.lines:
        sheets.append(_line_sheet(scores))
    return Evaluation(
        "Tracks against the truth", subject, tuple(facts), tuple(sheets), tuple(_figures(scores)),
        _data(scores), notes,
    )  # fmt: skip


def _scores(one: SequenceScore) -> tuple[Cell, ...]:
    return one.name, one.hota, one.deta, one.assa, one.mota, one.idf1


def _counts(one: SequenceScore) -> tuple[Cell, ...]:
    return (
        one.name, one.unique_counted, one.unique_true, one.unique_error, one.switches, one.false_positives,
        one.misses,
    )  # fmt: skip


def _line_sheet(scores: TrackScores) -> Sheet:
    rows: list[tuple[Cell, ...]] = []
    wrong = set()
    for sequence in scores.sequences:
        if sequence.lines is None:
            continue
        for name in _names(sequence.lines):
            part = only(sequence.lines, name)
            true, counted, found = len(part.true), len(part.counted), len(part.pairs)
            if found < max(true, counted):
                wrong.add(len(rows))
            rows.append((sequence.name, name, counted, true, found, true - found, counted - found, part.f1))
    true, counted, found = (sum(int(row[column] or 0) for row in rows) for column in (3, 2, 4))
    rows.append(("all", "", counted, true, found, true - found, counted - found, f1(found, counted, true)))
    header = ("sequence", "line", "counted", "true", "matched", "missed", "false", "F1 %")
    note = (
        f"Foot points with a dead band of 5 % of the object's height; a crossing is matched by one of the same "
        f"direction within {scores.tolerance_frames} frames."
    )
    return Sheet("Line crossings", header, tuple(rows), note, total=True, wrong=frozenset(wrong))


def only(score: LineScore, line: str) -> LineScore:
    """The crossings of one line."""
    true = [place for place, event in enumerate(score.true) if event.line == line]
    counted = [place for place, event in enumerate(score.counted) if event.line == line]
    pairs = tuple((true.index(a), counted.index(b)) for a, b in score.pairs if a in true)
    return LineScore(
        tuple(score.true[place] for place in true),
        tuple(score.counted[place] for place in counted),
        pairs,
        abs(len(true) - len(counted)),
    )


def _names(score: LineScore) -> list[str]:
    return list(dict.fromkeys(event.line for event in (*score.true, *score.counted)))


def _figures(scores: TrackScores) -> list[Figure]:
    sequences = [*scores.sequences, *([scores.total] if len(scores.sequences) > 1 else [])]
    groups = [svg.Bars(one.name, (one.hota, one.idf1, one.mota)) for one in sequences]
    figures = [Figure("Scores, %", svg.bars(groups, ("HOTA", "IDF1", "MOTA"), most=100.0))]
    groups = [
        svg.Bars(one.name, (float(one.unique_counted), float(one.unique_true))) for one in scores.sequences
    ]
    figures.append(Figure("Unique objects", svg.bars(groups, ("counted", "true"))))
    names = ("HOTA", "detection (DetA)", "association (AssA)")
    lines = [
        svg.Curve(name, tuple(zip(scores.ious, values, strict=True)), place)
        for place, (name, values) in enumerate(zip(names, scores.total.hota_by_iou, strict=True))
    ]
    plot = svg.curves(lines, x=(0.0, 1.0, "IoU threshold"), y=(0.0, 100.0, "%"))
    note = "A curve that falls early means imprecise boxes, a low association curve broken identities."
    figures.append(Figure("HOTA by IoU threshold, all sequences", plot, note))
    if scores.lines:
        groups = [
            svg.Bars(one.name, (float(len(one.lines.counted)), float(len(one.lines.true))))
            for one in scores.sequences
            if one.lines is not None
        ]
        figures.append(Figure("Line crossings", svg.bars(groups, ("counted", "true"))))
        figures += [
            Figure(f"Crossings in {one.name}", _timeline(one, one.lines), wide=True)
            for one in scores.sequences
            if one.lines is not None
        ]
    return figures


def _timeline(sequence: SequenceScore, score: LineScore) -> str:
    hit_true, hit_counted = {a for a, _ in score.pairs}, {b for _, b in score.pairs}
    rows: dict[str, list[tuple[float, svg.Mark, str]]] = {}
    for place, event in enumerate(score.true):
        mark: svg.Mark = "hit" if place in hit_true else "miss"
        tip = f"frame {event.frame}, true object {event.track}"
        rows.setdefault(f"{event.line} {event.direction}", []).append((event.frame, mark, tip))
    for place, event in enumerate(score.counted):
        if place not in hit_counted:
            tip = f"frame {event.frame}, track {event.track}"
            rows.setdefault(f"{event.line} {event.direction}", []).append((event.frame, "extra", tip))
    moments = [svg.TimelineRow(label, tuple(marks)) for label, marks in sorted(rows.items())]
    return svg.timeline(moments, sequence.frames, "frame")


def _data(scores: TrackScores) -> dict[str, Any]:
    whole = _sequence_data(scores.total)
    if scores.lines:
        whole |= {
            "line_f1": scores.line_f1,
            "line_count_error": scores.line_error,
            "lines": _line_data(
                LineScore(
                    tuple(event for one in scores.lines for event in one.true),
                    tuple(event for one in scores.lines for event in one.counted),
                    tuple(pair for one in scores.lines for pair in one.pairs),
                    sum(one.off for one in scores.lines),
                )
            ),
        }
    return {
        "kind": "tracks",
        "tolerance_frames": scores.tolerance_frames,
        **whole,
        "wrae": scores.wrae,
        "sequences": {one.name: _sequence_data(one) for one in scores.sequences},
    }


def _sequence_data(one: SequenceScore) -> dict[str, Any]:
    data: dict[str, Any] = {
        "frames": one.frames, "hota": one.hota, "deta": one.deta, "assa": one.assa, "mota": one.mota,
        "idf1": one.idf1, "switches": one.switches, "false_positives": one.false_positives, "misses": one.misses,
        "unique": {"counted": one.unique_counted, "true": one.unique_true, "error": one.unique_error},
    }  # fmt: skip
    if one.lines is not None:
        data |= {
            "line_f1": one.lines.f1,
            "line_count_error": percent(one.lines.off, len(one.lines.true)),
            "lines": _line_data(one.lines),
        }
    return data


def _line_data(score: LineScore) -> dict[str, int]:
    return {
        "counted": len(score.counted), "true": len(score.true), "matched": len(score.pairs), "off": score.off,
    }  # fmt: skip
