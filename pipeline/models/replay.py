"""Models that find nothing themselves: they return what an instances log or a MOTChallenge detections file holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.files import reading
from pipeline.geometry.boxes import ltwh_to_xyxy
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.models.segmenter import Segmenter
from pipeline.records import log
from pipeline.records.log import RecordError, read_log
from pipeline.transport.messages import FrameRef, Instances
from pipeline.transport.planes import Planes

PERSON = "person"
"""Class of a detections file's objects, where the configuration does not name it."""


class _Recorded(Protocol):
    """What was found, by frame."""

    def __call__(self, index: int, frame: Planes) -> Detections:
        """In the frame with that number in its source, scaled to `frame`."""


class Replay:
    """Returns the recorded instances of the frame with the same number in its source (a `Segmenter`).

    Args:
        classes: class names.
        recorded: what was found in each frame.
    """

    device = "replay"

    def __init__(self, classes: tuple[str, ...], recorded: _Recorded) -> None:
        self.classes = classes
        self._recorded = recorded
        self._next = 0

    def warm_up(self) -> None:
        """Nothing to warm."""

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """The next frames of the record, in its order."""
        first, self._next = self._next, self._next + len(frames)
        return [self._recorded(first + place, frame) for place, frame in enumerate(frames)]

    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Detections]:
        """The recorded frames with the references' `index`, whatever the order: so frames may be dropped."""
        return [self._recorded(ref.index, frame) for ref, frame in zip(refs, frames, strict=True)]


class LogFrames:
    """The frames of an instances log, held in memory. A source longer than the log begins it again.

    Args:
        path: an instances log.
        score: recorded instances below it are left out.

    Raises:
        ModelError: the log holds no frame.
        RecordError: it cannot be read.
    """

    def __init__(self, path: Path, score: float = 0.0) -> None:
        header, records = read_log(path)
        self.classes = tuple(header.classes)
        self._records = {record.index: record for record in records}
        if not self._records:
            raise ModelError(f"{path}: holds no frame to replay")
        self._length = max(self._records) + 1
        self._score = score

    def __call__(self, index: int, frame: Planes) -> Detections:
        record = self._records.get(index % self._length)
        if record is None:
            return Detections.empty()
        kept = np.flatnonzero(record.scores >= self._score)
        return Detections(
            _scaled(record, frame)[kept],
            np.asarray(record.scores[kept], np.float32),
            np.asarray(record.class_ids[kept], np.int16),
            np.asarray(record.masks[kept], np.uint8),
        )


def _scaled(record: Instances, frame: Planes) -> NDArray[np.float32]:
    scale = np.array([frame.width / record.width, frame.height / record.height] * 2, np.float32)
    return np.asarray(record.boxes_px * scale, np.float32)


class DetectionFrames:
    """The frames of a MOTChallenge detections file, whose masks fill their boxes.

    Rows are `frame, -1, left, top, width, height, score, ...`; frames count from 1, boxes are in pixels of the
    frames (Leal-Taixe et al., https://arxiv.org/abs/1504.01942, section 3.3). In frames without rows, and after
    the last one, nothing is found. Scores above 1 (the files of detectors that give no probabilities hold such)
    count as 1.

    Args:
        path: the file.
        score: detections below it are left out.

    Raises:
        ModelError: it cannot be read, or a row is not one.
    """

    def __init__(self, path: Path, score: float = 0.0) -> None:
        rows = read_detections(path)
        rows = rows[rows[:, 6] >= score]
        frames = rows[:, 0].astype(np.int64) - 1
        order = np.lexsort((-rows[:, 6], frames))
        rows, frames = rows[order], frames[order]
        starts = np.flatnonzero(np.r_[True, frames[1:] != frames[:-1]]) if len(frames) else np.zeros(0, int)
        self._rows = dict(zip(frames[starts].tolist(), np.split(rows, starts[1:]), strict=False))

    def __call__(self, index: int, frame: Planes) -> Detections:
        rows = self._rows.get(index)
        if rows is None:
            return Detections.empty()
        boxes = ltwh_to_xyxy(rows[:, 2:6])
        boxes = boxes.clip(0, np.array([frame.width, frame.height] * 2))
        seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        count = int(seen.sum())
        return Detections(
            np.ascontiguousarray(boxes[seen], np.float32),
            np.asarray(rows[seen, 6].clip(0, 1), np.float32),
            np.zeros(count, np.int16),
            np.full((count, MASK_SIZE, MASK_SIZE), 255, np.uint8),
        )


def read_detections(path: Path) -> NDArray[np.float64]:
    """(N, 7) frame, id, left, top, width, height, score of a MOTChallenge file; a score that is missing is 1.

    Raises:
        ModelError: it cannot be read, or a row is not one: it names the line.
    """
    rows: list[list[float]] = []
    try:
        with reading(path, ModelError), path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    rows.append(_row(line, path, number))
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: is neither an instances log nor a text file with detections") from error
    return np.array(rows, np.float64).reshape(-1, 7)


def _row(line: str, path: Path, number: int) -> list[float]:
    parts = line.replace(",", " ").split()
    try:
        values = [float(part) for part in parts[:7]]
    except ValueError:
        values = []
    if len(values) == 6:
        values.append(1.0)
    if len(values) != 7 or not np.isfinite(values).all() or values[0] < 1 or values[0] % 1:
        raise ModelError(
            f"{path}:{number}: got {line.strip()[:60]!r}, expected frame (from 1), id, left, top, width, height, score"
        )
    return values


def path_of(config: ModelConfig) -> Path:
    """PATH of `model.name: replay:PATH`."""
    return Path((config.name or "").partition(":")[2])


def is_log(path: Path) -> bool:
    """Whether a file is an instances log, by its first bytes, or a folder with one.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return log.is_log(path)
    except RecordError as error:
        raise ModelError(f"model.name: {error}") from None


def load(config: ModelConfig) -> Segmenter:
    """The record that `model.name: replay:PATH` means; what kind it is, its first bytes tell.

    Raises:
        ModelError: it cannot be read, or holds nothing.
        RecordError: a log is damaged.
    """
    path = path_of(config)
    if is_log(path):
        frames = LogFrames(path, config.score)
        return Replay(frames.classes, frames)
    return Replay(classes_of(config), DetectionFrames(path, config.score))


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names of a log, reading one frame of it at the most; of a detections file the configured one, or `person`.

    Raises:
        ModelError: the file cannot be read, or more than one class is named for a file that tells none.
        RecordError: a log is damaged.
    """
    path = path_of(config)
    if is_log(path):
        header, records = read_log(path)
        next(records, None)  # an iterator that has begun closes its file when it goes
        return tuple(header.classes)
    if config.classes is not None and len(config.classes) != 1:
        raise ModelError(
            f"model.classes: got {', '.join(config.classes)}; {path} tells no classes: give one name for all"
        )
    return config.classes or (PERSON,)
