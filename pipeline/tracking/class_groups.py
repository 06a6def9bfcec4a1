"""Classes that models confuse: one object is called a car in one frame and a truck in the next.

Within a group a change of class costs little in association, two boxes on one place are one object, and the vote of
an object's life decides what it is counted as. Names are those of COCO, KITTI, BDD100K and VisDrone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GROUPS = (
    ("car", "van", "truck", "bus", "pickup", "lorry", "trailer", "caravan", "minibus", "vehicle"),
    ("person", "pedestrian", "rider", "cyclist", "people", "person_sitting", "man", "woman", "child"),
    (
        "bicycle",
        "motorcycle",
        "bike",
        "motor",
        "motorbike",
        "moped",
        "scooter",
        "tricycle",
        "awning-tricycle",
    ),
    ("dog", "cat", "horse", "sheep", "cow", "bear", "zebra", "goat", "deer", "pig"),
    ("train", "tram"),
)

Groups = NDArray[np.int16]


def groups_of(classes: Sequence[str]) -> Groups:
    """Group of each class.

    Args:
        classes: names of the model's classes, in the order of their ids.

    Returns:
        (C,) id of the first class of the same group, or the class's own id.
    """
    group = {name: number for number, names in enumerate(GROUPS) for name in names}
    first: dict[int, int] = {}
    result = np.arange(len(classes), dtype=np.int16)
    for class_id, name in enumerate(classes):
        number = group.get(name.lower().replace(" ", "_"))
        if number is not None:
            result[class_id] = first.setdefault(number, class_id)
    return result
