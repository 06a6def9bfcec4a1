"""How frames are laid into a model's input, and how masks of its output get onto the grids of their boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport.planes import Planes

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a frame lies in the model's input: scaled by (`scale_x`, `scale_y`), then moved by `left`, `top` pixels.

    Unless it is stretched on purpose, the two scales differ by less than a pixel over the whole frame, for whole
    sizes of the scaled planes.
    """

    left: int
    top: int
    inner_width: int
    inner_height: int
    scale_x: float
    scale_y: float

    @classmethod
    def fit(cls, width: int, height: int, input_width: int, input_height: int) -> Letterbox:
        """As large as it can be, in the middle: as YOLO models are trained."""
        corner = cls.corner(width, height, input_width, input_height)
        inner = (corner.inner_width, corner.inner_height)
        left, top = (input_width - inner[0]) // 2, (input_height - inner[1]) // 2
        return cls(left, top, *inner, corner.scale_x, corner.scale_y)

    @classmethod
    def corner(
        cls, width: int, height: int, input_width: int, input_height: int, *, step: int = 2
    ) -> Letterbox:
        """As large as it can be, in the upper left corner: as torchvision pads. Its sides are multiples of `step`."""
        scale = min(input_width / width, input_height / height)
        inner_width, inner_height = (
            min(max(step, step * round(side * scale / step)), whole // step * step)
            for side, whole in ((width, input_width), (height, input_height))
        )
        return cls(0, 0, inner_width, inner_height, inner_width / width, inner_height / height)

    @classmethod
    def stretch(cls, width: int, height: int, input_width: int, input_height: int) -> Letterbox:
        """All of the input, whatever the aspect: as DETR models are trained."""
        inner = (input_width // 2 * 2, input_height // 2 * 2)
        return cls(0, 0, *inner, inner[0] / width, inner[1] / height)

    def image(
        self, planes: Planes, input_width: int, input_height: int, grey: int, *, smooth: bool = True
    ) -> NDArray[np.uint8]:
        """(input_height, input_width, 3) uint8 RGB. Planes are scaled first: that costs a quarter of RGB first.

        Args:
            planes: the frame.
            input_width: pixels.
            input_height: pixels.
            grey: level beside the frame, 0..255.
            smooth: a frame that shrinks is averaged over areas; else sampled bilinearly, as by models that were
                trained that way.
        """
        width, height = self.inner_width, self.inner_height
        how = cv2.INTER_AREA if smooth and min(self.scale_x, self.scale_y) < 1.0 else cv2.INTER_LINEAR
        half = (width // 2, height // 2)
        flat = np.empty(width * height * 3 // 2, np.uint8)
        scaled = Planes.view(flat, width, height)
        cv2.resize(planes.y, (width, height), dst=scaled.y, interpolation=how)
        cv2.resize(planes.u, half, dst=scaled.u, interpolation=how)
        cv2.resize(planes.v, half, dst=scaled.v, interpolation=how)
        inner = cv2.cvtColor(flat.reshape(height * 3 // 2, width), cv2.COLOR_YUV2RGB_I420)
        if (input_width, input_height) == (width, height):
            return np.asarray(inner, np.uint8)
        image = np.full((input_height, input_width, 3), grey, np.uint8)
        image[self.top : self.top + height, self.left : self.left + width] = inner
        return image

    def to_frame(self, boxes: Floats) -> Floats:
        """(N, 4) x0 y0 x1 y1 from pixels of the input to pixels of the frame."""
        moved = boxes - np.array([self.left, self.top, self.left, self.top], np.float32)
        return moved / np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)

    def to_input(self, boxes_px: Floats) -> Floats:
        """(N, 4) x0 y0 x1 y1 from pixels of the frame to pixels of the input."""
        scaled = boxes_px * np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)
        return scaled + np.array([self.left, self.top, self.left, self.top], np.float32)


def inside_frame(boxes_px: Floats, frame: Planes) -> tuple[Floats, NDArray[np.int64]]:
    """Boxes cut at the frame's edges, and which rows still show a pixel: (M, 4) float32, (M,) int64."""
    cut = boxes_px.copy()
    cut[:, 0::2] = cut[:, 0::2].clip(0, frame.width)
    cut[:, 1::2] = cut[:, 1::2].clip(0, frame.height)
    seen = np.flatnonzero((cut[:, 2:] - cut[:, :2] >= 1).all(axis=1))
    return np.ascontiguousarray(cut[seen], np.float32), seen


def grid_of(cells: Floats, box: Floats) -> Floats:
    """(28, 28) float32: `cells`, (h, w), at the centres of the box's grid cells, bilinearly between cell centres.

    `box`: (4,) x0 y0 x1 y1 in cells; what lies past the edge is as the edge.
    """
    x, y = grid_places(box[None], cells.shape[1], cells.shape[0])
    left, top = int(x[0, 0]), int(y[0, 0])
    part = cells[top : int(y[0, -1]) + 2, left : int(x[0, -1]) + 2]
    return sample_rows(sample_rows(part, y[0] - top).T, x[0] - left).T


def grid_places(boxes: Floats, width: int, height: int) -> tuple[Floats, Floats]:
    """Where the centres of the grid cells of boxes lie: (N, 28) x and (N, 28) y, places of cell centres."""
    cell = (np.arange(MASK_SIZE, dtype=np.float32) + 0.5) / MASK_SIZE
    xs = (boxes[:, 0:1] + cell * (boxes[:, 2:3] - boxes[:, 0:1]) - 0.5).clip(0, width - 1)
    ys = (boxes[:, 1:2] + cell * (boxes[:, 3:4] - boxes[:, 1:2]) - 0.5).clip(0, height - 1)
    return np.asarray(xs, np.float32), np.asarray(ys, np.float32)


def sample_rows(rows: Floats, at: Floats) -> Floats:
    """Rows of (n, k) at the fractional places `at`, linearly; past the last row is the last row."""
    below = at.astype(np.intp)
    above = np.minimum(below + 1, len(rows) - 1)
    part = (at - below)[:, None]
    return np.asarray(rows[below] * (1 - part) + rows[above] * part, np.float32)


def probabilities(logits: Floats) -> NDArray[np.uint8]:
    """Sigmoid, 0..255."""
    return np.asarray(np.rint(255.0 / (1.0 + np.exp(-logits.clip(-30, 30)))), np.uint8)
