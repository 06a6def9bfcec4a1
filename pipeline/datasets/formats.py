"""The formats of datasets, and which of them a file or folder has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets.checked import read_json
from pipeline.datasets.coco_folder import json_files, read_coco_folder
from pipeline.datasets.coco_reader import is_coco, read_coco
from pipeline.datasets.coco_writer import write_coco
from pipeline.datasets.cvat_reader import read_cvat
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.labelme_reader import is_labelme, read_labelme
from pipeline.datasets.mask_folder_reader import masks_folder, read_mask_folder
from pipeline.datasets.open_images_reader import csv_tables, is_open_images, read_open_images
from pipeline.datasets.picture_writers import write_mask_folder, write_open_images, write_voc
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.selection import select_classes
from pipeline.datasets.text_writers import write_cvat, write_labelme, write_yolo
from pipeline.datasets.voc_reader import read_voc, xml_files
from pipeline.datasets.writing import ImageFiles
from pipeline.datasets.yolo_reader import read_yolo, yaml_files


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        title: for people.
        read: reads a folder, or a file where the format has one; with the folder of the images, if it is given.
        write: writes a dataset into a new folder.
        keeps: what is lost in it.
    """

    title: str
    read: Callable[[Path, Path | None], Dataset]
    write: Callable[[Dataset, Path, ImageFiles], None]
    keeps: str


FORMATS = {
    "coco": Format(
        "COCO instance JSON",
        lambda path, images: read_coco(path, images) if path.is_file() else read_coco_folder(path, images),
        write_coco,
        "everything",
    ),
    "openimages": Format(
        "Open Images: CSV files and mask PNGs", read_open_images, write_open_images, "crowds as boxes"
    ),
    "voc": Format("Pascal VOC XML", read_voc, write_voc, "no overlaps of masks, no crowds"),
    "yolo": Format("YOLO segmentation text", lambda path, images: read_yolo(path), write_yolo, "no crowds"),
    "labelme": Format("LabelMe JSON", read_labelme, write_labelme, "no crowds"),
    "masks": Format(
        "images with mask PNGs", read_mask_folder, write_mask_folder, "no crowds, no classes without objects"
    ),
    "cvat": Format("CVAT for images 1.1", read_cvat, write_cvat, "no crowds"),
}
"""Name -> format, in the order in which `--help` lists them."""


def read_dataset(
    path: Path,
    images: Path | None = None,
    *,
    form: str | None = None,
    classes: Collection[str] | None = None,
) -> Dataset:
    """Reads a dataset.

    Args:
        path: file or folder.
        images: folder of the images, where they are not with the labels.
        form: name of the format; None: it is recognised.
        classes: names of the classes to keep, in this order; None: all. Images in which nothing else was are left out.

    Raises:
        DatasetError: it is no dataset, in a format that is not known, or without a wanted class.
    """
    if form is not None and form not in FORMATS:
        raise DatasetError(f"got the format {form!r}, expected one of {', '.join(FORMATS)}")
    if not path.exists():
        raise DatasetError(f"{path}: there is no such file or folder")
    if images is not None and not images.is_dir():
        raise DatasetError(f"{images}: there is no such folder")
    name = form or recognise(path)
    if name == "openimages" and classes is not None:
        dataset = read_open_images(path, images, classes)
    else:
        dataset = FORMATS[name].read(path, images)
    return dataset if classes is None else select_classes(dataset, classes)


def recognise(path: Path) -> str:
    """The name of the format that a file or folder has.

    Raises:
        DatasetError: it has none of them.
    """
    found = _of_file(path) if path.is_file() else _of_folder(path)
    if found is None:
        what = "; unpack it first" if path.suffix in (".zip", ".gz", ".tar") else ""
        raise DatasetError(
            f"{path}: is no dataset that is known{what}; expected one of {', '.join(FORMATS)} (--from names it)"
        )
    return found


def _of_file(path: Path) -> str | None:
    return {".json": "coco", ".yaml": "yolo", ".yml": "yolo", ".xml": "cvat"}.get(path.suffix.lower())


def _of_folder(folder: Path) -> str | None:
    if (folder / "annotations.xml").is_file():
        return "cvat"
    if yaml_files(folder):
        return "yolo"
    if is_open_images(csv_tables(folder)):
        return "openimages"
    documents = [_or_none(path) for path in json_files(folder)[:50]]
    if any(map(is_coco, documents)):
        return "coco"
    if any(map(is_labelme, documents)) or any(is_labelme(_or_none(path)) for path in _deep(folder)):
        return "labelme"
    if xml_files(folder):
        return "voc"
    return "masks" if masks_folder(folder) is not None else None


def _deep(folder: Path) -> list[Path]:
    """Some JSON files further below."""
    return [path for path, _ in zip(folder.glob("*/*/**/*.json"), range(5), strict=False)]


def _or_none(path: Path) -> Any:
    try:
        return read_json(path)
    except DatasetError:
        return None
