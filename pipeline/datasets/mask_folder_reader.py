"""A folder of images with mask images: each value of a mask image is one object.

Layouts that are read, below `masks/` (or `labels/`, `annotations/`):

- `CLASS/IMAGE.png`: objects of a class; `CLASS/IMAGE~2.png` holds those that overlap the ones in the first;
- `IMAGE.png`: objects of the class `object`;
- `IMAGE/ANYTHING.png`: one mask image for each object, as in the Data Science Bowl 2018.

Mask images have 1, 8 or 16 bits, or colours. `IMAGE` may be followed by `_mask` and include folders of `images/`.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.datasets.builder import DatasetBuilder, ImageBuilder
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.image_files import images_below, read_labels
from pipeline.datasets.paths import split_name
from pipeline.datasets.problems import DatasetError

FOLDERS = ("masks", "labels", "annotations")
ONLY_CLASS = "object"
MAX_OBJECTS = 10_000
"""In one mask image; more are a picture that is not of labels."""
_ENDING = re.compile(r"(~\d+|[_-]masks?|[_-]labels?)$")


def masks_folder(folder: Path) -> Path | None:
    """The folder with the mask images of a dataset, if it has one."""
    for name in FOLDERS:
        if (folder / name).is_dir() and next(images_below(folder / name), None) is not None:
            return folder / name
    return None


def read_mask_folder(folder: Path, images: Path | None = None) -> Dataset:
    """Reads a folder of images and mask images.

    Args:
        folder: with `images/` and `masks/`.
        images: folder of the images, if it is another one.

    Raises:
        DatasetError: it has no mask images.
    """
    masks = masks_folder(folder)
    if masks is None:
        raise DatasetError(f"{folder}: has no mask images in {', '.join(name + '/' for name in FOLDERS)}")
    root = images or (folder / "images" if (folder / "images").is_dir() else folder)
    builder = DatasetBuilder(root, "masks")
    by_stem: dict[str, ImageBuilder] = {}
    for path in images_below(root, FOLDERS if root == folder else ()):
        with builder.record("bad image record", str(root / path)):
            image = builder.add_image(
                path, None, str(root / path), split_name(*PurePosixPath(path).parts[:-1])
            )
            by_stem[str(PurePosixPath(path).with_suffix(""))] = image
    for mask in images_below(masks):
        where = str(masks / mask)
        with builder.record("bad mask", where):
            class_name, image = _meant(mask, by_stem)
            _objects(builder, image, class_name, masks / mask)
    return builder.build(folder)


def _meant(mask: str, images: dict[str, ImageBuilder]) -> tuple[str, ImageBuilder]:
    """Class and image of a mask image, by its path in the folder of masks."""
    path = PurePosixPath(mask)
    stem = path.with_suffix("")
    plain = stem.with_name(_ENDING.sub("", stem.name) or stem.name)
    for one in (stem, plain):
        if (image := images.get(str(one))) is not None:
            return ONLY_CLASS, image
        if len(one.parts) > 1 and (image := images.get(str(PurePosixPath(*one.parts[1:])))) is not None:
            return one.parts[0], image
    if (image := images.get(str(path.parent))) is not None:
        return ONLY_CLASS, image
    raise ValueError(
        f"belongs to no image; expected CLASS/IMAGE.png or IMAGE.png, for example {next(iter(images), 'a')}.png"
    )


def _objects(builder: DatasetBuilder, image: ImageBuilder, class_name: str, path: Path) -> None:
    labels = read_labels(path)
    if labels.shape != (image.height, image.width):
        raise ValueError(
            f"has {labels.shape[1]}x{labels.shape[0]} pixels, its image has {image.width}x{image.height}"
        )
    values = np.unique(labels)
    values = values[values != 0]
    if len(values) > MAX_OBJECTS:
        raise ValueError(f"has {len(values)} different values, which are no labels of objects")
    class_id = builder.classes.id_of(class_name)
    for value in values:
        where = f"{path}: value {value}"
        with builder.record("bad annotation", where):
            image.add_region(class_id, (0, 0), labels == value, where)
