"""`ClassMap`: class names, and which output channel of a network stands for which class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOT_A_CLASS = ("__background__", "background", "_background_", "bg", "n/a")
"""Names, in lower case, of output channels that stand for no class of objects."""


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The classes of a model.

    Attributes:
        names: class names, without gaps and without the background.
        indices: (S,) int16, for each output channel the index into `names`; -1 where it stands for no class.
    """

    names: tuple[str, ...]
    indices: NDArray[np.int16]

    @classmethod
    def from_names(cls, names: Mapping[int, str], channels: int | None = None) -> ClassMap:
        """Classes in the order of their channels; equal names are one class, names for the background are none.

        Args:
            names: output channel -> name.
            channels: how many output channels there are; default: up to the last one with a name.
        """
        classes: list[str] = []
        indices = np.full(max(names, default=-1) + 1 if channels is None else channels, -1, np.int16)
        for channel, name in sorted(names.items()):
            if name.strip().lower() in NOT_A_CLASS or not 0 <= channel < len(indices):
                continue
            if name not in classes:
                classes.append(name)
            indices[channel] = classes.index(name)
        return cls(tuple(classes), indices)

    def lookup(self, channels: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) int64: index into `names` for each of (N,) output channels; -1 where there is no such class.

        Args:
            channels: (N,) int64, numbers of output channels.
        """
        known = (channels >= 0) & (channels < len(self.indices))
        return np.where(known, self.indices[np.where(known, channels, 0)], -1).astype(np.int64)
