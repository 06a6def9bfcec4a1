"""Writes COCO's instance JSON: one document for each split, in the layout of COCO and CVAT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.instance_masks import mask_region
from pipeline.datasets.writing import ImageFiles, by_split, flat, write_json


def write_coco(dataset: Dataset, out: Path, files: ImageFiles) -> None:
    """Writes `annotations/instances_SPLIT.json` and `images/`.

    Polygons stay polygons and run-length encodings stay what they are. Without splits the file is
    `instances_default.json`.

    Args:
        dataset: what to write.
        out: a new folder.
        files: puts the images there.

    Raises:
        OutputError: something cannot be written.
    """
    for split, images in by_split(dataset, "default").items():
        for image in images:
            files.put(image, f"images/{image.path}")
        write_json(out / "annotations" / f"instances_{split}.json", coco_document(dataset.classes, images))


def coco_document(classes: Sequence[str], images: Sequence[LabelledImage]) -> dict[str, Any]:
    """A COCO document.

    Args:
        classes: their ids in the document are their places from 1 on.
        images: their file names are their paths.
    """
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        for instance in image.instances:
            annotations.append({"id": len(annotations) + 1} | _annotation(instance, image, image_id))
    return {
        "info": {"description": f"written by tallycam {__version__}", "version": "1.0"},
        "licenses": [],
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, start=1)],
        "images": [
            {"id": n, "file_name": image.path, "width": image.width, "height": image.height}
            for n, image in enumerate(images, start=1)
        ],
        "annotations": annotations,
    }


def _annotation(instance: Instance, image: LabelledImage, image_id: int) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(value, 3) for value in instance.box_px)
    segmentation: Any = [flat(polygon) for polygon in instance.polygons]
    if instance.rle:
        segmentation = {"size": [image.height, image.width], "counts": instance.rle}
    _, region = mask_region(instance, image)
    record = {
        "image_id": image_id,
        "category_id": instance.class_id + 1,
        "bbox": [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)],
        "area": int(np.count_nonzero(region)),
        "segmentation": segmentation,
        "iscrowd": int(instance.crowd),
    }
    return record if instance.score is None else record | {"score": round(instance.score, 4)}
