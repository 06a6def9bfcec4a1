"""`motion`: what moves before a fixed camera, without weights and without a GPU.

A frame is scaled down, `background_model.py` computes the foreground, `blobs.py` finds the objects in it and splits
groups, and each object's mask is resampled to the grid of its box.
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
from pipeline.models.motion.background_model import BackgroundModel
from pipeline.models.motion.blobs import Blob, clean_mask, components, split_group
from pipeline.models.motion.object_size import ObjectSizeModel
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes

MAX_SIDE = 512
"""Pixels of the longer side of the picture that is analysed."""
DEFAULT_CLASS = "moving"
"""Class of everything that moves, where the configuration does not name it."""
MIN_SCORE = 0.5
"""Score of an object of the smallest area; one of four times that area or more has 1."""
PHOTO_FPS = 25
"""Frame rate that `segment` assumes, since it receives no timestamps."""


class MotionSegmenter:
    """Finds what moves before a fixed camera (a `pipeline.models.segmenter.StreamSegmenter`).

    Each stream has its own background, which is reset when its epoch rises: the camera may have been moved meanwhile.
    A frame that comes late, because its lease was renewed, gets the result of the frame before and is not learnt. A
    worker that is restarted learns its backgrounds again and finds nothing for `learn_s`; what it had found before is
    in the log. With several workers each sees only some of a stream's frames, in order, and has its own background.

    Args:
        config: its `motion` part, `score` and `classes`.

    Raises:
        ModelError: more than one class name.
    """

    device = "cpu"

    def __init__(self, config: ModelConfig) -> None:
        self._config = config.motion
        self._score = config.score
        self.classes = classes_of(config)
        self._cameras: dict[str, _Camera] = {}

    def warm_up(self) -> None:
        """Does nothing: the background is learnt from the frames themselves."""

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """See `Segmenter.segment`. The frames are those of one camera at `PHOTO_FPS`, after those of earlier calls."""
        camera = self._cameras.setdefault("", _Camera(0, self._config))
        first = camera.next_seq
        return [
            self._above_threshold(camera.process(first + place, (first + place) / PHOTO_FPS, frame))
            for place, frame in enumerate(frames)
        ]

    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Detections]:
        """See `StreamSegmenter.segment_refs`. Frames of a stream are processed in the order of `seq`."""
        found: dict[int, Detections] = {}
        for place in sorted(range(len(refs)), key=lambda place: refs[place].seq):
            ref = refs[place]
            camera = self._cameras.get(ref.stream)
            if camera is None or ref.epoch > camera.epoch:
                camera = self._cameras[ref.stream] = _Camera(ref.epoch, self._config)
            found[place] = self._above_threshold(camera.process(ref.seq, ref.pts_s, frames[place]))
        return [found[place] for place in range(len(refs))]

    def _above_threshold(self, found: Detections) -> Detections:
        return found[found.scores >= self._score]


@dataclass
class _Camera:
    """The state of one stream.

    Attributes:
        epoch: of the stream.
        config: of the model.
        next_seq: the lowest frame number that is still processed.
    """

    epoch: int
    config: MotionConfig
    next_seq: int = 0

    def __post_init__(self) -> None:
        self._background = BackgroundModel(self.config)
        self._sizes = ObjectSizeModel()
        self._last = Detections.empty()

    def process(self, seq: int, pts_s: float, frame: Planes) -> Detections:
        """The objects of a frame.

        Args:
            seq: its number.
            pts_s: its media time.
            frame: its planes.
        """
        if seq < self.next_seq:
            return self._last  # late: its place in time is over
        self.next_seq = seq + 1
        picture = downscale_frame(frame)
        foreground = self._background.foreground(picture, pts_s)
        self._last = Detections.empty() if foreground is None else self._objects(foreground, frame)
        return self._last

    def _objects(self, foreground: NDArray[np.uint8], frame: Planes) -> Detections:
        height, width = foreground.shape
        min_area = self.config.min_area * foreground.size
        max_area = self.config.max_area * foreground.size
        blobs: list[Blob] = []
        occupied = np.zeros(foreground.shape, np.bool_)
        for blob in components(clean_mask(foreground), min_area, max_area):
            if self._background.is_background(blob):
                continue
            occupied[blob.y : blob.foot, blob.x : blob.x + blob.width] |= blob.mask > 0
            blobs += split_group(blob, self._sizes.size_at) if self.config.split else [blob]
            if not blob.touches_border(width, height):
                self._sizes.add(blob.foot, blob.width, blob.height, blob.area)
        self._background.learn(occupied)
        return blobs_to_detections(blobs, (width, height), frame, min_area)


def downscale_frame(frame: Planes) -> NDArray[np.uint8]:
    """Converts a frame to the resolution of the motion model.

    Args:
        frame: Of any size.

    Returns:
        (H, W, 3) uint8 BGR, the longer side at most `MAX_SIDE` pixels, both sides even.
    """
    scale = min(1.0, MAX_SIDE / max(frame.width, frame.height))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (frame.width, frame.height))
    flat = np.empty(width * height * 3 // 2, np.uint8)
    small = Planes.view(flat, width, height)
    for source, out in ((frame.y, small.y), (frame.u, small.u), (frame.v, small.v)):
        cv2.resize(source, out.shape[::-1], dst=out, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(flat.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420)
    return np.asarray(bgr, np.uint8)


def blobs_to_detections(
    blobs: Sequence[Blob], size: tuple[int, int], frame: Planes, min_area: float
) -> Detections:
    """Blobs as instances of a frame, the largest first.

    Args:
        blobs: in pixels of the foreground mask.
        size: width and height of that mask.
        frame: the frame.
        min_area: area of the smallest object, pixels of the mask.
    """
    if not blobs:
        return Detections.empty()
    areas = np.array([blob.area for blob in blobs], np.float32)
    order = np.argsort(-areas, kind="stable")
    boxes = np.array([(blob.x, blob.y, blob.x + blob.width, blob.foot) for blob in blobs], np.float32)
    scores = (MIN_SCORE + (1 - MIN_SCORE) * (areas / min_area - 1) / 3).clip(MIN_SCORE, 1.0)
    return Detections(
        boxes[order] * np.array([frame.width / size[0], frame.height / size[1]] * 2, np.float32),
        scores[order].astype(np.float32),
        np.zeros(len(blobs), np.int16),
        np.stack([_mask_grid(blobs[row].mask) for row in order]),
    )


def _mask_grid(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(28, 28) uint8: the share of each cell that is inside, 0..255."""
    # Area interpolation only shrinks properly: a mask smaller than the grid is repeated first.
    repeat = [-(-MASK_SIZE // side) for side in mask.shape]
    whole = np.repeat(np.repeat(mask, repeat[0], axis=0), repeat[1], axis=1)
    return np.asarray(cv2.resize(whole, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """The single class: the name in `model.classes`, or `moving`.

    Args:
        config: the section `model`.

    Raises:
        ModelError: more than one class name.
    """
    if config.classes is not None and len(config.classes) != 1:
        raise ModelError(
            f"model.classes: got {', '.join(config.classes)}; motion finds one class, what moves: give one name"
        )
    return config.classes or (DEFAULT_CLASS,)


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
