"""One frame as three planes of yuv420p, the form in which frames live between the stages."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]


def chroma(length: int) -> int:
    """Chroma samples along one axis; odd sizes round up, as FFmpeg does.

    Args:
        length: Luma samples along the same axis.
    """
    return (length + 1) // 2


def planes_bytes(width: int, height: int) -> int:
    """Size in bytes of an unpadded yuv420p frame.

    Args:
        width: Pixels; may be odd.
        height: Pixels; may be odd.
    """
    return width * height + 2 * chroma(width) * chroma(height)


@dataclass(frozen=True, slots=True)
class Planes:
    """A yuv420p frame, limited range, BT.601 (what the decoder normalises every source to).

    Attributes:
        y: (H, W) uint8 luma, 16..235.
        u: (ceil(H/2), ceil(W/2)) uint8, 128 is neutral.
        v: As `u`.
        flat: (planes_bytes,) uint8, the memory of y, u and v behind each other without padding; None if they lie
            elsewhere.
        rgb: (H, W, 3) uint8, the picture that they were made of, for models that profit from its full colour; None
            for video.
    """

    y: Plane
    u: Plane
    v: Plane
    flat: NDArray[np.uint8] | None = None
    rgb: NDArray[np.uint8] | None = None

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        return int(self.y.shape[0])

    @classmethod
    def view(cls, buffer: NDArray[np.uint8], width: int, height: int) -> Planes:
        """Wraps a flat buffer without copying.

        Args:
            buffer: (B,) uint8 with B >= `planes_bytes(width, height)`: y, u, v without padding.
            width: Pixels.
            height: Pixels.

        Returns:
            Planes that share the buffer's memory, and are read-only where it is.
        """
        luma, part = width * height, chroma(width) * chroma(height)
        shape = (chroma(height), chroma(width))
        return cls(
            buffer[:luma].reshape(height, width),
            buffer[luma : luma + part].reshape(shape),
            buffer[luma + part : luma + 2 * part].reshape(shape),
            buffer[: luma + 2 * part],
        )

    def copy(self) -> Planes:
        """The same pixels in memory of their own, in one buffer."""
        flat = np.concatenate([self.y.reshape(-1), self.u.reshape(-1), self.v.reshape(-1)])
        return Planes.view(flat, self.width, self.height)

    @classmethod
    def from_rgb(cls, image: NDArray[np.uint8]) -> Planes:
        """Converts an RGB image. Odd sizes are padded by edge replication for the conversion, then cropped.

        Args:
            image: (H, W, 3) uint8 RGB, full range.

        Returns:
            Planes in memory of their own.
        """
        height, width = image.shape[:2]
        even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        flat = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)
        whole = cls.view(np.ascontiguousarray(flat, np.uint8).reshape(-1), even.shape[1], even.shape[0])
        return cls(np.ascontiguousarray(whole.y[:height, :width]), whole.u.copy(), whole.v.copy())

    def to_rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        height, width = self.y.shape
        even_y = cv2.copyMakeBorder(self.y, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        flat = np.concatenate([even_y.reshape(-1), self.u.reshape(-1), self.v.reshape(-1)])
        image = cv2.cvtColor(flat.reshape(-1, even_y.shape[1]), cv2.COLOR_YUV2RGB_I420)
        return np.asarray(image[:height, :width], np.uint8)
