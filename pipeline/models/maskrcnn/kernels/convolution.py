"""What follows a convolution, in one pass over its output: bias, sum, activation, pooling."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ELEMENTS = 4096
"""Elements for each program."""


@triton.jit
def _activated(x, ACTIVATION: tl.constexpr):  # noqa: N803
    """NaN stays NaN, so that what is not finite is noticed in the end."""
    if ACTIVATION == "relu":
        x = tl.where(x < 0, 0.0, x)
    elif ACTIVATION == "hardsigmoid" or ACTIVATION == "hardswish":
        gate = x / 6.0 + 0.5
        gate = tl.where(gate < 0, 0.0, gate)
        gate = tl.where(gate > 1, 1.0, gate)
        x = x * gate if ACTIVATION == "hardswish" else gate
    return x


@triton.jit
def _add_bias(
    out, bias, other, pixels, height, width,
    C: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,  # noqa: N803
    OTHER: tl.constexpr, ACTIVATION: tl.constexpr,  # noqa: N803
):  # fmt: skip
    pixel = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    there = (pixel[:, None] < pixels) & (channel[None, :] < C)
    at = pixel[:, None] * C + channel[None, :]
    x = tl.load(out + at, mask=there, other=0).to(tl.float32)
    x += tl.load(bias + channel, mask=channel < C, other=0).to(tl.float32)[None, :]
    if OTHER == "same":
        x += tl.load(other + at, mask=there, other=0).to(tl.float32)
    elif OTHER == "half":
        column = pixel % width
        row = (pixel // width) % height
        image = pixel // (width * height)
        source = (image * (height // 2) + row // 2) * (width // 2) + column // 2
        x += tl.load(other + source[:, None] * C + channel[None, :], mask=there, other=0).to(tl.float32)
    tl.store(out + at, _activated(x, ACTIVATION).to(out.dtype.element_ty), mask=there)


def add_bias(images: Tensor, bias: Tensor, other: Tensor | None = None, activation: str = "none") -> Tensor:
    """`activation(images + bias + other)` in place.

    Args:
        images: (B, C, H, W), channels last; else the result is a copy.
        bias: (C,).
        other: (B, C, H, W) or (B, C, H / 2, W / 2), in the latter case enlarged by repetition.
        activation: `none`, `relu`, `hardswish` or `hardsigmoid`.

    Returns:
        `images`.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    other = None if other is None else other.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = images.shape
    pixels, padded = count * height * width, triton.next_power_of_2(channels)
    rows = max(1, ELEMENTS // padded)
    how = "none" if other is None else "same" if other.shape == images.shape else "half"
    _add_bias[(triton.cdiv(pixels, rows),)](
        images,
        bias,
        images if other is None else other,
        pixels,
        height,
        width,
        C=channels,
        CHANNELS=padded,
        ROWS=rows,
        OTHER=how,
        ACTIVATION=activation,
        num_warps=8,
    )
    return images


@triton.jit
def _pool(
    images, bias, out, pixels, height, width, out_height, out_width,
    C: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    pixel = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    there = (pixel[:, None] < pixels) & (channel[None, :] < C)
    column = 2 * (pixel % out_width) - 1
    row = 2 * ((pixel // out_width) % out_height) - 1
    first = (pixel // (out_width * out_height)) * height
    best = tl.full((ROWS, CHANNELS), float("-inf"), tl.float32)
    for y in tl.static_range(3):
        for x in tl.static_range(3):
            inside = (row + y >= 0) & (row + y < height) & (column + x >= 0) & (column + x < width)
            source = ((first + row + y) * width + column + x) * C
            value = tl.load(
                images + source[:, None] + channel[None, :],
                mask=there & inside[:, None],
                other=float("-inf"),
            ).to(tl.float32)
            best = tl.where((value > best) | (value != value), value, best)  # or NaN
    best += tl.load(bias + channel, mask=channel < C, other=0).to(tl.float32)[None, :]
    best = tl.where(best < 0, 0.0, best)
    tl.store(out + pixel[:, None] * C + channel[None, :], best.to(out.dtype.element_ty), mask=there)


def pool_relu(images: Tensor, bias: Tensor) -> Tensor:
    """The largest of `relu(images + bias)` in windows of 3x3 pixels, 2 apart, with a border of 1.

    Args:
        images: (B, C, H, W), channels last.
        bias: (C,).

    Returns:
        (B, C, ceil(H / 2), ceil(W / 2)), channels last.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = images.shape
    size = (-(-height // 2), -(-width // 2))
    out = torch.empty((count, *size, channels), dtype=images.dtype, device=images.device)
    pixels, padded = count * size[0] * size[1], triton.next_power_of_2(channels)
    rows = max(1, ELEMENTS // 2 // padded)
    _pool[(triton.cdiv(pixels, rows),)](
        images, bias, out, pixels, height, width, *size, C=channels, CHANNELS=padded, ROWS=rows, num_warps=8
    )
    return out.permute(0, 3, 1, 2)
