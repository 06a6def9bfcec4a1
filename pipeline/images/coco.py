"""The detections of several images as one JSON document in COCO's instance segmentation format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.geometry.rle import encode_region
from pipeline.images.drawing import Silhouette
from pipeline.models.detections import Detections


class CocoDocument:
    """Collects the document image by image.

    Masks are compressed run-length encodings over the whole upright image, as pycocotools reads them. Boxes are x, y,
    width, height in pixels. The id of a category is its index among the model's classes plus 1.

    Args:
        classes: class names of the model.
        model: its name, for the description.
    """

    def __init__(self, classes: Sequence[str], model: str) -> None:
        self._classes = tuple(classes)
        self._model = model
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(
        self,
        path: Path,
        name: str,
        size: tuple[int, int],
        found: Detections,
        shapes: Sequence[Silhouette],
        counts: Mapping[str, int],
    ) -> None:
        """Add one image.

        Args:
            path: of the image.
            name: of its results.
            size: width and height in pixels.
            found: its detections.
            shapes: their silhouettes, in the same order.
            counts: class -> number of objects, if there were classes to count.
        """
        width, height = size
        image_id = len(self._images) + 1
        self._images.append(
            {"id": image_id, "file_name": str(path), "width": width, "height": height, "name": name}
            | ({"count": dict(counts)} if counts else {})
        )
        for row, shape in enumerate(shapes):
            x0, y0, x1, y1 = (round(float(value), 3) for value in found.boxes_px[row])
            text = encode_region(shape.inside, *shape.corner, width, height)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(found.class_ids[row]) + 1,
                    "number": row + 1,
                    "score": round(float(found.scores[row]), 5),
                    "bbox": [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)],
                    "area": int(shape.inside.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": [height, width], "counts": text},
                }
            )

    def as_json(self) -> dict[str, Any]:
        """The document as plain values."""
        return {
            "info": {"description": f"instances found by tallycam {__version__}, model {self._model}"},
            "images": self._images,
            "categories": [{"id": n + 1, "name": name} for n, name in enumerate(self._classes)],
            "annotations": self._annotations,
        }
