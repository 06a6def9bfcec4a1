"""Results of a Mask R-CNN from the device to NumPy: one copy for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.maskrcnn.device import start_copy
from pipeline.models.maskrcnn.network_output import NetworkOutput

COLUMNS = 7
"""Float32 numbers that are copied for each detection: x0 y0 x1 y1 score label image."""


@dataclass(frozen=True, slots=True)
class HostOutput:
    """A `NetworkOutput` in host memory.

    Attributes:
        rows: (N, 7) float32, x0 y0 x1 y1 in pixels of the input, score, label, image of the batch.
        masks: (N, 28, 28) uint8, probabilities scaled to 0..255.
        non_finite: (B,) int32, as in `NetworkOutput`.
        invalid: (B,) bool, as in `NetworkOutput`.
        appearances: (N, 24) uint8, where they were computed on the device.
    """

    rows: NDArray[np.float32]
    masks: NDArray[np.uint8]
    non_finite: NDArray[np.int32]
    invalid: NDArray[np.bool_]
    appearances: NDArray[np.uint8] | None


class HostCopy:
    """Copies the outputs of several runs of the network with a single transfer, since each one waits for the device.

    On CUDA the constructor returns before that is done, so that the next batch can be started meanwhile.

    Args:
        outputs: of any number of runs.
        appearances: of each (N, 24) uint8 on the device, or None.
    """

    def __init__(
        self, outputs: Sequence[NetworkOutput], appearances: Sequence[Tensor | None] | None = None
    ) -> None:
        self._shapes = [(len(one.masks), one.masks.shape[1], len(one.invalid)) for one in outputs]
        self._packed = [
            (len(one.masks), len(one.invalid)) if one.packed is None else (one.packed_rows, one.packed_images)
            for one in outputs
        ]
        self._described = [0 if one is None else one.shape[1] for one in appearances or [None] * len(outputs)]
        parts = [one.pack() if one.packed is None else one.packed for one in outputs]
        parts += [one.flatten() for one in appearances or () if one is not None]
        self._bytes = start_copy(parts[0] if len(parts) == 1 else torch.cat(parts)) if parts else None

    def finish(self) -> list[HostOutput]:
        """One for each output, in order. Waits for the device."""
        flat, copies, at = np.zeros(0, np.uint8) if self._bytes is None else self._bytes().numpy(), [], 0
        for (count, side, images), (packed, packed_images) in zip(self._shapes, self._packed, strict=True):
            sizes = (packed * COLUMNS * 4, packed * side * side, packed_images * 4, packed_images)
            rows, masks, non_finite, invalid = np.split(flat[at : at + sum(sizes)], np.cumsum(sizes[:-1]))
            at += sum(sizes)
            copies.append(
                HostOutput(
                    np.ascontiguousarray(rows).view(np.float32).reshape(packed, COLUMNS)[:count],
                    masks.reshape(packed, side, side)[:count],
                    np.ascontiguousarray(non_finite).view(np.int32)[:images],
                    invalid[:images] > 0,
                    None,
                )
            )
        for number, columns in enumerate(self._described):
            if columns:
                size = len(copies[number].rows) * columns
                rows = flat[at : at + size].reshape(-1, columns)
                copies[number] = replace(copies[number], appearances=rows)
                at += size
        return copies
