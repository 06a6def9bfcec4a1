"""Mask R-CNN exports: torchvision's own, and those of `tallycam models export`.

Input: RGB 0..1, (3, H, W) or (1, 3, H, W); normalised inside. Outputs, for the N objects of one frame:

- boxes (N, 4): x0 y0 x1 y1, pixels of the input;
- labels (N,), whole numbers, 1 is the first class, 0 the background;
- scores (N,), falling;
- masks: (N, 1, H, W), probabilities pasted into the input's size, as torchvision does, or (N, 28, 28),
  (N, 1, 28, 28) or any other size: probabilities spread over the box, as its mask head gives them.

All but the masks are told by rank and type, so the names do not matter. Suppression is done inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.coco_classes import COCO_BY_NUMBER, COCO_SLOTS
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Floats, Letterbox, grid_of, inside_frame
from pipeline.models.onnx.graph_file import NO_OBJECT, Classes, weight_shape
from pipeline.models.onnx.layout import MOST_FOUND, Export, Outputs, Probed, scaled_into
from pipeline.transport.planes import Planes


@dataclass(frozen=True, slots=True)
class Rcnn(Export):
    """A `pipeline.models.onnx.layout.Layout`."""

    KNOWN: ClassVar[str] = (
        "Mask R-CNN (boxes (N, 4), labels (N,), scores (N,), masks (N, 1, H, W) or (N, 28, 28))"
    )

    MOST: ClassVar[int | None] = 1

    input_hw: tuple[int, int] | None
    boxes_name: str
    labels_name: str
    scores_name: str
    masks_name: str

    @classmethod
    def of(cls, model: Probed) -> Self | None:
        boxes = [name for name in model.of_rank(2) if model.outputs[name].shape[1] == 4]
        labels = [name for name in model.of_rank(1) if model.outputs[name].dtype == np.int64]
        scores = [name for name in model.of_rank(1) if model.outputs[name].dtype == np.float32]
        masks = [name for name in model.of_rank(4) if model.outputs[name].shape[1] == 1] or model.of_rank(3)
        if not len(boxes) == len(labels) == len(scores) == len(masks) == 1:
            return None
        hw = None if model.open_size else model.input_hw
        return cls(_classes(model), model.score, hw, boxes[0], labels[0], scores[0], masks[0])

    def size(self, frame: Planes) -> tuple[int, int]:
        return self.input_hw or (frame.height, frame.width)

    def lay(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        height, width = out.shape[1:]
        box = Letterbox.corner(frame.width, frame.height, width, height)
        scaled_into(box.image(frame, width, height, 0), out)
        return box

    def found(self, outputs: Outputs, row: int, frame: Planes, box: Letterbox) -> Detections:
        scores = outputs[self.scores_name]
        if np.isnan(scores).any():
            return Detections.invalid()
        meant = self.known.meant(outputs[self.labels_name])
        order = np.argsort(-scores, kind="stable")[:MOST_FOUND]
        rows = order[(scores[order] >= self.score) & (meant[order] >= 0)]
        boxes, masks = outputs[self.boxes_name][rows], outputs[self.masks_name][rows]
        masks = masks[:, 0] if masks.ndim == 4 else masks
        if not (np.isfinite(boxes).all() and np.isfinite(masks).all()):
            return Detections.invalid()
        boxes_px, seen = inside_frame(box.to_frame(boxes), frame)
        pasted = masks.shape[1:] == self.size(frame)
        grids = np.empty((len(seen), MASK_SIZE, MASK_SIZE), np.uint8)
        for place, (whole, cut, mask) in enumerate(
            zip(boxes[seen], box.to_input(boxes_px), masks[seen], strict=True)
        ):
            grids[place] = np.rint(_grid(mask, whole, cut, pasted).clip(0, 1) * 255)
        rows = rows[seen]
        return Detections(
            boxes_px,
            np.asarray(scores[rows].clip(0, 1), np.float32),
            meant[rows].astype(np.int16),
            grids,
        )


def _grid(mask: Floats, whole: Floats, cut: Floats, pasted: bool) -> Floats:
    """(28, 28) probabilities of the part `cut` of the box `whole`, both (4,) in pixels of the input."""
    if pasted:
        return grid_of(mask, cut)
    if mask.shape == (MASK_SIZE, MASK_SIZE) and np.abs(cut - whole).max() < 0.01:
        return mask
    side = np.maximum(whole[2:] - whole[:2], 1e-3)
    to_cells = np.tile(np.array([mask.shape[1], mask.shape[0]]) / side, 2)
    return grid_of(mask, np.asarray((cut - np.tile(whole[:2], 2)) * to_cells, np.float32))


def _classes(model: Probed) -> Classes:
    """By label. Names that begin with the background stand for labels from 0, others for labels from 1."""
    names = model.names
    if names is None:
        shape = weight_shape(model.path, "cls_score.bias")
        if shape is None or len(shape) != 1:
            raise ModelError(f"{model.path}: holds no class names; give them as model.classes")
        if shape[0] == COCO_SLOTS:
            return Classes.of(COCO_BY_NUMBER)
        return Classes.of({label: f"class{label - 1}" for label in range(1, shape[0])})
    if names.get(0, "").strip().lower() in NO_OBJECT or 0 not in names:
        return Classes.of(names)
    return Classes.of({number + 1: name for number, name in names.items()})
