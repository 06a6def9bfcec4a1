"""Pictures to learn from. No PyTorch here: the processes that render import this file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Thing:
    label: int
    class_name: str
    visible: float = 1.0


@dataclass(frozen=True)
class Picture:
    image: NDArray[np.uint8]
    labels: NDArray[np.int16]
    instances: tuple[Thing, ...]


def picture(seed: int, width: int = 160, height: int = 90) -> Picture:
    """Bright discs ("person") and boxes ("car") on a dark ground."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 40, np.uint8)
    labels = np.zeros((height, width), np.int16)
    things = []
    for label, name in enumerate(("person", "car", "person"), start=1):
        x, y = int(rng.integers(20, width - 20)), int(rng.integers(20, height - 20))
        mask = np.zeros((height, width), np.uint8)
        if name == "person":
            cv2.circle(mask, (x, y), 12, 1, -1)
        else:
            cv2.rectangle(mask, (x - 16, y - 9), (x + 16, y + 9), 1, -1)
        image[mask > 0] = (220, 60, 60) if name == "person" else (60, 60, 220)
        labels[mask > 0] = label
        things.append(Thing(label, name))
    return Picture(image, labels, tuple(things))


def pictures(seed: int) -> Iterable[list[Picture]]:
    return [[picture(seed * 10 + place)] for place in range(4)]
