"""What is wrong or odd in a dataset beyond what its reader says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.datasets.alike import Pair
from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.instance_masks import box_of, mask_region
from pipeline.datasets.problems import Problems
from pipeline.geometry.boxes import box_iou
from pipeline.geometry.polygons import crosses_itself

SMALL_PX = 16
"""Masks of fewer pixels are pointed out."""
SAME_IOU = 0.95
"""Boxes of two objects of one class that overlap more are one object labelled twice."""
MAX_VERTICES = 4000
"""Of polygons that are looked at for crossings."""


def check_labels(dataset: Dataset) -> Problems:
    """Self-crossing polygons, tiny masks, objects labelled twice, and classes without objects.

    Args:
        dataset: whose images need not be there.
    """
    problems = Problems()
    for image in dataset.images:
        for instance in image.instances:
            _check_instance(image, instance, problems)
        _check_doubles(dataset, image, problems)
    used = {one.class_id for image in dataset.images for one in image.instances}
    for class_id, name in enumerate(dataset.classes):
        if class_id not in used:
            problems.add("class without objects", str(dataset.root), f"class {name}", left_out=False)
    return problems


def check_leaks(dataset: Dataset, pairs: Sequence[Pair]) -> Problems:
    """Images that are in two splits.

    Args:
        dataset: with splits.
        pairs: images that are the same or nearly so.
    """
    problems = Problems()
    for pair in pairs:
        first, second = dataset.images[pair.first], dataset.images[pair.second]
        if first.split != second.split:
            how = "is the same file as" if pair.identical else "looks like"
            text = f"{first.split}/{first.path} {how} {second.split}/{second.path}"
            problems.add("leak between splits", second.where, text, left_out=False)
    return problems


def _check_instance(image: LabelledImage, instance: Instance, problems: Problems) -> None:
    if any(len(one) <= MAX_VERTICES and crosses_itself(one) for one in instance.polygons):
        text = "the polygon crosses itself; parts where it overlaps itself are holes"
        problems.add("self-crossing polygon", instance.where, text, left_out=False)
    corner, region = mask_region(instance, image)
    pixels = int(np.count_nonzero(region))
    if 0 < pixels < SMALL_PX:
        text = f"the mask has {pixels} pixels"
        problems.add("tiny mask", instance.where, text, left_out=False)
    if pixels == 0:
        problems.add("no pixels", instance.where, "the mask covers no pixel of the image", left_out=False)
    elif (box := box_of(corner, region)) is not None and pixels == image.width * image.height:
        text = f"the mask is the whole image, {box[2]:.0f}x{box[3]:.0f} pixels"
        problems.add("mask of the whole image", instance.where, text, left_out=False)


def _check_doubles(dataset: Dataset, image: LabelledImage, problems: Problems) -> None:
    if len(image.instances) < 2:
        return
    boxes = np.array([one.box_px for one in image.instances])
    classes = np.array([one.class_id for one in image.instances])
    same = (box_iou(boxes, boxes) > SAME_IOU) & (classes[:, None] == classes[None])
    for first, second in np.argwhere(np.triu(same, 1)):
        one, two = image.instances[int(first)], image.instances[int(second)]
        text = f"{dataset.classes[one.class_id]} is labelled twice, first at {one.where}"
        problems.add("object twice", two.where, text, left_out=False)
