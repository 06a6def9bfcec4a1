"""RoIAlign over a feature pyramid, as in the module of that name outside, without a table of all pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.models.maskrcnn.kernels.support import MOST_LEVELS


@triton.jit
def _taps(low, cell, sample, length):
    """Of a sampling point along one axis the pixels before and after it, and their weights."""
    at = low + (sample + 0.5) * cell * 0.5
    inside = (at >= -1.0) & (at <= length)
    at = tl.minimum(tl.maximum(at, 0.0), length - 1.0)
    last = length.to(tl.int32) - 1
    before = tl.minimum(at.to(tl.int32), tl.maximum(last - 1, 0))
    share = tl.where(inside, 0.5, 0.0)
    return before, tl.minimum(before + 1, last), (1.0 - (at - before)) * share, (at - before) * share


@triton.jit
def _line(
    base, xa, xb, xc, xd, wa, wb, wc, wd, there,
):  # fmt: skip
    """Four pixels of a line, weighted."""
    total = tl.load(base + xa, mask=there, other=0).to(tl.float32) * wa
    total += tl.load(base + xb, mask=there, other=0).to(tl.float32) * wb
    total += tl.load(base + xc, mask=there, other=0).to(tl.float32) * wc
    return total + tl.load(base + xd, mask=there, other=0).to(tl.float32) * wd


@triton.jit
def _roi_align(
    boxes, images, out, p0, p1, p2, p3,
    h0, w0, h1, w1, h2, w2, h3, w3,
    stride, canonical_scale, canonical_level, lowest, levels,
    SIZE: tl.constexpr, C: tl.constexpr, CHANNELS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    region = tl.program_id(0) // SIZE
    line = tl.program_id(0) % SIZE
    channel = tl.arange(0, CHANNELS)
    there = channel < C
    target = out + (region.to(tl.int64) * SIZE + line) * SIZE * C + channel
    x0 = tl.load(boxes + region * 4)
    y0 = tl.load(boxes + region * 4 + 1)
    x1 = tl.load(boxes + region * 4 + 2)
    y1 = tl.load(boxes + region * 4 + 3)
    if (x1 > x0) & (y1 > y0):
        side = tl.sqrt((x1 - x0) * (y1 - y0))
        level = tl.floor(canonical_level + tl.log2(side / canonical_scale) + 1e-6) - lowest
        level = tl.minimum(tl.maximum(level, 0.0), levels - 1.0)
        base = p0
        height = h0
        width = w0
        scale = 1.0 / stride
        if level == 1.0:
            base = p1
            height = h1
            width = w1
            scale = scale / 2
        if level == 2.0:
            base = p2
            height = h2
            width = w2
            scale = scale / 4
        if level == 3.0:
            base = p3
            height = h3
            width = w3
            scale = scale / 8
        x0 = x0 * scale
        y0 = y0 * scale
        cell_width = tl.maximum(x1 * scale - x0, 1.0) / SIZE
        cell_height = tl.maximum(y1 * scale - y0, 1.0) / SIZE
        long = width.to(tl.float32)
        ya, yb, va, vb = _taps(y0, cell_height, line * 2.0, height.to(tl.float32))
        yc, yd, vc, vd = _taps(y0, cell_height, line * 2.0 + 1.0, height.to(tl.float32))
        image = base + tl.load(images + region).to(tl.int64) * height * width * C
        for column in range(SIZE):
            xa, xb, wa, wb = _taps(x0, cell_width, column * 2.0, long)
            xc, xd, wc, wd = _taps(x0, cell_width, column * 2.0 + 1.0, long)
            xa = xa * C + channel
            xb = xb * C + channel
            xc = xc * C + channel
            xd = xd * C + channel
            total = _line(image + ya * width * C, xa, xb, xc, xd, wa, wb, wc, wd, there) * va
            total += _line(image + yb * width * C, xa, xb, xc, xd, wa, wb, wc, wd, there) * vb
            total += _line(image + yc * width * C, xa, xb, xc, xd, wa, wb, wc, wd, there) * vc
            total += _line(image + yd * width * C, xa, xb, xc, xd, wa, wb, wc, wd, there) * vd
            tl.store(target + column * C, total.to(out.dtype.element_ty), mask=there)
    else:
        for column in range(SIZE):
            tl.store(target + column * C, tl.zeros((CHANNELS,), out.dtype.element_ty), mask=there)


def roi_align(
    features: Sequence[Tensor],
    boxes: Tensor,
    images: Tensor,
    size: int,
    *,
    stride: int,
    canonical_scale: float,
    canonical_level: int,
) -> Tensor:
    """Pooled features of regions; 0 for those without area.

    Args:
        features: for each of at most `MOST_LEVELS` levels (B, C, H, W), channels last, half as large as the one before.
        boxes: (R, 4) float32, x0 y0 x1 y1, pixels of the input.
        images: (R,) int64, the image of the batch that each region lies in.
        size: cells along each side.
        stride: of the first level.
        canonical_scale: as in `LevelAssignment`.
        canonical_level: likewise.

    Returns:
        (R, C, size, size), channels last.
    """
    channels = features[0].shape[1]
    out = torch.empty((len(boxes), size, size, channels), dtype=features[0].dtype, device=boxes.device)
    padded = [*features, *[features[-1]] * (MOST_LEVELS - len(features))]
    _roi_align[(len(boxes) * size,)](
        boxes.contiguous(),
        images,
        out,
        *padded,
        *(side for one in padded for side in one.shape[2:]),
        float(stride),
        float(canonical_scale),
        float(canonical_level),
        float(stride.bit_length() - 1),
        float(len(features)),
        SIZE=size,
        C=channels,
        CHANNELS=triton.next_power_of_2(channels),
        num_warps=1,
    )
    return out.permute(0, 3, 1, 2)
