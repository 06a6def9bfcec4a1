"""Watches the picture of a live camera in `decode`: log lines, metrics, and the view that is known from before."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import cv2
import numpy as np

from pipeline.config.schema import StreamConfig
from pipeline.errors import OutputError
from pipeline.files import write_bytes
from pipeline.metrics.source_metrics import SourceMetrics
from pipeline.records.checkpoint import digest
from pipeline.transport.planes import Plane
from pipeline.video.health.camera_health import (
    BLACK,
    BLURRED,
    CONDITIONS,
    COVERED,
    FROZEN,
    MOVED,
    CameraHealth,
    Condition,
    Reference,
)
from pipeline.video.health.view import GRID

log = logging.getLogger(__name__)

_WORDS = {
    BLACK: "its picture is black",
    COVERED: "its picture shows nothing: it is covered or blinded",
    FROZEN: "its picture is frozen",
    MOVED: "its view has moved, so lines and zones may lie elsewhere; if it is to stay so, delete {reference}",
    BLURRED: "its picture is out of focus",
}


class CameraWatch:
    """Watches the camera of one stream.

    Args:
        out: Folder of the run, where the view is kept until lines, zones or ground are changed.
        stream: Name of the stream.
        config: Its configuration.
        metrics: Of the source.
    """

    def __init__(self, out: Path, stream: str, config: StreamConfig, metrics: SourceMetrics) -> None:
        self._metrics = metrics
        self._path = reference_path(out, stream, config)
        fixed = config.camera == "fixed"
        reference = self._load() if fixed else None
        self._health = CameraHealth(fixed=fixed, reference=reference)
        self._saved = not fixed or reference is not None
        self._broken = False
        self.condition = ""
        self.since_s = 0.0
        metrics.condition("", CONDITIONS)

    def update(self, luma: Plane, now_s: float) -> str:
        """Looks at the next picture.

        Args:
            luma: (H, W) uint8.
            now_s: When it came, monotonic seconds.

        Returns:
            What is wrong with it, one of `CONDITIONS`; empty: nothing.
        """
        if self._broken:
            return ""
        try:
            condition = self._health.update(luma, now_s)
        except Exception:  # whatever a picture may hold: frames are decoded and counted without this
            log.exception("camera: its picture is not watched any more")
            self._broken = True
            condition = Condition("", now_s)
        if condition.name != self.condition:
            lasted_s = time.time() - self.since_s
            self.condition, self.since_s = condition.name, time.time()
            self._metrics.condition(condition.name, CONDITIONS)
            if condition.name:
                words = _WORDS[condition.name].format(reference=self._path)
                log.warning("camera: %s", words)
            else:
                log.warning("camera: its picture is good again after %.0f s", lasted_s)
        if not self._saved and self._health.reference is not None:
            self._saved = True
            self._save(self._health.reference)
        return self.condition

    def _load(self) -> Reference | None:
        if not self._path.exists():
            return None
        found = cv2.imread(str(self._path), cv2.IMREAD_UNCHANGED)
        if found is None or found.ndim != 3 or found.shape[2] != 4 or found.dtype != np.uint8:
            return None
        blocks = cv2.resize(found[:, :, 3], GRID, interpolation=cv2.INTER_AREA) > 127
        return Reference(np.ascontiguousarray(found[:, :, 0]), blocks)

    def _save(self, reference: Reference) -> None:
        """Keeps the view, opaque where its edges stand still; views for lines that were changed since go."""
        height, width = reference.picture.shape
        opaque = cv2.resize(
            reference.blocks.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_NEAREST
        )
        picture = np.dstack([reference.picture] * 3 + [opaque])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for former in self._path.parent.glob("*.png"):
                former.unlink()
            write_bytes(self._path, cv2.imencode(".png", picture)[1].tobytes(), mode=0o600)
        except (OSError, OutputError) as error:
            log.warning("the view of the camera cannot be kept: %s", error)


def reference_path(out: Path, stream: str, config: StreamConfig) -> Path:
    """Where the view of a camera is kept, for which its lines, zones and ground were drawn.

    Args:
        out: Folder of the run.
        stream: Name of the stream.
        config: Its configuration.
    """
    drawn = config.model_dump(mode="json", include={"lines", "zones", "ground", "size"})
    return out / "log" / "views" / stream / f"{digest(drawn)[:12]}.png"
