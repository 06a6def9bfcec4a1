"""Results of a Mask R-CNN from the device to NumPy: one copy for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.models.maskrcnn.network import NetworkOutput

COLUMNS = 7
"""Float32 numbers that are copied for each detection: x0 y0 x1 y1 score label image."""


@dataclass(frozen=True, slots=True)
class HostOutput:
    """A `NetworkOutput` in host memory.

    Attributes:
        rows: (N, 7) float32, x0 y0 x1 y1 in pixels of the input, score, label, image of the batch.
        masks: (N, 28, 28) uint8, probabilities scaled to 0..255.
        non_finite: (B,) bool, images in which the network computed NaN or infinity.
    """

    rows: NDArray[np.float32]
    masks: NDArray[np.uint8]
    non_finite: NDArray[np.bool_]


def copy_to_host(outputs: Sequence[NetworkOutput]) -> list[HostOutput]:
    """Copies the outputs of several runs of the network with a single transfer, since each one waits for the device."""
    if not outputs:
        return []
    parts = []
    for one in outputs:
        found = one.regions
        numbers = torch.column_stack((found.boxes, found.scores, found.labels, found.images)).float()
        parts += [
            numbers.view(torch.uint8),
            (one.masks * 255).round().to(torch.uint8),
            (one.non_finite > 0).to(torch.uint8),
        ]
    flat = torch.cat([part.flatten() for part in parts]).cpu().numpy()
    copies, at = [], 0
    for one in outputs:
        count, side = one.masks.shape[:2]
        ends = [at, at + count * COLUMNS * 4, at + count * (COLUMNS * 4 + side * side)]
        at = ends[2] + len(one.non_finite)
        copies.append(
            HostOutput(
                np.ascontiguousarray(flat[ends[0] : ends[1]]).view(np.float32).reshape(count, COLUMNS),
                flat[ends[1] : ends[2]].reshape(count, side, side),
                flat[ends[2] : at] > 0,
            )
        )
    return copies
