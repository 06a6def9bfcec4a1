"""Masks compared with the truth: COCO average precision, and matches at IoU 0.5 for masks above a score.

AP is that of Lin et al., 2014 (pycocotools). Matches follow COCO, too: in descending order of score, each mask is
matched to the free true object of its class with the highest IoU, if that is at least 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.mask_files import FoundMasks, Mask, TrueMasks
from pipeline.evaluation.report import EvaluationError, percent

MATCHED_IOU = 0.5
DETECTIONS = 100
"""Largest number of detections in an image, as in COCO."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The scores of one class, or of all. Percentages, NaN if undefined.

    Attributes:
        name: of the class.
        ap, ap50, ap75, recall: as defined by COCO, over all scores.
        true, found: true objects, and masks above the score; crowd and its matches are left out.
        hits: matches at IoU 0.5.
        iou: mean IoU of the matches.
        iou_all: mean IoU of all true objects, 0 for missed ones.
        pixel_iou: IoU of all pixels of the class together.
        curve: (recall, precision) at IoU 0.5, 0..1.
    """

    name: str
    ap: float
    ap50: float
    ap75: float
    recall: float
    true: int
    found: int
    hits: int
    iou: float
    iou_all: float
    pixel_iou: float
    curve: tuple[tuple[float, float], ...]

    @property
    def precision_at(self) -> float:
        """Precision at the score."""
        return percent(self.hits, self.found)

    @property
    def recall_at(self) -> float:
        """Recall at the score."""
        return percent(self.hits, self.true)


@dataclass(frozen=True, slots=True)
class MaskScores:
    """The scores of all classes.

    Attributes:
        classes: each class.
        total: all classes together.
        sizes: COCO AP of small, medium and large objects (areas up to 32^2, up to 96^2, and above).
        ious: IoU of each match.
        images: number of images.
        score: masks below it count only towards AP.
    """

    classes: tuple[ClassScore, ...]
    total: ClassScore
    sizes: tuple[float, float, float]
    ious: tuple[float, ...]
    images: int
    score: float


def score_masks(truth: TrueMasks, found: FoundMasks, score: float = 0.5) -> MaskScores:
    """Score detected masks.

    Args:
        truth: the ground truth.
        found: the detections.
        score: masks below it count only towards AP.

    Raises:
        EvaluationError: pycocotools is not installed, or the truth has no object.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise EvaluationError(
            f"evaluate masks needs the package {error.name}; pip install pycocotools"
        ) from None
    images = [place for place in range(len(truth.names)) if found.seen is None or place in found.seen]
    true = [mask for mask in truth.masks if found.seen is None or mask.image in found.seen]
    if not any(not mask.crowd for mask in true):
        raise EvaluationError("the truth has no object in the evaluated images")
    with redirect_stdout(StringIO()):
        one, other = COCO(), COCO()
        one.dataset = _dataset(truth, images, true)
        one.createIndex()
        other.dataset = _dataset(truth, images, found.masks)
        other.createIndex()
        coco = COCOeval(one, other, "segm")
        coco.params.maxDets = [1, 10, DETECTIONS]
        coco.evaluate()
        coco.accumulate()
    precision = coco.eval["precision"][:, :, :, :, -1]  # IoU, recall, class, size
    recall = coco.eval["recall"][:, :, 0, -1]
    pairs = [_matches(coco, number, score) for number in range(len(truth.classes))]
    pixels = [_pixels(true, found.masks, name, score) for name in truth.classes]
    classes = tuple(
        _class_score(name, precision[:, :, number, 0], recall[:, number], pairs[number], pixels[number])
        for number, name in enumerate(truth.classes)
    )
    ious = [iou for pair in pairs for iou in pair[0]]
    counts = sum(pair[1] for pair in pairs), sum(pair[2] for pair in pairs)
    total = _class_score("all", precision[..., 0], recall, (ious, *counts), (0, 0))
    known = [one.pixel_iou for one in classes if np.isfinite(one.pixel_iou)]
    total = _replace_pixels(total, float(np.mean(known)) if known else float("nan"))
    small, medium, large = (_mean(precision[..., size]) for size in (1, 2, 3))
    return MaskScores(classes, total, (small, medium, large), tuple(ious), len(images), score)


def _dataset(truth: TrueMasks, images: list[int], masks: Sequence[Mask]) -> dict[str, Any]:
    from pycocotools import mask as coco

    areas = coco.area([mask.rle for mask in masks]).tolist() if masks else []
    annotations = [
        {
            "id": number,
            "image_id": mask.image + 1,
            "category_id": truth.classes.index(mask.class_name) + 1,
            "segmentation": mask.rle,
            "area": area,
            "bbox": [0, 0, 0, 0],
            "iscrowd": int(mask.crowd),
            "score": mask.score,
        }
        for number, (mask, area) in enumerate(zip(masks, areas, strict=True), start=1)
    ]
    return {
        "info": {},
        "images": [
            {"id": place + 1, "width": truth.sizes[place][0], "height": truth.sizes[place][1]}
            for place in images
        ],
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(truth.classes)],
        "annotations": annotations,
    }


def _matches(coco: Any, number: int, score: float) -> tuple[list[float], int, int]:
    """Of one class: the IoU of each match at IoU 0.5, the number of true objects, and that of masks above the score."""
    ious: list[float] = []
    true = found = 0
    per_class = len(coco.params.areaRng) * len(coco.params.imgIds)
    for image in coco.evalImgs[number * per_class : number * per_class + len(coco.params.imgIds)]:
        if image is None:
            continue
        true += int((~np.asarray(image["gtIgnore"], bool)).sum())
        used = np.asarray(image["dtScores"]) >= score
        ignored = np.asarray(image["dtIgnore"][0], bool)
        matched = np.asarray(image["dtMatches"][0], np.int64)
        found += int((used & ~ignored).sum())
        key = image["image_id"], image["category_id"]
        column = {one["id"]: place for place, one in enumerate(coco._gts[key])}
        hits = np.flatnonzero(used & ~ignored & (matched > 0)).tolist()
        ious += [float(coco.ious[key][row][column[int(matched[row])]]) for row in hits]
    return ious, true, found


def _pixels(true: Sequence[Mask], found: Sequence[Mask], name: str, score: float) -> tuple[int, int]:
    """Intersection and union of the pixels of a class over all images, without those of crowd."""
    from pycocotools import mask as coco

    parts: dict[int, tuple[list[Any], list[Any], list[Any]]] = {}
    for mask in true:
        if mask.class_name == name:
            parts.setdefault(mask.image, ([], [], []))[2 if mask.crowd else 0].append(mask.rle)
    for mask in found:
        if mask.class_name == name and mask.score >= score:
            parts.setdefault(mask.image, ([], [], []))[1].append(mask.rle)
    both = either = 0
    for one, other, crowd in parts.values():
        in_crowd = int(coco.area(coco.merge(crowd))) if crowd else 0
        either += int(coco.area(coco.merge([*one, *other, *crowd]))) - in_crowd
        if one and other:
            common = coco.merge([coco.merge(one), coco.merge(other)], intersect=True)
            both += int(coco.area(coco.merge([common, *crowd]))) - in_crowd
    return both, either


def _class_score(
    name: str,
    precision: NDArray[np.float64],
    recall: NDArray[np.float64],
    pairs: tuple[list[float], int, int],
    pixels: tuple[int, int],
) -> ClassScore:
    """`precision`: (IoU, recall[, class]); `recall`: (IoU[, class])."""
    ious, true, found = pairs
    at_half = precision[0].reshape(precision.shape[1], -1)
    known = at_half[:, (at_half > -1).all(axis=0)]
    levels = np.linspace(0.0, 1.0, precision.shape[1]).tolist()
    curve = tuple(zip(levels, known.mean(axis=1).tolist(), strict=True)) if known.size else ()
    return ClassScore(
        name=name,
        ap=_mean(precision),
        ap50=_mean(precision[0]),
        ap75=_mean(precision[5]),
        recall=_mean(recall),
        true=true,
        found=found,
        hits=len(ious),
        iou=100 * float(np.mean(ious)) if ious else float("nan"),
        iou_all=percent(sum(ious), true),
        pixel_iou=percent(*pixels),
        curve=curve,
    )


def _replace_pixels(score: ClassScore, pixel_iou: float) -> ClassScore:
    """Pixel IoU of all classes together: their mean, so that each class has the same weight."""
    return replace(score, pixel_iou=pixel_iou)


def _mean(values: NDArray[np.float64]) -> float:
    """Mean in percent of the values that COCO could compute; it marks the others with -1."""
    known = values[values > -1]
    return 100 * float(known.mean()) if known.size else float("nan")
