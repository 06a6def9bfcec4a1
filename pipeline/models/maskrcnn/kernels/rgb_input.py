"""From yuv420p planes to the normalized, resized and padded RGB input of a network, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

COLUMNS = 256
"""Pixels for each program."""


@triton.jit
def _byte(x):
    return tl.minimum(tl.maximum(x >> 20, 0), 255).to(tl.float32)


@triton.jit
def _rgb(
    frame, y, x, width, luma_size, half, chroma_size, there,
):  # fmt: skip
    """The colour of a pixel, as `preprocess.yuv420_to_rgb` computes it."""
    at = (y // 2) * half + x // 2
    luma = tl.load(frame + y * width + x, mask=there, other=16).to(tl.int32) - 16
    u = tl.load(frame + luma_size + at, mask=there, other=128).to(tl.int32) - 128
    v = tl.load(frame + luma_size + chroma_size + at, mask=there, other=128).to(tl.int32) - 128
    light = tl.maximum(luma, 0) * 1220542 + 524288
    return _byte(light + 1673527 * v), _byte(light - 852492 * v - 409993 * u), _byte(light + 2116026 * u)


@triton.jit
def _rgb_input(
    frames, out, height, width, inner_height, inner_width,
    out_height, out_width, down, across,
    m0, m1, m2, s0, s1, s2, COLUMNS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    image = tl.program_id(2).to(tl.int64)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row = tl.program_id(1) + 0 * column
    half = (width + 1) // 2
    chroma_size = half * ((height + 1) // 2)
    luma_size = height * width
    frame = frames + image * (luma_size + 2 * chroma_size)
    there = (column < inner_width) & (row < inner_height)
    fy = tl.maximum((row + 0.5) * down - 0.5, 0.0)
    fx = tl.maximum((column + 0.5) * across - 0.5, 0.0)
    y0 = tl.minimum(fy.to(tl.int32), height - 1)
    x0 = tl.minimum(fx.to(tl.int32), width - 1)
    y1 = tl.minimum(y0 + 1, height - 1)
    x1 = tl.minimum(x0 + 1, width - 1)
    low = fy - y0
    right = fx - x0
    ra, ga, ba = _rgb(frame, y0, x0, width, luma_size, half, chroma_size, there)
    rb, gb, bb = _rgb(frame, y0, x1, width, luma_size, half, chroma_size, there)
    rc, gc, bc = _rgb(frame, y1, x0, width, luma_size, half, chroma_size, there)
    rd, gd, bd = _rgb(frame, y1, x1, width, luma_size, half, chroma_size, there)
    red = (1 - low) * ((1 - right) * ra + right * rb) + low * ((1 - right) * rc + right * rd)
    green = (1 - low) * ((1 - right) * ga + right * gb) + low * ((1 - right) * gc + right * gd)
    blue = (1 - low) * ((1 - right) * ba + right * bb) + low * ((1 - right) * bc + right * bd)
    target = out + ((image * out_height + row) * out_width + column) * 3
    kind = out.dtype.element_ty
    tl.store(target, tl.where(there, (red - m0) / s0, 0.0).to(kind), mask=column < out_width)
    tl.store(target + 1, tl.where(there, (green - m1) / s1, 0.0).to(kind), mask=column < out_width)
    tl.store(target + 2, tl.where(there, (blue - m2) / s2, 0.0).to(kind), mask=column < out_width)


def rgb_input(
    frames: Tensor,
    width: int,
    height: int,
    inner: tuple[int, int],
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
) -> Tensor:
    """The input for frames of one size: converted to RGB, resized bilinearly, normalized, padded with 0.

    Args:
        frames: (B, bytes) uint8, the planes y u v of each frame one after another.
        width: of the frames, pixels.
        height: of the frames, pixels.
        inner: width and height of the resized frame.
        size: width and height of the input, of which the frame takes the left upper part.
        mean: of the channels, 0..255.
        std: of the channels, 0..255.
        dtype: of the input.

    Returns:
        (B, 3, H, W), channels last.
    """
    out = torch.empty((len(frames), size[1], size[0], 3), dtype=dtype, device=frames.device)
    _rgb_input[(triton.cdiv(size[0], COLUMNS), size[1], len(frames))](
        frames,
        out,
        height,
        width,
        inner[1],
        inner[0],
        size[1],
        size[0],
        height / inner[1],
        width / inner[0],
        *(float(value) for value in (*mean, *std)),
        COLUMNS=COLUMNS,
        num_warps=4,
    )
    return out.permute(0, 3, 1, 2)
