"""RF-DETR segmentation exports (Roboflow, Apache-2.0).

Input: the frame stretched to a square, sampled bilinearly, ImageNet-normalised. Outputs, for B frames and Q queries:

- `dets`, (B, Q, 4): cx cy w h, relative to the frame's width and height;
- `labels`, (B, Q, S): logits. A fine-tuned model has one channel more than classes, the last, which stands for no
  object; the published COCO models have 91, numbered as in COCO's annotation files;
- `masks`, (B, Q, h, w): logits over the whole frame. Exports before version 1.5 name this output by a number.

There is no non-maximum suppression: each object has one query (Carion et al., End-to-End Object Detection with
Transformers, 2020). Where a query exceeds the threshold for several classes only the best one is taken, since
objects are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.class_map import ClassMap
from pipeline.models.coco_classes import COCO_BY_NUMBER, COCO_SLOTS
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox, clip_boxes, sample_rgb
from pipeline.models.mask_grid import resample_mask, sigmoid_uint8
from pipeline.models.onnx.layout import (
    MAX_DETECTIONS,
    FixedSizeLayout,
    Outputs,
    ProbedModel,
    normalize_into,
    nothing_usable,
    write_frame,
)
from pipeline.transport.planes import Planes

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""RGB, 0..1."""
BOX_NAMES = ("dets", "boxes", "pred_boxes")


@dataclass(frozen=True, slots=True)
class RfDetrLayout(FixedSizeLayout):
    """A `pipeline.models.onnx.layout.OnnxLayout`.

    Attributes:
        boxes_name: output name of the boxes; likewise the others.
    """

    DESCRIPTION: ClassVar[str] = "RF-DETR segmentation (dets (B, Q, 4), labels (B, Q, S), masks (B, Q, h, w))"

    boxes_name: str
    logits_name: str
    masks_name: str

    @classmethod
    def match(cls, model: ProbedModel) -> Self | None:
        """See `OnnxLayout.match`."""
        per_query, masks = model.outputs_of_rank(3), model.outputs_of_rank(4)
        if len(per_query) != 2 or len(masks) != 1:
            return None
        # By name, else by shape. With three classes and no telling name both have four columns: boxes come first.
        named = [name for name in per_query if name in BOX_NAMES]
        four_columns = [name for name in per_query if model.outputs[name].shape[2] == 4]
        if not (named or four_columns):
            return None
        boxes = (named or four_columns)[0]
        logits = next(name for name in per_query if name != boxes)
        shapes = [model.outputs[name].shape for name in (boxes, logits, masks[0])]
        if len({shape[1] for shape in shapes}) != 1 or shapes[0][2] != 4:
            return None
        class_map = _class_map(model, shapes[1][2])
        return cls(class_map, model.score, model.input_hw, boxes, logits, masks[0])

    def preprocess(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        """See `OnnxLayout.preprocess`."""
        height, width = self.input_hw
        letterbox = Letterbox.stretched(frame.width, frame.height, width, height)
        if frame.rgb is not None:
            normalize_into(sample_rgb(frame.rgb, width, height), out, IMAGENET_MEAN, IMAGENET_STD)
        else:
            write_frame(frame, letterbox, out, mean=IMAGENET_MEAN, std=IMAGENET_STD, area=False)
        return letterbox

    def postprocess(self, outputs: Outputs, row: int, frame: Planes, letterbox: Letterbox) -> Detections:
        """See `OnnxLayout.postprocess`."""
        logits, masks = outputs[self.logits_name][row], outputs[self.masks_name][row]
        channels = np.flatnonzero(self.class_map.indices >= 0)
        probabilities = 1.0 / (1.0 + np.exp(-logits[:, channels].clip(-88, 88)))
        best = probabilities.argmax(axis=1)
        scores = probabilities[np.arange(len(probabilities)), best]
        lost = int(np.count_nonzero(np.isnan(scores)))
        order = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
        queries = order[scores[order] >= self.score]
        finite = np.isfinite(outputs[self.boxes_name][row][queries]).all(axis=1)
        finite &= np.isfinite(masks[queries]).all(axis=(1, 2))
        lost += len(finite) - int(np.count_nonzero(finite))
        if nothing_usable(len(scores), lost, finite):
            return Detections.empty(non_finite=lost, invalid=True)
        queries = queries[finite]
        centers = outputs[self.boxes_name][row][queries]
        half = centers[:, 2:] / 2
        relative = np.concatenate([centers[:, :2] - half, centers[:, :2] + half], axis=1)
        boxes_px = np.asarray(relative * np.array([frame.width, frame.height] * 2), np.float32)
        boxes_px, visible = clip_boxes(boxes_px, frame)
        queries = queries[visible]
        to_mask = np.array([masks.shape[2] / frame.width, masks.shape[1] / frame.height] * 2, np.float32)
        grids = np.empty((len(queries), MASK_SIZE, MASK_SIZE), np.float32)
        for place, (query, box) in enumerate(zip(queries, boxes_px * to_mask, strict=True)):
            grids[place] = resample_mask(masks[query], box)
        return Detections(
            boxes_px,
            np.asarray(scores[queries], np.float32),
            self.class_map.indices[channels[best[queries]]].astype(np.int16),
            sigmoid_uint8(grids),
            non_finite=lost,
        )


def _class_map(model: ProbedModel, channels: int) -> ClassMap:
    names = model.names
    if names is None and channels == COCO_SLOTS:
        return ClassMap.from_names(COCO_BY_NUMBER, channels)
    if names is not None:
        complete = len(names) in (channels, channels - 1)
        if max(names) < channels and (complete or min(names) > 0):
            return ClassMap.from_names(names, channels)
        if channels == COCO_SLOTS and set(names.values()) == set(COCO_BY_NUMBER.values()):
            return ClassMap.from_names(COCO_BY_NUMBER, channels)
    without_last = model.class_map(channels - 1)  # the last channel stands for no object
    return ClassMap.from_names(dict(enumerate(without_last.names)), channels)
