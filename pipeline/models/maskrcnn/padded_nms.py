"""Non-maximum suppression of many groups of boxes at once, without waiting for the device.

Greedy suppression keeps a box unless a stronger kept box of its group overlaps it too much. Only one set fulfils
"kept = not overlapped by a stronger kept box", so it is found by applying that rule again and again to all boxes at
once: after n rounds every box is right whose chain of suppressors is no longer than n. Groups are rows of a padded
table, so that a result does not depend on what else is in the batch. (`torchvision.ops.batched_nms` shifts the boxes
of each group by an offset instead; in float32 that rounds coordinates, by half a pixel at 64 images of 91 classes.)
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 16
"""Groups of real and of random boxes were settled after 10 at most."""


def padded_nms(
    boxes: Tensor, valid: Tensor, iou: float, labels: Tensor | None = None, rounds: int = ROUNDS
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression within each group.

    Args:
        boxes: (G, K, 4) float32, x0 y0 x1 y1; those of a group in descending order of scores.
        valid: (G, K) bool; false rows are padding.
        iou: of two boxes that overlap more than this the weaker one is dropped.
        labels: (G, K); boxes of different labels do not suppress each other. None: all have the same one.
        rounds: how often the rule is applied.

    Returns:
        (G, K) bool, the boxes that are kept; and (G,) bool: whether that is settled. If it is not, chains of
        suppressors are longer than `rounds`, and some boxes may be wrong.
    """
    boxes = boxes.masked_fill(~valid[..., None], 0)
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    width, height = (
        torch.minimum(boxes[:, :, None, axis + 2], boxes[:, None, :, axis + 2])
        .sub_(torch.maximum(boxes[:, :, None, axis], boxes[:, None, :, axis]))
        .clamp_(min=0)
        for axis in (0, 1)
    )
    shared = width.mul_(height)
    overlap = shared / (
        areas[:, :, None] + areas[:, None] - shared
    )  # the order of operations is torchvision's
    # Row i, column j: j is stronger than i and overlaps it too much. 0 / 0 is NaN, which is not more than `iou`.
    suppresses = (overlap > iou).tril_(-1)
    if labels is not None:
        suppresses &= labels[:, :, None] == labels[:, None]
    # A product of matrices is the fastest way to "any of the kept ones"; on CUDA half precision halves what it reads.
    # Its sums are never rounded to 0.
    matrix = suppresses.to(torch.float16 if boxes.device.type == "cuda" else torch.float32)
    kept = before = valid
    for _ in range(rounds + 1):
        before = kept
        kept = valid & (torch.bmm(matrix, before.to(matrix.dtype)[..., None])[..., 0] == 0)
    return before, (kept == before).all(1)
