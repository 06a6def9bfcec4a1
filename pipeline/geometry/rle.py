"""Run-length encoded masks as in COCO's format, without pycocotools.

Runs go down the columns. In the text form, `rleToString` of the COCO API (maskApi.c), each count from the third on is
stored as its difference to the count two before, in base-32 digits with a continuation bit, offset by 48.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mask_paste import Corner

MAX_SHIFT = 45
"""Bits of a count, at most: more than any mask has pixels."""


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
        ValueError: it is not such a text, or the counts do not add up to the size of the mask.
    """
    whole = np.zeros((height, width), np.bool_)
    (x, y), region = decode_region(text, height, width)
    whole[y : y + region.shape[0], x : x + region.shape[1]] = region
    return whole


def decode_region(text: str, height: int, width: int) -> tuple[Corner, NDArray[np.bool_]]:
    """Decodes COCO's compressed counts, of a mask of which most is empty.

    Args:
        text: the counts.
        height, width: of the mask, pixels.

    Returns:
        The upper left corner of the smallest region that holds the mask, and (h, w) its pixels; of size 0 if the mask
        is empty.

    Raises:
        ValueError: as `decode`.
    """
    ends = np.cumsum(checked_counts(read_counts(text), height, width))
    starts, stops = ends[0 : len(ends) - 1 : 2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not len(starts):
        return (0, 0), np.zeros((0, 0), np.bool_)
    x0, x1 = int(starts[0]) // height, (int(stops[-1]) - 1) // height + 1
    steps = np.zeros((x1 - x0) * height + 1, np.int8)
    steps[starts - x0 * height] += 1
    steps[stops - x0 * height] -= 1
    strip = np.cumsum(steps[:-1], dtype=np.int8).reshape(x1 - x0, height).T == 1
    rows = np.flatnonzero(strip.any(axis=1))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return (x0, y0), strip[y0:y1]


def write_counts(counts: Sequence[int]) -> str:
    """Compresses counts.

    Args:
        counts: lengths of the runs, of pixels outside first.

    Returns:
        COCO's text form.
    """
    return _text(list(counts))


def checked_counts(counts: Sequence[int], height: int, width: int) -> Sequence[int]:
    """The counts, if they are those of a mask.

    Args:
        counts: lengths of the runs.
        height, width: of the mask, pixels.

    Raises:
        ValueError: one of them is negative, or they do not add up to the size of the mask.
    """
    if min(counts, default=0) < 0:
        raise ValueError(f"mask: got a run of {min(counts)} pixels, expected 0 or more")
    if sum(counts) != height * width:
        raise ValueError(
            f"mask: counts sum to {sum(counts)}, a {width}x{height} mask has {height * width} pixels"
        )
    return counts


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


def read_counts(text: str) -> list[int]:
    """The lengths of the runs in COCO's text form.

    Args:
        text: the counts.

    Raises:
        ValueError: it is not such a text.
    """
    counts: list[int] = []
    at = 0
    while at < len(text):
        x, shift, more = 0, 0, True
        while more:
            if at >= len(text) or shift > MAX_SHIFT:
                raise ValueError(f"mask: the counts end, or go wrong, at character {at}")
            digit = ord(text[at]) - 48
            if not 0 <= digit < 64:
                raise ValueError(f"mask: got {text[at]!r} at character {at} of the counts")
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
