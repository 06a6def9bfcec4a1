"""The images to train on and those to evaluate on, from a dataset."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.dataset import Dataset, Instance
from pipeline.datasets.dataset import LabelledImage as DatasetImage
from pipeline.datasets.formats import read_dataset, recognise
from pipeline.datasets.image_files import read_image
from pipeline.datasets.instance_masks import full_mask
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.usable import usable

TRAIN, VAL = "train", "val"
VAL_SHARE = 0.2
"""Share of the images that are held out where the dataset is not divided."""


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """One object of an image.

    Attributes:
        class_id: index into the classes to learn.
        instance: its mask.
    """

    class_id: int
    instance: Instance

    @property
    def crowd(self) -> bool:
        """A group that is not outlined one by one: neither learnt nor counted as missed."""
        return self.instance.crowd


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and those of its objects that are of the classes to learn.

    Attributes:
        root: folder that its path is relative to.
        image: of the dataset.
        objects: to learn.
    """

    root: Path
    image: DatasetImage
    objects: tuple[LabelledObject, ...]

    @property
    def width(self) -> int:
        """Pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.image.height

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB.

        Raises:
            DatasetError: the file is missing, damaged, or of another size than its labels.
        """
        return read_image(Dataset(self.root, (), ()), self.image)

    def mask(self, one: LabelledObject) -> NDArray[np.uint8]:
        """(H, W) uint8, 1 inside the object.

        Args:
            one: of `objects`.
        """
        return full_mask(one.instance, self.image).view(np.uint8)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is trained and evaluated on.

    Attributes:
        source: file or folder that it was read from.
        classes: names of the class ids.
        train: images to learn from.
        val: images to evaluate on.
        notes: what was left out, and how the images were divided.
    """

    source: Path
    classes: tuple[str, ...]
    train: tuple[LabelledImage, ...]
    val: tuple[LabelledImage, ...]
    notes: tuple[str, ...]

    def counts(self, images: Sequence[LabelledImage]) -> dict[str, int]:
        """Number of objects by class, without crowds.

        Args:
            images: `train` or `val`.
        """
        found = Counter(one.class_id for image in images for one in image.objects if not one.crowd)
        return {name: found[number] for number, name in enumerate(self.classes)}

    def digest(self) -> str:
        """Changes with the images and their labels."""
        digest = hashlib.sha256()
        for part in (self.train, self.val):
            for image in part:
                boxes = [(one.class_id, one.crowd, one.instance.box_px) for one in image.objects]
                digest.update(f"{image.image.path} {image.width} {image.height} {boxes}\n".encode())
            digest.update(b"-\n")
        return digest.hexdigest()[:16]


def read_training_data(source: Path, classes: Sequence[str], images: Path | None = None) -> TrainingData:
    """Reads a dataset, and divides it where it is not divided.

    Args:
        source: file or folder, in any format that is known.
        classes: to learn; empty: all of the dataset.
        images: folder of the images, where they are not with the labels.

    Raises:
        DatasetError: it cannot be read, has no such class, or too little to train or evaluate on.
    """
    dataset = usable(_read(source, images, classes))
    notes = _told(dataset)
    names = _chosen(source, dataset.classes, classes)
    parts = {split: dataset.only(split).images for split in dataset.splits}
    train, val = parts.get(TRAIN, ()), parts.get(VAL, ()) or parts.get("test", ())
    if not (train and val):
        train, val = divided(train or dataset.images)
        held_out = f"{len(val)} of {len(train) + len(val)} images are held out to evaluate on"
        notes = (*notes, f"{held_out}; those whose names differ in their last number alone stay together")
    ids = {dataset.classes.index(name): number for number, name in enumerate(names)}
    data = TrainingData(
        source,
        names,
        tuple(_labelled(dataset.root, image, ids) for image in train),
        tuple(_labelled(dataset.root, image, ids) for image in val),
        notes,
    )
    for part, word in ((data.train, "learn from"), (data.val, "evaluate on")):
        for name, count in data.counts(part).items():
            if not count:
                raise DatasetError(f"{source}: there is no {name} to {word}; label some, or leave the class out with "
                                   f"--classes")  # fmt: skip
    return data


def _read(source: Path, images: Path | None, classes: Sequence[str]) -> Dataset:
    """The dataset. Pictures without an object to learn are kept, since they show what it is not.

    Of Open Images, which has 600 classes, only pictures with one of the classes are read.
    """
    if classes and source.is_dir() and recognise(source) == "openimages":
        return read_dataset(source, images, classes=classes)
    return read_dataset(source, images)


def _told(dataset: Dataset) -> tuple[str, ...]:
    """What was left out: the first faults, and how many more there are."""
    lines = [str(problem) for problem in dataset.problems[:5]]
    if len(dataset.problems) > 5:
        lines.append(f"and {len(dataset.problems) - 5} more faults")
    boxes = sum(not one.has_mask and not one.crowd for image in dataset.images for one in image.instances)
    if boxes:
        lines.append(f"{boxes} objects have only a box, which is taken for their mask")
    return tuple(lines)


def _chosen(source: Path, known: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The classes to learn, as the dataset spells them."""
    by_name = {name.casefold(): name for name in known}
    for name in wanted:
        if name.casefold() not in by_name:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DatasetError(f"--classes: {source} has no {name}, it has {', '.join(known)}{hint}")
    if not known:
        raise DatasetError(f"{source}: has no classes")
    return tuple(dict.fromkeys(by_name[name.casefold()] for name in wanted)) or tuple(known)


def divided(images: Sequence[DatasetImage]) -> tuple[tuple[DatasetImage, ...], tuple[DatasetImage, ...]]:
    """Divides images such that frames of one clip stay together.

    Args:
        images: of one dataset.

    Returns:
        Those to learn from, and about `VAL_SHARE` to evaluate on.

    Raises:
        DatasetError: there are fewer than two.
    """
    if len(images) < 2:
        raise DatasetError(f"got {len(images)} images, expected some to learn from and some to evaluate on")
    groups: dict[str, list[DatasetImage]] = {}
    for image in images:
        groups.setdefault(_clip(image.path), []).append(image)
    if len(groups) < 5:  # all of few clips: better than none to learn from
        groups = {image.path: [image] for image in images}
    order = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())
    val: list[DatasetImage] = []
    while order and len(val) < max(1, round(VAL_SHARE * len(images))):
        val += groups[order.pop()]
    held_out = {id(image) for image in val}
    train = tuple(image for image in images if id(image) not in held_out)
    return train, tuple(val)


def _clip(path: str) -> str:
    """The name of an image without its last number: frames of one clip share it."""
    place = PurePosixPath(path)
    return f"{place.parent}/{re.sub(r'[0-9]+$', '', place.stem)}"


def _labelled(root: Path, image: DatasetImage, ids: dict[int, int]) -> LabelledImage:
    objects = tuple(LabelledObject(ids[one.class_id], one) for one in image.instances if one.class_id in ids)
    return LabelledImage(root, image, objects)
