"""Stamps: small pictures with transparency that are composited onto yuv420p planes in place.

A stamp is prepared once, in the planes' own colour space and premultiplied by its opacity. Compositing it ("over" of
Porter and Duff 1984) is then one multiplication and one addition of bytes, on the pixels that change only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.planes import Plane, Planes


@dataclass(frozen=True, slots=True)
class Stamp:
    """A small picture with transparency.

    Attributes:
        keep: for luma and for chroma, (h, w) uint8: 1 - opacity, 255 keeps what lies below.
        add: for each plane, (h, w) uint8: colour times opacity.
    """

    keep: tuple[Plane, Plane]
    add: tuple[Plane, Plane, Plane]

    @property
    def width(self) -> int:
        """Pixels of luma."""
        return int(self.keep[0].shape[1])

    @property
    def height(self) -> int:
        """Pixels of luma."""
        return int(self.keep[0].shape[0])

    def blend(self, planes: Planes, x: int, y: int) -> None:
        """Composites the stamp onto a frame.

        Args:
            planes: changed in place; parts of the stamp outside of them are clipped.
            x, y: where its upper left corner goes, rounded down to even pixels.
        """
        x, y = x // 2 * 2, y // 2 * 2
        for number, plane in enumerate((planes.y, planes.u, planes.v)):
            keep, add = self.keep[min(number, 1)], self.add[number]
            left, top = (x, y) if number == 0 else (x // 2, y // 2)
            x0, y0 = max(left, 0), max(top, 0)
            x1, y1 = min(left + keep.shape[1], plane.shape[1]), min(top + keep.shape[0], plane.shape[0])
            if x0 >= x1 or y0 >= y1:
                return
            below = plane[y0:y1, x0:x1]
            part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
            cv2.multiply(below, keep[part], dst=below, scale=1 / 255)
            cv2.add(below, add[part], dst=below)


@dataclass(frozen=True, slots=True)
class SparseStamp:
    """A stamp that covers few pixels of a large area, such as a line: only those pixels are stored and touched.

    Attributes:
        at: for luma and for chroma, (rows, columns) of its pixels in the frame.
        keep: for luma and for chroma, (n,) uint16: 1 - opacity, 256 keeps what lies below.
        add: for each plane, (n,) uint16: colour times opacity.
    """

    at: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]
    keep: tuple[NDArray[np.uint16], ...]
    add: tuple[NDArray[np.uint16], ...]
    _flat: dict[tuple[bool, int], NDArray[np.intp]]

    @classmethod
    def of(cls, stamp: Stamp, x: int, y: int, width: int, height: int) -> SparseStamp:
        """Fixes a stamp at a position in frames of one size.

        Args:
            stamp: what to composite.
            x, y: position of its upper left corner, even.
            width, height: of the frames, pixels; parts of the stamp outside of them are clipped.
        """
        positions, keeps, adds = [], [], []
        for number in range(3):
            step = 1 if number == 0 else 2
            keep = stamp.keep[min(number, 1)]
            rows, columns = np.nonzero(keep < 255)
            inside = (rows + y // step >= 0) & (rows + y // step < (height + step - 1) // step)
            inside &= (columns + x // step >= 0) & (columns + x // step < (width + step - 1) // step)
            rows, columns = rows[inside], columns[inside]
            adds.append(stamp.add[number][rows, columns].astype(np.uint16))
            if number < 2:
                positions.append((rows + y // step, columns + x // step))
                kept = keep[rows, columns].astype(np.uint16)
                keeps.append(kept + (kept >> 7))
        return cls(tuple(positions), tuple(keeps), tuple(adds), {})

    def blend(self, planes: Planes) -> None:
        """Composites the stamp onto a frame of the size it was made for.

        Args:
            planes: Of the frame; drawn on in place.
        """
        for number, plane in enumerate((planes.y, planes.u, planes.v)):
            at, keep = self.at[min(number, 1)], self.keep[min(number, 1)]
            # One flat index instead of two is three times as fast. It depends on the stride: rows may be padded.
            stride, width = plane.strides[0], plane.shape[1]
            flat = np.lib.stride_tricks.as_strided(plane, ((plane.shape[0] - 1) * stride + width,), (1,))
            index = self._flat.get((number > 0, stride))
            if index is None:
                index = self._flat[number > 0, stride] = at[0] * stride + at[1]
            flat[index] = ((flat[index] * keep) >> 8) + self.add[number]
