"""Datasets made for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.instance_masks import full_mask, instance_of
from pipeline.geometry.polygons import outlines

CLASSES = ("person", "forklift & co", "crate <b>")


def picture(path: Path, width: int, height: int, seed: int) -> None:
    """An image of noise in blocks, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 255, (-(-height // 8), -(-width // 8), 3), np.uint8)
    Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width]).save(path)


def dataset_of(
    root: Path,
    masks: Sequence[Sequence[np.ndarray]],
    splits: Sequence[str] = ("",),
    *,
    polygons: bool = False,
) -> Dataset:
    """A dataset with an image for each list of masks, (H, W) bool each, and its files."""
    images = []
    for number, some in enumerate(masks):
        height, width = some[0].shape
        path = f"cam {number % 2}/frame-{number:04d}.png"
        picture(root / path, width, height, number)
        instances = []
        for place, mask in enumerate(some):
            one = instance_of(place % len(CLASSES), (0, 0), mask, (width, height))
            assert one is not None
            instances.append(Instance(one.class_id, one.box_px, tuple(outlines(mask))) if polygons else one)
        images.append(LabelledImage(path, width, height, tuple(instances), splits[number % len(splits)]))
    return Dataset(root, CLASSES, tuple(images))


def objects_of(dataset: Dataset) -> dict[str, list[tuple[str, bytes]]]:
    """Stem of each image -> class and pixels of its objects, sorted."""
    found = {}
    for image in dataset.images:
        shown = [(dataset.classes[one.class_id], full_mask(one, image).tobytes()) for one in image.instances]
        found[Path(image.path).stem] = sorted(shown)
    return found
