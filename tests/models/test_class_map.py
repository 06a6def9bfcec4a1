"""Class names, and which output channel of a network stands for which class."""

from __future__ import annotations

import numpy as np

from pipeline.models.class_map import ClassMap


def test_names_that_mean_no_object_are_no_classes() -> None:
    classes = ClassMap.from_names({0: "BACKGROUND", 1: "person", 2: "N/A", 3: "person", 5: "car"})
    assert classes.names == ("person", "car")
    assert classes.lookup(np.array([0, 1, 2, 3, 4, 5, 6, -1])).tolist() == [-1, 0, -1, 0, -1, 1, -1, -1]
