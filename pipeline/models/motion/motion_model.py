"""What moves before a fixed camera, without weights: background, blobs, and the objects they are made of.

The way of one frame: it is scaled down, `motion_background.py` tells what is not background, `motion_blobs.py` makes
blobs of that and takes groups apart, and each object's mask goes onto the grid of its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import ModelConfig, MotionConfig
from pipeline.errors import ModelError
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.models.model_info import ModelInfo
from pipeline.models.motion.background import Background
from pipeline.models.motion.blobs import Blob, components, split, tidy
from pipeline.models.motion.object_size import Sizes
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes

SIDE = 512
"""Pixels of the longer side of the picture that is worked on."""
NAME = "moving"
"""Class of everything that moves, where the configuration does not name it."""
LEAST_SCORE = 0.5
"""Of an object of the smallest area; one of four times that, or more, has 1."""


class MotionSegmenter:
    """Finds what moves before a fixed camera (a `Segmenter` with memory).

    Each stream has a background of its own, which begins anew when its epoch rises: the camera may have been
    turned meanwhile. Frames of a stream are worked on by their number; one that comes late (its lease was renewed) is
    looked at, but teaches nothing. A worker that is started anew learns its backgrounds anew and finds nothing for
    `learn_s`; what it had found before is in the log. With several workers each sees but some of a stream's
    frames, all in order, and has its own background.

    Raises:
        ModelError: more class names than one.
    """

    device = "cpu"

    def __init__(self, config: ModelConfig) -> None:
        self._config = config.motion
        self._score = config.score
        self.classes = classes_of(config)
        self._cameras: dict[str, _Camera] = {}

    def warm_up(self) -> None:
        """Nothing: the background is learnt from the frames themselves."""

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """As if the frames were those of one camera, 25 a second, after those of the calls before."""
        camera = self._cameras.setdefault("", _Camera(0, self._config))
        first = camera.next_seq
        return [
            self._at_least(camera.look(first + place, (first + place) / 25, frame))
            for place, frame in enumerate(frames)
        ]

    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Detections]:
        """One `Detections` a frame; of each stream the frames are taken in the order of their numbers."""
        found: dict[int, Detections] = {}
        for place in sorted(range(len(refs)), key=lambda place: refs[place].seq):
            ref = refs[place]
            camera = self._cameras.get(ref.stream)
            if camera is None or ref.epoch > camera.epoch:
                camera = self._cameras[ref.stream] = _Camera(ref.epoch, self._config)
            found[place] = self._at_least(camera.look(ref.seq, ref.pts_s, frames[place]))
        return [found[place] for place in range(len(refs))]

    def _at_least(self, found: Detections) -> Detections:
        return found[found.scores >= self._score]


@dataclass
class _Camera:
    """What is remembered of one stream."""

    epoch: int
    config: MotionConfig
    next_seq: int = 0

    def __post_init__(self) -> None:
        self._background = Background(self.config)
        self._sizes = Sizes()
        self._last = Detections.empty()

    def look(self, seq: int, pts_s: float, frame: Planes) -> Detections:
        if seq < self.next_seq:
            return self._last  # late: the place it had in time is over
        self.next_seq = seq + 1
        picture = shrunk(frame)
        mask = self._background.foreground(picture, pts_s)
        self._last = Detections.empty() if mask is None else self._found(mask, frame)
        return self._last

    def _found(self, mask: NDArray[np.uint8], frame: Planes) -> Detections:
        height, width = mask.shape
        least, most = self.config.min_area * mask.size, self.config.max_area * mask.size
        blobs: list[Blob] = []
        objects = np.zeros(mask.shape, np.bool_)
        for blob in components(tidy(mask), least, most):
            if self._background.belongs(blob):
                continue
            objects[blob.y : blob.foot, blob.x : blob.x + blob.width] |= blob.mask > 0
            blobs += split(blob, self._sizes.at) if self.config.split else [blob]
            if not blob.touches(width, height):
                self._sizes.add(blob.foot, blob.width, blob.height, blob.area)
        self._background.learn(objects)
        return as_found(blobs, (width, height), frame, least)


def shrunk(frame: Planes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR, the longer side `SIDE` pixels at most, both even."""
    scale = min(1.0, SIDE / max(frame.width, frame.height))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (frame.width, frame.height))
    flat = np.empty(width * height * 3 // 2, np.uint8)
    small = Planes.view(flat, width, height)
    for source, out in ((frame.y, small.y), (frame.u, small.u), (frame.v, small.v)):
        cv2.resize(source, out.shape[::-1], dst=out, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(flat.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420)
    return np.asarray(bgr, np.uint8)


def as_found(blobs: Sequence[Blob], size: tuple[int, int], frame: Planes, least: float) -> Detections:
    """Blobs of a mask of `size` (width, height) as instances of the frame, the largest first."""
    if not blobs:
        return Detections.empty()
    areas = np.array([blob.area for blob in blobs], np.float32)
    order = np.argsort(-areas, kind="stable")
    boxes = np.array([(blob.x, blob.y, blob.x + blob.width, blob.foot) for blob in blobs], np.float32)
    scores = (LEAST_SCORE + (1 - LEAST_SCORE) * (areas / least - 1) / 3).clip(LEAST_SCORE, 1.0)
    return Detections(
        boxes[order] * np.array([frame.width / size[0], frame.height / size[1]] * 2, np.float32),
        scores[order].astype(np.float32),
        np.zeros(len(blobs), np.int16),
        np.stack([_grid(blobs[row].mask) for row in order]),
    )


def _grid(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(28, 28): the part of each cell that is inside, 0..255."""
    # Area interpolation is for shrinking alone: a mask smaller than the grid is first repeated.
    repeat = [-(-MASK_SIZE // side) for side in mask.shape]
    whole = np.repeat(np.repeat(mask, repeat[0], axis=0), repeat[1], axis=1)
    return np.asarray(cv2.resize(whole, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def infos() -> list[ModelInfo]:
    """The model's line of `tallycam models ls`."""
    return [
        ModelInfo(
            name="motion",
            description="what moves before a fixed camera",
            where="needs none",
            licence="Apache-2.0",
            classes=classes_of(ModelConfig(name="motion")),
        )
    ]


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """The one class: `model.classes`, or `moving`.

    Raises:
        ModelError: more class names than one.
    """
    if config.classes is not None and len(config.classes) != 1:
        raise ModelError(
            f"model.classes: got {', '.join(config.classes)}; motion finds one class, what moves: give one name"
        )
    return config.classes or (NAME,)
