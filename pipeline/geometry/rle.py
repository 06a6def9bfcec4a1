"""Run-length encoded masks as in COCO's format, without pycocotools.

Runs go down the columns. In the text form, `rleToString` of the COCO API (maskApi.c), each count from the third on is
stored as its difference to the count two before, in base-32 digits with a continuation bit, offset by 48.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encode(mask: NDArray[np.bool_]) -> str:
    """Encodes a mask.

    Args:
        mask: (H, W).

    Returns:
        COCO's compressed counts.
    """
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return _text([mask.size])
    x0, x1 = int(columns[0]), int(columns[-1]) + 1
    return encode_region(mask[:, x0:x1], x0, 0, mask.shape[1], mask.shape[0])


def encode_region(region: NDArray[np.bool_], x: int, y: int, width: int, height: int) -> str:
    """Encodes a mask that is empty outside of a region.

    Args:
        region: (h, w).
        x, y: column and row of its upper left corner.
        width, height: of the whole mask, pixels.

    Returns:
        COCO's compressed counts.
    """
    strip = np.zeros((region.shape[1], height), np.bool_)
    strip[:, y : y + region.shape[0]] = region.T
    flat = strip.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat, [False])).astype(np.int8))) + x * height
    counts = np.diff(np.concatenate(([0], edges, [height * width]))).tolist()
    if counts[-1] == 0:
        counts.pop()
    return _text(counts)


def decode(text: str, height: int, width: int) -> NDArray[np.bool_]:
    """Decodes COCO's compressed counts.

    Args:
        text: the counts.
        height, width: of the mask, pixels.

    Returns:
        (height, width).

    Raises:
        ValueError: the counts do not add up to the size of the mask.
    """
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
