"""Converts decoded frames of any pixel format, range, size and rotation to `Planes` of one fixed size.

The common case, yuv420p in limited range, is a single copy from the decoder's planes. Everything else goes through
swscale once. Colour matrices are not converted: BT.709 video stays BT.709.
"""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from pipeline.transport.planes import Plane, Planes

_ROTATIONS = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FULL_RANGE = int(ColorRange.JPEG)
_LUMA_TO_LIMITED = np.round(16 + np.arange(256) * (219 / 255)).astype(np.uint8)
_CHROMA_TO_LIMITED = np.round(128 + (np.arange(256) - 128) * (224 / 255)).astype(np.uint8)


def plane_view(plane: VideoPlane) -> Plane:
    """A view on one plane of an 8-bit planar frame, without the padding of its rows; nothing is copied.

    Returns:
        (H, W) uint8.
    """
    rows: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def planes_of(frame: av.VideoFrame) -> Planes:
    """Views on the planes of a yuv420p frame. Writing to them writes to the frame."""
    y, u, v = (plane_view(plane) for plane in frame.planes)
    return Planes(y, u, v)


def quarter_turns(frame: av.VideoFrame) -> int:
    """Clockwise quarter turns (0..3) requested by the frame's display matrix; other angles count as none."""
    degrees = -frame.rotation
    return degrees // 90 % 4 if degrees % 90 == 0 else 0


def shown_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Displayed (width, height) in pixels, with the rotation applied."""
    return (frame.height, frame.width) if quarter_turns(frame) % 2 else (frame.width, frame.height)


class Converter:
    """Converts the frames of one stream to upright yuv420p in limited range.

    Keeps the scaler between frames, so only one thread may use it at a time.

    Args:
        width, height: of the converted frames, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._reformatter = VideoReformatter()

    def copy(self, frame: av.VideoFrame, planes: Planes) -> None:
        """Converts one frame.

        Args:
            frame: any pixel format, size and rotation.
            planes: written; `width` x `height` pixels, rows may be padded.
        """
        turns = quarter_turns(frame)
        width, height = (self.height, self.width) if turns % 2 else (self.width, self.height)
        same_size = (frame.width, frame.height) == (width, height)
        name = frame.format.name
        full = name == "yuvj420p" or frame.color_range == _FULL_RANGE
        if not same_size or name not in ("yuv420p", "yuvj420p"):
            frame = self._reformatter.reformat(
                frame,
                width=width,
                height=height,
                format="yuv420p",
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            full = False
        sources = [plane_view(plane) for plane in frame.planes[:3]]
        for number, (source, target) in enumerate(zip(sources, (planes.y, planes.u, planes.v), strict=True)):
            upright = cv2.rotate(source, _ROTATIONS[turns]) if turns else source
            if full:
                table = _CHROMA_TO_LIMITED if number else _LUMA_TO_LIMITED
                upright = cv2.LUT(upright, table)
            np.copyto(target, upright)


def letterbox(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scales an image into a frame without changing its aspect ratio, with black bars around it.

    Args:
        image: (H, W, 3) uint8.
        width, height: of the result, pixels.

    Returns:
        (height, width, 3) uint8.
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    boxed = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    boxed[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=interpolation
    )
    return boxed


def copy_planes(source: Planes, target: Planes) -> None:
    """Copies planes of equal size; rows of either may be padded."""
    np.copyto(target.y, source.y)
    np.copyto(target.u, source.u)
    np.copyto(target.v, source.v)
