"""A file of detections as the frames that a tracker takes.

Format: MOTChallenge 2015 (Leal-Taixe et al., https://arxiv.org/abs/1504.01942, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.frame_rate import estimated_fps
from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.track_files import read_rows, read_seqinfo
from pipeline.geometry.boxes import ltwh_to_xyxy
from pipeline.geometry.masks import MASK_SIZE
from pipeline.geometry.plane import Floats
from pipeline.transport.messages import Instances

DEFAULT_FPS = 15.0
"""Used if the rate is not given and too little moves to estimate it."""
LAST_FRAME = 10_000_000
"""A frame number above this is a mistake: 4 days at 25 frames per second."""
FARTHEST_PX = 1e6
"""A box beyond this is no box of any video."""


@dataclass(frozen=True, slots=True)
class DetectionSequence:
    """Detections of one video.

    Attributes:
        rows: (N, >= 6) frame, id, left, top, width, height and, if there is a seventh column, score.
        fps: frames per second.
        size: width and height of the frames in pixels.
        fps_estimated: whether `fps` was estimated from the motion of the boxes.
        left_out: why rows of the file were left out -> how many.
    """

    rows: Floats
    fps: float
    size: tuple[int, int]
    fps_estimated: bool
    left_out: Mapping[str, int]


def read_detections(
    path: Path, fps: float | None = None, size: tuple[int, int] | None = None
) -> DetectionSequence:
    """Read a MOTChallenge detection file. Rows that are no boxes are left out.

    Args:
        path: the file; a `seqinfo.ini` beside it or in the folder above gives frame rate and size.
        fps: frame rate; default: that of `seqinfo.ini`, or an estimate (`frame_rate.py`).
        size: width and height of the frames; default: that of `seqinfo.ini`, or the extent of all boxes.

    Raises:
        EvaluationError: the file or its `seqinfo.ini` cannot be read, or its frames are not numbered from 1.
    """
    rows, left_out = _only_boxes(read_rows(path, finite=False))
    for frame in (rows[:, 0].min(), rows[:, 0].max()) if len(rows) else ():
        if not 1 <= frame <= LAST_FRAME:
            raise EvaluationError(
                f"{path}: got frame {frame:g}, expected frames numbered from 1, {LAST_FRAME} at most"
            )
    info = read_seqinfo(path)
    fps = fps if fps is not None else info.fps
    size = size or info.size
    if size is None:
        far = ltwh_to_xyxy(rows[:, 2:6])[:, 2:].max(axis=0) if len(rows) else np.ones(2)
        size = max(2, math.ceil(far[0] + 1e-6)), max(2, math.ceil(far[1] + 1e-6))
    estimated = fps is None
    if fps is None:
        fps = estimated_fps(rows) or DEFAULT_FPS
    return DetectionSequence(rows, fps, size, estimated, left_out)


def _only_boxes(rows: Floats) -> tuple[Floats, dict[str, int]]:
    """The rows that are boxes, and why how many others are not."""
    finite = np.isfinite(rows[:, :7]).all(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        near = (np.abs(rows[:, 2:6]) <= FARTHEST_PX).all(axis=1)
        extended = (rows[:, 4:6] > 0).all(axis=1)
    reasons = {
        "with a value that is not a finite number": ~finite,
        "without width or height": finite & ~extended,
        f"beyond {FARTHEST_PX:,.0f} pixels": finite & extended & ~near,
    }
    left_out = {reason: int(found.sum()) for reason, found in reasons.items() if found.any()}
    return rows[finite & extended & near], left_out


def as_instances(sequence: DetectionSequence) -> Iterator[Instances]:
    """Each frame up to the last one with a detection; boxes are clipped to the frame and fill their masks."""
    width, height = sequence.size
    rows = sequence.rows[np.argsort(sequence.rows[:, 0], kind="stable")]
    scores = _scores(rows)
    boxes = np.clip(ltwh_to_xyxy(rows[:, 2:6]), 0, [width, height, width, height]).astype(np.float32)
    last = int(rows[-1, 0]) if len(rows) else 0
    bounds = np.searchsorted(rows[:, 0], np.arange(1, last + 2))
    full_mask = np.full((1, MASK_SIZE, MASK_SIZE), 255, np.uint8)
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
            masks=np.broadcast_to(full_mask, (count, MASK_SIZE, MASK_SIZE)),
        )


def _scores(rows: Floats) -> Floats:
    """(N,) float32 scores, 0..1.

    Percentages are divided by 100. Other scales, such as the margins of a support vector machine, are mapped by the
    logistic function. A constant score, such as -1, carries no information and becomes 1.
    """
    given = rows[:, 6] if rows.shape[1] > 6 else np.ones(len(rows))
    if not len(given) or given.min() == given.max():
        given = np.ones(len(rows))
    elif given.min() < 0 or given.max() > 100:
        given = 1 / (1 + np.exp(-given.clip(-500, 500)))
    elif given.max() > 1:
        given = given / 100
    result: Floats = given.astype(np.float32)
    return result
