"""Converts decoded frames of any pixel format, range, size and orientation to `Planes` of one fixed size.

The common case, yuv420p in limited range, is a single copy from the decoder's planes. Everything else goes through
swscale once. Colour matrices are not converted: BT.709 video stays BT.709.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from pipeline.transport.planes import Plane, Planes

_FULL_RANGE = int(ColorRange.JPEG)
_LUMA_TO_LIMITED = np.round(16 + np.arange(256) * (219 / 255)).astype(np.uint8)
_CHROMA_TO_LIMITED = np.round(128 + (np.arange(256) - 128) * (224 / 255)).astype(np.uint8)


def plane_view(plane: VideoPlane) -> Plane:
    """A view on one plane of an 8-bit planar frame, without the padding of its rows; nothing is copied.

    Args:
        plane: Of the frame.

    Returns:
        (H, W) uint8.
    """
    rows: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def planes_of(frame: av.VideoFrame) -> Planes:
    """Views on the planes of a yuv420p frame. Writing to them writes to the frame.

    Args:
        frame: In yuv420p.
    """
    y, u, v = (plane_view(plane) for plane in frame.planes)
    return Planes(y, u, v)


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a decoded frame is turned for display: one of the eight rotations and reflections of a rectangle.

    Attributes:
        transpose: rows and columns are exchanged first.
        flip_x: then left and right are exchanged.
        flip_y: and top and bottom.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, plane: Plane) -> Plane:
        """The plane as it is displayed; the plane itself if nothing changes.

        Args:
            plane: (H, W) uint8, as decoded.
        """
        if self.transpose:
            plane = np.asarray(cv2.transpose(plane), np.uint8)
        if self.flip_x and self.flip_y:
            return np.asarray(cv2.flip(plane, -1), np.uint8)
        if self.flip_x or self.flip_y:
            return np.asarray(cv2.flip(plane, 1 if self.flip_x else 0), np.uint8)
        return plane


UPRIGHT = Orientation()


def orientation(frame: av.VideoFrame) -> Orientation:
    """The orientation that a frame's display matrix asks for.

    The matrix (libavutil/display.h) maps a pixel (x, y) to (a x + c y, b x + d y), apart from a translation. Phones
    write rotations, front cameras and some cameras mounted upside down also reflections. Angles other than multiples
    of 90 degrees are ignored.

    Args:
        frame: As decoded.
    """
    # Not `frame.side_data`: the frame keeps that, and it keeps the frame. Such a circle waits for the garbage
    # collector, and with it the pixels: hundreds of frames.
    side_data: Any = SideDataContainer(frame)  # type: ignore[call-arg]  # PyAV declares a type that it does not have
    if Type.DISPLAYMATRIX not in side_data:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", memoryview(side_data[Type.DISPLAYMATRIX]))
    if b == c == 0 and a and d:
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    if a == d == 0 and b and c:
        return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
    return UPRIGHT


def shown_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Displayed (width, height) in pixels, with the orientation applied.

    Args:
        frame: As decoded.
    """
    return (frame.height, frame.width) if orientation(frame).transpose else (frame.width, frame.height)


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
            frame: any pixel format, size and orientation.
            planes: written; `width` x `height` pixels, rows may be padded.
        """
        turned = orientation(frame)
        width, height = (self.height, self.width) if turned.transpose else (self.width, self.height)
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
            plane = turned.apply(source)
            if full:
                table = _CHROMA_TO_LIMITED if number else _LUMA_TO_LIMITED
                plane = np.asarray(cv2.LUT(plane, table), np.uint8)
            np.copyto(target, plane)


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


def square_pixels(image: NDArray[np.uint8], sample_aspect: tuple[int, int]) -> NDArray[np.uint8]:
    """Enlarges an image in one direction so that it has its right shape where pixels are square.

    Args:
        image: (H, W, 3) uint8.
        sample_aspect: Width and height of a displayed pixel relative to each other.

    Returns:
        (H, W', 3) or (H', W, 3) uint8.
    """
    across, down = sample_aspect
    if across == down:
        return image
    height, width = image.shape[:2]
    size = (round(width * across / down), height) if across > down else (width, round(height * down / across))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def copy_planes(source: Planes, target: Planes) -> None:
    """Copies planes of equal size; rows of either may be padded.

    Args:
        source: What is copied.
        target: Where to.
    """
    np.copyto(target.y, source.y)
    np.copyto(target.u, source.u)
    np.copyto(target.v, source.v)
