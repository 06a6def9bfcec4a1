"""RF-DETR segmentation exports (Roboflow, Apache-2.0): what goes in and what comes out.

Input: the frame stretched to a square, sampled bilinearly, ImageNet-normalised. Outputs, for B frames and Q queries:

- `dets`, (B, Q, 4): cx cy w h, parts of the frame's width and height.
- `labels`, (B, Q, S): logits. A model that was trained further has one output more than classes, the last, which
  means no object; the published COCO models have 91, numbered as in the annotation files.
- `masks`, (B, Q, h, w): logits over the whole frame. Exports before version 1.5 give it a number as its name.

There is nothing to suppress: each object has one query (Carion et al., DETR, 2020). Where a query reaches the
threshold with several classes the strongest is taken, since what is counted is objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.coco_classes import COCO_BY_NUMBER, COCO_SLOTS
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox, grid_of, inside_frame, probabilities
from pipeline.models.onnx.graph_file import Classes
from pipeline.models.onnx.layout import MOST_FOUND, FixedSize, Outputs, Probed, scaled_into
from pipeline.transport.planes import Planes

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet, RGB."""


@dataclass(frozen=True, slots=True)
class RfDetr(FixedSize):
    """A `pipeline.models.onnx.layout.Layout`."""

    KNOWN: ClassVar[str] = "RF-DETR segmentation (dets (B, Q, 4), labels (B, Q, S), masks (B, Q, h, w))"

    boxes_name: str
    logits_name: str
    masks_name: str

    @classmethod
    def of(cls, model: Probed) -> Self | None:
        flat, deep = model.of_rank(3), model.of_rank(4)
        if len(flat) != 2 or len(deep) != 1:
            return None
        # By name, else by shape; with three classes and no name the boxes come first, as exported.
        named = [name for name in flat if name in ("dets", "boxes", "pred_boxes")]
        fours = [name for name in flat if model.outputs[name].shape[2] == 4]
        if not (named or fours):
            return None
        boxes = (named or fours)[0]
        logits = next(name for name in flat if name != boxes)
        shapes = [model.outputs[name].shape for name in (boxes, logits, deep[0])]
        if len({shape[1] for shape in shapes}) != 1 or shapes[0][2] != 4:
            return None
        known = _classes(model, shapes[1][2])
        return cls(known, model.score, model.input_hw, boxes, logits, deep[0])

    def lay(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        height, width = self.input_hw
        box = Letterbox.stretch(frame.width, frame.height, width, height)
        scaled_into(box.image(frame, width, height, 0, smooth=False), out, MEAN, DEVIATION)
        return box

    def found(self, outputs: Outputs, row: int, frame: Planes, box: Letterbox) -> Detections:
        logits, masks = outputs[self.logits_name][row], outputs[self.masks_name][row]
        if np.isnan(logits).any():
            return Detections.invalid()
        usable = np.flatnonzero(self.known.positions >= 0)
        scores = 1.0 / (1.0 + np.exp(-logits[:, usable].clip(-88, 88)))
        best = scores.argmax(axis=1)
        strength = scores[np.arange(len(scores)), best]
        order = np.argsort(-strength, kind="stable")[:MOST_FOUND]
        queries = order[strength[order] >= self.score]
        centred = outputs[self.boxes_name][row][queries]
        half = centred[:, 2:] / 2
        relative = np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)
        boxes_px = np.asarray(relative * np.array([frame.width, frame.height] * 2), np.float32)
        if not (np.isfinite(boxes_px).all() and np.isfinite(masks[queries]).all()):
            return Detections.invalid()
        boxes_px, seen = inside_frame(boxes_px, frame)
        queries = queries[seen]
        to_mask = np.array([masks.shape[2] / frame.width, masks.shape[1] / frame.height] * 2, np.float32)
        grids = np.empty((len(queries), MASK_SIZE, MASK_SIZE), np.float32)
        for place, (query, cells) in enumerate(zip(queries, boxes_px * to_mask, strict=True)):
            grids[place] = grid_of(masks[query], cells)
        return Detections(
            boxes_px,
            np.asarray(strength[queries], np.float32),
            self.known.positions[usable[best[queries]]].astype(np.int16),
            probabilities(grids),
        )


def _classes(model: Probed, slots: int) -> Classes:
    names = model.names
    if names is None and slots == COCO_SLOTS:
        return Classes.of(COCO_BY_NUMBER, slots)
    if names is not None and max(names) < slots and (len(names) in (slots, slots - 1) or min(names) > 0):
        return Classes.of(names, slots)
    if names is not None and slots == COCO_SLOTS and set(names.values()) == set(COCO_BY_NUMBER.values()):
        return Classes.of(COCO_BY_NUMBER, slots)
    counted = model.classes(slots - 1)  # the last one is no object
    return Classes.of(dict(enumerate(counted.names)), slots)
