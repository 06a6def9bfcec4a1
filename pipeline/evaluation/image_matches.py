"""What was found right, wrong or not at all, image by image: the confusion matrix and the worst images.

Unlike in COCO's figures, a mask may match an object of another class: that is what confusion means. In descending order
of score, each mask takes the free true object with the highest IoU, if that is at least 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.mask_files import FoundMasks, Mask, TrueMasks
from pipeline.evaluation.report import Sheet

MATCHED_IOU = 0.5
BACKGROUND = "(nothing)"
CLASSES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """The matches of one image.

    Attributes:
        image: index of the image in the truth.
        pairs: true object, what was found of it, and their IoU 0..1.
        missed: true objects without a match.
        false: masks without a match.
    """

    image: int
    pairs: tuple[tuple[Mask, Mask, float], ...]
    missed: tuple[Mask, ...]
    false: tuple[Mask, ...]

    @property
    def cost(self) -> float:
        """How bad it is: one for each object that is missed, false or of the wrong class, and what IoU lacks."""
        wrong = sum(true.class_name != found.class_name for true, found, _ in self.pairs)
        return len(self.missed) + len(self.false) + wrong + sum(1 - iou for _, _, iou in self.pairs)


def match_images(truth: TrueMasks, found: FoundMasks, score: float = 0.5) -> list[ImageMatches]:
    """Matches the masks of each image.

    Args:
        truth: the ground truth.
        found: what the model found.
        score: masks below it are left out.
    """
    true_of: dict[int, list[Mask]] = {}
    found_of: dict[int, list[Mask]] = {}
    for mask in truth.masks:
        true_of.setdefault(mask.image, []).append(mask)
    for mask in found.masks:
        if mask.score >= score:
            found_of.setdefault(mask.image, []).append(mask)
    images = sorted(found.seen) if found.seen is not None else range(len(truth.names))
    return [_match(image, true_of.get(image, []), found_of.get(image, [])) for image in images]


def _match(image: int, true: Sequence[Mask], found: Sequence[Mask]) -> ImageMatches:
    from pycocotools import mask as coco

    found = sorted(found, key=lambda mask: -mask.score)
    free = set(range(len(true)))
    pairs, false = [], []
    ious = np.zeros((len(found), len(true)))
    if found and true:
        crowds = [int(mask.crowd) for mask in true]
        ious = np.asarray(coco.iou([mask.rle for mask in found], [mask.rle for mask in true], crowds))
    for row, mask in enumerate(found):
        candidates = [place for place in free if ious[row, place] >= MATCHED_IOU]
        # An object that counts goes before a crowd, which may take any number of masks.
        best = max(candidates, key=lambda place: (not true[place].crowd, ious[row, place]), default=None)
        if best is None:
            false.append(mask)
        elif not true[best].crowd:
            free.remove(best)
            pairs.append((true[best], mask, float(ious[row, best])))
    missed = tuple(true[place] for place in sorted(free) if not true[place].crowd)
    return ImageMatches(image, tuple(pairs), missed, tuple(false))


def best_score(matches: Sequence[ImageMatches]) -> float:
    """The score from which on masks should be used: that of the highest F1, a multiple of 0.05.

    Args:
        matches: of all images, matched at a low score. Masks are matched in descending order of score, so leaving out
            those below a higher score changes nothing for the others.
    """
    hits = np.array([found.score for one in matches for true, found, _ in one.pairs
                     if true.class_name == found.class_name])  # fmt: skip
    wrong = np.array([mask.score for one in matches for mask in one.false] + [
        found.score for one in matches for true, found, _ in one.pairs if true.class_name != found.class_name
    ])  # fmt: skip
    true = sum(len(one.pairs) + len(one.missed) for one in matches)
    scores = np.arange(1, 20) / 20
    f1 = [2 * (hits >= s).sum() / max(1, (hits >= s).sum() + (wrong >= s).sum() + true) for s in scores]
    return float(scores[int(np.argmax(f1))])


def confusion(matches: Sequence[ImageMatches], classes: Sequence[str]) -> NDArray[np.int64]:
    """The confusion matrix.

    Args:
        matches: of all images.
        classes: names.

    Returns:
        (C + 1, C + 1): row, the true class; column, the class that was found; last, nothing.
    """
    place = {name: number for number, name in enumerate(classes)}
    table = np.zeros((len(classes) + 1, len(classes) + 1), np.int64)
    for one in matches:
        for true, found, _ in one.pairs:
            table[place[true.class_name], place[found.class_name]] += 1
        for mask in one.missed:
            table[place[mask.class_name], -1] += 1
        for mask in one.false:
            table[-1, place[mask.class_name]] += 1
    return table


def confusion_sheet(table: NDArray[np.int64], classes: Sequence[str]) -> Sheet:
    """The confusion matrix as a table: the classes with the most true objects.

    Args:
        table: of `confusion`.
        classes: names.
    """
    used = [number for number in range(len(classes)) if table[number].any() or table[:, number].any()]
    used = sorted(sorted(used, key=lambda number: -int(table[number].sum()))[:CLASSES_SHOWN])
    rows = [*used, len(classes)]
    names = [*classes, BACKGROUND]
    return Sheet(
        "Confusion",
        ("true \\ found", *(names[column] for column in rows)),
        tuple((names[row], *(int(table[row, column]) for column in rows)) for row in rows),
        f"Masks of any class matched one to one at IoU {MATCHED_IOU}. Last column: missed; last row: found where "
        "there is nothing.",
    )


def worst(matches: Sequence[ImageMatches], count: int) -> list[ImageMatches]:
    """The images with the most mistakes, the worst first; those without a mistake are left out.

    Args:
        matches: of all images.
        count: how many, at most.
    """
    bad = [one for one in matches if one.missed or one.false or any(iou < 0.75 for *_, iou in one.pairs)]
    return sorted(bad, key=lambda one: (-one.cost, one.image))[:count]
