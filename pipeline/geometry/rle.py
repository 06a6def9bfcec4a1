"""Run-length masks as COCO writes them (column by column, counts compressed to text); no pycocotools needed.

The text form follows `rleToString` of the COCO API (maskApi.c): each count from the third on is stored as the
difference to the one two before, in base-32 digits with a continuation bit, offset by 48.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encode(mask: NDArray[np.bool_]) -> str:
    """(H, W) bool -> COCO compressed counts."""
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return _text([mask.size])
    x0, x1 = int(columns[0]), int(columns[-1]) + 1
    return encode_part(mask[:, x0:x1], x0, 0, mask.shape[1], mask.shape[0])


def encode_part(part: NDArray[np.bool_], x: int, y: int, width: int, height: int) -> str:
    """As `encode`, for a mask of `width` x `height` that is empty outside of `part`, (h, w) bool at column x, row y."""
    strip = np.zeros((part.shape[1], height), np.bool_)
    strip[:, y : y + part.shape[0]] = part.T
    flat = strip.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat, [False])).astype(np.int8))) + x * height
    counts = np.diff(np.concatenate(([0], edges, [height * width]))).tolist()
    if counts[-1] == 0:
        counts.pop()
    return _text(counts)


def decode(text: str, height: int, width: int) -> NDArray[np.bool_]:
    """COCO compressed counts -> (height, width) bool. Raises ValueError when the counts do not fill the mask."""
    counts = _counts(text)
    if sum(counts) != height * width:
        raise ValueError(
            f"mask: counts sum to {sum(counts)}, a {width}x{height} mask has {height * width} pixels"
        )
    values = np.zeros(len(counts), bool)
    values[1::2] = True
    return np.repeat(values, counts).reshape((height, width), order="F")


def _text(counts: list[int]) -> str:
    out: list[str] = []
    for i, count in enumerate(counts):
        x = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            digit = x & 0x1F
            x >>= 5
            more = x != -1 if digit & 0x10 else x != 0
            out.append(chr((digit | 0x20 if more else digit) + 48))
    return "".join(out)


def _counts(text: str) -> list[int]:
    counts: list[int] = []
    at = 0
    while at < len(text):
        x, shift, more = 0, 0, True
        while more:
            digit = ord(text[at]) - 48
            x |= (digit & 0x1F) << shift
            more = bool(digit & 0x20)
            at += 1
            shift += 5
            if not more and digit & 0x10:
                x |= -1 << shift
        if len(counts) > 2:
            x += counts[-2]
        counts.append(x)
    return counts
