"""Augmentation of training examples: cropped, mirrored, occluded and degraded at random, with their targets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.models.letterbox import Letterbox
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE
from pipeline.models.training.scene_samples import MIN_VISIBLE_PX, LabelMap, TrainingExample
from pipeline.transport.planes import Planes


@dataclass(frozen=True, slots=True)
class AugmentedExample:
    """An augmented example in the model's input.

    Attributes:
        image: (3, H, W) uint8 YUV of the input's size.
        letterbox: where the frame lies in it.
        boxes: (N, 4) float32 x0 y0 x1 y1, pixels of the input.
        class_ids: (N,) int64.
        ids: (N,) int64, the object's value in `labels`.
        labels: (h, w) uint8 at the frame's own resolution, from which mask targets are sampled.
    """

    image: NDArray[np.uint8]
    letterbox: Letterbox
    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    ids: NDArray[np.int64]
    labels: LabelMap

    def mask_targets(
        self, objects: NDArray[np.int64], rois: NDArray[np.float32], side: int
    ) -> NDArray[np.float32]:
        """See `pipeline.models.training.losses.LossTarget`."""
        ids = self.ids[objects] if len(self.ids) else np.zeros(0, np.int64)
        return mask_targets(self.labels, ids, rois, self.letterbox, side)


def augment(example: TrainingExample, rng: np.random.Generator, *, random: bool = True) -> AugmentedExample:
    """Puts an example into the model's input.

    Args:
        example: the example.
        rng: decides what is done to it.
        random: False leaves it as it is.
    """
    planes, labels, into = example.planes, example.labels, INPUT_SIZE
    if random:
        planes, labels = _crop(planes, labels, rng)
        if rng.random() < 0.5:
            planes = Planes(planes.y[:, ::-1], planes.u[:, ::-1], planes.v[:, ::-1])
            labels = labels[:, ::-1]
        planes, labels = _occlude(planes, np.ascontiguousarray(labels), rng)
        if rng.random() < 0.15:
            zoom = rng.uniform(0.6, 1.0)
            into = (round(into[0] * zoom), round(into[1] * zoom))
    letterbox = Letterbox.top_left(planes.width, planes.height, *into, multiple=1)
    image = np.empty((3, INPUT_SIZE[1], INPUT_SIZE[0]), np.uint8)
    letterbox.write_yuv444(planes, image)
    if random:
        inside = image[:, : letterbox.inner_height, : letterbox.inner_width]
        inside[:] = _degrade(inside, rng)
    boxes, kept = _boxes(labels, len(example.class_ids))
    scale = np.array([letterbox.scale_x, letterbox.scale_y] * 2, np.float32)
    return AugmentedExample(image, letterbox, boxes * scale, example.class_ids[kept], kept + 1, labels)


def _boxes(labels: LabelMap, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes around objects 1..count of a label map, and the indices (from 0) of those still large enough to learn."""
    boxes, kept = [], []
    for index in range(count):
        mask = (labels == index + 1).view(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        if width > 2 and height > 2 and cv2.countNonZero(mask) >= MIN_VISIBLE_PX:
            boxes.append((x, y, x + width, y + height))
            kept.append(index)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(kept, np.int64)


def _crop(planes: Planes, labels: LabelMap, rng: np.random.Generator) -> tuple[Planes, LabelMap]:
    """A random crop at even coordinates, at least 0.55 of the frame's width."""
    if rng.random() < 0.4:
        return planes, labels
    part = rng.uniform(0.55, 1.0)
    width = int(planes.width * part) // 2 * 2
    height = min(int(planes.height * part * rng.uniform(0.85, 1.15)), planes.height) // 2 * 2
    x = int(rng.integers(0, planes.width - width + 1)) // 2 * 2
    y = int(rng.integers(0, planes.height - height + 1)) // 2 * 2
    chroma = (slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2))
    cut = Planes(planes.y[y : y + height, x : x + width], planes.u[chroma], planes.v[chroma])
    return cut, labels[y : y + height, x : x + width]


def _occlude(planes: Planes, labels: LabelMap, rng: np.random.Generator) -> tuple[Planes, LabelMap]:
    """Sometimes covers parts with poles and boxes of one colour: street furniture that the renderer does not have."""
    if rng.random() < 0.7:
        return planes, labels
    y, u, v, labels = planes.y.copy(), planes.u.copy(), planes.v.copy(), labels.copy()
    height, width = y.shape
    for _ in range(int(rng.integers(1, 4))):
        w = int(rng.uniform(0.01, 0.08) * width) // 2 * 2 + 2
        h = int(rng.uniform(0.05, 0.5) * height) // 2 * 2 + 2
        left, top = int(rng.integers(0, width - w)) // 2 * 2, int(rng.integers(0, height - h)) // 2 * 2
        y[top : top + h, left : left + w] = rng.integers(20, 220)
        half = (slice(top // 2, (top + h) // 2), slice(left // 2, (left + w) // 2))
        u[half], v[half] = rng.integers(108, 149), rng.integers(108, 149)
        labels[top : top + h, left : left + w] = 0
    return Planes(y, u, v), labels


def _degrade(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random brightness, colour, blur, noise and JPEG artefacts on (3, H, W) uint8 YUV."""
    luma = image[0].astype(np.float32)
    chroma = image[1:].astype(np.float32) - 128
    if rng.random() < 0.7:
        gamma, gain, lift = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.15)), rng.normal(0, 10)
        luma = 16 + 219 * np.clip((luma - 16) / 219, 0, 1) ** gamma * gain + lift
        turn, colour = rng.normal(0, 0.15), np.exp(rng.normal(-0.05, 0.3))
        u, v = chroma * colour
        chroma = np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)])
        chroma += rng.normal(0, 3, (2, 1, 1)).astype(np.float32)
    if rng.random() < 0.25:
        luma = cv2.GaussianBlur(luma, (0, 0), rng.uniform(0.3, 1.1)).astype(np.float32)
    if rng.random() < 0.5:
        luma = luma + rng.standard_normal(luma.shape, np.float32) * rng.uniform(1, 9)
        chroma = chroma + rng.standard_normal(chroma.shape, np.float32) * rng.uniform(0, 4)
    out = np.concatenate([luma[None], chroma + 128]).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))]
        coded = [cv2.imencode(".jpg", plane, quality)[1] for plane in out]
        out = np.stack([cv2.imdecode(plane, cv2.IMREAD_GRAYSCALE) for plane in coded])
    return np.asarray(out, np.uint8)


def mask_targets(
    labels: LabelMap, ids: NDArray[np.int64], rois: NDArray[np.float32], letterbox: Letterbox, side: int
) -> NDArray[np.float32]:
    """Targets of the mask head: the share of each grid cell of a region that its object covers.

    Args:
        labels: (h, w) uint8, at the frame's own resolution.
        ids: (R,) value of each region's object in `labels`.
        rois: (R, 4) x0 y0 x1 y1, pixels of the input.
        letterbox: where the frame lies in the input.
        side: cells along one edge.

    Returns:
        (R, side, side) float32, the mean of 2x2 samples per cell.
    """
    height, width = labels.shape
    places = (np.arange(side * 2, dtype=np.float32) + 0.5) / (side * 2)
    x = (rois[:, :1] + places * (rois[:, 2:3] - rois[:, :1])) / letterbox.scale_x
    y = (rois[:, 1:2] + places * (rois[:, 3:4] - rois[:, 1:2])) / letterbox.scale_y
    columns = np.clip(np.floor(x), 0, width - 1).astype(np.int64)
    rows = np.clip(np.floor(y), 0, height - 1).astype(np.int64)
    inside = labels[rows[:, :, None], columns[:, None, :]] == ids[:, None, None]
    cells = inside.reshape(len(rois), side, 2, side, 2).mean(axis=(2, 4))
    return np.asarray(cells, np.float32)
