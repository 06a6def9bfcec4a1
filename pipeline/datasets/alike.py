"""Images that are the same or nearly so, by a perceptual hash and by their labels.

The hash compares neighbouring cells of a picture reduced to 17 x 16 grey values (difference hash; N. Krawetz, "Kind of
like that", 2013), with a margin for noise. Frames of a camera that does not move all look alike to it; two of them
are alike here only if the objects are in the same places, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.dataset import Dataset, LabelledImage
from pipeline.geometry.boxes import box_iou

SIDE = 16
BITS = SIDE * SIDE
MARGIN = 2
"""Grey levels by which a cell must be brighter than its neighbour."""
ALIKE_BITS = 12
"""Bits in which the hashes of two images that look alike may differ."""
ALIKE_COLOUR = 10.0
"""Difference of their mean colours, 0..255."""
SAME_PLACE_IOU = 0.6
BLOCK = 2048


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an image looks like.

    Attributes:
        bits: (256,) int8, -1 or 1: the difference hash.
        colour: (3,) mean red, green and blue, 0..255.
        digest: of the bytes of the file.
    """

    bits: NDArray[np.int8]
    colour: NDArray[np.float64]
    digest: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images of a dataset that are the same or nearly so.

    Attributes:
        first, second: their indices in `Dataset.images`, the smaller one first.
        identical: the files are the same, byte for byte.
    """

    first: int
    second: int
    identical: bool


def fingerprint(path: Path) -> Fingerprint:
    """What an image looks like.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with Image.open(path) as image:
        image.draft("RGB", (8 * SIDE, 8 * SIDE))  # a JPEG is decoded at a fraction of its size
        small = image.convert("RGB").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    cells = np.asarray(small, np.float64)
    grey = cells @ (0.299, 0.587, 0.114)
    bits = np.where(grey[:, 1:] > grey[:, :-1] + MARGIN, 1, -1).astype(np.int8).reshape(-1)
    return Fingerprint(bits, cells.mean(axis=(0, 1)), digest)


def fingerprints(dataset: Dataset) -> list[Fingerprint | None]:
    """What each image looks like; None for those that cannot be read."""
    found: list[Fingerprint | None] = []
    for image in dataset.images:
        try:
            found.append(fingerprint(dataset.file(image)))
        except Exception:  # Pillow's readers raise anything on damaged files; the checks report them
            found.append(None)
    return found


def alike(
    dataset: Dataset, prints: Sequence[Fingerprint | None], bits: int = ALIKE_BITS, *, labels: bool = True
) -> list[Pair]:
    """The pairs of images that are the same or nearly so.

    Args:
        dataset: the images.
        prints: what each of them looks like.
        bits: in which the hashes may differ, of 256.
        labels: images that only look alike are pairs only if their objects are in the same places.
    """
    places = np.array([place for place, one in enumerate(prints) if one is not None], np.int64)
    there = [one for one in prints if one is not None]
    if len(there) < 2:
        return []
    hashes = np.stack([one.bits for one in there]).astype(np.float32)
    colours = np.stack([one.colour for one in there])
    pairs = []
    for begin in range(0, len(there), BLOCK):
        block = hashes[begin : begin + BLOCK]
        distance = (BITS - block @ hashes[begin:].T) / 2
        for row, column in np.argwhere(distance <= bits):
            one, two = begin + int(row), begin + int(column)
            if two <= one or np.abs(colours[one] - colours[two]).max() > ALIKE_COLOUR:
                continue
            identical = there[one].digest == there[two].digest
            first, second = int(places[one]), int(places[two])
            if identical or not labels or same_objects(dataset.images[first], dataset.images[second]):
                pairs.append(Pair(first, second, identical))
    return pairs


def same_objects(first: LabelledImage, second: LabelledImage) -> bool:
    """Whether two images show objects of the same classes in the same places.

    Args:
        first, second: of one dataset, possibly of different sizes.
    """
    if len(first.instances) != len(second.instances):
        return False
    if not first.instances:
        return True
    boxes = [
        np.array([one.box_px for one in image.instances])
        / (image.width, image.height, image.width, image.height)
        for image in (first, second)
    ]
    classes = [np.array([one.class_id for one in image.instances]) for image in (first, second)]
    same = (box_iou(boxes[0], boxes[1]) >= SAME_PLACE_IOU) & (classes[0][:, None] == classes[1][None])
    return bool(same.any(axis=1).all() and same.any(axis=0).all())
