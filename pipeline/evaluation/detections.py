"""Tracks from a file of detections, without a video: MOTChallenge in and out.

The same counting as in a run, fed with boxes alone. Format: MOTChallenge 2015 (Leal-Taixe et al.,
https://arxiv.org/abs/1504.01942, section 3.3).
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.evaluation.frame_rate import estimated_fps
from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.track_files import read_rows
from pipeline.geometry.boxes import ltwh_to_xyxy
from pipeline.geometry.masks import MASK_SIZE
from pipeline.geometry.plane import Floats
from pipeline.records.rows import Row, RowWriter, check_rows
from pipeline.transport.messages import Instances

DEFAULT_FPS = 15.0
"""Where nothing tells and nothing moves."""
CLASS = "object"
LAST_FRAME = 10_000_000
"""A number of a frame beyond this is a mistake: 4 days at 25 fps."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """What is known of a sequence of frames.

    Attributes:
        fps: frames per second.
        size: width and height in pixels.
        fps_told: whether the rate is told, not estimated.
    """

    fps: float
    size: tuple[int, int]
    fps_told: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found in a file of detections."""

    frames: int
    objects: int
    uncertainty: int
    """By how many `objects` may be off."""
    sequence: Sequence


def track_file(
    detections: Path,
    tracks: Path,
    tracker: TrackerConfig,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
) -> Outcome:
    """Reads `detections`, writes `tracks`, sorted by frame.

    Args:
        fps: default: what `seqinfo.ini` beside the detections says, or an estimate (`frame_rate.py`).
        size: width and height of the frames; default: as `seqinfo.ini`, or what holds all boxes.

    Raises:
        EvaluationError: the detections cannot be read, or are none.
        OutputError: the tracks cannot be written.
    """
    check_rows(tracks)
    rows = read_rows(detections)
    if len(rows) and (rows[:, 0].min() < 1 or rows[:, 0].max() > LAST_FRAME):
        raise EvaluationError(f"{detections}: frames are numbered from 1: got {rows[:, 0].min():g}")
    if (rows[:, 4:6] <= 0).any():
        bad = rows[(rows[:, 4:6] <= 0).any(axis=1)][0]
        raise EvaluationError(f"{detections}: frame {bad[0]:g}: a box of {bad[4]:g} x {bad[5]:g} pixels")
    sequence = _sequence(detections, rows, fps, size)
    counter = StreamCounter("tracks", StreamConfig(source=str(detections)), tracker, (CLASS,))
    told = []
    frames = 0
    for instances in as_instances(rows, sequence):
        told += counter.update(instances).rows
        frames += 1
    counter.finish()
    told += counter.last_rows()
    final = counter.final_ids()
    writer = RowWriter(tracks)
    told.sort(key=lambda row: (row.index, final[row.track]))
    writer.add(Row(row.index, final[row.track], row.box_px, row.score) for row in told)
    writer.finish({})
    totals = counter.totals()
    return Outcome(frames, totals.unique.get(CLASS, 0), totals.uncertainty.get(CLASS, 0), sequence)


def as_instances(rows: Floats, sequence: Sequence) -> Iterator[Instances]:
    """Every frame up to the last one with a detection; boxes clipped to the frame, without masks.

    Args:
        rows: (N, >= 6) frame, id, left, top, width, height, score; without the seventh all are sure.
    """
    width, height = sequence.size
    order = np.argsort(rows[:, 0], kind="stable")
    rows = rows[order]
    scores = _scores(rows)
    boxes = ltwh_to_xyxy(rows[:, 2:6])
    boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
    last = int(rows[-1, 0]) if len(rows) else 0
    bounds = np.searchsorted(rows[:, 0], np.arange(1, last + 2))
    whole = np.full((1, MASK_SIZE, MASK_SIZE), 255, np.uint8)
    for index in range(last):
        span = slice(bounds[index], bounds[index + 1])
        count = span.stop - span.start
        yield Instances(
            stream="tracks",
            epoch=0,
            seq=index,
            index=index,
            pts_s=index / sequence.fps,
            wall_s=index / sequence.fps,
            width=width,
            height=height,
            boxes_px=boxes[span],
            scores=scores[span],
            class_ids=np.zeros(count, np.int16),
            masks=np.broadcast_to(whole, (count, MASK_SIZE, MASK_SIZE)),
        )


def _scores(rows: Floats) -> Floats:
    """(N,) 0..1. Percents are divided; other scales, as of support vector machines, go through a logistic curve."""
    given = rows[:, 6] if rows.shape[1] > 6 else np.ones(len(rows))
    if not len(given) or given.min() == given.max():
        given = np.ones(len(rows))  # one score for all, as -1, says nothing
    elif given.min() < 0 or given.max() > 100:
        given = 1 / (1 + np.exp(-given))
    elif given.max() > 1:
        given = given / 100
    result: Floats = given.astype(np.float32)
    return result


def _sequence(path: Path, rows: Floats, fps: float | None, size: tuple[int, int] | None) -> Sequence:
    for folder in (path.parent, path.parent.parent):
        parser = configparser.ConfigParser()
        try:
            if parser.read(folder / "seqinfo.ini"):
                fps = fps or parser.getfloat("Sequence", "frameRate")
                size = size or (
                    parser.getint("Sequence", "imWidth"),
                    parser.getint("Sequence", "imHeight"),
                )
                break
        except (configparser.Error, ValueError) as error:
            raise EvaluationError(f"{folder / 'seqinfo.ini'}: cannot be understood: {error}") from None
    if size is None:
        far = ltwh_to_xyxy(rows[:, 2:6])[:, 2:].max(axis=0) if len(rows) else np.ones(2)
        size = max(2, int(np.ceil(far[0] + 1e-6))), max(2, int(np.ceil(far[1] + 1e-6)))
    if fps is not None:
        return Sequence(fps, size)
    return Sequence(estimated_fps(rows) or DEFAULT_FPS, size, fps_told=False)
