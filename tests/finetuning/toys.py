"""A dataset of toys: red discs ("ball") and blue boxes ("brick") on a dark ground, as COCO documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.finetuning.data import TrainingData, read_training_data
from pipeline.geometry.rle import encode

CLASSES = ("ball", "brick")
SIZE = (160, 96)


def picture(seed: int) -> tuple[NDArray[np.uint8], list[tuple[str, NDArray[np.uint8]]]]:
    """(H, W, 3) uint8 RGB, and the class and mask of each toy."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    toys = []
    for name, left in (("ball", 10), ("brick", 85)):
        x, y = left + int(rng.integers(15, 45)), int(rng.integers(25, SIZE[1] - 25))
        mask = np.zeros(image.shape[:2], np.uint8)
        if name == "ball":
            cv2.circle(mask, (x, y), 14, 1, -1)
        else:
            cv2.rectangle(mask, (x - 16, y - 9), (x + 16, y + 9), 1, -1)
        image[mask > 0] = (220, 60, 60) if name == "ball" else (60, 60, 220)
        toys.append((name, mask))
    return image, toys


def document(folder: Path, names: Sequence[str], first_seed: int = 0) -> dict[str, Any]:
    """Writes pictures of these names, and returns their labels."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, name in enumerate(names, start=1):
        image, toys = picture(first_seed + number)
        cv2.imwrite(str(folder / "images" / name), image[..., ::-1])
        images.append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        for class_name, mask in toys:
            x, y, width, height = cv2.boundingRect(mask)
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": CLASSES.index(class_name) + 1,
                "bbox": [x, y, width, height], "area": int(mask.sum()), "iscrowd": 0,
                "segmentation": {"size": [SIZE[1], SIZE[0]], "counts": encode(mask.astype(bool))},
            })  # fmt: skip
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write(folder: Path, train: int = 4, val: int = 2) -> Path:
    """Writes a dataset that is divided."""
    for part, count, seed in (("train", train, 0), ("val", val, 100)):
        names = [f"{part}{number}.png" for number in range(count)]
        (folder / f"{part}.json").write_text(json.dumps(document(folder, names, seed)))
    return folder


def data(folder: Path, **sizes: int) -> TrainingData:
    """A dataset that is divided, read."""
    return read_training_data(write(folder, **sizes), ())
