"""YOLO segmentation labels: a text file for each image, a polygon in fractions of the image in each line.

Format: https://docs.ultralytics.com/datasets/segment/. A line of five numbers is a box: class, centre, size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.datasets.builder import DatasetBuilder, ImageBuilder
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.image_files import images_below
from pipeline.datasets.paths import within
from pipeline.datasets.problems import DatasetError
from pipeline.files import reading

SPLITS = ("train", "val", "test")
MAX_CLASSES = 100_000


def yaml_files(folder: Path) -> list[Path]:
    """The YAML files of a folder that name classes, as those of YOLO do."""
    return [path for path in sorted(folder.glob("*.y*ml")) if "names" in _read_yaml(path)]


def read_yolo(path: Path) -> Dataset:
    """Reads a data set of YOLO.

    Args:
        path: its `data.yaml`, or the folder with it.

    Raises:
        DatasetError: there is no such file, or it does not name classes and images.
    """
    if path.is_dir():
        found = yaml_files(path)
        if len(found) != 1:
            raise DatasetError(
                f"{path}: has {len(found)} YAML files that name classes; expected one, such as data.yaml"
            )
        path = found[0]
    about = _read_yaml(path)
    names = _class_names(path, about.get("names"))
    root = _root(path, about)
    builder = DatasetBuilder(root, "yolo")
    for class_id, name in enumerate(names):
        with builder.record("bad class", f"{path}: names[{class_id}]"):
            if builder.classes.id_of(name) != class_id:
                raise ValueError(f"the class {name!r} is named twice, or one before it is faulty")
    seen: set[str] = set()
    for split in SPLITS:
        given = about.get(split, about.get("valid") if split == "val" else None)
        for place in given if isinstance(given, list) else [given] if given else []:
            if str(place) in seen:
                continue  # `val` is required: without one, it is often the same as `train`
            seen.add(str(place))
            with builder.record("bad split", f"{path}: {split}"):
                for image_path in _images(root, place):
                    with builder.record("bad image record", str(root / image_path)):
                        image = builder.add_image(image_path, None, str(root / image_path), split)
                        _read_labels(builder, image, names)
    return builder.build(path)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    with reading(path, DatasetError):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DatasetError(f"{path}{line}: is not YAML: {getattr(error, 'problem', None) or error}") from None
    return data if isinstance(data, dict) else {}


def _class_names(path: Path, names: Any) -> list[str]:
    if isinstance(names, dict) and names and all(isinstance(key, int) for key in names):
        if sorted(names) != list(range(len(names))):
            raise DatasetError(f"{path}: names: the class numbers are not 0 to {len(names) - 1}")
        names = [names[key] for key in range(len(names))]
    if not (isinstance(names, list) and names):
        raise DatasetError(f"{path}: names: expected the names of the classes, in the order of their numbers")
    return [str(name) for name in names]


def _root(path: Path, about: Mapping[str, Any]) -> Path:
    """The folder that the splits are relative to: `path` of the file if it is there, else the folder of the file."""
    given = about.get("path")
    if isinstance(given, str) and given:
        for place in (path.parent / given, path.parent.parent / given):
            if place.is_dir() and path.parent.absolute().is_relative_to(place.absolute()):
                return place
    return path.parent


def _images(root: Path, place: Any) -> Iterator[str]:
    """Images of a split, relative to the root: those in a folder, or those that a text file lists."""
    name = str(place)
    inside = root / name
    while not inside.exists() and name.startswith(("../", "./")):  # exports that count from another folder
        name = name.removeprefix("../").removeprefix("./")
        inside = root / name
    relative = within(root, inside) if Path(name) != Path(".") else ""
    if inside.is_file():
        for line in inside.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip():
                yield within(root, root / line.strip())
        return
    if not inside.is_dir():
        raise ValueError(f"there is no folder {inside}")
    for image in images_below(inside):
        yield f"{relative}/{image}" if relative else image


def labels_of(image: Path) -> Path:
    """The labels of an image: in `labels/` where it is in `images/`, otherwise beside it."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read_labels(builder: DatasetBuilder, image: ImageBuilder, names: list[str]) -> None:
    path = builder.root / labels_of(Path(image.path))
    if not path.is_file():
        return  # nothing is in the image
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if words := line.split():
            where = f"{path}:{number}"
            with builder.record("bad annotation", where):
                _read_line(image, words, len(names), where)


def _read_line(image: ImageBuilder, words: list[str], classes: int, where: str) -> None:
    try:
        class_id, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        raise ValueError("expected a class number and coordinates") from None
    if not 0 <= class_id < classes:
        raise ValueError(f"got the class {class_id}, there are 0 to {classes - 1}")
    if not all(math.isfinite(value) and -1 <= value <= 2 for value in values):
        raise ValueError("has a coordinate far outside of 0 to 1; expected fractions of the image")
    scaled = [value * (image.height if place % 2 else image.width) for place, value in enumerate(values)]
    if len(values) == 4:
        x, y, width, height = scaled
        image.add_box(class_id, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), where)
    else:
        image.add_polygons(class_id, [scaled], where)
