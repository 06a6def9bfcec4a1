"""Pictures of the images in which most is wrong: what is true in green, found in orange, missed or false in red."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.image_matches import ImageMatches
from pipeline.evaluation.mask_files import Mask
from pipeline.evaluation.report import Figure
from pipeline.files import make_folder, write_bytes

TRUE, FOUND, WRONG = (60, 200, 90), (250, 160, 40), (235, 50, 50)
"""RGB."""
LARGEST_PX = 960
ON_PAGE = 6
"""Pictures on the page; all are in the folder."""


def write_worst(
    worst: Sequence[ImageMatches],
    names: Sequence[str],
    read: Callable[[int], NDArray[np.uint8]],
    folder: Path,
) -> tuple[Figure, ...]:
    """Draws the worst images into a folder, and the first of them for the page.

    Args:
        worst: the images, the worst first.
        names: of all images of the truth.
        read: from the index of an image to its pixels, (H, W, 3) uint8 RGB.
        folder: of the pictures; those of an earlier evaluation are removed.

    Raises:
        OutputError: they cannot be written.
    """
    make_folder(folder)
    for old in folder.glob("[0-9][0-9]-*.jpg"):
        old.unlink()
    figures = []
    for place, one in enumerate(worst, start=1):
        picture = draw(read(one.image), one)
        data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(names[one.image]).stem)[:80]
        write_bytes(folder / f"{place:02}-{stem}.jpg", data)
        if place <= ON_PAGE:
            figures.append(_figure(names[one.image], one, data, picture.shape[1], picture.shape[0]))
    return tuple(figures)


def draw(image: NDArray[np.uint8], one: ImageMatches) -> NDArray[np.uint8]:
    """An image with its masks outlined, and a word at each mistake.

    Args:
        image: (H, W, 3) uint8 RGB.
        one: its matches.

    Returns:
        (h, w, 3) uint8 RGB, no side longer than 960 pixels.
    """
    scale = min(1.0, LARGEST_PX / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    for true, found, iou in one.pairs:
        right = true.class_name == found.class_name
        _outline(picture, true, TRUE)
        words = f"IoU {iou:.2f}" if right else f"{true.class_name} as {found.class_name}"
        _outline(picture, found, FOUND if right else WRONG, words if iou < 0.75 or not right else "")
    for mask in one.missed:
        _outline(picture, mask, WRONG, f"missed {mask.class_name}")
    for mask in one.false:
        _outline(picture, mask, WRONG, f"false {mask.class_name} {mask.score:.2f}")
    return picture


def _outline(picture: NDArray[np.uint8], mask: Mask, colour: tuple[int, int, int], words: str = "") -> None:
    from pycocotools import mask as coco

    size = (picture.shape[1], picture.shape[0])
    inside = cv2.resize(np.asarray(coco.decode(mask.rle), np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)
    if words and contours:
        x, y, _, _ = cv2.boundingRect(inside)
        at = (min(x, max(0, size[0] - 7 * len(words))), max(10, y - 3))
        cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def _figure(name: str, one: ImageMatches, data: bytes, width: int, height: int) -> Figure:
    code = base64.b64encode(data).decode()
    svg = (
        f'<svg viewBox="0 0 {width} {height}" role="img"><title>{escape(name)}</title>'
        f'<image width="{width}" height="{height}" href="data:image/jpeg;base64,{code}"/></svg>'
    )
    note = f"{len(one.missed)} missed, {len(one.false)} false. Green: true, orange: found, red: wrong."
    return Figure(f"Worst: {name}", svg, note, wide=True)
