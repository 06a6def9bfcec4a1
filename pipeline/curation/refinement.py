"""`tallycam data refine`: outlines for objects that have only a box, by GrabCut.

GrabCut (C. Rother, V. Kolmogorov, A. Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts",
2004) divides the pixels of a box by their colours from those around it. Where that gives nothing that can be the
object, the box stays its mask, and the report says so. It helps where objects differ from what is around them in
colour, and does harm where they do not (docs/datasets.md has figures): the result is to be looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.curation.samples import samples, sheet
from pipeline.datasets.dataset import Box, Dataset, Instance, LabelledImage
from pipeline.datasets.image_files import read_image
from pipeline.datasets.instance_masks import box_of
from pipeline.files import make_folder, write_bytes
from pipeline.geometry.mask_paste import Corner
from pipeline.geometry.polygons import Region, few_points
from pipeline.pictures import Picture, encoded

MARGIN = 0.35
"""Share of a box's sides that is looked at around it, to learn what the background looks like."""
LARGEST_SIDE_PX = 320
"""Larger boxes are divided at a smaller scale: a graph cut takes more than linear time."""
ROUNDS = 5
LEAST, MOST = 0.15, 0.97
"""Share of a box between which what was found can be its object; nearly all of it is no outline."""
LEAST_REACH = 0.7
"""Share of the sides of its box that an object reaches over: boxes are drawn around what they hold."""
LEAST_PART = 0.05
"""Parts of an object that are smaller than this share of the largest one are left out."""
LEAST_SIDE_PX = 8.0
REFINED, FAILED, SMALL, CROWD, OUTLINED = "refined", "no outline", "too small", "group", "has an outline"


@dataclass(frozen=True, slots=True)
class Refined:
    """A dataset whose boxes have outlines.

    Attributes:
        dataset: the dataset.
        outcomes: what became of its objects -> how many.
    """

    dataset: Dataset
    outcomes: dict[str, int]


def refine(dataset: Dataset) -> Refined:
    """Gives an outline to each object that has only a box.

    Args:
        dataset: whose images can be read.

    Raises:
        DatasetError: an image cannot be read.
    """
    outcomes: Counter[str] = Counter()
    images = tuple(_refined_image(dataset, image, outcomes) for image in dataset.images)
    return Refined(replace(dataset, images=images), dict(outcomes))


def _refined_image(dataset: Dataset, image: LabelledImage, outcomes: Counter[str]) -> LabelledImage:
    if all(one.has_mask or one.crowd for one in image.instances):
        outcomes.update(CROWD if one.crowd else OUTLINED for one in image.instances)
        return image
    picture = read_image(dataset, image)
    instances = []
    for instance in image.instances:
        new, outcome = _refined(picture, instance)
        outcomes[outcome] += 1
        instances.append(new)
    return replace(image, instances=tuple(instances))


def _refined(picture: Picture, instance: Instance) -> tuple[Instance, str]:
    if instance.crowd:
        return instance, CROWD
    if instance.has_mask:
        return instance, OUTLINED
    x0, y0, x1, y1 = instance.box_px
    if min(x1 - x0, y1 - y0) < LEAST_SIDE_PX:
        return instance, SMALL
    corner, region = outline_in_box(picture, instance.box_px)
    around = box_of(corner, region)
    if around is None:
        return instance, FAILED
    polygons = tuple(few_points(region, corner))
    return replace(instance, box_px=around, polygons=polygons), REFINED


def write_sheet(refined: Refined, path: Path, most: int) -> None:
    """Draws images with their outlines into a PNG file.

    Args:
        refined: of `refine`.
        path: the file.
        most: images.

    Raises:
        OutputError: it cannot be written.
    """
    with_outlines = [
        image for image in refined.dataset.images if any(one.has_mask for one in image.instances)
    ]
    make_folder(path.parent)
    write_bytes(path, encoded(sheet(samples(refined.dataset, with_outlines, most)), ".png"))


def outline_in_box(picture: Picture, box_px: Box) -> tuple[Corner, Region]:
    """The pixels of the object in a box.

    Args:
        picture: (H, W, 3) uint8 RGB.
        box_px: around the object, within the picture.

    Returns:
        Column and row of the upper left pixel of a region, and (h, w) which of its pixels are the object's; none where
        what was found cannot be it.
    """
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box_px
    across, down = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
    left, top = max(int(x0 - across), 0), max(int(y0 - down), 0)
    right, bottom = min(int(np.ceil(x1 + across)), width), min(int(np.ceil(y1 + down)), height)
    part = picture[top:bottom, left:right]
    scale = min(1.0, LARGEST_SIDE_PX / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else part
    inner = [
        round(scale * value)
        for value in (x0 - left, y0 - top, x1 - left, y1 - top)
    ]  # fmt: skip
    found = _divided(np.ascontiguousarray(small), inner)
    columns, rows = slice(inner[0], inner[2]), slice(inner[1], inner[3])
    if not _can_be_the_object(found[rows, columns]):
        return (left, top), np.zeros((0, 0), np.bool_)
    if scale < 1:
        size = (part.shape[1], part.shape[0])
        large = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        found = large >= 0.5
    return (left, top), found


def _divided(part: Picture, inner: Sequence[int]) -> Region:
    """(h, w) the pixels of the object, of which none is outside of the inner box."""
    labels = np.full(part.shape[:2], cv2.GC_BGD, np.uint8)
    labels[inner[1] : inner[3], inner[0] : inner[2]] = cv2.GC_PR_FGD
    if not (labels == cv2.GC_BGD).any() or not (labels == cv2.GC_PR_FGD).any():
        return np.zeros(part.shape[:2], np.bool_)
    cv2.setRNGSeed(0)  # the clusters of its colour models begin at random places
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = cv2.cvtColor(part, cv2.COLOR_RGB2BGR)
    cv2.grabCut(bgr, labels, (0, 0, 0, 0), background, foreground, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return _whole(np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)))


def _whole(region: Region) -> Region:
    """A region without specks and holes."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    if count < 2:
        return np.zeros(region.shape, np.bool_)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    kept: NDArray[np.intp] = 1 + np.flatnonzero(areas >= LEAST_PART * areas.max())
    whole = np.isin(parts, kept).astype(np.uint8)
    contours, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(whole, contours, -1, (1,), cv2.FILLED)
    return np.asarray(filled) > 0


def _can_be_the_object(inside: Region) -> bool:
    """Whether a region of a box is large enough, is not all of it, and reaches over it."""
    share = np.count_nonzero(inside) / max(inside.size, 1)
    if not LEAST <= share <= MOST:
        return False
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    reach = (rows[-1] - rows[0] + 1) / inside.shape[0], (columns[-1] - columns[0] + 1) / inside.shape[1]
    return bool(min(reach) >= LEAST_REACH)
