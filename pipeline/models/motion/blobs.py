"""From the foreground mask to the masks of single objects. Pure: no state, no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.models.motion.object_size import ObjectSize

Mask = NDArray[np.uint8]
"""(H, W) uint8, 255 inside, 0 outside."""
SizeAt = Callable[[float], ObjectSize | None]
"""From the row of the feet to the size of one object that stands there; None where it is not known."""

MIN_THICKNESS = 0.4
"""Mean thickness, in sides of the smallest object, below which a component is a thread: tape, twigs, an edge."""
GROUP_WIDTH, GROUP_HEIGHT, GROUP_AREA = 1.5, 1.3, 1.35
"""Width, height and area of a blob, relative to one object, above which it may be a group."""
MIN_VISIBLE = 0.35
"""Share of one object's area that has to be visible for an object of its own."""


@dataclass(frozen=True, slots=True)
class Blob:
    """One object or group.

    Attributes:
        x: column of the upper left corner of its box.
        y: row of that corner.
        mask: (h, w) uint8, 0 or 255.
    """

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
        """The row below the lowest one."""
        return self.y + self.height

    @property
    def outline(self) -> NDArray[np.bool_]:
        """(h, w) bool: the pixels on both sides of its edge, as far as they lie in its box."""
        framed = cv2.copyMakeBorder(self.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        edge = cv2.morphologyEx(framed, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        return np.asarray(edge[1:-1, 1:-1] > 0)

    def touches_border(self, width: int, height: int, margin: int = 2) -> bool:
        """Whether it comes close to the border of the mask.

        Args:
            width: Of the mask, pixels.
            height: Of the mask, pixels.
            margin: Pixels that count as the border.
        """
        return (
            self.x < margin
            or self.y < margin
            or self.x + self.width > width - margin
            or self.foot > height - margin
        )


def clean_mask(mask: Mask) -> Mask:
    """Removes isolated pixels and closes small gaps, vertical ones more readily, since objects are upright.

    Args:
        mask: (H, W) uint8, 0 or 255.

    Returns:
        A new mask of the same shape.
    """
    upright = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 7))
    closed = cv2.morphologyEx(cv2.medianBlur(mask, 3), cv2.MORPH_CLOSE, upright)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return np.asarray(opened, np.uint8)


def components(mask: Mask, min_area: float, max_area: float) -> list[Blob]:
    """The connected components of a mask, without threads.

    Args:
        mask: the foreground.
        min_area: pixels; smaller components are left out.
        max_area: pixels; larger components are left out.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        is_thread = area < MIN_THICKNESS * np.sqrt(min_area) * max(width, height)
        if not min_area <= area <= max_area or is_thread:
            continue
        inside = labels[y : y + height, x : x + width] == label
        found.append(Blob(x, y, np.where(inside, np.uint8(255), np.uint8(0))))
    return found


def split_group(blob: Blob, size_at: SizeAt) -> list[Blob]:
    """Splits a blob into its objects: one, or those of a group.

    Where the size of one object is known, objects are removed from front to back: the one with the lowest feet is
    completely visible, and hides those behind it. Where it is not known, people beside each other are separated by
    their heads.

    Args:
        blob: A connected component.
        size_at: Row of the feet, pixels -> size of one object there; None while it is not known.
    """
    size = size_at(blob.foot)
    if size is None:
        return _split_at_heads(blob)
    if (
        blob.width <= GROUP_WIDTH * size.width and blob.height <= GROUP_HEIGHT * size.height
    ) or blob.area < GROUP_AREA * size.area:
        return [blob]
    return _split_front_to_back(blob, size_at) or [blob]


def _split_front_to_back(blob: Blob, size_at: SizeAt) -> list[Blob]:
    """The objects of a group; empty where there are fewer than two."""
    rest = blob.mask > 0
    owners = np.zeros(rest.shape, np.int32)
    count = 0
    while rest.any():
        rows = np.flatnonzero(rest.sum(axis=1) >= 2)
        if not len(rows):
            break
        bottom = int(rows[-1]) + 1
        size = size_at(blob.y + bottom)
        assert size is not None  # it is known for the blob
        top = max(0, bottom - round(1.06 * size.height))
        feet_top = max(0, bottom - max(2, round(0.15 * size.height)))
        feet = np.flatnonzero(rest[feet_top:bottom].any(axis=0))
        lowest = np.flatnonzero(rest[bottom - 1])
        first = lowest[0]  # of feet side by side the left ones come first
        feet = feet[np.abs(feet - first) <= 0.5 * size.width]
        left, right = _best_window(rest[top:bottom].sum(axis=0), float(feet.mean()), size.width)
        taken = np.zeros_like(rest)
        taken[top:bottom, left:right] = rest[top:bottom, left:right]
        if np.count_nonzero(taken) >= MIN_VISIBLE * size.area:
            count += 1
            owners[taken] = count
        rest &= ~taken
        rest[bottom - 1, feet] = False  # whatever was taken, the next round starts higher: the loop ends
    return [] if count < 2 else _assign_pixels(blob, owners, count)


def _best_window(columns: NDArray[np.int64], foot: float, width: float) -> tuple[int, int]:
    """The window of columns that holds most of an object's pixels.

    Args:
        columns: pixels in each column.
        foot: the column of the feet; windows centred on it are preferred.
        width: of the object.

    Returns:
        First column, and the one after the last.
    """
    side = max(2, round(1.1 * width))
    sums = np.concatenate([[0], np.cumsum(columns)])
    reach = 0.45 * width
    best, window = -1.0, (0, side)
    for middle in np.arange(foot - reach, foot + reach + 0.5, 1.0):
        left = round(middle - side / 2)
        low, high = max(0, left), min(len(columns), left + side)
        if low >= high:
            continue
        value = float(sums[high] - sums[low]) * (1.0 - 0.2 * abs(middle - foot) / max(reach, 1.0))
        if value > best:
            best, window = value, (low, high)
    return window


def _assign_pixels(blob: Blob, owners: NDArray[np.int32], count: int) -> list[Blob]:
    """One blob for each owner.

    Pixels without an owner, and pieces that are separated from the largest piece of their owner, go to the nearest
    owner.

    Args:
        blob: the group.
        owners: (h, w) int32, 1 to `count`, 0 where a pixel has none.
        count: how many there are.
    """
    for owner in range(1, count + 1):
        pieces, labels, stats, _ = cv2.connectedComponentsWithStats((owners == owner).astype(np.uint8))
        if pieces > 2:
            largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            owners[(labels != largest) & (labels > 0)] = 0
    free = (blob.mask > 0) & (owners == 0)
    if free.any():
        _, labels = cv2.distanceTransformWithLabels(
            (owners == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        owner_of_label = np.zeros(int(labels.max()) + 1, np.int32)
        owner_of_label[labels[owners > 0]] = owners[owners > 0]
        owners = np.where(free, owner_of_label[labels], owners)
    found = []
    for owner in range(1, count + 1):
        found += _cropped(blob, owners == owner)
    return found


def _cropped(blob: Blob, inside: NDArray[np.bool_]) -> list[Blob]:
    """The part of a blob that is `inside`, (h, w) bool, cropped to its box; empty where there is none."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return []
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    part = np.where(inside[y0:y1, x0:x1], np.uint8(255), np.uint8(0))
    return [Blob(blob.x + x0, blob.y + y0, part)]


def _split_at_heads(blob: Blob) -> list[Blob]:
    """Cuts between two heads, peaks of the upper outline that are prominent and high enough to have a body below."""
    if blob.width < 0.6 * blob.height or blob.height < 12:
        return [blob]
    inside = blob.mask > 0
    profile = np.where(inside.any(axis=0), blob.height - inside.argmax(axis=0), 0).astype(np.float32)
    profile = cv2.blur(profile[None], (max(3, blob.height // 12) | 1, 1))[0]
    cuts = []
    heads = _peaks(profile, 0.12 * blob.height, 0.6 * blob.height)
    for first, second in pairwise(heads):
        if second - first >= 0.2 * blob.height:
            columns = inside[:, first : second + 1].sum(axis=0)
            cuts.append(first + int(np.argmin(columns)))
    edges = [0, *cuts, blob.width]
    found = []
    for left, right in pairwise(edges):
        part = np.zeros_like(inside)
        part[:, left:right] = inside[:, left:right]
        found += _cropped(blob, part)
    return found


def _peaks(values: NDArray[np.float32], prominence: float, min_height: float) -> list[int]:
    """Indices of the maxima of at least `min_height` that exceed the valleys on both sides by `prominence`."""
    found: list[int] = []
    high, low = 0, 0
    rising = True
    for place in range(1, len(values)):
        if rising:
            if values[place] > values[high]:
                high = place
            elif values[place] < values[high] - prominence:
                if values[high] >= min_height:
                    found.append(high)
                low, rising = place, False
        elif values[place] < values[low]:
            low = place
        elif values[place] > values[low] + prominence:
            high, rising = place, True
    if rising and values[high] >= min_height:
        found.append(high)
    return found
