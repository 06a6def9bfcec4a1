"""The pixels of an instance, and instances made from pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.dataset import Box, Instance, LabelledImage
from pipeline.geometry.mask_paste import Corner
from pipeline.geometry.polygons import Region, fill_polygons
from pipeline.geometry.rle import decode_region, encode_region


def mask_region(instance: Instance, image: LabelledImage) -> tuple[Corner, Region]:
    """The mask of an instance, or its box where there is no mask.

    Args:
        instance: of the image.
        image: its width and height are used.

    Returns:
        Column and row of the upper left pixel of the region that holds the mask, and (h, w) its pixels; of size 0 if
        the mask covers no pixel.
    """
    if instance.polygons:
        return fill_polygons(instance.polygons, image.width, image.height)
    if instance.rle:
        return decode_region(instance.rle, image.height, image.width)
    x0, y0, x1, y1 = instance.box_px
    left, top = (max(int(np.ceil(value - 0.5)), 0) for value in (x0, y0))
    right, bottom = min(int(np.ceil(x1 - 0.5)), image.width), min(int(np.ceil(y1 - 0.5)), image.height)
    return (left, top), np.ones((max(bottom - top, 0), max(right - left, 0)), np.bool_)


def full_mask(instance: Instance, image: LabelledImage) -> NDArray[np.bool_]:
    """The mask of an instance over the whole image, (height, width)."""
    whole = np.zeros((image.height, image.width), np.bool_)
    (x, y), region = mask_region(instance, image)
    whole[y : y + region.shape[0], x : x + region.shape[1]] = region
    return whole


def box_of(corner: Corner, region: Region) -> Box | None:
    """The box around the pixels of a region; None if it has none.

    Args:
        corner: column and row of its upper left pixel in the image.
        region: (h, w).
    """
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return None
    x, y = corner
    return (
        float(x + columns[0]),
        float(y + rows[0]),
        float(x + columns[-1] + 1),
        float(y + rows[-1] + 1),
    )


def instance_of(
    class_id: int, corner: Corner, region: Region, size: tuple[int, int], where: str = ""
) -> Instance | None:
    """An instance from its pixels; None if there are none.

    Args:
        class_id: index into the classes.
        corner: column and row of the upper left pixel of the region.
        region: (h, w).
        size: width and height of the image in pixels.
        where: file and record that the pixels are from.
    """
    box = box_of(corner, region)
    if box is None:
        return None
    return Instance(class_id, box, rle=encode_region(region, *corner, *size), where=where)
