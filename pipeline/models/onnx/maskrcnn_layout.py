"""Mask R-CNN exports: torchvision's own, and those of `tallycam models export`.

Input: RGB 0..1, (3, H, W) or (1, 3, H, W); the model normalises it. Outputs, for the N objects of one frame:

- boxes (N, 4): x0 y0 x1 y1, pixels of the input;
- labels (N,), integers, 1 is the first class, 0 the background;
- scores (N,), in descending order;
- masks: (N, 1, H, W), probabilities pasted into the input's size, as torchvision does, or (N, 28, 28),
  (N, 1, 28, 28) or any other size: probabilities spread over the box, as the mask head gives them.

Boxes, labels and scores are identified by rank and type, so names do not matter. Non-maximum suppression is part of
the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.class_map import NOT_A_CLASS, ClassMap
from pipeline.models.coco_classes import COCO_BY_NUMBER, COCO_SLOTS
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox, clip_boxes
from pipeline.models.mask_grid import Floats, resample_mask
from pipeline.models.onnx.layout import (
    MAX_DETECTIONS,
    BaseLayout,
    Outputs,
    ProbedModel,
    nothing_usable,
    write_frame,
)
from pipeline.models.onnx.model_file import weight_shape
from pipeline.transport.planes import Planes


@dataclass(frozen=True, slots=True)
class MaskRcnnLayout(BaseLayout):
    """A `pipeline.models.onnx.layout.OnnxLayout`.

    Attributes:
        input_hw: height and width of the input; None where the model takes the frame at its own size.
        boxes_name: output name of the boxes; likewise the others.
    """

    DESCRIPTION: ClassVar[str] = (
        "Mask R-CNN (boxes (N, 4), labels (N,), scores (N,), masks (N, 1, H, W) or (N, 28, 28))"
    )
    MAX_BATCH: ClassVar[int | None] = 1

    input_hw: tuple[int, int] | None
    boxes_name: str
    labels_name: str
    scores_name: str
    masks_name: str

    @classmethod
    def match(cls, model: ProbedModel) -> Self | None:
        """See `OnnxLayout.match`."""
        vectors = {name: model.outputs[name].dtype for name in model.outputs_of_rank(1)}
        boxes = [name for name in model.outputs_of_rank(2) if model.outputs[name].shape[1] == 4]
        labels = [name for name, dtype in vectors.items() if dtype == np.int64]
        scores = [name for name, dtype in vectors.items() if dtype == np.float32]
        masks = [name for name in model.outputs_of_rank(4) if model.outputs[name].shape[1] == 1]
        masks = masks or model.outputs_of_rank(3)
        if not len(boxes) == len(labels) == len(scores) == len(masks) == 1:
            return None
        input_hw = None if model.dynamic_size else model.input_hw
        return cls(_class_map(model), model.score, input_hw, boxes[0], labels[0], scores[0], masks[0])

    def input_size(self, frame: Planes) -> tuple[int, int]:
        """See `OnnxLayout.input_size`."""
        return self.input_hw or (frame.height, frame.width)

    def preprocess(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        """See `OnnxLayout.preprocess`."""
        height, width = out.shape[1:]
        letterbox = Letterbox.top_left(frame.width, frame.height, width, height)
        write_frame(frame, letterbox, out)
        return letterbox

    def postprocess(self, outputs: Outputs, row: int, frame: Planes, letterbox: Letterbox) -> Detections:
        """See `OnnxLayout.postprocess`."""
        scores = outputs[self.scores_name]
        lost = int(np.count_nonzero(np.isnan(scores)))
        class_ids = self.class_map.lookup(outputs[self.labels_name])
        order = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
        rows = order[(scores[order] >= self.score) & (class_ids[order] >= 0)]
        boxes, masks = outputs[self.boxes_name][rows], outputs[self.masks_name][rows]
        masks = masks[:, 0] if masks.ndim == 4 else masks
        finite = np.isfinite(boxes).all(axis=1) & np.isfinite(masks).all(axis=(1, 2))
        lost += len(finite) - int(np.count_nonzero(finite))
        if nothing_usable(len(scores), lost, finite):
            return Detections.empty(non_finite=lost, invalid=True)
        if not finite.all():
            rows, boxes, masks = rows[finite], boxes[finite], masks[finite]
        boxes_px, visible = clip_boxes(letterbox.to_frame(boxes), frame)
        pasted = masks.shape[1:] == self.input_size(frame)
        grids = np.empty((len(visible), MASK_SIZE, MASK_SIZE), np.uint8)
        clipped = letterbox.to_input(boxes_px)
        for place, number in enumerate(visible):
            grid = _grid(masks[number], boxes[number], clipped[place], pasted)
            grids[place] = np.rint(grid.clip(0, 1) * 255)
        rows = rows[visible]
        return Detections(
            boxes_px,
            np.asarray(scores[rows].clip(0, 1), np.float32),
            class_ids[rows].astype(np.int16),
            grids,
            non_finite=lost,
        )


def _grid(mask: Floats, box: Floats, clipped: Floats, pasted: bool) -> Floats:
    """The mask of a box that was clipped at the edge of the frame.

    Args:
        mask: (h, w) float32 probabilities, pasted into the input or spread over `box`.
        box: (4,) x0 y0 x1 y1, pixels of the input.
        clipped: (4,) its part inside the frame.
        pasted: `mask` has the size of the input.

    Returns:
        (28, 28) float32 probabilities spread over `clipped`.
    """
    if pasted:
        return resample_mask(mask, clipped)
    if mask.shape == (MASK_SIZE, MASK_SIZE) and np.abs(clipped - box).max() < 0.01:
        return mask
    size = np.maximum(box[2:] - box[:2], 1e-3)
    to_cells = np.tile(np.array([mask.shape[1], mask.shape[0]]) / size, 2)
    return resample_mask(mask, np.asarray((clipped - np.tile(box[:2], 2)) * to_cells, np.float32))


def _class_map(model: ProbedModel) -> ClassMap:
    """Classes by label. Names that start with the background belong to labels from 0, others to labels from 1."""
    names = model.names
    if names is None:
        shape = weight_shape(model.path, "cls_score.bias")
        if shape is None or len(shape) != 1:
            raise ModelError(f"{model.path}: holds no class names; give them as model.classes")
        if shape[0] == COCO_SLOTS:
            return ClassMap.from_names(COCO_BY_NUMBER)
        return ClassMap.from_names({label: f"class{label - 1}" for label in range(1, shape[0])})
    if names.get(0, "").strip().lower() in NOT_A_CLASS or 0 not in names:
        return ClassMap.from_names(names)
    return ClassMap.from_names({number + 1: name for number, name in names.items()})
