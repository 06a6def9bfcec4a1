"""Tracking the detections of any detector."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.api.configuration import validated
from pipeline.api.steps import StepRecorder
from pipeline.api.tracks import Tracks
from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.appearance import appearance_descriptors
from pipeline.models.detections import Detections
from pipeline.models.mask_grid import resample_mask
from pipeline.transport.messages import Instances
from pipeline.transport.planes import Planes

UNNAMED = tuple(str(number) for number in range(1000))
"""Names of classes that have none: their numbers."""


class Tracker:
    """Follows the objects of one stream from frame to frame: the tracker of a run, for detections from anywhere.

    ```python
    tracker = pipeline.Tracker((1920, 1080), fps=25, classes=["person", "car"])
    door = pipeline.LineCounter([(0.1, 0.6), (0.9, 0.6)], directions=("in", "out"))
    for image in images:
        tracks = tracker.update(detect(image), image=image)
        door.update(tracks)
    door.update(tracker.finish())
    ```

    Args:
        frame_size: width and height of the frames in pixels.
        fps: frames per second, where `update` is not told the time.
        classes: class names; the `class_ids` of detections index them. None: classes are called by their numbers.
        settings: keys of the part `tracker` of a configuration, e.g. `{"confirm_s": 0.2}`.

    Raises:
        ConfigError: a setting is wrong.
    """

    def __init__(
        self,
        frame_size: tuple[int, int],
        *,
        fps: float = 25.0,
        classes: Sequence[str] | None = None,
        settings: Mapping[str, Any] | TrackerConfig | None = None,
    ) -> None:
        self._size = (int(frame_size[0]), int(frame_size[1]))
        self._step_s = 1.0 / fps
        self._classes = UNNAMED if classes is None else tuple(classes)
        config = (
            settings
            if isinstance(settings, TrackerConfig)
            else validated(TrackerConfig, settings or {}, "settings")
        )
        self._counter = StreamCounter("", StreamConfig(source="none"), config, self._classes, rows=False)
        self._recorder = self._counter.listen(StepRecorder)
        self._frames = 0
        self._pts_s = -self._step_s

    @property
    def unique(self) -> dict[str, int]:
        """Class -> number of objects so far; fragments of one object that were stitched together count once."""
        unique: dict[str, int] = self._counter.summary()["unique"]
        return unique

    def update(
        self, detections: Detections, time_s: float | None = None, image: NDArray[np.uint8] | None = None
    ) -> Tracks:
        """Takes the next frame.

        Args:
            detections: of this frame, none left out: also a frame without detections says something.
            time_s: media time of the frame in seconds, later than that of the frame before. None: one frame later.
            image: (H, W, 3) uint8 RGB. With it, objects are also told apart by their colours.

        Returns:
            The confirmed objects that are seen in this frame.

        Raises:
            ValueError: a class id has no name, the time does not rise, or the image has another size.
            TypeError: `detections` are none.
        """
        if not isinstance(detections, Detections):
            got = type(detections).__name__
            raise TypeError(
                f"detections: got {got}, expected pipeline.Detections, which pipeline.from_boxes makes"
            )
        pts_s = self._pts_s + self._step_s if time_s is None else float(time_s)
        if self._frames and pts_s <= self._pts_s:
            raise ValueError(f"time_s: got {pts_s} after {self._pts_s}, expected a later time")
        found = self._checked(detections)
        planes = self._planes(image)
        message = Instances(
            stream="",
            epoch=0,
            seq=self._frames,
            index=self._frames,
            pts_s=pts_s,
            wall_s=time.time(),
            width=self._size[0],
            height=self._size[1],
            boxes_px=found.boxes_px,
            scores=found.scores,
            class_ids=found.class_ids,
            masks=found.masks,
            appearances=None
            if planes is None
            else appearance_descriptors(planes, found.boxes_px, found.masks),
        )
        self._frames, self._pts_s = self._frames + 1, pts_s
        tracks = self._counter.update(message).tracks
        return Tracks.of_message(tracks, self._classes, self._size, self._recorder.take())

    def finish(self) -> Tracks:
        """The stream is over: what is still open is decided. Give the result, which has no objects, to all counters."""
        self._counter.finish()
        nothing = Detections.empty()
        return Tracks(
            ids=np.zeros(0, np.int64),
            boxes_px=nothing.boxes_px,
            scores=nothing.scores,
            class_ids=nothing.class_ids,
            class_names=(),
            masks=nothing.masks,
            feet_px=np.zeros((0, 2), np.float32),
            frame_size=self._size,
            steps=self._recorder.take(),
        )

    def _checked(self, found: Detections) -> Detections:
        """Inside the frame, best score first."""
        if len(found.class_ids) and not 0 <= found.class_ids.min() <= found.class_ids.max() < len(
            self._classes
        ):
            raise ValueError(
                f"detections: got class ids from {found.class_ids.min()} to {found.class_ids.max()}, "
                f"the tracker has names for 0 to {len(self._classes) - 1}"
            )
        boxes = found.boxes_px.clip(0, np.array([*self._size, *self._size], np.float32))
        masks = found.masks.copy()
        for row in np.flatnonzero((boxes != found.boxes_px).any(axis=1)):
            masks[row] = _cut(found.masks[row], found.boxes_px[row], boxes[row])
        rows = np.argsort(-found.scores, kind="stable")
        rows = rows[((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)[rows]]
        return replace(
            found,
            boxes_px=boxes[rows],
            scores=found.scores[rows],
            class_ids=found.class_ids[rows],
            masks=masks[rows],
        )

    def _planes(self, image: NDArray[np.uint8] | None) -> Planes | None:
        if image is None:
            return None
        width, height = self._size
        if image.shape != (height, width, 3):
            raise ValueError(f"image: got shape {image.shape}, expected ({height}, {width}, 3)")
        return Planes.from_rgb(image)


def _cut(mask: NDArray[np.uint8], box: NDArray[np.float32], inner: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The part of a mask, spread over `box`, that lies in `inner`, spread over that."""
    size = np.maximum(box[2:] - box[:2], 1e-6)
    cells = (inner.reshape(2, 2) - box[:2]) / size * MASK_SIZE
    return np.asarray(np.round(resample_mask(mask.astype(np.float32), cells.reshape(4))), np.uint8)
