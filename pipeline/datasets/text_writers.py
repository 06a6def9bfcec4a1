"""Writes YOLO, LabelMe and CVAT: formats whose masks are text."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import yaml

from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.instance_masks import box_of, mask_region
from pipeline.datasets.writing import ImageFiles, by_split, flat, polygons_of, write_json
from pipeline.datasets.yolo_reader import labels_of
from pipeline.files import make_folder, write_text
from pipeline.geometry.polygons import joined


def write_yolo(dataset: Dataset, out: Path, files: ImageFiles) -> None:
    """Writes `data.yaml`, `images/SPLIT/` and `labels/SPLIT/`; without splits, all images are in `train`.

    An object of several parts, or with holes, is one polygon whose parts are connected by bridges of no width. Boxes
    are written as such if there are no masks at all, else as polygons. Crowds are left out.

    Args:
        dataset: what to write.
        out: a new folder.
        files: puts the images there.

    Raises:
        OutputError: something cannot be written.
    """
    boxes = not any(one.has_mask for image in dataset.images for one in image.instances)
    splits = by_split(dataset, "train")
    for split, images in splits.items():
        for image in images:
            name = f"images/{image.path}" if image.split else f"images/{split}/{image.path}"
            files.put(image, name)
            path = out / labels_of(Path(name))
            lines = [_yolo_line(one, image, boxes) for one in image.instances if not one.crowd]
            make_folder(path.parent)
            write_text(path, "".join(line for line in lines if line))
    about = {split: f"images/{split}" for split in splits}
    if "val" not in about:
        about["val"] = about.get("test", next(iter(about.values()), "images/train"))
    names = dict(enumerate(dataset.classes))
    write_text(
        out / "data.yaml", yaml.safe_dump(about | {"names": names}, sort_keys=False, allow_unicode=True)
    )


def _yolo_line(instance: Instance, image: LabelledImage, boxes: bool) -> str:
    size = np.array([image.width, image.height], np.float64)
    if boxes:
        low, high = np.array(instance.box_px[:2]), np.array(instance.box_px[2:])
        values = np.concatenate([(low + high) / 2 / size, (high - low) / size])
    elif polygons := polygons_of(instance, image):
        values = (np.clip(joined(polygons), 0, size) / size).reshape(-1)
    else:
        return ""
    return f"{instance.class_id} " + " ".join(f"{value:.7g}" for value in values) + "\n"


def write_labelme(dataset: Dataset, out: Path, files: ImageFiles) -> None:
    """Writes a JSON file beside each image, in a folder for each split.

    The parts of an object have one `group_id`. Crowds are left out.

    Args:
        dataset: what to write.
        out: a new folder.
        files: puts the images there.

    Raises:
        OutputError: something cannot be written.
    """
    for image in dataset.images:
        path = PurePosixPath(image.path)
        files.put(image, image.path)
        shapes: list[dict[str, Any]] = []
        for number, one in enumerate(image.instances, start=1):
            if not one.crowd:
                shapes += _labelme_shapes(one, image, dataset.classes[one.class_id], number)
        document: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": path.name,
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
        write_json(out / path.with_suffix(".json"), document)


def _labelme_shapes(
    instance: Instance, image: LabelledImage, label: str, number: int
) -> list[dict[str, Any]]:
    common: dict[str, Any] = {"label": label, "group_id": None, "description": "", "flags": {}}
    if not instance.has_mask:
        x0, y0, x1, y1 = instance.box_px
        return [common | {"points": [[x0, y0], [x1, y1]], "shape_type": "rectangle"}]
    parts = polygons_of(instance, image)
    if len(parts) > 1:
        common["group_id"] = number
    return [common | {"points": np.round(part, 3).tolist(), "shape_type": "polygon"} for part in parts]


def write_cvat(dataset: Dataset, out: Path, files: ImageFiles) -> None:
    """Writes `annotations.xml` of CVAT for images 1.1, and `images/`.

    An object of one polygon is a `<polygon>`, one with a mask a `<mask>`, one without a `<box>`. Crowds are left out.

    Args:
        dataset: what to write.
        out: a new folder.
        files: puts the images there.

    Raises:
        OutputError: something cannot be written.
    """
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    lines += ["  <meta>", "    <task>", "      <labels>"]
    lines += [
        f"        <label><name>{escape(name)}</name><type>any</type><attributes/></label>"
        for name in dataset.classes
    ]
    lines += ["      </labels>", "    </task>", "  </meta>"]
    for number, image in enumerate(dataset.images):
        files.put(image, f"images/{image.path}")
        subset = f" subset={quoteattr(image.split)}" if image.split else ""
        size = f'width="{image.width}" height="{image.height}"'
        lines.append(f'  <image id="{number}" name={quoteattr(image.path)}{subset} {size}>')
        for instance in image.instances:
            if not instance.crowd:
                lines.append("    " + _cvat_shape(instance, image, dataset.classes[instance.class_id]))
        lines.append("  </image>")
    lines.append("</annotations>")
    make_folder(out)
    write_text(out / "annotations.xml", "\n".join(lines) + "\n")


def _cvat_shape(instance: Instance, image: LabelledImage, label: str) -> str:
    common = f'label={quoteattr(label)} source="manual" occluded="0" z_order="0"'
    if not instance.has_mask:
        sides = zip(("xtl", "ytl", "xbr", "ybr"), instance.box_px, strict=True)
        corners = " ".join(f'{side}="{value:.3f}"' for side, value in sides)
        return f"<box {common} {corners}></box>"
    if len(instance.polygons) == 1:
        values = flat(instance.polygons[0])
        points = ";".join(f"{x},{y}" for x, y in zip(values[::2], values[1::2], strict=True))
        return f'<polygon {common} points="{points}"></polygon>'
    corner, region = mask_region(instance, image)
    box = box_of(corner, region)
    assert box is not None, "instances without a pixel are left out before"
    x0, y0, x1, y1 = (int(value) for value in box)
    inside = region[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]].reshape(-1)
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0))
    counts = np.diff(np.concatenate(([0], edges, [inside.size])))
    rle = ", ".join(map(str, counts))
    return f'<mask {common} rle="{rle}" left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}"></mask>'
