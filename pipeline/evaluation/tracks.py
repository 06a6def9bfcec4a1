"""Tracks held against the truth: HOTA, CLEAR MOT and identity scores by TrackEval, unique counts, line crossings.

HOTA: Luiten et al., IJCV 2021; MOTA: Bernardin and Stiefelhagen, 2008; IDF1: Ristani et al., 2016; all as in
https://github.com/JonathonLuiten/TrackEval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.config.schema import LineConfig
from pipeline.evaluation.matching import Crossing, Line, crossings, match
from pipeline.evaluation.report import EvaluationError, f1, percent
from pipeline.evaluation.track_files import SequenceFiles, check_once, counted_truth, read_rows
from pipeline.geometry.boxes import box_iou, ltwh_to_xyxy
from pipeline.geometry.plane import Floats

TOLERANCE_FRAMES = 15
"""A crossing is found when one of the same line and direction lies within so many frames of it."""


@dataclass(frozen=True, slots=True)
class LineScore:
    """Crossings of one sequence, all its lines together.

    Attributes:
        pairs: (place in `true`, place in `counted`) of those found.
        off: sum over the lines of |counted - true|.
    """

    true: tuple[Crossing, ...]
    counted: tuple[Crossing, ...]
    pairs: tuple[tuple[int, int], ...]
    off: int

    @property
    def f1(self) -> float:
        """Percent."""
        return f1(len(self.pairs), len(self.counted), len(self.true))


@dataclass(frozen=True, slots=True)
class SequenceScore:
    """One sequence, or all together (`lines` is None then).

    Attributes:
        hota, deta, assa, mota, idf1: percent.
        hota_by_iou: HOTA, DetA and AssA in percent at each overlap threshold of `TrackScores.ious`.
        switches, false_positives, misses: of CLEAR MOT at IoU 0.5.
        unique_true, unique_counted: identities.
        unique_off: |counted - true|, summed over sequences.
    """

    name: str
    frames: int
    hota: float
    deta: float
    assa: float
    mota: float
    idf1: float
    hota_by_iou: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    switches: int
    false_positives: int
    misses: int
    unique_true: int
    unique_counted: int
    unique_off: int
    lines: LineScore | None

    @property
    def unique_error(self) -> float:
        """Percent of the true number."""
        return percent(self.unique_off, self.unique_true)


@dataclass(frozen=True, slots=True)
class TrackScores:
    """All sequences.

    Attributes:
        ious: overlap thresholds of HOTA.
        lines_true, lines_counted, lines_found, lines_off: crossings in the sequences that have lines.
    """

    sequences: tuple[SequenceScore, ...]
    total: SequenceScore
    ious: tuple[float, ...]
    tolerance_frames: int

    @property
    def lines(self) -> tuple[LineScore, ...]:
        return tuple(one.lines for one in self.sequences if one.lines is not None)

    @property
    def line_f1(self) -> float:
        """Percent."""
        found, counted, true = (
            sum(len(part) for part in parts)
            for parts in zip(*((one.pairs, one.counted, one.true) for one in self.lines), strict=True)
        )
        return f1(found, counted, true)

    @property
    def line_error(self) -> float:
        """Percent: sum over sequences and lines of |counted - true| of the true number."""
        return percent(sum(one.off for one in self.lines), sum(len(one.true) for one in self.lines))


def vertical_lines(parts: Sequence[float], size: tuple[int, int]) -> tuple[Line, ...]:
    """Endless upright lines at parts of the width; directions `right` and `left`."""
    width, height = size
    return tuple(
        Line(
            f"x={part:g}",
            ((part * width, float(height)), (part * width, 0.0)),
            ("right", "left"),
            endless=True,
        )
        for part in parts
    )


def configured_lines(lines: dict[str, LineConfig], size: tuple[int, int]) -> tuple[Line, ...]:
    """The lines of a configuration, in pixels of frames of that size."""
    width, height = size
    return tuple(
        Line(name, tuple((x * width, y * height) for x, y in line.points), line.directions)
        for name, line in lines.items()
    )


def score_tracks(
    sequences: Sequence[tuple[SequenceFiles, tuple[Line, ...]]], tolerance_frames: int = TOLERANCE_FRAMES
) -> TrackScores:
    """Scores track files, each with the lines to be crossed in it (none: no crossings there).

    Raises:
        EvaluationError: a file cannot be read, or TrackEval is not installed.
    """
    metrics = _Metrics()
    scores = []
    for files, lines in sequences:
        truth, tracks = counted_truth(read_rows(files.truth)), read_rows(files.tracks)
        if not len(truth):
            raise EvaluationError(f"{files.truth}: holds no object that counts")
        check_once(truth, files.truth)
        check_once(tracks, files.tracks)
        data = as_trackeval(truth, tracks)
        measured = metrics.sequence(files.name, data)
        crossed = score_lines(truth, tracks, lines, tolerance_frames) if lines else None
        scores.append(_score(files.name, data, measured, crossed))
    frames = sum(score.frames for score in scores)
    data = {
        "num_timesteps": frames,
        "num_gt_ids": sum(score.unique_true for score in scores),
        "num_tracker_ids": sum(score.unique_counted for score in scores),
    }
    off = sum(score.unique_off for score in scores)
    total = _score("all", data, metrics.total(), None, off)
    return TrackScores(tuple(scores), total, metrics.ious, tolerance_frames)


def score_lines(truth: Floats, tracks: Floats, lines: Sequence[Line], tolerance_frames: int) -> LineScore:
    """Crossings of the true and of the tracked foot points over each line."""
    true = [event for line in lines for event in crossings(truth, line)]
    counted = [event for line in lines for event in crossings(tracks, line)]
    pairs = match(
        [(event.frame, (event.line, event.direction)) for event in true],
        [(event.frame, (event.line, event.direction)) for event in counted],
        tolerance_frames,
    )
    off = sum(
        abs(
            sum(event.line == line.name for event in true) - sum(event.line == line.name for event in counted)
        )
        for line in lines
    )
    return LineScore(tuple(true), tuple(counted), tuple(pairs), off)


def as_trackeval(truth: Floats, tracks: Floats) -> dict[str, Any]:
    """What TrackEval's metrics take. Frames go up to the truth's last one; ids beyond it count as ids."""
    last = int(truth[:, 0].max())
    true_ids = np.unique(truth[:, 1], return_inverse=True)
    our_ids = np.unique(tracks[:, 1], return_inverse=True)
    inside = (tracks[:, 0] >= 1) & (tracks[:, 0] <= last)
    rows_true, rows_ours = _by_frame(truth[:, 0], last), _by_frame(tracks[:, 0], last)
    boxes_true, boxes_ours = ltwh_to_xyxy(truth[:, 2:6]), ltwh_to_xyxy(tracks[:, 2:6])
    return {
        "gt_ids": [true_ids[1][rows] for rows in rows_true],
        "tracker_ids": [our_ids[1][rows] for rows in rows_ours],
        "similarity_scores": [
            box_iou(boxes_true[a], boxes_ours[b]) for a, b in zip(rows_true, rows_ours, strict=True)
        ],
        "num_gt_dets": len(truth),
        "num_tracker_dets": int(inside.sum()),
        "num_timesteps": last,
        "num_gt_ids": len(true_ids[0]),
        "num_tracker_ids": len(our_ids[0]),
    }


def _by_frame(frames: Floats, last: int) -> list[Any]:
    """Rows of each frame from 1 to `last`, in their order."""
    order = np.argsort(frames, kind="stable")
    edges = np.searchsorted(frames[order], np.arange(1, last + 2))
    return [order[low:high] for low, high in pairwise(edges)]


class _Metrics:
    """TrackEval's metrics, sequence by sequence and combined."""

    def __init__(self) -> None:
        try:
            from trackeval.metrics import CLEAR, HOTA, Identity
        except ImportError as error:
            raise EvaluationError(
                f"evaluate tracks needs the package {error.name}; install tallycam[evaluate]"
            ) from None
        quiet = {"PRINT_CONFIG": False}
        self._metrics = {"hota": HOTA(), "clear": CLEAR(quiet), "identity": Identity(quiet)}
        self._parts: dict[str, dict[str, Any]] = {name: {} for name in self._metrics}
        self.ious = tuple(float(value) for value in self._metrics["hota"].array_labels)

    def sequence(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for kind, metric in self._metrics.items():
            found[kind] = metric.eval_sequence(data)
            parts = self._parts[kind]
            parts[name if name not in parts else f"{name} {len(parts) + 1}"] = found[kind]
        return found

    def total(self) -> dict[str, Any]:
        return {kind: metric.combine_sequences(self._parts[kind]) for kind, metric in self._metrics.items()}


def _score(
    name: str, data: dict[str, Any], measured: dict[str, Any], lines: LineScore | None, off: int | None = None
) -> SequenceScore:
    hota, clear = measured["hota"], measured["clear"]
    by_iou = [tuple((100 * np.asarray(hota[key])).tolist()) for key in ("HOTA", "DetA", "AssA")]
    true, counted = data["num_gt_ids"], data["num_tracker_ids"]
    return SequenceScore(
        name=name,
        frames=data["num_timesteps"],
        hota=100 * float(np.mean(hota["HOTA"])),
        deta=100 * float(np.mean(hota["DetA"])),
        assa=100 * float(np.mean(hota["AssA"])),
        mota=100 * float(clear["MOTA"]),
        idf1=100 * float(measured["identity"]["IDF1"]),
        hota_by_iou=(by_iou[0], by_iou[1], by_iou[2]),
        switches=int(clear["IDSW"]),
        false_positives=int(clear["CLR_FP"]),
        misses=int(clear["CLR_FN"]),
        unique_true=true,
        unique_counted=counted,
        unique_off=abs(true - counted) if off is None else off,
        lines=lines,
    )
