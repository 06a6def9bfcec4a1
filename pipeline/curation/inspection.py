"""`tallycam data inspect`: what is in a dataset, and what is wrong with it."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.datasets.alike import Pair, alike, fingerprints
from pipeline.datasets.checks import check_labels, check_leaks
from pipeline.datasets.dataset import Dataset, LabelledImage
from pipeline.datasets.instance_masks import mask_region
from pipeline.datasets.problems import Problem, kinds
from pipeline.datasets.usable import usable
from pipeline.datasets.writing import by_split
from pipeline.evaluation.report import Fact, Sheet, percent

SMALL_PX, LARGE_PX = 32**2, 96**2
"""Areas up to which an object is small, and from which on it is large, as COCO counts them."""
RARE = 0.02
"""Share of the objects below which a class is pointed out."""
NO_SPLIT = "-"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a dataset.

    Attributes:
        dataset: without the images and objects that cannot be used.
        problems: everything that is wrong or odd.
        pairs: images that are the same or nearly so.
        areas_px: class -> areas of its masks in pixels.
    """

    dataset: Dataset
    problems: tuple[Problem, ...]
    pairs: tuple[Pair, ...]
    areas_px: Mapping[str, Sequence[int]]

    @property
    def left_out(self) -> int:
        """Number of records and images that cannot be used."""
        return sum(problem.left_out for problem in self.problems)

    @property
    def leaks(self) -> int:
        """Number of images that are in two splits."""
        return sum(problem.kind == "leak between splits" for problem in self.problems)


def inspect(dataset: Dataset) -> Inspection:
    """Looks at all files and labels of a dataset.

    Args:
        dataset: as it was read.
    """
    kept = usable(dataset)
    pairs = alike(kept, fingerprints(kept))
    problems = [*kept.problems, *check_labels(kept), *check_leaks(kept, pairs)]
    areas: dict[str, list[int]] = {name: [] for name in kept.classes}
    for image in kept.images:
        for instance in image.instances:
            areas[kept.classes[instance.class_id]].append(
                int(np.count_nonzero(mask_region(instance, image)[1]))
            )
    return Inspection(kept, tuple(problems), tuple(pairs), areas)


def facts(found: Inspection) -> tuple[Fact, ...]:
    """The headline figures."""
    images = found.dataset.images
    objects = [one for image in images for one in image.instances]
    identical = sum(pair.identical for pair in found.pairs)
    without = sum(not one.has_mask for one in objects)
    empty = sum(not image.instances for image in images)
    return (
        Fact("images", str(len(images)), f"{empty} without objects"),
        Fact("objects", str(len(objects)), f"{len(found.dataset.classes)} classes"),
        Fact("only boxes", str(without), "objects without a mask"),
        Fact("left out", str(found.left_out), "faulty records and images", wrong=found.left_out > 0),
        Fact("alike", str(len(found.pairs)), f"pairs of images, {identical} of identical files"),
        Fact("leaks", str(found.leaks), "pairs in two splits", wrong=found.leaks > 0),
    )


def sheets(found: Inspection) -> tuple[Sheet, ...]:
    """The tables: splits, classes, sizes of images, and faults."""
    return tuple(
        sheet for sheet in (_splits(found), _classes(found), _sizes(found), _faults(found)) if sheet.rows
    )


def _splits(found: Inspection) -> Sheet:
    rows = tuple(
        (
            split,
            len(images),
            sum(not one.instances for one in images),
            sum(len(one.instances) for one in images),
        )
        for split, images in by_split(found.dataset, NO_SPLIT).items()
    )
    return Sheet("Splits", ("split", "images", "without objects", "objects"), rows)


def _classes(found: Inspection) -> Sheet:
    images: Counter[int] = Counter()
    splits: dict[int, Counter[str]] = {}
    for image in found.dataset.images:
        images.update({one.class_id for one in image.instances})
        for one in image.instances:
            splits.setdefault(one.class_id, Counter())[image.split or NO_SPLIT] += 1
    total = sum(map(len, found.areas_px.values()))
    names = found.dataset.splits
    rows = []
    rare = set()
    for class_id, name in enumerate(found.dataset.classes):
        areas = found.areas_px[name]
        if len(areas) < RARE * total:
            rare.add(class_id)
        small, large = sum(area < SMALL_PX for area in areas), sum(area >= LARGE_PX for area in areas)
        own = splits.get(class_id, Counter())
        rows.append(
            (
                name, len(areas), percent(len(areas), total), images[class_id],
                statistics.median(areas) ** 0.5 if areas else None,
                small, len(areas) - small - large, large, *(own[split] for split in names),
            )
        )  # fmt: skip
    header = (
        "class", "objects", "share %", "images", "median side, px", "small", "medium", "large", *names,
    )  # fmt: skip
    note = "Small is below 32 x 32 pixels, large from 96 x 96 on. The side is the root of the area."
    note += f" Red: less than {RARE:.0%} of the objects." if rare else ""
    return Sheet("Classes", header, tuple(rows), note=note, wrong=frozenset(rare))


def _sizes(found: Inspection) -> Sheet:
    sizes = Counter((image.width, image.height) for image in found.dataset.images)
    rows = tuple((f"{width}x{height}", count) for (width, height), count in sizes.most_common(6))
    note = f"The most frequent of {len(sizes)} sizes." if len(sizes) > len(rows) else ""
    return Sheet("Sizes of images", ("size", "images"), rows, note=note)


def _faults(found: Inspection) -> Sheet:
    rows = []
    for kind, count in kinds(found.problems).items():
        first = next(problem for problem in found.problems if problem.kind == kind)
        rows.append((kind, count, "yes" if first.left_out else "no", first.where, first.text))
    header = ("fault", "number", "left out", "first at", "what")
    note = "All of them are in inspect.json." if len(found.problems) > len(rows) else ""
    return Sheet("Faults", header, tuple(rows), note=note)


def as_json(found: Inspection) -> dict[str, Any]:
    """Everything that was found as plain values."""
    images = found.dataset.images
    return {
        "root": str(found.dataset.root),
        "format": found.dataset.format,
        "images": len(images),
        "classes": {name: len(areas) for name, areas in found.areas_px.items()},
        "splits": dict(Counter(image.split or NO_SPLIT for image in images)),
        "problems": [
            {"kind": one.kind, "where": one.where, "text": one.text, "left_out": one.left_out}
            for one in found.problems
        ],
        "alike": [
            {
                "first": images[pair.first].path,
                "second": images[pair.second].path,
                "identical": pair.identical,
            }
            for pair in found.pairs
        ],
    }


def varied(dataset: Dataset, seed: int = 1) -> list[LabelledImage]:
    """The images in an order whose beginning shows every class and split, the rare ones first.

    Args:
        dataset: the images.
        seed: of the order of images that show the same.
    """
    order = list(dataset.images)
    random.Random(seed).shuffle(order)
    seen: Counter[tuple[str, int]] = Counter()
    chosen: list[LabelledImage] = []
    waiting = order
    while waiting and len(chosen) < 200:
        best = min(
            waiting[:400],
            key=lambda image: min(
                (seen[image.split, one.class_id] for one in image.instances), default=len(chosen) // 8
            ),
        )
        waiting.remove(best)
        chosen.append(best)
        seen.update({(best.split, one.class_id) for one in best.instances})
    return chosen + waiting
