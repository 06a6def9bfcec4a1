"""Appearance descriptors on the device, where the frames are: `models/appearance.py` in one kernel."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.models.appearance import BINS, FULL_MASK, INSIDE, MIN_CELLS, PART_ROWS, VALUES


@triton.jit
def _histogram(
    values, low, high, upper, lower, upper_cells, lower_cells, out,
    FIRST: tl.constexpr, BINS: tl.constexpr, SIZE: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Shares of the pixels in each bin, of the upper part and of the lower one."""
    place = tl.minimum(tl.maximum((values - low) / (high - low), 0.0), 1.0) * (BINS - 1)
    for number in tl.static_range(BINS):
        weight = tl.maximum(1.0 - tl.abs(place - number), 0.0)
        above = tl.sum(weight * upper) / upper_cells
        below = tl.sum(weight * lower) / lower_cells
        tl.store(out + FIRST + number, tl.floor(255.0 * above + 0.5).to(tl.uint8))
        tl.store(out + SIZE // 2 + FIRST + number, tl.floor(255.0 * below + 0.5).to(tl.uint8))


@triton.jit
def _appearance(
    frames, boxes, images, masks, out, width, height, scale_x, scale_y, full, luma_low, luma_high,
    chroma_low, chroma_high, inside_from,
    SIDE: tl.constexpr, CELLS: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,  # noqa: N803
    FEWEST: tl.constexpr, LUMA: tl.constexpr, CHROMA: tl.constexpr, SIZE: tl.constexpr,  # noqa: N803
):  # fmt: skip
    instance = tl.program_id(0)
    cell = tl.arange(0, CELLS)
    there = cell < SIDE * SIDE
    row = cell // SIDE
    column = cell % SIDE
    mask = tl.load(masks + instance.to(tl.int64) * SIDE * SIDE + cell, mask=there, other=0)
    inside = tl.floor(mask * 255.0 + 0.5) >= inside_from
    share = tl.sum(inside.to(tl.float32)) / (SIDE * SIDE)
    inside = inside & (share + 0.0 * mask < full)
    wide = width + 0.0
    tall = height + 0.0
    x0 = tl.minimum(tl.maximum(tl.load(boxes + instance * 4) / scale_x, 0.0), wide)
    y0 = tl.minimum(tl.maximum(tl.load(boxes + instance * 4 + 1) / scale_y, 0.0), tall)
    x1 = tl.minimum(tl.maximum(tl.load(boxes + instance * 4 + 2) / scale_x, 0.0), wide)
    y1 = tl.minimum(tl.maximum(tl.load(boxes + instance * 4 + 3) / scale_y, 0.0), tall)
    x = x0 + (column + 0.5) / SIDE * (x1 - x0)
    y = y0 + (row + 0.5) / SIDE * (y1 - y0)
    x = tl.minimum(tl.maximum(x, 0.0), wide - 1.0).to(tl.int32)
    y = tl.minimum(tl.maximum(y, 0.0), tall - 1.0).to(tl.int32)
    half = (width + 1) // 2
    luma_size = width * height
    chroma_size = half * ((height + 1) // 2)
    frame = frames + tl.load(images + instance).to(tl.int64) * (luma_size + 2 * chroma_size)
    at = (y // 2) * half + x // 2
    luma = tl.load(frame + y * width + x, mask=there, other=0).to(tl.float32)
    blue = tl.load(frame + luma_size + at, mask=there, other=0).to(tl.float32)
    red = tl.load(frame + luma_size + chroma_size + at, mask=there, other=0).to(tl.float32)
    upper = (inside & (row >= FIRST) & (row < SECOND)).to(tl.float32)
    lower = (inside & (row >= SECOND)).to(tl.float32)
    above = tl.sum(upper)
    below = tl.sum(lower)
    enough = ((above >= FEWEST) & (below >= FEWEST)).to(tl.float32)
    upper = upper * enough
    lower = lower * enough
    above = tl.maximum(above, 1.0)
    below = tl.maximum(below, 1.0)
    target = out + instance * SIZE
    _histogram(luma, luma_low, luma_high, upper, lower, above, below, target, 0, LUMA, SIZE)
    _histogram(blue, chroma_low, chroma_high, upper, lower, above, below, target, LUMA, CHROMA, SIZE)
    _histogram(red, chroma_low, chroma_high, upper, lower, above, below, target, LUMA + CHROMA, CHROMA, SIZE)


def appearance(
    frames: Tensor,
    size: tuple[int, int],
    scale: tuple[float, float],
    boxes: Tensor,
    images: Tensor,
    masks: Tensor,
) -> Tensor:
    """The descriptors of `models/appearance.py`.

    Args:
        frames: (B, bytes) uint8, the planes y u v of each frame one after another.
        size: width and height of the frames, pixels.
        scale: pixels of the input per pixel of a frame, along x and y.
        boxes: (N, 4) float32, x0 y0 x1 y1, pixels of the input.
        images: (N,) int64, the frame of each box.
        masks: (N, S, S) float32, 0..1, spread over their boxes.

    Returns:
        (N, 24) uint8.
    """
    columns = 2 * sum(BINS)
    out = torch.empty((len(boxes), columns), dtype=torch.uint8, device=boxes.device)
    if not len(boxes):
        return out
    side = masks.shape[1]
    (luma_low, luma_high), (chroma_low, chroma_high) = VALUES
    _appearance[(len(boxes),)](
        frames, boxes.contiguous(), images, masks, out, *size, *scale, FULL_MASK,
        float(luma_low), float(luma_high), float(chroma_low), float(chroma_high), float(INSIDE),
        SIDE=side, CELLS=triton.next_power_of_2(side * side), FIRST=PART_ROWS[0], SECOND=PART_ROWS[1],
        FEWEST=MIN_CELLS, LUMA=BINS[0], CHROMA=BINS[1], SIZE=columns, num_warps=4,
    )  # fmt: skip
    return out
