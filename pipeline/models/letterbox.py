"""Letterbox: how a frame is scaled and placed in a model's input, and how boxes get back into the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.planes import Planes

Floats = NDArray[np.float32]

BLACK_YUV = (16, 128, 128)
"""Black in limited-range YUV, the padding beside a frame."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Placement of a frame in a model's input: scaled by (`scale_x`, `scale_y`), then shifted by (`left`, `top`).

    Because the scaled frame has whole sides, the two scales differ by less than a pixel over the whole frame, unless
    it is stretched on purpose.

    Attributes:
        left: columns of padding to the left of the frame.
        top: rows of padding above it.
        inner_width: width of the scaled frame, pixels.
        inner_height: its height, pixels.
        scale_x: `inner_width` over the width of the frame.
        scale_y: `inner_height` over the height of the frame.
    """

    left: int
    top: int
    inner_width: int
    inner_height: int
    scale_x: float
    scale_y: float

    @property
    def rows(self) -> slice:
        """Rows of the input that the scaled frame covers."""
        return slice(self.top, self.top + self.inner_height)

    @property
    def columns(self) -> slice:
        """Columns of the input that the scaled frame covers."""
        return slice(self.left, self.left + self.inner_width)

    @classmethod
    def centered(cls, width: int, height: int, input_width: int, input_height: int) -> Letterbox:
        """As large as possible in the centre of the input, with equal padding on both sides: the way of YOLO models.

        Args:
            width: of the frame, pixels.
            height: of the frame, pixels.
            input_width: of the model's input, pixels.
            input_height: of the model's input, pixels.
        """
        corner = cls.top_left(width, height, input_width, input_height)
        inner = (corner.inner_width, corner.inner_height)
        left, top = (input_width - inner[0]) // 2, (input_height - inner[1]) // 2
        return cls(left, top, *inner, corner.scale_x, corner.scale_y)

    @classmethod
    def top_left(
        cls, width: int, height: int, input_width: int, input_height: int, *, multiple: int = 2
    ) -> Letterbox:
        """As large as possible in the upper left corner of the input, as torchvision pads.

        Args:
            width: of the frame, pixels.
            height: of the frame, pixels.
            input_width: of the model's input, pixels.
            input_height: of the model's input, pixels.
            multiple: sides of the scaled frame are multiples of it; 2 keeps them even for subsampled chroma.
        """
        scale = min(input_width / width, input_height / height)
        inner_width, inner_height = (
            min(max(multiple, multiple * round(side * scale / multiple)), whole // multiple * multiple)
            for side, whole in ((width, input_width), (height, input_height))
        )
        return cls(0, 0, inner_width, inner_height, inner_width / width, inner_height / height)

    @classmethod
    def stretched(cls, width: int, height: int, input_width: int, input_height: int) -> Letterbox:
        """Stretched over the whole input, ignoring the aspect ratio: the way of DETR models.

        Args:
            width: of the frame, pixels.
            height: of the frame, pixels.
            input_width: of the model's input, pixels.
            input_height: of the model's input, pixels.
        """
        inner = (input_width // 2 * 2, input_height // 2 * 2)
        return cls(0, 0, *inner, inner[0] / width, inner[1] / height)

    @classmethod
    def shortest_side(cls, width: int, height: int, shortest: int, longest: int) -> Letterbox:
        """In the upper left corner, at the scale of torchvision's `GeneralizedRCNNTransform`.

        Args:
            width: of the frame, pixels.
            height: of the frame, pixels.
            shortest: pixels that the shorter side is scaled to, unless
            longest: the longer side would exceed this.
        """
        scale = min(shortest / min(width, height), longest / max(width, height))
        inner = (max(1, int(width * scale)), max(1, int(height * scale)))
        return cls(0, 0, *inner, inner[0] / width, inner[1] / height)

    def rgb_image(
        self, planes: Planes, input_width: int, input_height: int, padding: int, *, area: bool = True
    ) -> NDArray[np.uint8]:
        """The frame in the model's input as RGB.

        The planes are scaled before they are converted, which costs a quarter of converting first.

        Args:
            planes: the frame.
            input_width: pixels.
            input_height: pixels.
            padding: grey level beside the frame, 0..255.
            area: average over areas where the frame shrinks; else bilinear sampling, for models trained with that.

        Returns:
            (input_height, input_width, 3) uint8.
        """
        inner = self.scaled_rgb(planes, area=area)
        if (input_width, input_height) == (self.inner_width, self.inner_height):
            return inner
        image = np.full((input_height, input_width, 3), padding, np.uint8)
        image[self.rows, self.columns] = inner
        return image

    def scaled_rgb(self, planes: Planes, *, area: bool = True) -> NDArray[np.uint8]:
        """The scaled frame as RGB, without padding.

        Args:
            planes: the frame.
            area: as for `rgb_image`.

        Returns:
            (inner_height, inner_width, 3) uint8.
        """
        width, height = self.inner_width, self.inner_height
        shrinks = area and min(self.scale_x, self.scale_y) < 1.0
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        half = (width // 2, height // 2)
        flat = np.empty(width * height * 3 // 2, np.uint8)
        scaled = Planes.view(flat, width, height)
        cv2.resize(planes.y, (width, height), dst=scaled.y, interpolation=interpolation)
        cv2.resize(planes.u, half, dst=scaled.u, interpolation=interpolation)
        cv2.resize(planes.v, half, dst=scaled.v, interpolation=interpolation)
        inner = cv2.cvtColor(flat.reshape(height * 3 // 2, width), cv2.COLOR_YUV2RGB_I420)
        return np.asarray(inner, np.uint8)

    def write_yuv444(self, planes: Planes, out: NDArray[np.uint8]) -> None:
        """Writes the frame into a model's input as YUV with chroma at full resolution, padded with black.

        Args:
            planes: the frame.
            out: (3, H, W) uint8, overwritten; the frame goes into its upper left corner.
        """
        size = (self.inner_width, self.inner_height)
        shrinks = self.scale_x < 1
        for channel, source in enumerate((planes.y, planes.u, planes.v)):
            area = shrinks and source.shape[1] > self.inner_width
            out[channel, : self.inner_height, : self.inner_width] = cv2.resize(
                source, size, interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR
            )
            out[channel, self.inner_height :] = BLACK_YUV[channel]
            out[channel, : self.inner_height, self.inner_width :] = BLACK_YUV[channel]

    def to_frame(self, boxes: Floats) -> Floats:
        """(N, 4) x0 y0 x1 y1 from pixels of the input to pixels of the frame.

        Args:
            boxes: (N, 4) float32.
        """
        moved = boxes - np.array([self.left, self.top, self.left, self.top], np.float32)
        return moved / np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)

    def to_input(self, boxes_px: Floats) -> Floats:
        """(N, 4) x0 y0 x1 y1 from pixels of the frame to pixels of the input.

        Args:
            boxes_px: (N, 4) float32.
        """
        scaled = boxes_px * np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)
        return scaled + np.array([self.left, self.top, self.left, self.top], np.float32)


def clip_boxes(boxes_px: Floats, frame: Planes) -> tuple[Floats, NDArray[np.int64]]:
    """Clips boxes at the edges of a frame and drops those that show less than a pixel in either direction.

    Args:
        boxes_px: (N, 4) x0 y0 x1 y1, pixels of the frame.
        frame: the frame.

    Returns:
        (M, 4) float32 boxes that remain, and (M,) int64, their rows in `boxes_px`.
    """
    clipped = boxes_px.copy()
    clipped[:, 0::2] = clipped[:, 0::2].clip(0, frame.width)
    clipped[:, 1::2] = clipped[:, 1::2].clip(0, frame.height)
    visible = np.flatnonzero((clipped[:, 2:] - clipped[:, :2] >= 1).all(axis=1))
    return np.ascontiguousarray(clipped[visible], np.float32), visible


def sample_rgb(image: NDArray[np.uint8], width: int, height: int) -> Floats:
    """A picture of another size, bilinear between the centres of pixels, without rounding to whole levels.

    The same as resizing it as floating point without antialiasing, but only the rows that are needed are converted.

    Args:
        image: (H, W, 3) uint8.
        width: of the result, pixels.
        height: of the result, pixels.

    Returns:
        (height, width, 3) float32, 0..255.
    """
    rows = len(image)
    at = (((np.arange(height) + 0.5) * (rows / height)) - 0.5).clip(0, rows - 1)
    above = at.astype(np.intp)
    below = np.minimum(above + 1, rows - 1)
    mixed = image[above].astype(np.float32)
    mixed += (image[below] - mixed) * (at - above).astype(np.float32)[:, None, None]
    return np.asarray(cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
