"""`replay:LOG`: returns what an instances log holds, for benchmarks and tests of everything but the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.messages import FrameRef
from pipeline.models.base import Found
from pipeline.planes import Planes
from pipeline.records.log import read_log


def classes(path: Path) -> tuple[str, ...]:
    """Class names of the model that the log was written with."""
    header, _ = read_log(path)
    return header.classes


class Replay:
    """Answers each frame with the instances that the log holds for its number in the source.

    Raises:
        RecordError: `path` is not a log.
    """

    device = "replay"

    def __init__(self, path: Path) -> None:
        header, records = read_log(path)
        self.classes = header.classes
        self._found = {
            one.index: (one.width, one.height, Found(one.boxes_px, one.scores, one.class_ids, one.masks))
            for one in records
        }

    def warm_up(self) -> None:
        """Nothing to do."""

    def segment(self, frames: Sequence[Planes]) -> list[Found]:
        """Frames without a number: nothing is known of them."""
        return [Found.nothing() for _ in frames]

    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Found]:
        """One `Found` a frame, boxes scaled to the frame's size."""
        return [self._one(ref) for ref in refs]

    def _one(self, ref: FrameRef) -> Found:
        if ref.index not in self._found:
            return Found.nothing()
        width, height, found = self._found[ref.index]
        if (width, height) == (ref.width, ref.height):
            return found
        scale = np.array([ref.width / width, ref.height / height] * 2, np.float32)
        return Found(found.boxes_px * scale, found.scores, found.class_ids, found.masks)
