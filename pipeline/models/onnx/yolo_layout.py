"""YOLO segmentation exports.

Input: RGB 0..1, the frame letterboxed in the middle. The detections come in one of three formats, identified by
shape. `A` anchors, `c` classes, `m` mask coefficients:

- `v5`: (B, A, 5 + c + m): cx cy w h, objectness, class scores, mask coefficients (YOLOv5, v7);
- `v8`: (B, 4 + c + m, A): cx cy w h, class scores, mask coefficients (YOLOv8, v9, v11, v12);
- `final`: (B, A, 6 + m): x0 y0 x1 y1, score, class, mask coefficients, already suppressed (`nms=True`, YOLO26).

They are usually called `output0` and the prototypes, (B, m, h, w), `output1`, but shapes identify them, not the names,
and further outputs (feature maps of a training export, for instance) are left alone. Exports that went through
TensorFlow have the prototypes as (B, h, w, m), and boxes in parts of the model's input; otherwise these are in its
pixels. A mask is the sigmoid of the linear combination of prototypes by its coefficients, inside the box (Bolya et al.,
YOLACT, 2019, equation 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox, clip_boxes
from pipeline.models.mask_grid import Floats, grid_coordinates, interpolate_rows, sigmoid_uint8
from pipeline.models.onnx.layout import (
    MAX_DETECTIONS,
    FixedSizeLayout,
    Outputs,
    ProbedModel,
    nothing_usable,
    write_frame,
)
from pipeline.models.onnx.yolo_outputs import HeadFormat, OutputPair, find_pair
from pipeline.transport.planes import Planes

GREY = 114
"""Level of the letterbox's padding, as in training."""
MAX_CANDIDATES = 3000
"""Boxes that enter non-maximum suppression at most, those with the highest scores."""
RELATIVE = 2.0
"""Centres of anchors up to this are parts of the input: in pixels they are spread over all of it."""


@dataclass(frozen=True, slots=True)
class DecodedBoxes:
    """Detections in the model's input that reached the score threshold. Row i of every array is the same one.

    Attributes:
        boxes: (N, 4) float32, x0 y0 x1 y1, pixels of the model's input.
        scores: (N,) float32, in descending order.
        class_ids: (N,) int64.
        coefficients: (N, m) float32.
    """

    boxes: Floats
    scores: Floats
    class_ids: NDArray[np.int64]
    coefficients: Floats

    def __getitem__(self, rows: NDArray[Any]) -> DecodedBoxes:
        return DecodedBoxes(
            self.boxes[rows], self.scores[rows], self.class_ids[rows], self.coefficients[rows]
        )


def decode(rows: Floats, head: HeadFormat, coefficients: int, score: float) -> DecodedBoxes:
    """Decodes anchors of one frame.

    Args:
        rows: one per anchor, with finite numbers and a confidence of at least `score`.
        head: their format.
        coefficients: mask coefficients of an anchor.
        score: the score threshold.

    Returns:
        At most `MAX_CANDIDATES`.
    """
    if head.kind == "final":
        decoded = DecodedBoxes(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), rows[:, 6:])
    elif head.kind == "v5":
        scores = rows[:, 5:-coefficients] * rows[:, 4:5]
        decoded = _best_class(rows[:, :4], scores, rows[:, -coefficients:], score)
    else:
        decoded = _best_class(rows[:, :4], rows[:, 4:-coefficients], rows[:, -coefficients:], score)
    return decoded[np.argsort(-decoded.scores, kind="stable")[:MAX_CANDIDATES]]


def _best_class(centers: Floats, scores: Floats, coefficients: Floats, score: float) -> DecodedBoxes:
    """Takes the best class of each box, where it reaches the threshold.

    Args:
        centers: (N, 4) cx cy w h.
        scores: (N, c).
        coefficients: (N, m).
        score: the score threshold.
    """
    class_ids = scores.argmax(axis=1)
    best = np.take_along_axis(scores, class_ids[:, None], axis=1)[:, 0]
    half = centers[:, 2:4] / 2
    boxes = np.concatenate([centers[:, :2] - half, centers[:, :2] + half], axis=1)
    return DecodedBoxes(boxes, best, class_ids, coefficients)[np.flatnonzero(best >= score)]


def non_maximum_suppression(decoded: DecodedBoxes, iou: float) -> DecodedBoxes:
    """Greedy non-maximum suppression within each class.

    Args:
        decoded: in descending order of scores.
        iou: of two boxes of one class that overlap more than this the one with the lower score is dropped.

    Returns:
        At most `MAX_DETECTIONS`.
    """
    if not len(decoded.scores):
        return decoded
    sized = np.concatenate([decoded.boxes[:, :2], decoded.boxes[:, 2:] - decoded.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        sized.astype(np.float64).tolist(), decoded.scores.tolist(), decoded.class_ids.tolist(), 0.0, iou
    )
    return decoded[np.asarray(kept, np.int64).reshape(-1)[:MAX_DETECTIONS]]


def mask_logits(coefficients: Floats, prototypes: Floats, boxes: Floats) -> Floats:
    """Mask logits of boxes at the centres of their grid cells, interpolated bilinearly between prototype cells.

    Coefficients and prototypes are multiplied only inside each box, so nothing of the frame's size is ever built.

    Args:
        coefficients: (N, m) float32.
        prototypes: (m, h, w) float32.
        boxes: (N, 4) float32, x0 y0 x1 y1 in prototype cells.

    Returns:
        (N, 28, 28) float32; not finite where a coefficient or prototype is not.
    """
    xs, ys = grid_coordinates(boxes, prototypes.shape[2], prototypes.shape[1])
    logits = np.empty((len(boxes), MASK_SIZE, MASK_SIZE), np.float32)
    for row, (x, y) in enumerate(zip(xs, ys, strict=True)):
        left, top = int(x[0]), int(y[0])
        inside = prototypes[:, top : int(y[-1]) + 2, left : int(x[-1]) + 2]
        with np.errstate(invalid="ignore"):  # prototypes that are not finite are the caller's to handle
            cells = (coefficients[row] @ inside.reshape(len(inside), -1)).reshape(inside.shape[1:])
        logits[row] = interpolate_rows(interpolate_rows(cells, y - top).T, x - left).T
    return logits


@dataclass(frozen=True, slots=True)
class YoloLayout(FixedSizeLayout):
    """A `pipeline.models.onnx.layout.OnnxLayout`.

    Attributes:
        pair: the two outputs.
        nms: IoU threshold of non-maximum suppression.
        box_unit: of the numbers in boxes, pixels of the input: 1 and 1, or its width and height.
    """

    DESCRIPTION: ClassVar[str] = (
        "YOLO segmentation (output0 (B, A, 5 + c + m), (B, 4 + c + m, A) or (B, 300, 6 + m), output1 (B, m, h, w))"
    )

    pair: OutputPair
    nms: float
    box_unit: tuple[float, float]

    @classmethod
    def match(cls, model: ProbedModel) -> Self | None:
        """See `OnnxLayout.match`."""
        pair = find_pair(model)
        if pair is None:
            return None
        centers = pair.head.rows(model.outputs[pair.detections_name][0])[:, :2]
        relative = pair.head.kind != "final" and 0 < float(np.nan_to_num(centers).max()) <= RELATIVE
        unit = (float(model.input_hw[1]), float(model.input_hw[0])) if relative else (1.0, 1.0)
        return cls(model.class_map(pair.head.classes), model.score, model.input_hw, pair, model.nms, unit)

    def preprocess(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        """See `OnnxLayout.preprocess`."""
        height, width = self.input_hw
        letterbox = Letterbox.centered(frame.width, frame.height, width, height)
        write_frame(frame, letterbox, out, padding=GREY)
        return letterbox

    def postprocess(self, outputs: Outputs, row: int, frame: Planes, letterbox: Letterbox) -> Detections:
        """See `OnnxLayout.postprocess`."""
        head = self.pair.head
        rows, prototypes = self.pair.of_frame(outputs, row)
        confidence = head.confidence(rows, len(prototypes))
        lost = int(np.count_nonzero(np.isnan(confidence)))
        candidates = np.ascontiguousarray(rows[confidence >= self.score])
        finite = np.isfinite(candidates).all(axis=1)
        lost += len(finite) - int(np.count_nonzero(finite))
        if nothing_usable(len(rows), lost, finite):
            return Detections.empty(non_finite=lost, invalid=True)
        if self.box_unit != (1.0, 1.0):
            candidates[:, :4] *= np.array(self.box_unit * 2, np.float32)
        decoded = decode(candidates[finite], head, len(prototypes), self.score)
        class_ids = self.class_map.lookup(decoded.class_ids)
        decoded = DecodedBoxes(decoded.boxes, decoded.scores, class_ids, decoded.coefficients)[class_ids >= 0]
        if head.kind == "final":
            decoded = decoded[np.arange(min(MAX_DETECTIONS, len(decoded.scores)))]
        else:
            decoded = non_maximum_suppression(decoded, self.nms)
        found = self._to_detections(decoded, prototypes, frame, letterbox)
        return replace(found, non_finite=found.non_finite + lost)

    def _to_detections(
        self, decoded: DecodedBoxes, prototypes: Floats, frame: Planes, letterbox: Letterbox
    ) -> Detections:
        """Boxes in the frame, clipped at its edges, and masks on their grids.

        Args:
            decoded: after non-maximum suppression.
            prototypes: (m, h, w) float32. Detections whose mask they make not finite are left out.
            frame: the frame.
            letterbox: where it lies in the input.
        """
        boxes_px, visible = clip_boxes(letterbox.to_frame(decoded.boxes), frame)
        decoded = decoded[visible]
        height, width = self.input_hw
        to_prototype = np.array([prototypes.shape[2] / width, prototypes.shape[1] / height] * 2, np.float32)
        logits = mask_logits(decoded.coefficients, prototypes, letterbox.to_input(boxes_px) * to_prototype)
        scores = np.ascontiguousarray(decoded.scores.clip(0, 1), np.float32)
        scores[~np.isfinite(logits).all(axis=(1, 2))] = np.nan
        masks = sigmoid_uint8(np.nan_to_num(logits))
        return Detections(boxes_px, scores, decoded.class_ids.astype(np.int16), masks).without_non_finite()
