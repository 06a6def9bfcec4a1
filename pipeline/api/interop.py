"""`Detections` from arrays and from other libraries, and back. None of those libraries has to be installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.geometry.mask_paste import paste_mask
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.models.mask_grid import resample_mask

if TYPE_CHECKING:
    from pipeline.api.tracks import Tracks

FULL = 255
"""Mask value of a cell that lies wholly inside the object."""
COARSE_PX = 4 * MASK_SIZE
"""Smaller boxes have cells of few pixels, which are sampled at their centres."""


def from_boxes(
    boxes_px: ArrayLike,
    scores: ArrayLike | None = None,
    class_ids: ArrayLike | None = None,
    masks: ArrayLike | None = None,
) -> Detections:
    """Detections of any detector.

    Args:
        boxes_px: (N, 4), x0 y0 x1 y1 in pixels of the frame.
        scores: (N,), 0..1; default: 1 for all.
        class_ids: (N,), whole numbers from 0; default: 0 for all.
        masks: (N, H, W) at the pixels of the frame, bool or probabilities 0..1; or (N, 28, 28) uint8, 0..255, spread
            over each box, which is how Tallycam keeps them. Default: each mask fills its box.

    Returns:
        The detections, best score first. Boxes without an area are left out.

    Raises:
        ValueError: the arrays do not fit together, a box or score is not a finite number, or a box ends before it
            begins, as where x, y, width and height are given.
    """
    boxes = np.asarray(boxes_px, np.float32).reshape(-1, 4)
    count = len(boxes)
    if len(wrong := np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))):
        box = ", ".join(f"{value:g}" for value in boxes[wrong[0]])
        raise ValueError(
            f"boxes_px: row {wrong[0]}: got ({box}), expected x0, y0, x1, y1 with x1 >= x0 and y1 >= y0"
        )
    found = Detections(
        boxes_px=boxes,
        scores=_column(scores, np.float32, 1, count, "scores"),
        class_ids=_column(class_ids, np.int16, 0, count, "class_ids"),
        masks=_grids(masks, boxes),
    )
    if not (np.isfinite(boxes).all() and np.isfinite(found.scores).all()):
        raise ValueError("boxes_px and scores: expected finite numbers, got NaN or infinity")
    if count and found.class_ids.min() < 0:
        raise ValueError(f"class_ids: expected whole numbers from 0, got {found.class_ids.min()}")
    size = boxes[:, 2:] - boxes[:, :2]
    rows = np.argsort(-found.scores, kind="stable")
    rows = rows[(size > 0).all(axis=1)[rows]]
    return Detections(found.boxes_px[rows], found.scores[rows], found.class_ids[rows], found.masks[rows])


def from_supervision(detections: Any) -> Detections:
    """Detections of the library supervision.

    Args:
        detections: a `supervision.Detections`; `xyxy`, `confidence`, `class_id` and `mask` are read.

    Raises:
        ValueError: as `from_boxes`.
    """
    return from_boxes(
        detections.xyxy,
        scores=detections.confidence,
        class_ids=detections.class_id,
        masks=detections.mask,
    )


def to_supervision(found: Detections | Tracks, frame_size: tuple[int, int] | None = None) -> Any:
    """Detections or tracks as a `supervision.Detections`, for its annotators and tools.

    Args:
        found: detections; or tracks, whose ids become `tracker_id`.
        frame_size: width and height in pixels. With it the result has masks at the pixels of the frame.

    Returns:
        The `supervision.Detections`; of tracks with `data["class_name"]`.

    Raises:
        ImportError: supervision is not installed.
    """
    import supervision  # not a dependency: who asks for its classes has it

    masks = None
    if frame_size is not None:
        width, height = frame_size
        pasted = [
            paste_mask(mask, box, width, height)
            for mask, box in zip(found.masks, found.boxes_px, strict=True)
        ]
        masks = np.array(pasted, np.bool_).reshape(-1, height, width)
    ids = getattr(found, "ids", None)
    names = getattr(found, "class_names", None)
    return supervision.Detections(
        xyxy=found.boxes_px,
        mask=masks,
        confidence=found.scores,
        class_id=found.class_ids.astype(np.int64),
        tracker_id=ids,
        data={} if names is None else {"class_name": np.array(names)},
    )


def from_torchvision(output: Mapping[str, Any], score: float = 0.0) -> Detections:
    """Detections of one image from a detection model of torchvision.

    Args:
        output: one dictionary of the list that the model returns: `boxes` (N, 4) in pixels, `labels` (N,), `scores`
            (N,), and for a Mask R-CNN `masks` (N, 1, H, W), 0..1. Tensors on any device.
        score: detections below this score are left out; torchvision's models return everything above 0.05.

    Raises:
        ValueError: as `from_boxes`.
    """
    arrays = {name: _array(output[name]) for name in ("boxes", "labels", "scores", "masks") if name in output}
    keep = arrays["scores"] >= score
    masks = arrays.get("masks")
    return from_boxes(
        arrays["boxes"][keep],
        scores=arrays["scores"][keep],
        class_ids=arrays["labels"][keep],
        masks=None if masks is None else masks[keep, 0],
    )


def _array(value: Any) -> NDArray[Any]:
    """An array of a tensor on any device, or of anything that NumPy understands."""
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def _column(value: ArrayLike | None, dtype: Any, default: int, count: int, name: str) -> NDArray[Any]:
    if value is None:
        return np.full(count, default, dtype)
    column = np.asarray(value)
    if column.shape != (count,):
        raise ValueError(f"{name}: got shape {column.shape}, expected ({count},): one for each box")
    return column.astype(dtype)


def _grids(masks: ArrayLike | None, boxes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, 28, 28) uint8, spread over the boxes."""
    count = len(boxes)
    if masks is None:
        return np.full((count, MASK_SIZE, MASK_SIZE), FULL, np.uint8)
    whole = np.asarray(masks)
    if whole.ndim != 3 or len(whole) != count:
        raise ValueError(
            f"masks: got shape {whole.shape}, expected ({count}, height, width): one for each box"
        )
    if whole.dtype == np.uint8 and whole.shape[1:] == (MASK_SIZE, MASK_SIZE):
        return whole
    grids = [_grid(mask, box) for mask, box in zip(whole, boxes, strict=True)]
    return np.array(grids, np.uint8).reshape(-1, MASK_SIZE, MASK_SIZE)


def _grid(mask: NDArray[Any], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The part of a mask (H, W) that lies in its box, as (28, 28)."""
    height, width = mask.shape
    values = mask.astype(np.float32)
    grid: NDArray[Any]
    if min(box[2:] - box[:2]) < COARSE_PX:
        grid = resample_mask(values, box)
    else:  # means over whole pixels keep the outline; their error of half a pixel is a small part of a cell
        left, top = np.clip(np.round(box[:2]).astype(int), 0, (width - 1, height - 1))
        right, bottom = np.clip(np.round(box[2:]).astype(int), (left + 1, top + 1), (width, height))
        grid = cv2.resize(
            values[top:bottom, left:right], (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA
        )
    return np.asarray(np.round(np.clip(grid, 0, 1) * FULL), np.uint8)
