"""LabelMe: one JSON file beside each image, with shapes. Format: https://github.com/wkentaro/labelme."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from pipeline.datasets.builder import DatasetBuilder, ImageBuilder
from pipeline.datasets.checked import read_json
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.paths import split_name, within
from pipeline.datasets.problems import DatasetError
from pipeline.geometry.polygons import Region
from pipeline.pictures import MAX_PIXELS

CIRCLE_VERTICES = 64
Point = tuple[float, float]


class _Shape(msgspec.Struct):
    label: str
    points: list[Point]
    shape_type: str = "polygon"
    group_id: int | str | None = None
    mask: str | None = None


class _Document(msgspec.Struct):
    shapes: list[Any]
    imagePath: str  # noqa: N815  # as the format has it
    imageWidth: float | None = None  # noqa: N815
    imageHeight: float | None = None  # noqa: N815


def is_labelme(data: Any) -> bool:
    """Whether the content of a JSON file is of LabelMe."""
    return isinstance(data, dict) and isinstance(data.get("shapes"), list) and "imagePath" in data


def read_labelme(folder: Path, images: Path | None = None) -> Dataset:
    """Reads the LabelMe files below a folder.

    Shapes of one class and one `group_id` are the parts of one object.

    Args:
        folder: root of the dataset.
        images: folder of the images; None: they are where the files say, beside them as a rule.

    Raises:
        DatasetError: there is none.
    """
    builder = DatasetBuilder(images or folder, "labelme")
    found = 0
    for path in sorted(folder.rglob("*.json")):
        try:
            data = read_json(path)
        except DatasetError as error:
            builder.problems.add("bad JSON", str(path), str(error).removeprefix(f"{path}: "))
            continue
        if not is_labelme(data):
            continue
        found += 1
        with builder.record("bad image record", str(path)):
            _read(builder, path, msgspec.convert(data, _Document), images)
    if not found:
        raise DatasetError(f"{folder}: has no JSON file of LabelMe")
    return builder.build(folder)


def _read(builder: DatasetBuilder, path: Path, document: _Document, images: Path | None) -> None:
    name = document.imagePath.replace("\\", "/")
    place = images / Path(name).name if images else path.parent / name
    size = None
    if document.imageWidth and document.imageHeight:
        size = (document.imageWidth, document.imageHeight)
    split = split_name(*(part.name for part in path.parents if part.is_relative_to(builder.root)))
    image = builder.add_image(within(builder.root, place), size, str(path), split)
    groups: dict[tuple[int, str], tuple[str, list[list[float]]]] = {}
    for number, raw in enumerate(document.shapes):
        where = f"{path}: shapes[{number}]"
        with builder.record("bad annotation", where):
            shape = msgspec.convert(raw, _Shape)
            class_id = builder.classes.id_of(shape.label)
            if shape.shape_type == "mask":
                _add_mask(image, class_id, shape, where)
            elif shape.shape_type == "rectangle" and shape.group_id is None:
                image.add_box(class_id, _rectangle(shape.points), where)
            elif shape.group_id is None:
                image.add_polygons(class_id, [_outline(shape)], where)
            else:
                group = groups.setdefault((class_id, str(shape.group_id)), (where, []))
                group[1].append(_outline(shape))
    for (class_id, _), (where, outline) in groups.items():
        with builder.record("bad annotation", where):
            image.add_polygons(class_id, outline, where)


def _outline(shape: _Shape) -> list[float]:
    if shape.shape_type == "circle" and len(shape.points) == 2:
        (x, y), edge = shape.points
        turn = np.linspace(0, 2 * np.pi, CIRCLE_VERTICES, endpoint=False)
        ring = np.stack([np.cos(turn), np.sin(turn)], axis=1) * math.dist((x, y), edge) + (x, y)
        return [float(value) for value in ring.reshape(-1)]
    if shape.shape_type == "rectangle":
        x0, y0, x1, y1 = _rectangle(shape.points)
        return [x0, y0, x1, y0, x1, y1, x0, y1]
    if shape.shape_type != "polygon":
        raise ValueError(
            f"a {shape.shape_type[:20]} is no area; expected a polygon, rectangle, circle or mask"
        )
    return [value for point in shape.points for value in point]


def _rectangle(points: Sequence[Point]) -> tuple[float, float, float, float]:
    if len(points) != 2:
        raise ValueError(f"got a rectangle of {len(points)} points, expected two corners")
    (x0, y0), (x1, y1) = points
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _add_mask(image: ImageBuilder, class_id: int, shape: _Shape, where: str) -> None:
    """Adds a mask: a PNG within its box, whose corners are pixels that belong to it."""
    x0, y0, _, _ = _rectangle(shape.points)
    if not (math.isfinite(x0) and math.isfinite(y0)):
        raise ValueError("the corner of the mask is not a number")
    image.add_region(class_id, (round(x0), round(y0)), _png(shape.mask or ""), where)


def _png(text: str) -> Region:
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"the mask has {picture.width}x{picture.height} pixels")
            return np.asarray(picture.convert("L")) > 0
    except (binascii.Error, OSError, SyntaxError) as error:
        raise ValueError(f"the mask is no PNG in base64 ({type(error).__name__})") from None
