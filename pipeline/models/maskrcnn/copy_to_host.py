"""Results of a Mask R-CNN from the device to NumPy: one copy for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.models.maskrcnn.device import start_copy
from pipeline.models.maskrcnn.network import NetworkOutput

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
    """

    rows: NDArray[np.float32]
    masks: NDArray[np.uint8]
    non_finite: NDArray[np.int32]
    invalid: NDArray[np.bool_]


class HostCopy:
    """Copies the outputs of several runs of the network with a single transfer, since each one waits for the device.

    On CUDA the constructor returns before that is done, so that the next batch can be started meanwhile.

    Args:
        outputs: of any number of runs.
    """

    def __init__(self, outputs: Sequence[NetworkOutput]) -> None:
        parts = []
        for one in outputs:
            found = one.regions
            numbers = torch.column_stack((found.boxes, found.scores, found.labels, found.images)).float()
            parts += [
                numbers.view(torch.uint8),
                (one.masks.nan_to_num() * 255).round().to(torch.uint8),
                one.non_finite.int().view(torch.uint8),
                one.invalid.to(torch.uint8),
            ]
        self._shapes = [(len(one.masks), one.masks.shape[1], len(one.invalid)) for one in outputs]
        self._bytes = start_copy(torch.cat([part.flatten() for part in parts])) if parts else None

    def finish(self) -> list[HostOutput]:
        """One for each output, in order. Waits for the device."""
        if self._bytes is None:
            return []
        flat, copies, at = self._bytes().numpy(), [], 0
        for count, side, images in self._shapes:
            sizes = (count * COLUMNS * 4, count * side * side, images * 4, images)
            rows, masks, non_finite, invalid = np.split(flat[at : at + sum(sizes)], np.cumsum(sizes[:-1]))
            at += sum(sizes)
            copies.append(
                HostOutput(
                    np.ascontiguousarray(rows).view(np.float32).reshape(count, COLUMNS),
                    masks.reshape(count, side, side),
                    np.ascontiguousarray(non_finite).view(np.int32),
                    invalid > 0,
                )
            )
        return copies
