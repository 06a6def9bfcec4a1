"""What the writers of all formats share: image files, outlines and boxes of instances."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.instance_masks import mask_region
from pipeline.datasets.paths import split_name
from pipeline.datasets.problems import DatasetError
from pipeline.files import make_folder, write_text, writing
from pipeline.geometry.polygons import Polygon, outlines

IMAGE_MODES = ("copy", "link", "none")
LAYOUT_FOLDERS = {"images", "image", "img", "jpegimages", "default"}
"""Folders that tell only where the images of a dataset are."""


class ImageFiles:
    """Puts the images of a dataset into the folder of another one.

    Args:
        sources: path of an image in the new dataset -> its file.
        out: folder of the new dataset.
        mode: `copy`; `link`: hard links, which take no space, and copies where the disk is another one; `none`.
    """

    def __init__(self, sources: Mapping[str, Path], out: Path, mode: str = "copy") -> None:
        self._sources, self._out, self._mode = sources, out, mode

    def put(self, image: LabelledImage, name: str) -> None:
        """Puts an image to a path relative to the folder.

        Raises:
            OutputError: it cannot be written.
        """
        if self._mode == "none":
            return
        source, target = self._sources[image.path], self._out / name
        make_folder(target.parent)
        if self._mode == "link":
            try:
                os.link(source, target)
            except OSError:
                pass  # another disk, or one without links: it is copied
            else:
                return
        with writing(target):
            shutil.copyfile(source, target)


def renamed(dataset: Dataset) -> tuple[Dataset, dict[str, Path]]:
    """The dataset with the paths that its images have when it is written: `SPLIT/...`.

    Folders such as `images/` and `train/` at the beginning of the old paths are dropped.

    Args:
        dataset: what is written.

    Returns:
        The dataset, and each new path with the file of its image.
    """
    paths = [image.path for image in dataset.images]
    short = [_without_layout(path) for path in paths]
    splits = [image.split for image in dataset.images]
    if len(set(zip(splits, short, strict=True))) < len(paths):
        short = paths
    new = [f"{split}/{path}" if split else path for split, path in zip(splits, short, strict=True)]
    sources = {path: dataset.file(image) for path, image in zip(new, dataset.images, strict=True)}
    images = (replace(image, path=path) for path, image in zip(new, dataset.images, strict=True))
    return replace(dataset, images=tuple(images)), sources


def _without_layout(path: str) -> str:
    """A path without the folders at its beginning that only tell images from labels, and splits from each other."""
    parts = path.split("/")
    while len(parts) > 1 and (parts[0].casefold() in LAYOUT_FOLDERS or split_name(parts[0])):
        parts.pop(0)
    return "/".join(parts)


def new_folder(out: Path) -> None:
    """Makes a folder for a dataset.

    Raises:
        DatasetError: there is something in it.
        OutputError: it cannot be made.
    """
    make_folder(out)
    if any(out.iterdir()):
        raise DatasetError(f"{out}: is not empty; give a new folder")


def write_json(path: Path, data: Any) -> None:
    """Writes values as JSON.

    Raises:
        OutputError: it cannot be written.
    """
    make_folder(path.parent)
    write_text(path, json.dumps(data, ensure_ascii=False))


def flat_names(dataset: Dataset) -> dict[str, str]:
    """Path of each image -> a name without folders and suffix, for formats that have none.

    It is the name of the file if that is the only one of its name, else the path with `__` for each `/`.
    """
    stems = [PurePosixPath(image.path).stem for image in dataset.images]
    single = len(set(stems)) == len(stems)
    return {
        image.path: stem if single else str(PurePosixPath(image.path).with_suffix("")).replace("/", "__")
        for image, stem in zip(dataset.images, stems, strict=True)
    }


def polygons_of(instance: Instance, image: LabelledImage) -> Sequence[Polygon]:
    """The outline of an instance as polygons that do not overlap; of a box, its corners.

    Args:
        instance: of the image.
        image: its size is used.
    """
    if len(instance.polygons) == 1:
        return instance.polygons
    if not instance.has_mask:
        x0, y0, x1, y1 = instance.box_px
        return [np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])]
    corner, region = mask_region(instance, image)
    return outlines(region, corner)


def flat(polygon: Polygon, decimals: int = 3) -> list[float]:
    """The coordinates of a polygon as x0 y0 x1 y1 ..."""
    return [round(float(value), decimals) for value in polygon.reshape(-1)]


def by_split(dataset: Dataset, otherwise: str) -> dict[str, list[LabelledImage]]:
    """The images of each split; those of none are in `otherwise`."""
    found: dict[str, list[LabelledImage]] = {}
    for image in dataset.images:
        found.setdefault(image.split or otherwise, []).append(image)
    return found
