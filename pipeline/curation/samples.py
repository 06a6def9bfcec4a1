"""Pictures of the images of a dataset with their masks, one by one and as a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.dataset import Dataset, Instance, LabelledImage
from pipeline.datasets.image_files import read_image
from pipeline.datasets.instance_masks import mask_region
from pipeline.datasets.problems import DatasetError
from pipeline.pictures import Picture
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.colours import object_colour
from pipeline.video.overlay.labels import label_canvas
from pipeline.video.overlay.placement import OccupancyGrid, clamp_position, label_positions
from pipeline.video.overlay.strokes import draw_polylines, tint, to_fixed_point

TILE = (480, 320)
"""Width and height of a picture on a sheet, at most, in pixels."""
OPACITY, CROWD_OPACITY = 0.42, 0.2
LABEL_PX, CAPTION_PX = 8, 9
"""Height of capitals."""
LABELLED_SIDE_PX = 22
"""Objects of a smaller box on the tile have no label: it would hide them."""
MAX_LABELS = 24
GAP = 12
BACK, INK, SOFT = 0.09, 0.93, 0.62
"""Grey of a sheet, of its captions and of their second lines, 0..1."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a dataset as a picture.

    Attributes:
        image: the image.
        picture: (h, w, 3) uint8 RGB with masks and labels, within `TILE`.
        note: what is said about it below its name.
    """

    image: LabelledImage
    picture: Picture
    note: str


def sample(dataset: Dataset, image: LabelledImage, note: str = "") -> Sample:
    """Draws an image with its objects.

    Args:
        dataset: that it belongs to.
        image: one of its images.
        note: instead of the number of its objects.

    Raises:
        DatasetError: it cannot be read.
    """
    picture = read_image(dataset, image)
    scale = min(TILE[0] / image.width, TILE[1] / image.height)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC if scale < 4 else cv2.INTER_NEAREST
    small = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
    planes = small.transpose(2, 0, 1).copy()
    order = sorted(image.instances, key=_size, reverse=True)
    for instance in order:
        _draw_mask(planes, image, instance, (size[0] / image.width, size[1] / image.height))
    _draw_labels(planes, dataset, order, scale)
    objects = f"{len(image.instances)} object{'s' * (len(image.instances) != 1)}"
    return Sample(image, np.ascontiguousarray(planes.transpose(1, 2, 0)), note or objects)


def samples(dataset: Dataset, images: Sequence[LabelledImage], most: int, note: str = "") -> list[Sample]:
    """Draws images; those that cannot be read are left out.

    Args:
        dataset: that they belong to.
        images: in the order in which they are tried.
        most: how many pictures are made.
        note: as in `sample`.
    """
    found: list[Sample] = []
    for image in images:
        if len(found) == most:
            break
        try:
            found.append(sample(dataset, image, note))
        except DatasetError:
            continue  # the checks report it
    return found


def sheet(shown: Sequence[Sample], columns: int = 4) -> Picture:
    """Pictures with their names in rows.

    Args:
        shown: at least one.
        columns: pictures in a row.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    columns = min(columns, len(shown))
    rows = [shown[begin : begin + columns] for begin in range(0, len(shown), columns)]
    caption = 4 * CAPTION_PX + 8
    heights = [max(one.picture.shape[0] for one in row) + caption for row in rows]
    width = columns * (TILE[0] + GAP) + GAP
    whole = np.full((sum(heights) + GAP * (len(rows) + 1), width, 3), round(255 * BACK), np.uint8)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, one in enumerate(row):
            tall, wide = one.picture.shape[:2]
            left = GAP + column * (TILE[0] + GAP)
            whole[top : top + tall, left : left + wide] = one.picture
            _write(whole, _short(name_of(one.image), TILE[0]), left, top + tall + CAPTION_PX + 8, INK)
            _write(whole, _short(one.note, TILE[0]), left, top + tall + 3 * CAPTION_PX + 10, SOFT)
        top += height + GAP
    return whole


def name_of(image: LabelledImage) -> str:
    """An image's path with its split."""
    return f"{image.split}: {image.path}" if image.split else image.path


def _size(instance: Instance) -> float:
    x0, y0, x1, y1 = instance.box_px
    return (x1 - x0) * (y1 - y0)


def _levels(class_id: int) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in object_colour(class_id + 1))
    return red, green, blue


def _draw_mask(
    planes: NDArray[np.uint8], image: LabelledImage, instance: Instance, scale: tuple[float, float]
) -> None:
    """Fills the mask and draws its outline; a crowd is paler, a box without a mask has its corners only."""
    (x, y), region = mask_region(instance, image)
    if not region.any():
        return
    contours, _ = cv2.findContours(np.pad(region.astype(np.uint8), 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # Points of a contour are middles of pixels; on the tile an outline through them lies within the object.
    shift = np.array([x - 0.5, y - 0.5])
    outlines = [(one[:, 0] + shift) * scale - 0.5 for one in contours]
    fixed = [to_fixed_point(one) for one in outlines]
    inside = np.zeros(planes.shape[1:], np.uint8)
    cv2.fillPoly(inside, [np.rint(one).astype(np.int32) for one in outlines], (1,))
    opacity = CROWD_OPACITY if instance.crowd else OPACITY if instance.has_mask else OPACITY / 2
    for plane, level in zip(planes, _levels(instance.class_id), strict=True):
        tint(plane, inside, level, opacity)
        draw_polylines(plane, fixed, True, level // 4, 2)
        draw_polylines(plane, fixed, True, level, 1)


def _draw_labels(
    planes: NDArray[np.uint8], dataset: Dataset, order: Sequence[Instance], scale: float
) -> None:
    occupied = OccupancyGrid(planes.shape[2], planes.shape[1])
    for instance in order[:MAX_LABELS]:
        x0, y0, x1, y1 = (value * scale for value in instance.box_px)
        if max(x1 - x0, y1 - y0) < LABELLED_SIDE_PX:
            continue
        name = dataset.classes[instance.class_id] + (" (crowd)" if instance.crowd else "")
        if instance.score is not None:
            name += f" {instance.score:.2f}"
        pill = label_canvas(name, instance.class_id + 1, LABEL_PX)
        limits = max(0, planes.shape[2] - pill.width), max(0, planes.shape[1] - pill.height)
        places = [
            clamp_position(place, limits)
            for place in label_positions(x0, y0, x1, y1, pill.width, pill.height)
        ]
        free = [place for place in places if occupied.is_free(*place, pill.width, pill.height)]
        if free:
            occupied.occupy(*free[0], pill.width, pill.height)
            _put(planes, pill, *free[0])


def _put(planes: NDArray[np.uint8], canvas: Canvas, x: int, y: int) -> None:
    colour, opacity = canvas.layers()
    part = planes[:, y : y + canvas.height, x : x + canvas.width]
    seen = np.s_[: part.shape[1], : part.shape[2]]
    mixed = part * (1 - opacity[seen]) + 255 * colour[seen].transpose(2, 0, 1)
    part[:] = np.rint(mixed).clip(0, 255)


def _write(whole: Picture, text: str, x: int, baseline: int, grey: float) -> None:
    if not text:
        return
    canvas = Canvas(text_width(text, CAPTION_PX) + 4, 2 * CAPTION_PX)
    canvas.text(text, 0, round(1.3 * CAPTION_PX), CAPTION_PX, (grey, grey, grey))
    _put(whole.transpose(2, 0, 1), canvas, x, baseline - round(1.3 * CAPTION_PX))


def _short(text: str, width: int) -> str:
    """A text cut at its beginning so that it is not wider than `width` pixels."""
    if text_width(text, CAPTION_PX) <= width:
        return text
    while text and text_width("..." + text, CAPTION_PX) > width:
        text = text[4:]
    return "..." + text
