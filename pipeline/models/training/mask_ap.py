"""Mask AP of a model on rendered frames: COCO's metric (Lin et al., Microsoft COCO, 2014), by pycocotools.

True objects that count have at least `COUNTED_PX` visible pixels, and at least `COUNTED_SHARE` of the whole silhouette
is visible (parts outside the picture are not). The rest are "crowd" in COCO's sense: a detection of them is neither
right nor wrong. Both depend on the ground truth alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mask_paste import paste_mask
from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.models.training.augment import mask_targets
from pipeline.models.training.scene_samples import LabelledFrame

COUNTED_PX = 64
COUNTED_SHARE = 0.25
MAX_DETECTIONS = 100
"""Per frame, as in COCO."""


def oracle_detections(frame: LabelledFrame, classes: Sequence[str]) -> Detections:
    """The detections of a perfect model: true boxes, true masks on the 28 x 28 grid. Their AP is the upper bound.

    Args:
        frame: the ground truth.
        classes: names of the class ids.
    """
    height, width = frame.labels.shape
    boxes, ids, names = [], [], []
    for instance in frame.instances:
        rows, columns = np.nonzero(frame.labels == instance.label)
        if len(rows):
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            ids.append(instance.label)
            names.append(list(classes).index(instance.class_name))
    boxes_px = np.array(boxes, np.float32).reshape(-1, 4)
    whole = Letterbox(0, 0, width, height, 1.0, 1.0)
    cells = mask_targets(frame.labels.astype(np.uint8), np.array(ids, np.int64), boxes_px, whole, MASK_SIZE)
    masks = (cells * 255).round().astype(np.uint8)
    return Detections(boxes_px, np.ones(len(ids), np.float32), np.array(names, np.int16), masks)


def average_precision(
    frames: Sequence[LabelledFrame], found: Sequence[Detections], classes: Sequence[str]
) -> dict[str, float | dict[str, float]]:
    """COCO mask AP of detections.

    Args:
        frames: the ground truth.
        found: one for each frame, in its pixels.
        classes: names of the class ids.

    Returns:
        `ap` (IoU 0.50:0.95), `ap50`, `ap75`, `recall`, `ap_by_class`, `ap50_by_class`, NaN where there are no objects;
        and how many `objects` were counted and `ignored`.
    """
    from pycocotools import mask as rle  # from the extra `evaluate`
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truths: list[dict[str, Any]] = []
    guesses: list[dict[str, Any]] = []
    for image_id, (frame, one) in enumerate(zip(frames, found, strict=True), start=1):
        height, width = frame.labels.shape
        for instance in frame.instances:
            mask = frame.labels == instance.label
            area = int(np.count_nonzero(mask))
            if not area:
                continue
            counted = area >= COUNTED_PX and instance.visible >= COUNTED_SHARE
            truths.append({
                "id": len(truths) + 1,
                "image_id": image_id,
                "category_id": list(classes).index(instance.class_name) + 1,
                "segmentation": rle.encode(np.asfortranarray(mask, np.uint8)),
                "area": area,
                "bbox": [0, 0, 0, 0],
                "iscrowd": int(not counted),
            })  # fmt: skip
        for row, class_id in enumerate(one.class_ids):
            mask = paste_mask(one.masks[row], one.boxes_px[row], width, height)
            guesses.append({
                "image_id": image_id,
                "category_id": int(class_id) + 1,
                "segmentation": rle.encode(np.asfortranarray(mask, np.uint8)),
                "score": float(one.scores[row]),
            })  # fmt: skip
    with redirect_stdout(StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": index + 1, "height": m.labels.shape[0], "width": m.labels.shape[1]}
                       for index, m in enumerate(frames)],
            "categories": [{"id": index + 1, "name": name} for index, name in enumerate(classes)],
            "annotations": truths,
        }  # fmt: skip
        truth.createIndex()
        score = COCOeval(truth, truth.loadRes(guesses) if guesses else COCO(), "segm")
        score.params.maxDets = [1, 10, MAX_DETECTIONS]
        score.evaluate()
        score.accumulate()
    precision = score.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class
    recall = score.eval["recall"][:, :, 0, -1]
    return {
        "ap": _mean(precision),
        "ap50": _mean(precision[0]),
        "ap75": _mean(precision[5]),
        "recall": _mean(recall),
        "ap_by_class": {name: _mean(precision[:, :, index]) for index, name in enumerate(classes)},
        "ap50_by_class": {name: _mean(precision[0, :, index]) for index, name in enumerate(classes)},
        "objects": float(sum(not truth["iscrowd"] for truth in truths)),
        "ignored": float(sum(truth["iscrowd"] for truth in truths)),
    }


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of the values that pycocotools could compute; it marks the others by -1."""
    known = values[values > -1]
    return round(float(known.mean()), 4) if known.size else float("nan")
