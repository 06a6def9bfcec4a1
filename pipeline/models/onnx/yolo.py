"""YOLO segmentation exports: what goes in and what comes out, suppression, masks.

Input: RGB 0..1 with the frame in the middle. Three layouts of the detections are known, told apart by shape.
`A` anchors, `c` classes, `m` prototypes:

- `v5`: (B, A, 5 + c + m): cx cy w h, objectness, class scores, mask coefficients (YOLOv5, v7).
- `v8`: (B, 4 + c + m, A): cx cy w h, class scores, mask coefficients (YOLOv8, v9, v11, v12).
- `final`: (B, A, 6 + m): x0 y0 x1 y1, score, class, mask coefficients; already suppressed (`nms=True`, YOLO26).

The first is called `output0`, the prototypes, (B, m, h, w), `output1`; rank tells them apart, not the name.
Boxes are in pixels of the model's input. A mask is the sigmoid of
coefficients times prototypes inside the box (Bolya et al., YOLACT, 2019, eq. 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.models.letterbox import (
    Floats,
    Letterbox,
    grid_places,
    inside_frame,
    probabilities,
    sample_rows,
)
from pipeline.models.onnx.layout import MOST_FOUND, FixedSize, Outputs, Probed, scaled_into
from pipeline.transport.planes import Planes

GREY = 114
"""Level of the letterbox's border, as the models were trained with."""
MOST_CANDIDATES = 3000
"""Boxes that enter the suppression, at most: the strongest are kept."""
STRIDES = (8, 16, 32)
"""Input pixels per cell of the three grids of anchors."""


@dataclass(frozen=True, slots=True)
class DetectionLayout:
    """Which layout the detections have, and how many classes (None: the layout `final` does not tell)."""

    kind: Literal["v5", "v8", "final"]
    classes: int | None

    @classmethod
    def of(
        cls, detections: tuple[int, ...], prototypes: tuple[int, ...], input_hw: tuple[int, int]
    ) -> DetectionLayout | None:
        """From the shapes of the two outputs; None where no layout fits."""
        if len(detections) != 3 or len(prototypes) != 4:
            return None
        rows, columns, coefficients = detections[1], detections[2], prototypes[1]
        cells = sum((input_hw[0] // stride) * (input_hw[1] // stride) for stride in STRIDES)
        if rows == 3 * cells and columns > 5 + coefficients:
            return cls("v5", columns - 5 - coefficients)
        if columns == cells and rows > 4 + coefficients:
            return cls("v8", rows - 4 - coefficients)
        if columns == 6 + coefficients:
            return cls("final", None)
        # Other strides (the P6 models): anchors outnumber features.
        if rows > columns > 5 + coefficients:
            return cls("v5", columns - 5 - coefficients)
        if columns > rows > 4 + coefficients:
            return cls("v8", rows - 4 - coefficients)
        return None

    def scores(self, detections: Floats, coefficients: int) -> Floats:
        """The part of one frame's detections that holds scores."""
        match self.kind:
            case "v8":
                return detections[4:-coefficients]
            case "v5":
                return detections[:, 4:-coefficients]
            case "final":
                return detections[:, 4]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that reached the score threshold. Row i of every array is the same candidate.

    Attributes:
        boxes: (N, 4) float32, x0 y0 x1 y1, pixels of the model's input.
        scores: (N,) float32.
        class_ids: (N,) int64.
        coefficients: (N, m) float32.
    """

    boxes: Floats
    scores: Floats
    class_ids: NDArray[np.int64]
    coefficients: Floats

    def __getitem__(self, rows: NDArray[np.int64]) -> Candidates:
        return Candidates(self.boxes[rows], self.scores[rows], self.class_ids[rows], self.coefficients[rows])


def candidates(detections: Floats, layout: DetectionLayout, coefficients: int, score: float) -> Candidates:
    """From one frame's detections, two-dimensional as the layout says; falling scores."""
    if layout.kind == "final":
        rows = detections[detections[:, 4] >= score]
        found = Candidates(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), rows[:, 6:])
    elif layout.kind == "v5":
        rows = detections[detections[:, 4] >= score]  # a class score is at most 1
        scores = rows[:, 5:-coefficients] * rows[:, 4:5]
        found = _strongest_class(rows[:, :4], scores, rows[:, -coefficients:], score)
    else:
        best = detections[4:-coefficients].max(axis=0)
        rows = np.ascontiguousarray(detections[:, best >= score].T)
        found = _strongest_class(rows[:, :4], rows[:, 4:-coefficients], rows[:, -coefficients:], score)
    strongest = np.argsort(-found.scores, kind="stable")[:MOST_CANDIDATES]
    return found[strongest]


def _strongest_class(centred: Floats, scores: Floats, coefficients: Floats, score: float) -> Candidates:
    """`centred`: (N, 4) cx cy w h; `scores`: (N, c)."""
    class_ids = scores.argmax(axis=1)
    best = np.take_along_axis(scores, class_ids[:, None], axis=1)[:, 0]
    half = centred[:, 2:4] / 2
    boxes = np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)
    return Candidates(boxes, best, class_ids, coefficients)[np.flatnonzero(best >= score)]


def suppress(found: Candidates, iou: float) -> Candidates:
    """Of two boxes of one class that overlap more than `iou` the weaker goes; falling scores."""
    if not len(found.scores):
        return found
    sized = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        sized.astype(np.float64).tolist(), found.scores.tolist(), found.class_ids.tolist(), 0.0, iou
    )
    return found[np.asarray(kept, np.int64).reshape(-1)[:MOST_FOUND]]


def finish(
    found: Candidates, prototypes: Floats, box: Letterbox, frame: Planes, input_hw: tuple[int, int]
) -> Detections:
    """Boxes back into the frame and cut at its edges, masks on their 28 x 28 grids.

    `prototypes`: (m, h, w). Boxes that show less than one pixel inside the frame go.
    """
    boxes_px, seen = inside_frame(box.to_frame(found.boxes), frame)
    found = found[seen]
    to_prototype = np.array(
        [prototypes.shape[2] / input_hw[1], prototypes.shape[1] / input_hw[0]] * 2, np.float32
    )
    return Detections(
        boxes_px,
        np.ascontiguousarray(found.scores.clip(0, 1), np.float32),
        found.class_ids.astype(np.int16),
        box_masks(found.coefficients, prototypes, box.to_input(boxes_px) * to_prototype),
    )


def box_masks(coefficients: Floats, prototypes: Floats, boxes: Floats) -> NDArray[np.uint8]:
    """(N, 28, 28) uint8 probabilities at the centres of each box's grid cells.

    Coefficients and prototypes meet only inside the box; nothing of the frame's size is ever made.
    The interpolation is bilinear between the prototype cells' centres, on logits.

    Args:
        coefficients: (N, m) float32.
        prototypes: (m, h, w) float32.
        boxes: (N, 4) float32, x0 y0 x1 y1 in prototype cells.
    """
    xs, ys = grid_places(boxes, prototypes.shape[2], prototypes.shape[1])
    logits = np.empty((len(boxes), MASK_SIZE, MASK_SIZE), np.float32)
    for row, (x, y) in enumerate(zip(xs, ys, strict=True)):
        left, top = int(x[0]), int(y[0])
        inside = prototypes[:, top : int(y[-1]) + 2, left : int(x[-1]) + 2]
        cells = (coefficients[row] @ inside.reshape(len(inside), -1)).reshape(inside.shape[1:])
        logits[row] = sample_rows(sample_rows(cells, y - top).T, x - left).T
    return probabilities(logits)


@dataclass(frozen=True, slots=True)
class Yolo(FixedSize):
    """A `pipeline.models.onnx.layout.Layout`."""

    KNOWN: ClassVar[str] = (
        "YOLO segmentation (output0 (B, A, 5 + c + m), (B, 4 + c + m, A) or (B, 300, 6 + m), output1 (B, m, h, w))"
    )

    layout: DetectionLayout
    nms: float
    detections_name: str
    prototypes_name: str

    @classmethod
    def of(cls, model: Probed) -> Self | None:
        flat, deep = model.of_rank(3), model.of_rank(4)
        if len(flat) != 1 or len(deep) != 1:
            return None
        shapes = [model.outputs[name].shape for name in (flat[0], deep[0])]
        layout = DetectionLayout.of(shapes[0], shapes[1], model.input_hw)
        if layout is None:
            return None
        known = model.classes(layout.classes)
        return cls(known, model.score, model.input_hw, layout, model.nms, flat[0], deep[0])

    def lay(self, frame: Planes, out: NDArray[Any]) -> Letterbox:
        height, width = self.input_hw
        box = Letterbox.fit(frame.width, frame.height, width, height)
        scaled_into(box.image(frame, width, height, GREY), out)
        return box

    def found(self, outputs: Outputs, row: int, frame: Planes, box: Letterbox) -> Detections:
        detections, prototypes = outputs[self.detections_name][row], outputs[self.prototypes_name][row]
        if np.isnan(self.layout.scores(detections, len(prototypes))).any():
            return Detections.invalid()
        likely = candidates(detections, self.layout, len(prototypes), self.score)
        numbers = (likely.boxes, likely.coefficients, prototypes)
        if len(likely.scores) and not all(np.isfinite(value).all() for value in numbers):
            return Detections.invalid()
        meant = self.known.meant(likely.class_ids)
        likely = Candidates(likely.boxes, likely.scores, meant, likely.coefficients)[
            np.flatnonzero(meant >= 0)
        ]
        likely = (
            suppress(likely, self.nms)
            if self.layout.kind != "final"
            else likely[np.arange(min(MOST_FOUND, len(likely.scores)))]
        )
        return finish(likely, prototypes, box, frame, self.input_hw)
