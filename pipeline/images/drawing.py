"""Boxes, masks, labels and counts on a photo.

The overlay of videos draws on yuv420p planes, whose chroma has half the resolution. Converting a photo to yuv420p and
back would lose colour, so the same strokes, fills and labels are drawn on its red, green and blue planes. Pixels
outside the drawing keep their values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mask_paste import Corner, paste_mask_region
from pipeline.models.detections import Detections
from pipeline.pictures import Picture
from pipeline.video.cutout import cut_out
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.colours import object_colour
from pipeline.video.overlay.labels import label_canvas
from pipeline.video.overlay.placement import OccupancyGrid, clamp_position, label_positions
from pipeline.video.overlay.strokes import draw_polylines, tint, to_fixed_point
from pipeline.video.overlay.style import DARK, MUTED, PANEL_OPACITY, WHITE, OverlaySizes

MASK_OPACITY = 0.45


@dataclass(frozen=True, slots=True)
class Silhouette:
    """The pixels of one object.

    Attributes:
        corner: column and row of the upper left pixel of `inside`.
        inside: (h, w) bool.
    """

    corner: Corner
    inside: NDArray[np.bool_]


def silhouettes(found: Detections, width: int, height: int) -> list[Silhouette]:
    """The silhouette of each detection.

    Args:
        found: detections in a picture of `width` x `height` pixels.
        width: of the picture.
        height: of the picture.
    """
    return [
        Silhouette(*paste_mask_region(mask, box, width, height))
        for mask, box in zip(found.masks, found.boxes_px, strict=True)
    ]


def draw(
    picture: Picture,
    found: Detections,
    shapes: Sequence[Silhouette],
    classes: tuple[str, ...],
    *,
    boxes: bool,
    masks: bool,
    counts: Mapping[str, int] | None = None,
) -> Picture:
    """Draw detections on a copy of a picture.

    The number of an object is its row in `found`, from 1. It has the same colour in every picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        found: detections in it.
        shapes: their silhouettes, in the same order.
        classes: class names of the model.
        boxes: draw boxes labelled with number, class and score.
        masks: fill and outline the masks.
        counts: class -> number of objects, shown in the corner.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = picture.shape[:2]
    sizes = OverlaySizes.for_height(min(height, width))
    planes = picture.transpose(2, 0, 1).copy(
        "C"
    )  # also of a single pixel, for which ascontiguousarray copies nothing
    order = [
        int(row) for row in np.argsort(found.boxes_px[:, 3], kind="stable")
    ]  # near objects are drawn over far ones
    occupied = OccupancyGrid(width, height)
    panel = _panel(counts, sizes) if counts else None
    if panel is not None:
        occupied.occupy(sizes.margin, sizes.margin, panel.width, panel.height)
    if masks:
        for row in order:
            _fill(planes, shapes[row], _levels(row), sizes.outline)
    if boxes:
        for row in order:
            _frame(planes, found.boxes_px[row], _levels(row), sizes.outline)
        for row in reversed(order):
            name = classes[int(found.class_ids[row])]
            pill = label_canvas(f"{row + 1} {name} {found.scores[row]:.2f}", row + 1, sizes.label)
            _label(planes, pill, found.boxes_px[row].tolist(), occupied)
    if panel is not None:
        _put(planes, panel, sizes.margin, sizes.margin)
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def cut_out_of(picture: Picture, shape: Silhouette) -> NDArray[np.uint8]:
    """Cut one object out of a picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        shape: the object.

    Returns:
        (h, w, 4) uint8 RGBA with a smooth border, transparent black around the object.
    """
    (x, y), (height, width) = shape.corner, shape.inside.shape
    return cut_out(picture[y : y + height, x : x + width], shape.inside)


def _levels(row: int) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in object_colour(row + 1))
    return red, green, blue


def _fill(planes: NDArray[np.uint8], shape: Silhouette, levels: tuple[int, int, int], wide: int) -> None:
    (x, y), inside = shape.corner, shape.inside.astype(np.uint8)
    if not inside.any():
        return
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    paths = [to_fixed_point(cv2.approxPolyDP(one, 0.8, True)[:, 0].astype(np.float64)) for one in contours]
    for plane, level in zip(planes, levels, strict=True):
        part = plane[y : y + inside.shape[0], x : x + inside.shape[1]]
        tint(part, inside, level, MASK_OPACITY)
        draw_polylines(part, paths, True, level, wide)


def _frame(
    planes: NDArray[np.uint8], box_px: NDArray[np.float32], levels: tuple[int, int, int], wide: int
) -> None:
    x0, y0, x1, y1 = (float(value) for value in box_px)
    corners = to_fixed_point(np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]]))
    for plane, level in zip(planes, levels, strict=True):
        draw_polylines(plane, [corners], True, level, wide + 1)


def _label(planes: NDArray[np.uint8], pill: Canvas, box: Sequence[float], occupied: OccupancyGrid) -> None:
    limits = max(0, planes.shape[2] - pill.width), max(0, planes.shape[1] - pill.height)
    x0, y0, x1, y1 = box
    positions = [
        clamp_position(position, limits)
        for position in label_positions(x0, y0, x1, y1, pill.width, pill.height)
    ]
    size = (pill.width, pill.height)
    x, y = next((position for position in positions if occupied.is_free(*position, *size)), positions[0])
    occupied.occupy(x, y, pill.width, pill.height)
    _put(planes, pill, x, y)


def _put(planes: NDArray[np.uint8], canvas: Canvas, x: int, y: int) -> None:
    """Blend a canvas into the picture with its corner at (x, y); what lies outside is clipped."""
    colour, opacity = canvas.layers()
    part = planes[:, y : y + canvas.height, x : x + canvas.width]
    seen = np.s_[: part.shape[1], : part.shape[2]]
    mixed = part * (1 - opacity[seen]) + 255 * colour[seen].transpose(2, 0, 1)
    part[:] = np.rint(mixed).clip(0, 255)


def _panel(counts: Mapping[str, int], sizes: OverlaySizes) -> Canvas:
    """A panel with a row for each class that is counted."""
    size = sizes.badge
    pad, step = size, round(size * 2.0)
    width = max(text_width(name, size) + 2 * size + text_width(str(n), size) for name, n in counts.items())
    canvas = Canvas(width + 2 * pad, 2 * pad + size + step * (len(counts) - 1))
    canvas.panel(0, 0, canvas.width, canvas.height, size * 0.7, DARK, PANEL_OPACITY)
    for number, (name, count) in enumerate(counts.items()):
        line = pad + size + step * number
        canvas.text(name, pad, line, size, MUTED)
        canvas.text(str(count), canvas.width - pad - text_width(str(count), size), line, size, WHITE)
    return canvas
