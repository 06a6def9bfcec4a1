"""A model that finds nothing itself: it returns what an instances log holds. For benchmarks of all the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.config import ModelConfig
from pipeline.errors import ModelError
from pipeline.messages import FrameRef, Instances
from pipeline.models.base import Found
from pipeline.planes import Planes
from pipeline.records.log import read_log


class Replay:
    """Returns the recorded instances of the frame with the same number in its source (a `Segmenter`).

    The whole log is held in memory. A source longer than the log begins it again.

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
        self.device = "replay"
        self._recorded = {record.index: record for record in records}
        if not self._recorded:
            raise ModelError(f"{path}: holds no frame to replay")
        self._length = max(self._recorded) + 1
        self._score = score
        self._next = 0

    def warm_up(self) -> None:
        pass

    def segment(self, frames: Sequence[Planes]) -> list[Found]:
        """The next frames of the log, in its order; sizes of the frames do not matter where they are the log's."""
        first, self._next = self._next, self._next + len(frames)
        return [self._found(first + place, frame.width, frame.height) for place, frame in enumerate(frames)]

    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Found]:
        """The recorded frames with the references' `index`, whatever the order: so frames may be dropped."""
        return [
            self._found(ref.index, frame.width, frame.height) for ref, frame in zip(refs, frames, strict=True)
        ]

    def _found(self, index: int, width: int, height: int) -> Found:
        record = self._recorded.get(index % self._length)
        if record is None:
            return Found.nothing()
        kept = np.flatnonzero(record.scores >= self._score)
        return Found(
            _scaled(record, width, height)[kept],
            np.asarray(record.scores[kept], np.float32),
            np.asarray(record.class_ids[kept], np.int16),
            np.asarray(record.masks[kept], np.uint8),
        )


def _scaled(record: Instances, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    scale = np.array([width / record.width, height / record.height] * 2, np.float32)
    return np.asarray(record.boxes_px * scale, np.float32)


def path_of(config: ModelConfig) -> Path:
    """PATH of `model.name: replay:PATH`."""
    return Path((config.name or "").partition(":")[2])


def load(config: ModelConfig) -> Replay:
    """As `Replay`."""
    return Replay(path_of(config), config.score)


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names of a log, reading one frame of it at the most.

    Raises:
        RecordError: it cannot be read.
    """
    header, records = read_log(path_of(config))
    next(records, None)  # an iterator that has begun closes its file when it goes
    return tuple(header.classes)
