"""The arithmetic of YOLO segmentation models: letterbox, output layouts, suppression, masks. No session here.

Three layouts of the detections are known, told apart by shape. `A` anchors, `c` classes, `m` prototypes:

- `v5`: (B, A, 5 + c + m): cx cy w h, objectness, class scores, mask coefficients (YOLOv5, v7).
- `v8`: (B, 4 + c + m, A): cx cy w h, class scores, mask coefficients (YOLOv8, v9, v11, v12).
- `final`: (B, A, 6 + m): x0 y0 x1 y1, score, class, mask coefficients; already suppressed (`nms=True`, YOLO26).

Boxes are in pixels of the model's input. Prototypes are (B, m, h, w). A mask is the sigmoid of
coefficients times prototypes inside the box (Bolya et al., YOLACT, 2019, eq. 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.messages import MASK_SIZE
from pipeline.models.base import Found
from pipeline.planes import Planes

Floats = NDArray[np.float32]

GREY = 114
"""Level of the letterbox's border, as the models were trained with."""
MOST_FOUND = 300
"""Objects of one frame, at most: the strongest are kept."""
MOST_CANDIDATES = 3000
"""Boxes that enter the suppression, at most: the strongest are kept."""
STRIDES = (8, 16, 32)
"""Input pixels per cell of the three grids of anchors."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a frame lies in the model's input: scaled by (`scale_x`, `scale_y`), then moved by `left`, `top` pixels.

    The two scales differ by less than a pixel over the whole frame, for even sizes of the scaled planes.
    """

    left: int
    top: int
    inner_width: int
    inner_height: int
    scale_x: float
    scale_y: float

    @classmethod
    def fit(cls, width: int, height: int, input_width: int, input_height: int) -> Letterbox:
        scale = min(input_width / width, input_height / height)
        inner_width = min(max(2, 2 * round(width * scale / 2)), input_width // 2 * 2)
        inner_height = min(max(2, 2 * round(height * scale / 2)), input_height // 2 * 2)
        left, top = (input_width - inner_width) // 2, (input_height - inner_height) // 2
        return cls(left, top, inner_width, inner_height, inner_width / width, inner_height / height)

    def image(self, planes: Planes, input_width: int, input_height: int) -> NDArray[np.uint8]:
        """(input_height, input_width, 3) uint8 RGB. Planes are scaled first: that costs a quarter of RGB first."""
        width, height = self.inner_width, self.inner_height
        shrinks = self.scale_x < 1.0
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        half = (width // 2, height // 2)
        flat = np.empty(width * height * 3 // 2, np.uint8)
        scaled = Planes.view(flat, width, height)
        cv2.resize(planes.y, (width, height), dst=scaled.y, interpolation=how)
        cv2.resize(planes.u, half, dst=scaled.u, interpolation=how)
        cv2.resize(planes.v, half, dst=scaled.v, interpolation=how)
        image = np.full((input_height, input_width, 3), GREY, np.uint8)
        inner = cv2.cvtColor(flat.reshape(height * 3 // 2, width), cv2.COLOR_YUV2RGB_I420)
        image[self.top : self.top + height, self.left : self.left + width] = inner
        return image

    def to_frame(self, boxes: Floats) -> Floats:
        """(N, 4) x0 y0 x1 y1 from pixels of the input to pixels of the frame."""
        moved = boxes - np.array([self.left, self.top, self.left, self.top], np.float32)
        return moved / np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)

    def to_input(self, boxes_px: Floats) -> Floats:
        """(N, 4) x0 y0 x1 y1 from pixels of the frame to pixels of the input."""
        scaled = boxes_px * np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)
        return scaled + np.array([self.left, self.top, self.left, self.top], np.float32)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which layout the detections have, and how many classes (None: the layout `final` does not tell)."""

    kind: Literal["v5", "v8", "final"]
    classes: int | None

    @classmethod
    def of(
        cls, detections: tuple[int, ...], prototypes: tuple[int, ...], input_hw: tuple[int, int]
    ) -> Layout | None:
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


def candidates(detections: Floats, layout: Layout, coefficients: int, score: float) -> Candidates:
    """From one frame's detections, two-dimensional as the layout says. Not-a-number never gets through."""
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
    whole = np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.coefficients).all(axis=1)
    found = found[np.flatnonzero(whole)]
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
) -> Found:
    """Boxes back into the frame and cut at its edges, masks on their 28 x 28 grids.

    `prototypes`: (m, h, w). Boxes that show less than one pixel inside the frame go.
    """
    boxes_px = box.to_frame(found.boxes)
    boxes_px[:, 0::2] = boxes_px[:, 0::2].clip(0, frame.width)
    boxes_px[:, 1::2] = boxes_px[:, 1::2].clip(0, frame.height)
    sides = boxes_px[:, 2:] - boxes_px[:, :2]
    seen = np.flatnonzero((sides >= 1).all(axis=1))
    boxes_px, found = np.ascontiguousarray(boxes_px[seen], np.float32), found[seen]
    to_prototype = np.array(
        [prototypes.shape[2] / input_hw[1], prototypes.shape[1] / input_hw[0]] * 2, np.float32
    )
    return Found(
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
    height, width = prototypes.shape[1:]
    cell = (np.arange(MASK_SIZE, dtype=np.float32) + 0.5) / MASK_SIZE
    xs = (boxes[:, 0:1] + cell * (boxes[:, 2:3] - boxes[:, 0:1]) - 0.5).clip(0, width - 1)
    ys = (boxes[:, 1:2] + cell * (boxes[:, 3:4] - boxes[:, 1:2]) - 0.5).clip(0, height - 1)
    logits = np.empty((len(boxes), MASK_SIZE, MASK_SIZE), np.float32)
    for row, (x, y) in enumerate(zip(xs, ys, strict=True)):
        left, top = int(x[0]), int(y[0])
        inside = prototypes[:, top : int(y[-1]) + 2, left : int(x[-1]) + 2]
        cells = (coefficients[row] @ inside.reshape(len(inside), -1)).reshape(inside.shape[1:])
        logits[row] = _sample(_sample(cells, y - top).T, x - left).T
    return np.asarray(np.rint(255.0 / (1.0 + np.exp(-logits.clip(-30, 30)))), np.uint8)


def _sample(rows: Floats, at: Floats) -> Floats:
    """Rows of (n, k) at the fractional places `at`, linearly; past the last row is the last row."""
    below = at.astype(np.intp)
    above = np.minimum(below + 1, len(rows) - 1)
    part = (at - below)[:, None]
    return np.asarray(rows[below] * (1 - part) + rows[above] * part, np.float32)


COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 classes of COCO in the order of the YOLO exports."""
