"""A part of a dataset."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pipeline.datasets.dataset import Dataset
from pipeline.datasets.problems import DatasetError


def select_classes(dataset: Dataset, names: Collection[str]) -> Dataset:
    """The objects of some classes.

    Args:
        dataset: as it was read.
        names: of the classes, which get their ids in this order; case does not matter.

    Returns:
        Images in which none of their objects is of these classes are left out; those that had none stay.

    Raises:
        DatasetError: the dataset lacks one of the classes.
    """
    known = {name.casefold(): class_id for class_id, name in enumerate(dataset.classes)}
    wanted = list(dict.fromkeys(name.strip().casefold() for name in names))
    for name in wanted:
        if name not in known:
            raise DatasetError(
                f"{dataset.root}: has no class {name!r}; it has {', '.join(dataset.classes[:30]) or 'none'}"
            )
    new_ids = {known[name]: place for place, name in enumerate(wanted)}
    images = []
    for image in dataset.images:
        kept = tuple(
            replace(one, class_id=new_ids[one.class_id]) for one in image.instances if one.class_id in new_ids
        )
        if kept or not image.instances:
            images.append(replace(image, instances=kept))
    classes = tuple(dataset.classes[known[name]] for name in wanted)
    return replace(dataset, classes=classes, images=tuple(images))
