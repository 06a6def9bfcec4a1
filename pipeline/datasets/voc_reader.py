"""Pascal VOC: one XML file of boxes for each image, and masks in `SegmentationObject/` where there are some.

Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html. Pixels of a box are counted from 1 and
belong to it up to and with `xmax`, `ymax`. Value n of a mask image is the n-th object of the XML file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.builder import DatasetBuilder, ImageBuilder
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.image_files import ImagesByStem, read_labels
from pipeline.datasets.paths import split_name
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.xml_tree import Element, read_xml

MASKS = "SegmentationObject"
BORDER = 255
"""Value of the pixels between objects, which belong to none."""


def xml_files(folder: Path) -> list[Path]:
    """The XML files of a folder, of `Annotations/`, and of its other subfolders."""
    for place in (folder / "Annotations", folder):
        if found := sorted(place.glob("*.xml")):
            return found
    return sorted(folder.glob("*/*.xml")) or sorted(folder.glob("*/Annotations/*.xml"))


def read_voc(folder: Path, images: Path | None = None) -> Dataset:
    """Reads a folder with XML files.

    Args:
        folder: with `Annotations/` and `JPEGImages/`, or with XML files beside the images.
        images: folder of the images; None: they are looked for in all of `folder`.

    Raises:
        DatasetError: there is no XML file.
    """
    files = xml_files(folder)
    if not files:
        raise DatasetError(f"{folder}: has no XML file of annotations")
    builder = DatasetBuilder(images or folder, "voc")
    pictures = ImagesByStem(builder.root, leave_out=(MASKS, "SegmentationClass"))
    splits = _splits(folder)
    for path in files:
        try:
            tree = read_xml(path)
        except DatasetError as error:
            builder.problems.add("bad XML", str(path), str(error).removeprefix(f"{path}"))
            continue
        with builder.record("bad image record", f"{path}:{tree.line}"):
            if tree.tag != "annotation":
                raise ValueError(f"is not of Pascal VOC: got <{tree.tag}>, expected <annotation>")
            name = pictures.find(path.stem, tree.word("filename") if tree.find("filename") else "")
            size = tree.find("size")
            known = (size.number("width"), size.number("height")) if size is not None else None
            split = splits.get(path.stem) or split_name(path.parent.name)
            image = builder.add_image(name, known if known and all(known) else None, f"{path}:1", split)
            _objects(builder, image, tree, path, folder)
    return builder.build(folder)


def _splits(folder: Path) -> Mapping[str, str]:
    """Stem of an image -> split, by the lists in `ImageSets/`."""
    found: dict[str, str] = {}
    for kind in ("Main", "Segmentation"):
        for path in sorted((folder / "ImageSets" / kind).glob("*.txt")):
            if path.stem in ("train", "val", "test"):
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    if words := line.split():
                        found.setdefault(words[0], path.stem)
    return found


def _objects(builder: DatasetBuilder, image: ImageBuilder, tree: Element, path: Path, folder: Path) -> None:
    masks = _masks(builder, image, folder / MASKS / f"{path.stem}.png")
    for number, element in enumerate(tree.all("object"), start=1):
        where = f"{path}:{element.line}"
        with builder.record("bad annotation", where):
            class_id = builder.classes.id_of(element.word("name"))
            if masks is not None and (inside := masks == number).any():
                image.add_region(class_id, (0, 0), inside, where)
                continue
            box = element.find("bndbox")
            if box is None:
                raise ValueError("<object> has no <bndbox>")
            x0, y0, x1, y1 = (box.number(side) for side in ("xmin", "ymin", "xmax", "ymax"))
            image.add_box(class_id, (x0 - 1, y0 - 1, x1, y1), where)


def _masks(builder: DatasetBuilder, image: ImageBuilder, path: Path) -> NDArray[np.int64] | None:
    """(H, W) number of the object at each pixel, from 1; None if there is no mask image that can be used."""
    if not path.is_file():
        return None
    with builder.record("bad mask", str(path)):
        labels = read_labels(path)
        if labels.shape != (image.height, image.width):
            raise ValueError(
                f"has {labels.shape[1]}x{labels.shape[0]} pixels, the image {image.width}x{image.height}"
            )
        return np.where(labels == BORDER, 0, labels)
    return None
