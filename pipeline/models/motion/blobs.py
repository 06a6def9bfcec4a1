"""From the mask of all that moves to the masks of the objects. Pure: no state, no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.models.motion.object_size import Size

Mask = NDArray[np.uint8]
"""(H, W) uint8, 255 inside, 0 outside."""

THIN = 0.4
"""Mean thickness, in sides of the smallest object, below which something is a thread: tape, twigs, an edge."""
TOO_WIDE, TOO_HIGH, TOO_MUCH = 1.5, 1.3, 1.35
"""Width, height and area of a blob, in those of one object, above which it may be several."""
PERSON = 0.35
"""Part of one object's area that has to be seen for an object of its own."""


@dataclass(frozen=True, slots=True)
class Blob:
    """One object: its mask, (h, w) uint8 0 or 255, whose upper left corner is at `x`, `y`."""

    x: int
    y: int
    mask: Mask

    @property
    def width(self) -> int:
        return int(self.mask.shape[1])

    @property
    def height(self) -> int:
        return int(self.mask.shape[0])

    @property
    def area(self) -> int:
        return int(np.count_nonzero(self.mask))

    @property
    def foot(self) -> int:
        """Row below the lowest one."""
        return self.y + self.height

    @property
    def outline(self) -> NDArray[np.bool_]:
        """(h, w): the pixels on both sides of its edge, as far as they are in its box."""
        framed = cv2.copyMakeBorder(self.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        edge = cv2.morphologyEx(framed, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        return np.asarray(edge[1:-1, 1:-1] > 0)

    def touches(self, width: int, height: int, margin: int = 2) -> bool:
        """Whether it reaches the border of a mask of that size."""
        return (
            self.x < margin
            or self.y < margin
            or self.x + self.width > width - margin
            or self.foot > height - margin
        )


def tidy(mask: Mask) -> Mask:
    """Without single pixels, with small gaps closed; gaps between what lies above each other close more easily."""
    upright = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 7))
    closed = cv2.morphologyEx(cv2.medianBlur(mask, 3), cv2.MORPH_CLOSE, upright)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return np.asarray(opened, np.uint8)


def components(mask: Mask, least: float, most: float) -> list[Blob]:
    """Connected parts of an area between `least` and `most` pixels that are no threads."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        if not least <= area <= most or area < THIN * np.sqrt(least) * max(width, height):
            continue
        inside = labels[y : y + height, x : x + width] == label
        found.append(Blob(x, y, np.where(inside, np.uint8(255), np.uint8(0))))
    return found


def split(blob: Blob, size_at: Callable[[float], Size | None]) -> list[Blob]:
    """The objects of a blob: one, or those of a group.

    Where the size of one object is known, objects are taken off from front to back: the lowest one is
    seen whole, what it hides of those behind it is not seen at all. Where it is not, people beside each other are
    told by their heads.
    """
    size = size_at(blob.foot)
    if size is None:
        return _by_heads(blob)
    if (
        blob.width <= TOO_WIDE * size.width and blob.height <= TOO_HIGH * size.height
    ) or blob.area < TOO_MUCH * size.area:
        return [blob]
    return _front_to_back(blob, size_at) or [blob]


def _front_to_back(blob: Blob, size_at: Callable[[float], Size | None]) -> list[Blob]:
    rest = blob.mask > 0
    owners = np.zeros(rest.shape, np.int32)
    people = 0
    while rest.any():
        rows = np.flatnonzero(rest.sum(axis=1) >= 2)
        if not len(rows):
            break
        bottom = int(rows[-1]) + 1
        size = size_at(blob.y + bottom)
        assert size is not None  # it was known for this blob
        top = max(0, bottom - round(1.06 * size.height))
        near = max(0, bottom - max(2, round(0.15 * size.height)))
        feet = np.flatnonzero(rest[near:bottom].any(axis=0))
        lowest = np.flatnonzero(rest[bottom - 1])
        first = lowest[0]  # of feet side by side the left ones come first
        feet = feet[np.abs(feet - first) <= 0.5 * size.width]
        left, right = _best_window(rest[top:bottom].sum(axis=0), float(feet.mean()), size.width)
        taken = np.zeros_like(rest)
        taken[top:bottom, left:right] = rest[top:bottom, left:right]
        if np.count_nonzero(taken) >= PERSON * size.area:
            people += 1
            owners[taken] = people
        rest &= ~taken
        rest[bottom - 1, feet] = False  # whatever was taken, the next round begins higher up
    if people < 2:
        return []
    return _shared_out(blob, owners, people)


def _best_window(columns: NDArray[np.int64], foot: float, width: float) -> tuple[int, int]:
    """Left and right of the window around `foot` that holds most of the columns' pixels."""
    side = max(2, round(1.1 * width))
    sums = np.concatenate([[0], np.cumsum(columns)])
    reach = 0.45 * width
    best, found = -1.0, (0, side)
    for middle in np.arange(foot - reach, foot + reach + 0.5, 1.0):
        left = round(middle - side / 2)
        low, high = max(0, left), min(len(columns), left + side)
        if low >= high:
            continue
        held = float(sums[high] - sums[low]) * (1.0 - 0.2 * abs(middle - foot) / max(reach, 1.0))
        if held > best:
            best, found = held, (low, high)
    return found


def _shared_out(blob: Blob, owners: NDArray[np.int32], count: int) -> list[Blob]:
    """One blob for each owner; pixels of nobody go to the nearest owner, and pieces cut off from their own, too."""
    for owner in range(1, count + 1):
        pieces, labels, stats, _ = cv2.connectedComponentsWithStats((owners == owner).astype(np.uint8))
        if pieces > 2:
            main = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            owners[(labels != main) & (labels > 0)] = 0
    free = (blob.mask > 0) & (owners == 0)
    if free.any():
        _, labels = cv2.distanceTransformWithLabels(
            (owners == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        by_label = np.zeros(int(labels.max()) + 1, np.int32)
        by_label[labels[owners > 0]] = owners[owners > 0]
        owners = np.where(free, by_label[labels], owners)
    found = []
    for owner in range(1, count + 1):
        found += _cut(blob, owners == owner)
    return found


def _cut(blob: Blob, inside: NDArray[np.bool_]) -> list[Blob]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return []
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    part = np.where(inside[y0:y1, x0:x1], np.uint8(255), np.uint8(0))
    return [Blob(blob.x + x0, blob.y + y0, part)]


def _by_heads(blob: Blob) -> list[Blob]:
    """Cuts at the valleys of the upper outline between two heads that both stand out and both have a body below."""
    if blob.width < 0.6 * blob.height or blob.height < 12:
        return [blob]
    inside = blob.mask > 0
    tops = np.where(inside.any(axis=0), blob.height - inside.argmax(axis=0), 0).astype(np.float32)
    tops = cv2.blur(tops[None], (max(3, blob.height // 12) | 1, 1))[0]
    cuts = []
    heads = _peaks(tops, 0.12 * blob.height, 0.6 * blob.height)
    for first, second in pairwise(heads):
        if second - first >= 0.2 * blob.height:
            columns = inside[:, first : second + 1].sum(axis=0)
            cuts.append(first + int(np.argmin(columns)))
    edges = [0, *cuts, blob.width]
    found = []
    for left, right in pairwise(edges):
        part = np.zeros_like(inside)
        part[:, left:right] = inside[:, left:right]
        found += _cut(blob, part)
    return found


def _peaks(values: NDArray[np.float32], prominence: float, least: float) -> list[int]:
    """Places of the maxima of at least `least` that stand out by `prominence` from the valleys on both sides."""
    found: list[int] = []
    high, low = 0, 0
    rising = True
    for place in range(1, len(values)):
        if rising:
            if values[place] > values[high]:
                high = place
            elif values[place] < values[high] - prominence:
                if values[high] >= least:
                    found.append(high)
                low, rising = place, False
        elif values[place] < values[low]:
            low = place
        elif values[place] > values[low] + prominence:
            high, rising = place, True
    if rising and values[high] >= least:
        found.append(high)
    return found
