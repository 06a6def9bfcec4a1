"""CVAT for images 1.1: one `annotations.xml` with the shapes of all images.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/. The runs of a `<mask>` go along the rows of
its own rectangle.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.datasets.builder import DatasetBuilder, ImageBuilder
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.paths import split_name
from pipeline.datasets.problems import DatasetError
from pipeline.datasets.xml_tree import Element, as_number, read_xml
from pipeline.geometry.mask_paste import Corner
from pipeline.geometry.polygons import Region
from pipeline.geometry.rle import checked_counts

AREAS = ("box", "polygon", "mask", "ellipse")
OTHERS = ("polyline", "points", "cuboid", "skeleton")
ELLIPSE_VERTICES = 64


def read_cvat(path: Path, images: Path | None = None) -> Dataset:
    """Reads an export of CVAT.

    Shapes of one label and one `group_id` are the parts of one object.

    Args:
        path: the XML file, or the folder with `annotations.xml`.
        images: folder of the images; None: `images/` beside the file, or the folder of the file.

    Raises:
        DatasetError: it is not of CVAT for images.
    """
    path = path / "annotations.xml" if path.is_dir() else path
    tree = read_xml(path)
    if tree.tag != "annotations" or tree.find("track") is not None:
        raise DatasetError(f"{path}:{tree.line}: expected an export in the format 'CVAT for images 1.1'")
    beside = path.parent / "images"
    builder = DatasetBuilder(images or (beside if beside.is_dir() else path.parent), "cvat")
    for kind in ("task", "project", "job"):
        labels = tree.find("meta", kind, "labels")
        for label in labels.all("label") if labels is not None else ():
            with builder.record("bad class", f"{path}:{label.line}"):
                builder.classes.id_of(label.word("name"))
    for element in tree.all("image"):
        with builder.record("bad image record", f"{path}:{element.line}"):
            _image(builder, element, path)
    return builder.build(path)


def _image(builder: DatasetBuilder, element: Element, path: Path) -> None:
    name, subset = element.attribute("name"), element.attributes.get("subset", "")
    if subset and not (builder.root / name).is_file():
        below = str(PurePosixPath(subset) / name)
        name = below if (builder.root / below).is_file() else name
    size = element.attribute_number("width"), element.attribute_number("height")
    image = builder.add_image(name, size, f"{path}:{element.line}", split_name(subset))
    groups: dict[tuple[int, str], tuple[str, list[list[float]]]] = {}
    for shape in element.children:
        where = f"{path}:{shape.line}"
        if shape.tag not in AREAS + OTHERS:
            continue
        with builder.record("bad annotation", where):
            if shape.tag in OTHERS:
                raise ValueError(f"a <{shape.tag}> is no area; expected {', '.join(AREAS)}")
            class_id = builder.classes.id_of(shape.attribute("label"))
            group = shape.attributes.get("group_id", "0")
            if shape.tag == "mask":
                image.add_region(class_id, *_mask(shape, image), where)
            elif shape.tag == "box" and not as_number(shape.attributes.get("rotation", "0"), "rotation"):
                sides = [shape.attribute_number(side) for side in ("xtl", "ytl", "xbr", "ybr")]
                image.add_box(class_id, sides, where)
            elif group == "0" or shape.tag != "polygon":
                image.add_polygons(class_id, [_outline(shape)], where)
            else:
                groups.setdefault((class_id, group), (where, []))[1].append(_outline(shape))
    for (class_id, _), (where, outline) in groups.items():
        with builder.record("bad annotation", where):
            image.add_polygons(class_id, outline, where)


def _outline(shape: Element) -> list[float]:
    if shape.tag == "polygon":
        text = shape.attribute("points").replace(";", ",")
        return [as_number(word, "points") for word in text.split(",")]
    turn = np.linspace(0, 2 * np.pi, ELLIPSE_VERTICES, endpoint=False)
    if shape.tag == "ellipse":
        x, y, wide, high = (shape.attribute_number(name) for name in ("cx", "cy", "rx", "ry"))
        ring = np.stack([np.cos(turn) * wide, np.sin(turn) * high], axis=1)
    else:
        x0, y0, x1, y1 = (shape.attribute_number(name) for name in ("xtl", "ytl", "xbr", "ybr"))
        x, y, wide, high = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
        ring = np.array([(-wide, -high), (wide, -high), (wide, high), (-wide, high)])
    angle = math.radians(as_number(shape.attributes.get("rotation", "0"), "rotation"))
    across, down = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    turned = ring @ np.array([across, down]) + (x, y)
    return [float(value) for value in turned.reshape(-1)]


def _mask(shape: Element, image: ImageBuilder) -> tuple[Corner, Region]:
    left, top, width, height = (
        int(shape.attribute_number(name)) for name in ("left", "top", "width", "height")
    )
    if not (0 < width <= image.width and 0 < height <= image.height):
        raise ValueError(f"got a mask of {width}x{height} in an image of {image.width}x{image.height}")
    counts = [int(as_number(word, "rle")) for word in shape.attribute("rle").split(",")]
    values = np.arange(len(counts)) % 2 == 1
    return (left, top), np.repeat(values, checked_counts(counts, height, width)).reshape(height, width)
