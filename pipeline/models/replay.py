"""`replay:PATH`: a model that returns recorded instances, from an instances log or a MOTChallenge detections file."""

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

DEFAULT_CLASS = "person"
"""Class of the objects in a detections file, where the configuration does not name it."""


class Recording(Protocol):
    """Recorded instances by frame."""

    def __call__(self, index: int, frame: Planes) -> Detections:
        """The instances of a frame.

        Args:
            index: number of the frame in its source.
            frame: its planes, to whose size boxes are scaled.
        """


class ReplaySegmenter:
    """Returns the recorded instances of each frame (a `pipeline.models.segmenter.StreamSegmenter`).

    Args:
        classes: class names.
        recording: the instances.
    """

    device = "replay"

    def __init__(self, classes: tuple[str, ...], recording: Recording) -> None:
        self.classes = classes
        self._recording = recording
        self._next = 0

    def warm_up(self) -> None:
        """Does nothing."""

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """The instances of the next frames of the recording."""
        first, self._next = self._next, self._next + len(frames)
        return [self._recording(first + place, frame) for place, frame in enumerate(frames)]

    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Detections]:
        """The instances of the frames with the indices of `refs`, in any order: frames may have been dropped."""
        return [self._recording(ref.index, frame) for ref, frame in zip(refs, frames, strict=True)]


class LogRecording:
    """The frames of an instances log, held in memory. For a source longer than the log it starts again.

    Args:
        path: an instances log.
        score: instances below it are left out.

    Raises:
        ModelError: the log contains no frame.
        RecordError: it cannot be read.
    """

    def __init__(self, path: Path, score: float = 0.0) -> None:
        header, records = read_log(path)
        self.classes = tuple(header.classes)
        self._records = {record.index: record for record in records}
        if not self._records:
            raise ModelError(f"{path}: contains no frame to replay")
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


class MotRecording:
    """The frames of a MOTChallenge detections file, with masks that fill their boxes.

    Rows are `frame, -1, left, top, width, height, score, ...`; frames are numbered from 1, boxes are in pixels
    (Leal-Taixe et al., MOTChallenge 2015, https://arxiv.org/abs/1504.01942, section 3.3). Frames without rows, and
    those after the last row, have no instances. Scores above 1, of detectors that do not give probabilities, count
    as 1.

    Args:
        path: the file.
        score: detections below it are left out.

    Raises:
        ModelError: it cannot be read, or a row is malformed.
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
        visible = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        count = int(visible.sum())
        return Detections(
            np.ascontiguousarray(boxes[visible], np.float32),
            np.asarray(rows[visible, 6].clip(0, 1), np.float32),
            np.zeros(count, np.int16),
            np.full((count, MASK_SIZE, MASK_SIZE), 255, np.uint8),
        )


def read_detections(path: Path) -> NDArray[np.float64]:
    """Rows of a MOTChallenge file.

    Args:
        path: the file.

    Returns:
        (N, 7) float64: frame, id, left, top, width, height, score; a missing score is 1.

    Raises:
        ModelError: the file cannot be read, or a row is malformed; the message names its line.
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
    """The PATH in `model.name: replay:PATH`.

    Args:
        config: `model` of the configuration.
    """
    return Path((config.name or "").partition(":")[2])


def is_log(path: Path) -> bool:
    """Whether a path is an instances log (by its first bytes) or a folder that contains one.

    Args:
        path: the file or folder.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return log.is_log(path)
    except RecordError as error:
        raise ModelError(f"model.name: {error}") from None


def load(config: ModelConfig) -> Segmenter:
    """The recording of `model.name: replay:PATH`.

    Args:
        config: whose `name` is `replay:PATH`.

    Raises:
        ModelError: it cannot be read, or contains no frame.
        RecordError: a log is damaged.
    """
    path = path_of(config)
    if is_log(path):
        recording = LogRecording(path, config.score)
        return ReplaySegmenter(recording.classes, recording)
    return ReplaySegmenter(classes_of(config), MotRecording(path, config.score))


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names of a log, reading at most one frame of it; for a detections file the configured one, or `person`.

    Args:
        config: whose `name` is `replay:PATH`.

    Raises:
        ModelError: the file cannot be read, or more than one name is given for a file without classes.
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
    return config.classes or (DEFAULT_CLASS,)
