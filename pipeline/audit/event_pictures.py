"""The three pictures of an event: the same crop of the frame, with the line and the path and mask of the object."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.audit.strips import Shot, Strip
from pipeline.config.schema import StreamConfig
from pipeline.geometry.mask_paste import paste_mask_region

WIDTH, HEIGHT = 336, 252
QUALITY = 78
LINE, PATH, OBJECT, INK = (255, 196, 40), (120, 200, 255), (255, 90, 160), (20, 20, 24)
"""Colours, RGB."""
MAX_SCALE = 6.0
"""Largest magnification."""
MARGIN = 0.35
"""Space around the object's boxes, as a fraction of their extent."""


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of the frame that a picture shows.

    Attributes:
        x, y: upper left corner, pixels of the frame.
        scale: pixels of the picture for each pixel of the frame.
    """

    x: float
    y: float
    scale: float

    def place(self, x: float, y: float) -> tuple[int, int]:
        """A point of the frame in pixels of the picture."""
        return round((x - self.x) * self.scale), round((y - self.y) * self.scale)


def crop_of(strip: Strip) -> Crop:
    """The crop that all three pictures show: the object's boxes with a margin, within the frame.

    If they do not fit, the crop is centred on the event.
    """
    boxes = np.array([shot.box_px for shot in strip.shots if shot.box_px is not None], np.float64)
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    sizes = boxes[:, 2:] - boxes[:, :2]
    room = MARGIN * (high - low) + 0.4 * sizes.max()
    low, high = low - room, high + room
    frame = np.array(strip.frame, np.float64)
    scale = float(min(WIDTH / (high[0] - low[0]), HEIGHT / (high[1] - low[1]), MAX_SCALE))
    scale = max(scale, WIDTH / frame[0], HEIGHT / frame[1])
    size = np.array([WIDTH, HEIGHT]) / scale
    at = strip.shots[1].box_px or strip.shots[0].box_px
    assert at is not None
    middle = np.where(high - low <= size, (low + high) / 2, (np.array(at[:2]) + np.array(at[2:])) / 2)
    corner = np.clip(middle - size / 2, 0, frame - size)
    return Crop(float(corner[0]), float(corner[1]), scale)


def picture(
    image: NDArray[np.uint8], strip: Strip, shot: Shot, crop: Crop, stream: StreamConfig, bare: bool
) -> str:
    """Draw one picture.

    Args:
        image: (H, W, 3) uint8 RGB, the frame of the shot in any resolution.
        strip: the event.
        shot: which of its three pictures.
        crop: the part of the frame to show.
        stream: configuration of the stream, with its lines and zones.
        bare: the frame has no overlay yet: draw the line and the path as well.

    Returns:
        A JPEG as a data URL.
    """
    scale = crop.scale * strip.frame[0] / image.shape[1]
    move = np.array([[scale, 0, -crop.x * crop.scale], [0, scale, -crop.y * crop.scale]], np.float64)
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    if scale < 1:  # warpAffine does not average over areas: shrink first
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        image = np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
        move = np.array([[1, 0, -crop.x * crop.scale], [0, 1, -crop.y * crop.scale]], np.float64)
    canvas = np.asarray(
        cv2.warpAffine(image, move, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderValue=(30, 32, 36)),
        np.uint8,
    )
    if bare:
        _draw_places(canvas, strip, crop, stream)
        _draw_path(canvas, strip, crop, shot.pts_s - float(strip.event["pts_s"]))
    if shot.box_px is not None:
        _draw_object(canvas, strip, shot, crop)
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _draw_places(canvas: NDArray[np.uint8], strip: Strip, crop: Crop, stream: StreamConfig) -> None:
    """Draw the line or zone of the event, if the configuration has it."""
    kind, name = strip.event["kind"], strip.event["name"]
    if kind == "line" and name in stream.lines:
        points, closed = stream.lines[name].points, False
    elif kind == "zone" and name in stream.zones:
        points, closed = stream.zones[name].points, True
    else:
        return
    places = [crop.place(x * strip.frame[0], y * strip.frame[1]) for x, y in points]
    chain = [np.array(places, np.int32).reshape(-1, 1, 2)]
    cv2.polylines(canvas, chain, closed, INK, 5, cv2.LINE_AA)
    cv2.polylines(canvas, chain, closed, LINE, 2, cv2.LINE_AA)


def _draw_path(canvas: NDArray[np.uint8], strip: Strip, crop: Crop, now_s: float) -> None:
    """Draw the path of the foot point: thick up to `now_s`, thin afterwards."""
    places = [(time_s, crop.place(x, y)) for time_s, (x, y) in strip.path]
    for (_, start), (time_s, end) in pairwise(places):
        cv2.line(canvas, start, end, PATH, 2 if time_s <= now_s + 1e-6 else 1, cv2.LINE_AA)


def _draw_object(canvas: NDArray[np.uint8], strip: Strip, shot: Shot, crop: Crop) -> None:
    """Draw the mask with its outline, or the box, and the foot point."""
    assert shot.box_px is not None
    x0, y0, x1, y1 = shot.box_px
    (left, top), (right, bottom) = crop.place(x0, y0), crop.place(x1, y1)
    if shot.mask is None or not (shot.mask >= 128).any():
        cv2.rectangle(canvas, (left, top), (right, bottom), OBJECT, 2, cv2.LINE_AA)
    else:
        box = np.array([left, top, max(right, left + 1), max(bottom, top + 1)], np.float32)
        (column, row), inside = paste_mask_region(shot.mask, box, WIDTH, HEIGHT)
        there = canvas[row : row + inside.shape[0], column : column + inside.shape[1]]
        there[inside] = (0.78 * there[inside] + 0.22 * np.array(OBJECT)).astype(np.uint8)
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, contours, -1, OBJECT, 1, cv2.LINE_AA, offset=(column, row))
    foot = crop.place((x0 + x1) / 2, y1)
    cv2.circle(canvas, foot, 4, INK, -1, cv2.LINE_AA)
    cv2.circle(canvas, foot, 3, (255, 255, 255), -1, cv2.LINE_AA)
