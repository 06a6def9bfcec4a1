"""COCO's instance JSON: `images`, `categories` and `annotations` with polygons or run-length encoded masks.

Format: https://cocodataset.org/#format-data. Category ids of COCO need not be consecutive; class ids here are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.datasets.builder import DatasetBuilder, ImageBuilder
from pipeline.datasets.checked import read_json
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.image_files import find_images
from pipeline.datasets.problems import DatasetError
from pipeline.geometry.rle import checked_counts, write_counts

PARTS = {"categories": "bad class", "images": "bad image record", "annotations": "bad annotation"}
"""Lists of a document, in the order in which they are read -> kind of problem of their records."""
_LOOKED_AT = 50
"""Images by whose names their folder is found."""
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


def is_coco(data: Any) -> bool:
    """Whether the content of a JSON file is a COCO document."""
    return isinstance(data, dict) and all(isinstance(data.get(key), list) for key in PARTS)


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
    if not is_coco(data):
        raise DatasetError(
            f"{path}: is not a COCO document: expected the lists images, categories, annotations"
        )
    root = images or find_images(path, file_names(data["images"]))
    builder = DatasetBuilder(root, "coco")
    CocoReader(builder, path, split).read(data)
    return builder.build(path)


def file_names(records: Sequence[Any]) -> list[str]:
    """Names of some of the images of a document, as it has them."""
    return [str(one.get("file_name", "")) for one in records[:_LOOKED_AT] if isinstance(one, dict)]


class CocoReader:
    """Reads the records of one document into a builder.

    Args:
        builder: receives images, classes and problems.
        path: of the document, to name it.
        split: of all images.
        prefix: folder of the images, relative to the root of the builder, with `/` at its end; empty: the root.
    """

    def __init__(self, builder: DatasetBuilder, path: Path, split: str, prefix: str = "") -> None:
        self._builder, self._path, self._split, self._prefix = builder, path, split, prefix
        self._class_ids: dict[Id, int] = {}
        self._images: dict[Id, ImageBuilder | None] = {}
        """None: the image is left out, and its annotations are, too, without a word for each."""

    def read(self, data: Mapping[str, list[Any]]) -> None:
        """Reads a document."""
        readers: dict[str, Callable[[dict[str, Any], str], None]] = {
            "categories": self._category,
            "images": self._image,
            "annotations": self._annotation,
        }
        for part, kind in PARTS.items():
            for place, record in enumerate(data[part]):
                where = f"{self._path}: {part}[{place}]"
                if isinstance(record, dict) and isinstance(record.get("id"), Id):
                    where += f" (id {str(record['id'])[:40]})"
                with self._builder.record(kind, where):
                    readers[part](record, where)

    def _category(self, record: dict[str, Any], where: str) -> None:
        category = msgspec.convert(record, _Category)
        self._class_ids[category.id] = self._builder.classes.id_of(category.name)

    def _image(self, record: dict[str, Any], where: str) -> None:
        if isinstance(record, dict) and isinstance(record.get("id"), Id):
            if self._images.get(record["id"]) is not None:
                raise ValueError(f"the image id {record['id']} is there twice")
            self._images[record["id"]] = None
        image = msgspec.convert(record, _Image)
        size = None if image.width is None or image.height is None else (image.width, image.height)
        name = image.file_name
        path = name if Path(name).is_absolute() else self._prefix + name if name else name
        self._images[image.id] = self._builder.add_image(path, size, where, self._split)

    def _annotation(self, record: dict[str, Any], where: str) -> None:
        found = msgspec.convert(record, _Annotation)
        if found.image_id not in self._images:
            raise ValueError(f"there is no image with the id {found.image_id}")
        if found.category_id not in self._class_ids:
            raise ValueError(f"there is no category with the id {found.category_id}")
        image, class_id = self._images[found.image_id], self._class_ids[found.category_id]
        crowd, score = bool(found.iscrowd), found.score
        if image is None:
            return
        if isinstance(found.segmentation, dict):
            counts = _counts(found.segmentation, image)
            image.add_rle(class_id, counts, where, crowd=crowd, score=score)
        elif found.segmentation:
            polygons = msgspec.convert(found.segmentation, list[list[float]])
            image.add_polygons(class_id, polygons, where, crowd=crowd, score=score)
        elif found.bbox is not None and len(found.bbox) == 4:
            x, y, width, height = found.bbox
            image.add_box(class_id, (x, y, x + width, y + height), where, crowd=crowd)
        else:
            raise ValueError("has neither a segmentation nor a bbox of 4 numbers")


def _counts(segmentation: Mapping[str, Any], image: ImageBuilder) -> str:
    """The compressed counts of a mask."""
    found = msgspec.convert(segmentation, _Rle)
    height, width = found.size
    if (width, height) != (image.width, image.height):
        raise ValueError(f"got a mask of {width}x{height} in an image of {image.width}x{image.height}")
    if isinstance(found.counts, str):
        return found.counts
    return write_counts(checked_counts(found.counts, height, width))
