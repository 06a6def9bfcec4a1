"""Tracks compared with the truth: HOTA, CLEAR MOT and identity scores, unique counts, line crossings.

HOTA (Luiten et al., IJCV 2021), MOTA (Bernardin and Stiefelhagen, 2008) and IDF1 (Ristani et al., 2016) are computed by
TrackEval (https://github.com/JonathonLuiten/TrackEval).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.config.schema import LineConfig
from pipeline.evaluation.matching import Crossing, PixelLine, crossings, match
from pipeline.evaluation.report import EvaluationError, f1, percent
from pipeline.evaluation.track_files import SequenceFiles, check_once, counted_truth, read_rows
from pipeline.geometry.boxes import box_iou, ltwh_to_xyxy
from pipeline.geometry.plane import Floats

TOLERANCE_FRAMES = 15
"""Largest distance in frames of matching crossings of the same line and direction."""


@dataclass(frozen=True, slots=True)
class LineScore:
    """Crossings of all lines of one sequence.

    Attributes:
        true: crossings of the ground truth.
        counted: crossings of the tracks.
        pairs: (index in `true`, index in `counted`) of matches.
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
    """The scores of one sequence, or of all together.

    Attributes:
        name: of the sequence.
        frames: number of frames.
        hota, deta, assa, mota, idf1: in percent.
        hota_by_iou: HOTA, DetA and AssA in percent at each IoU threshold of `TrackScores.ious`.
        switches, false_positives, misses: of CLEAR MOT at IoU 0.5.
        unique_true, unique_counted: number of identities.
        unique_off: |counted - true|, summed over the sequences.
        lines: crossings; None for all sequences together, and without lines.
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
        """Error of the unique count in percent of the true number."""
        return percent(self.unique_off, self.unique_true)


@dataclass(frozen=True, slots=True)
class TrackScores:
    """The scores of all sequences.

    Attributes:
        sequences: each sequence.
        total: all together.
        ious: IoU thresholds of HOTA.
        tolerance_frames: largest distance of matching crossings.
    """

    sequences: tuple[SequenceScore, ...]
    total: SequenceScore
    ious: tuple[float, ...]
    tolerance_frames: int

    @property
    def wrae(self) -> float:
        """Weighted relative absolute error of the unique counts in percent: the relative errors of the sequences, each
        weighted by its number of frames (Han et al., DR.VIC: Decomposition and Reasoning for Video Individual
        Counting, CVPR 2022)."""
        frames = sum(one.frames for one in self.sequences)
        return sum(one.frames * one.unique_error for one in self.sequences) / max(1, frames)

    @property
    def lines(self) -> tuple[LineScore, ...]:
        """The crossings of each sequence that has lines."""
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
        """Sum over sequences and lines of |counted - true|, in percent of the true number."""
        return percent(sum(one.off for one in self.lines), sum(len(one.true) for one in self.lines))


def vertical_lines(parts: Sequence[float], size: tuple[int, int]) -> tuple[PixelLine, ...]:
    """Endless vertical lines.

    Args:
        parts: their positions, in fractions of the width.
        size: width and height of the frames in pixels.

    Returns:
        Lines with the directions `right` and `left`.
    """
    width, height = size
    return tuple(
        PixelLine(
            f"x={part:g}",
            ((part * width, float(height)), (part * width, 0.0)),
            ("right", "left"),
            endless=True,
        )
        for part in parts
    )


def configured_lines(lines: dict[str, LineConfig], size: tuple[int, int]) -> tuple[PixelLine, ...]:
    """The lines of a configuration in pixels.

    Args:
        lines: name -> line.
        size: width and height of the frames in pixels.
    """
    width, height = size
    return tuple(
        PixelLine(name, tuple((x * width, y * height) for x, y in line.points), line.directions)
        for name, line in lines.items()
    )


def score_tracks(
    sequences: Sequence[tuple[SequenceFiles, tuple[PixelLine, ...]]], tolerance_frames: int = TOLERANCE_FRAMES
) -> TrackScores:
    """Score track files.

    Args:
        sequences: the files of each sequence, and the lines whose crossings are evaluated in it.
        tolerance_frames: largest distance in frames of matching crossings.

    Raises:
        EvaluationError: a file cannot be read, or TrackEval is not installed.
    """
    metrics = _Metrics()
    scores = []
    for files, lines in sequences:
        truth, tracks = counted_truth(read_rows(files.truth)), read_rows(files.tracks)
        if not len(truth):
            raise EvaluationError(f"{files.truth}: has no object to be evaluated")
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


def score_lines(
    truth: Floats, tracks: Floats, lines: Sequence[PixelLine], tolerance_frames: int
) -> LineScore:
    """Compare the line crossings of true and tracked foot points.

    Args:
        truth: (N, >= 6) rows of the ground truth.
        tracks: (N, >= 6) rows of the tracks.
        lines: the lines.
        tolerance_frames: largest distance in frames of matching crossings.
    """
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
    """The input of TrackEval's metrics, up to the last frame of the truth.

    Identities that only occur in later frames are counted, too.

    Args:
        truth: (N, >= 6) rows of the ground truth.
        tracks: (N, >= 6) rows of the tracks.
    """
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
    """Indices of the rows of each frame from 1 to `last`."""
    order = np.argsort(frames, kind="stable")
    edges = np.searchsorted(frames[order], np.arange(1, last + 2))
    return [order[low:high] for low, high in pairwise(edges)]


class _Metrics:
    """TrackEval's metrics of single sequences, and combined."""

    def __init__(self) -> None:
        try:
            from trackeval.metrics import CLEAR, HOTA, Identity
        except ImportError as error:
            raise EvaluationError(
                f"evaluate tracks needs the package {error.name}; pip install 'trackeval<1.1'"
            ) from None
        quiet = {"PRINT_CONFIG": False}
        self._metrics = {"hota": HOTA(), "clear": CLEAR(quiet), "identity": Identity(quiet)}
        self._parts: dict[str, dict[str, Any]] = {name: {} for name in self._metrics}
        self.ious = tuple(float(value) for value in self._metrics["hota"].array_labels)

    def sequence(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """The results of one sequence by metric; `data` is that of `as_trackeval`."""
        found = {}
        for kind, metric in self._metrics.items():
            found[kind] = metric.eval_sequence(data)
            parts = self._parts[kind]
            parts[name if name not in parts else f"{name} {len(parts) + 1}"] = found[kind]
        return found

    def total(self) -> dict[str, Any]:
        """The combined results of all sequences by metric."""
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
