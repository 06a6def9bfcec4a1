"""What a Mask R-CNN found, from the device to NumPy: one copy for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.maskrcnn.regions import Regions

COLUMNS = 7
"""Of what is copied for each instance: x0 y0 x1 y1 score label image."""

Answer = tuple[Regions, Tensor, Tensor]
"""What the network says of frames of one size, on the device: detections, (N, 28, 28) masks and (B,) broken images."""


def copied(
    answers: Sequence[Answer],
) -> list[tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]]:
    """Of each (N, 7) x0 y0 x1 y1 score label image, (N, 28, 28) uint8 masks and (B,) bool: one copy from the device
    for all."""
    if not answers:
        return []
    parts = []
    for found, masks, broken in answers:
        numbers = torch.column_stack((found.boxes, found.scores, found.labels, found.images)).float()
        parts += [
            numbers.view(torch.uint8),
            (masks * 255).round().to(torch.uint8),
            (broken > 0).to(torch.uint8),
        ]
    flat = torch.cat([part.flatten() for part in parts]).cpu().numpy()
    here, at = [], 0
    for _, masks, broken in answers:
        count, side = masks.shape[:2]
        ends = [at, at + count * COLUMNS * 4, at + count * (COLUMNS * 4 + side * side)]
        at = ends[2] + len(broken)
        here.append(
            (
                np.ascontiguousarray(flat[ends[0] : ends[1]]).view(np.float32).reshape(count, COLUMNS),
                flat[ends[1] : ends[2]].reshape(count, side, side),
                flat[ends[2] : at] > 0,
            )
        )
    return here
