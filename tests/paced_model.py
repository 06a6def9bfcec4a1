"""The walkers of `tests.running`, at a pace that leaves time to do something with a run meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes
from tests.running import walkers
from tests.slow_model import Slow

FRAME_S = 0.015
HELD, HELD_S = 300, 0.1
"""First frame that is held back, and for how long, while the file that `GO` names is not there."""
GO = "TALLYCAM_TEST_GO"
"""Environment variable."""


class Paced(Slow):
    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Detections]:
        go = os.environ.get(GO)
        held = go is not None and not Path(go).exists() and any(ref.index >= HELD for ref in refs)
        threading.Event().wait((HELD_S if held else FRAME_S) * len(frames))
        return [_detections(walkers(ref.index)) for ref in refs]


def _detections(boxes: np.ndarray) -> Detections:
    found = len(boxes)
    return Detections(
        boxes,
        np.full(found, 0.9, np.float32),
        np.zeros(found, np.int16),
        np.full((found, MASK_SIZE, MASK_SIZE), 255, np.uint8),
    )
