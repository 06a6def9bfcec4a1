"""A folder with one or more COCO documents, as COCO itself, CVAT, Label Studio, Roboflow and FiftyOne write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.datasets.builder import DatasetBuilder
from pipeline.datasets.checked import read_json
from pipeline.datasets.coco_reader import CocoReader, file_names, is_coco
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.image_files import find_images
from pipeline.datasets.paths import split_name, within
from pipeline.datasets.problems import DatasetError

PATTERNS = ("*.json", "annotations/*.json", "*/*.json")


def json_files(folder: Path) -> list[Path]:
    """JSON files of a folder, of `annotations/` and of its other subfolders, each once."""
    return list(dict.fromkeys(path for pattern in PATTERNS for path in sorted(folder.glob(pattern))))


def read_coco_folder(folder: Path, images: Path | None = None) -> Dataset:
    """Reads the COCO documents of a folder as one dataset.

    The split of a document is told by its name (`instances_train2017.json`) or that of its folder.

    Args:
        folder: root of the dataset.
        images: folder of all images; None: each document's are looked for.

    Raises:
        DatasetError: there is no COCO document.
    """
    builder = DatasetBuilder(images or folder, "coco")
    found = 0
    for path in json_files(folder):
        try:
            data: Any = read_json(path)
        except DatasetError as error:
            builder.problems.add("bad JSON", str(path), str(error).removeprefix(f"{path}: "))
            continue
        if not is_coco(data):
            continue
        found += 1
        with builder.record("images outside", str(path)):
            place = images or find_images(path, file_names(data["images"]))
            prefix = "" if place.absolute() == builder.root.absolute() else within(builder.root, place) + "/"
            split = split_name(path.stem, path.parent.name if path.parent != folder else "")
            CocoReader(builder, path, split, prefix).read(data)
    if not found:
        raise DatasetError(f"{folder}: has no COCO document")
    return builder.build(folder)
