"""Non-maximum suppression of many groups of boxes: `padded_nms.py` in two kernels, and always settled.

The first one writes, as bits, which boxes a box is suppressed by; the second one applies "kept = not suppressed by a
kept box" until nothing changes, each group in a program of its own.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

WORD = 32


@triton.jit
def _overlaps(
    boxes, labels, words, iou, count,
    WORDS: tl.constexpr, LABELLED: tl.constexpr,  # noqa: N803
):  # fmt: skip
    group = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    bit = tl.arange(0, 32)
    row = block * 32 + bit
    mine = boxes + (group * count + row) * 4
    x0 = tl.load(mine, mask=row < count, other=0)[:, None]
    y0 = tl.load(mine + 1, mask=row < count, other=0)[:, None]
    x1 = tl.load(mine + 2, mask=row < count, other=0)[:, None]
    y1 = tl.load(mine + 3, mask=row < count, other=0)[:, None]
    area = (x1 - x0) * (y1 - y0)
    label = row[:, None]
    if LABELLED:
        label = tl.load(labels + group * count + row, mask=row < count, other=-1)[:, None]
    target = words + (group * WORDS * 32 + row) * WORDS
    for word in range(block + 1):
        column = word * 32 + bit
        other = boxes + (group * count + column) * 4
        a0 = tl.load(other, mask=column < count, other=0)[None, :]
        b0 = tl.load(other + 1, mask=column < count, other=0)[None, :]
        a1 = tl.load(other + 2, mask=column < count, other=0)[None, :]
        b1 = tl.load(other + 3, mask=column < count, other=0)[None, :]
        width = tl.maximum(tl.minimum(x1, a1) - tl.maximum(x0, a0), 0.0)
        height = tl.maximum(tl.minimum(y1, b1) - tl.maximum(y0, b0), 0.0)
        shared = width * height
        # The order of operations is torchvision's. 0 / 0 is NaN, which is not more than `iou`.
        overlap = tl.div_rn(shared, area + (a1 - a0) * (b1 - b0) - shared)
        hit = (overlap > iou) & (column[None, :] < row[:, None])
        if LABELLED:
            its = tl.load(labels + group * count + column, mask=column < count, other=-2)[None, :]
            hit = hit & (label == its)
        tl.store(target + word, tl.sum(hit.to(tl.int32) << bit[None, :], axis=1))


@triton.jit
def _settle(words, valid, kept, count, WORDS: tl.constexpr) -> None:  # noqa: N803
    group = tl.program_id(0).to(tl.int64)
    row = tl.arange(0, WORDS * 32)
    word = tl.arange(0, WORDS)
    bit = tl.arange(0, 32)
    suppressors = words + (group * WORDS * 32 + row[:, None]) * WORDS + word[None, :]
    good = tl.load(valid + group * count + row, mask=row < count, other=0).to(tl.int32)
    now = good
    changed = 1
    while changed > 0:
        packed = tl.sum(tl.reshape(now, (WORDS, 32)) << bit[None, :], axis=1)
        mask = tl.load(suppressors, mask=word[None, :] <= row[:, None] // 32, other=0)
        hit = tl.max(((mask & packed[None, :]) != 0).to(tl.int32), axis=1)
        after = good & (1 - hit)
        changed = tl.sum(after ^ now, axis=0)
        now = after
    tl.store(kept + group * count + row, now.to(tl.int8), mask=row < count)


def suppress(boxes: Tensor, valid: Tensor, iou: float, labels: Tensor | None = None) -> Tensor:
    """Non-maximum suppression within each group, exactly that of `torchvision.ops.nms`.

    Args:
        boxes: (G, K, 4) float32, x0 y0 x1 y1, K at most `LARGEST_GROUP`; of a group in descending order of scores.
        valid: (G, K) bool; false rows are padding.
        iou: of two boxes that overlap more than this the weaker one is dropped.
        labels: (G, K) int64; boxes of different labels do not suppress each other. None: all have the same one.

    Returns:
        (G, K) bool, the boxes that are kept.
    """
    groups, count = valid.shape
    words = triton.next_power_of_2(triton.cdiv(count, WORD))
    boxes, valid = boxes.contiguous(), valid.contiguous()
    table = torch.empty((groups, words * WORD, words), dtype=torch.int32, device=boxes.device)
    kept = torch.empty((groups, count), dtype=torch.int8, device=boxes.device)
    _overlaps[(groups, triton.cdiv(count, WORD))](
        boxes, boxes if labels is None else labels.contiguous(), table, iou, count, WORDS=words,
        LABELLED=labels is not None, num_warps=1, enable_fp_fusion=False,
    )  # fmt: skip
    _settle[(groups,)](table, valid.view(torch.uint8), kept, count, WORDS=words, num_warps=16)
    return kept.bool()
