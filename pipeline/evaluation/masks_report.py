"""The report on masks: figures, tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.evaluation import svg
from pipeline.evaluation.image_matches import ImageMatches, confusion, confusion_sheet
from pipeline.evaluation.mask_scores import MATCHED_IOU, ClassScore, MaskScores
from pipeline.evaluation.report import Cell, Evaluation, Fact, Figure, Sheet, percent_text

BINS = 20


def masks_report(
    scores: MaskScores,
    matches: Sequence[ImageMatches],
    subject: str,
    notes: tuple[str, ...] = (),
    pictures: tuple[Figure, ...] = (),
) -> Evaluation:
    """The report of an evaluation of masks.

    Args:
        scores: what was evaluated.
        matches: what was found right, wrong or not at all, by image.
        subject: what was compared with what, in words.
        notes: what the reader must know.
        pictures: of the worst images.
    """
    total = scores.total
    small, medium, large = scores.sizes
    facts = (
        Fact("AP", percent_text(total.ap), f"COCO, IoU 0.50 to 0.95, {scores.images} images"),
        Fact("AP50", percent_text(total.ap50), f"AP75 {percent_text(total.ap75)}"),
        Fact("mean IoU", percent_text(total.iou), "of the matched masks"),
        Fact("pixel IoU", percent_text(total.pixel_iou), "mean of the classes"),
        Fact("precision", percent_text(total.precision_at), f"at IoU 0.5, score {scores.score:g}"),
        Fact("recall", percent_text(total.recall_at), f"{total.hits} of {total.true} objects"),
    )
    occurring = [one for one in scores.classes if one.true or one.found]
    if absent := len(scores.classes) - len(occurring):
        notes = (*notes, f"{absent} classes without a true or found object are not listed.")
    classes = (*occurring, total)
    by_class = Sheet(
        "IoU by class",
        (
            "class",
            "true",
            "found",
            "matched",
            "precision %",
            "recall %",
            "IoU %",
            "IoU, missed 0 %",
            "pixel IoU %",
        ),
        tuple(map(_at_half, classes)),
        f"Masks of score {scores.score:g} or more, matched one to one at IoU {MATCHED_IOU}. IoU: mean over the matched "
        "pairs; missed 0: missed objects count as 0; pixel IoU: all pixels of a class together.",
        total=True,
    )
    coco = Sheet(
        "COCO, all scores",
        ("class", "AP %", "AP50 %", "AP75 %", "recall %"),
        tuple((one.name, one.ap, one.ap50, one.ap75, one.recall) for one in classes),
        f"AP by size: small {percent_text(small)}, medium {percent_text(medium)}, large {percent_text(large)}.",
        total=True,
    )
    data: dict[str, Any] = {
        "kind": "masks", "images": scores.images, "score": scores.score, **_data(total),
        "ap_small": small, "ap_medium": medium, "ap_large": large,
        "classes": {one.name: _data(one) for one in scores.classes},
    }  # fmt: skip
    names = [one.name for one in scores.classes]
    table = confusion(matches, names)
    data["confusion"] = table.tolist()
    sheets = (by_class, coco, confusion_sheet(table, names))
    figures = (*_figures(scores), *pictures)
    return Evaluation("Masks against the truth", subject, facts, sheets, figures, data, notes)


def _at_half(one: ClassScore) -> tuple[Cell, ...]:
    return (
        one.name, one.true, one.found, one.hits, one.precision_at, one.recall_at, one.iou, one.iou_all,
        one.pixel_iou,
    )  # fmt: skip


def _data(one: ClassScore) -> dict[str, Any]:
    data = asdict(one)
    del data["curve"], data["name"]
    return data | {"precision": one.precision_at, "recall_at_score": one.recall_at}


def _figures(scores: MaskScores) -> list[Figure]:
    seen = [one for one in scores.classes if one.true]
    groups = [svg.Bars(one.name, (one.iou, one.pixel_iou)) for one in seen[:24]]
    figures = [Figure("IoU by class, %", svg.bars(groups, ("mean of matches", "pixels"), most=100.0))]
    groups = [svg.Bars(one.name, (one.precision_at, one.recall_at)) for one in seen[:24]]
    title = f"Precision and recall at score {scores.score:g}, %"
    figures.append(Figure(title, svg.bars(groups, ("precision", "recall"), most=100.0)))
    most = sorted(seen, key=lambda one: -one.true)[: len(svg.COLOURS)]
    lines = [svg.Curve(one.name, one.curve, place) for place, one in enumerate(most) if one.curve]
    plot = svg.curves(lines, x=(0.0, 1.0, "recall"), y=(0.0, 1.0, "precision"))
    figures.append(Figure("Precision over recall at IoU 0.5", plot))
    counts, _ = np.histogram(scores.ious, BINS, (0.5, 1.0))
    plot = svg.columns(counts.tolist(), x=(0.5, 1.0, "IoU"), y="pairs")
    figures.append(Figure("IoU of matched masks", plot))
    return figures
