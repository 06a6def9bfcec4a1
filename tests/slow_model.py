"""A model that takes its time and finds nothing, so that frames are under way whenever its worker is killed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pipeline.models.detections import Detections
from pipeline.transport.planes import Planes

FRAME_S = 0.02


class Slow:
    classes = ("person", "car")
    device = "none"

    def __init__(self, config: object) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        threading.Event().wait(FRAME_S * len(frames))
        return [Detections.empty() for _ in frames]
