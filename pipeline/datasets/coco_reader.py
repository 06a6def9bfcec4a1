"""COCO's instance JSON: `images`, `categories` and `annotations` with polygons or run-length encoded masks.

Format: https://cocodataset.org/#format-data. Category ids of COCO need not be consecutive; class ids here are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from pipeline.datasets.checked import (
    checked_polygon,
    checked_size,
    clipped_box,
    polygons_box,
    read_json,
)
from pipeline.datasets.class_names import ClassNames
from pipeline.datasets.dataset import Box, Dataset, Instance, LabelledImage
from pipeline.datasets.image_files import find_images, upright_size
from pipeline.datasets.instance_masks import box_of
from pipeline.datasets.paths import safe_path
from pipeline.datasets.problems import DatasetError, Problems
from pipeline.geometry.polygons import Polygon
from pipeline.geometry.rle import checked_counts, decode_region, write_counts

Id = int | str


class _Image(msgspec.Struct):
    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None


class _Category(msgspec.Struct):
    id: Id
    name: str


class _Annotation(msgspec.Struct):
    image_id: Id
    category_id: Id
    bbox: list[float] | None = None
    segmentation: Any = None
    iscrowd: bool | int = 0
    score: float | None = None


class _Rle(msgspec.Struct):
    size: tuple[int, int]
    counts: str | list[int]


def read_coco(path: Path, images: Path | None = None, split: str = "") -> Dataset:
    """Reads a COCO document.

    A record with a fault is left out and becomes a problem of the dataset. An annotation without a segmentation is
    its box. An image without `width` and `height` is asked for its size.

    Args:
        path: the JSON file.
        images: folder of the images; None: it is looked for around the file, as COCO, CVAT and others lay it out.
        split: of all images.

    Raises:
        DatasetError: the file cannot be read, is not JSON, or is not a COCO document.
    """
    data = read_json(path)
    if not (isinstance(data, dict) and all(isinstance(data.get(key), list) for key in _PARTS)):
        raise DatasetError(f"{path}: is not a COCO document: expected the lists {', '.join(_PARTS)}")
    root = images or find_images(path, [str(one.get("file_name", "")) for one in _some(data["images"])])
    return _Reader(path, root, split).read(data)


_PARTS = ("images", "categories", "annotations")
_LOOKED_AT = 50
"""Images by whose names their folder is found."""


def _some(records: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [one for one in records[:_LOOKED_AT] if isinstance(one, dict)]


class _Reader:
    """Reads the records of one document, the faulty ones into `_problems`."""

    def __init__(self, path: Path, root: Path, split: str) -> None:
        self._path, self._root, self._split = path, root, split
        self._problems = Problems()
        self._classes = ClassNames()
        self._class_ids: dict[Id, int] = {}
        self._images: dict[Id, LabelledImage] = {}
        self._paths: set[str] = set()
        self._instances: dict[Id, list[Instance]] = {}
        self._left_out: set[Id] = set()
        """Images that are left out, and their annotations without a word for each."""

    def read(self, data: Mapping[str, list[Any]]) -> Dataset:
        self._each(data, "categories", self._category)
        self._each(data, "images", self._image)
        self._each(data, "annotations", self._annotation)
        if not self._classes.names:
            self._problems.add("no classes", f"{self._path}: categories", "the dataset has no class")
        images = tuple(
            replace(image, instances=tuple(self._instances[key])) for key, image in self._images.items()
        )
        return Dataset(self._root, self._classes.names, images, tuple(self._problems), "coco")

    def _each(
        self, data: Mapping[str, list[Any]], part: str, read: Callable[[dict[str, Any], str], None]
    ) -> None:
        for place, record in enumerate(data[part]):
            where = f"{self._path}: {part}[{place}]"
            if isinstance(record, dict) and isinstance(record.get("id"), Id):
                where += f" (id {str(record['id'])[:40]})"
            try:
                read(record, where)
            except (ValueError, msgspec.ValidationError) as error:
                kind = _KINDS[part]
                self._problems.add(kind, where, str(error))
                if part == "images" and isinstance(record, dict) and isinstance(record.get("id"), Id):
                    self._left_out.add(record["id"])

    def _category(self, record: dict[str, Any], where: str) -> None:
        category = msgspec.convert(record, _Category)
        self._class_ids[category.id] = self._classes.id_of(category.name)

    def _image(self, record: dict[str, Any], where: str) -> None:
        image = msgspec.convert(record, _Image)
        path = safe_path(image.file_name, self._root)
        if image.id in self._images:
            raise ValueError(f"the image id {image.id} is taken by {self._images[image.id].path}")
        if path in self._paths:
            raise ValueError(f"the image {path} is listed twice")
        if image.width is None or image.height is None:
            size = upright_size(self._root / path)
        else:
            size = checked_size(image.width, image.height)
        self._paths.add(path)
        self._images[image.id] = LabelledImage(path, *size, split=self._split, where=where)
        self._instances[image.id] = []

    def _annotation(self, record: dict[str, Any], where: str) -> None:
        found = msgspec.convert(record, _Annotation)
        if found.image_id in self._left_out:
            return
        if found.image_id not in self._images:
            raise ValueError(f"there is no image with the id {found.image_id}")
        if found.category_id not in self._class_ids:
            raise ValueError(f"there is no category with the id {found.category_id}")
        image = self._images[found.image_id]
        polygons: tuple[Polygon, ...] = ()
        rle = ""
        if isinstance(found.segmentation, dict):
            rle, box = _read_rle(found.segmentation, image)
        elif found.segmentation:
            polygons = self._read_polygons(found.segmentation, where)
            box = polygons_box(polygons)
        elif found.bbox is not None and len(found.bbox) == 4:
            x, y, width, height = found.bbox
            box = (x, y, x + width, y + height)
        else:
            raise ValueError("has neither a segmentation nor a bbox of 4 numbers")
        instance = Instance(
            self._class_ids[found.category_id],
            clipped_box(box, image.width, image.height),
            polygons,
            rle,
            bool(found.iscrowd),
            found.score,
            where,
        )
        self._instances[found.image_id].append(instance)

    def _read_polygons(self, segmentation: Any, where: str) -> tuple[Polygon, ...]:
        """The polygons that can be used; the others are problems."""
        polygons = []
        faults = []
        for flat in msgspec.convert(segmentation, list[list[float]]):
            try:
                polygons.append(checked_polygon(flat))
            except ValueError as error:
                faults.append(str(error))
        if not polygons:
            raise ValueError(faults[0])
        for fault in faults:
            self._problems.add("bad polygon", where, fault)
        return tuple(polygons)


_KINDS = {"categories": "bad class", "images": "bad image record", "annotations": "bad annotation"}


def _read_rle(segmentation: Mapping[str, Any], image: LabelledImage) -> tuple[str, Box]:
    """Compressed counts and the box of a mask."""
    found = msgspec.convert(segmentation, _Rle)
    if found.size != (image.height, image.width):
        raise ValueError(
            f"got a mask of {found.size[1]}x{found.size[0]} in an image of {image.width}x{image.height}"
        )
    if isinstance(found.counts, str):
        counts = found.counts
    else:
        counts = write_counts(checked_counts(found.counts, image.height, image.width))
    box = box_of(*decode_region(counts, image.height, image.width))
    if box is None:
        raise ValueError("the mask is empty")
    return counts, box
