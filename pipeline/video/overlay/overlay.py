"""Draws what was counted into a frame's planes: masks, outlines, labels, trails, lines, zones, counts.

The planes are changed in place, and only where something is drawn: never a whole frame, never in floats.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import StreamConfig, VideoConfig
from pipeline.geometry.masks import MASK_SIZE
from pipeline.tracking.camera import CameraPose
from pipeline.transport.messages import Array, Tracks
from pipeline.transport.planes import Plane, Planes
from pipeline.video.overlay.labels import Labels
from pipeline.video.overlay.marks import LineMark, ZoneMark
from pipeline.video.overlay.paint import FIXED, fixed, object_colour, strokes, tint, yuv
from pipeline.video.overlay.panel import CountPanel
from pipeline.video.overlay.style import Sizes, Taken
from pipeline.video.overlay.trails import Trails

LIT_S = 0.6
"""Media seconds for which a line stays lit after a crossing."""
FILL = 0.68
"""Opacity of a mask. It changes colour alone: luma, and with it the object's texture, stays as it is."""
COARSE_PX = 160
"""Masks of boxes larger than this are traced on the chroma grid: a quarter of the pixels."""


class Overlay:
    """Annotations of one stream. Keeps the trails itself; its memory is bounded.

    Args:
        stream: lines and zones, relative coordinates.
        video: what to draw.
        classes: the model's class names.
        width: of the frames that will be drawn on, pixels; the tracks' pixels are the same.
        height: as `width`.
    """

    def __init__(
        self, stream: StreamConfig, video: VideoConfig, classes: tuple[str, ...], width: int, height: int
    ) -> None:
        self._video = video
        self._width, self._height = width, height
        self._sizes = Sizes.of(height)
        self._taken = Taken(width, height)
        margin, plate = self._sizes.margin, self._sizes.plate
        self._taken.take(margin, margin, plate * 16, plate * 10)  # the panel, about
        self._lines = [
            LineMark(name, line, width, height, self._sizes, self._taken)
            for name, line in stream.lines.items()
        ]
        self._zones = [
            ZoneMark(name, zone, width, height, self._sizes, self._taken)
            for name, zone in stream.zones.items()
        ]
        self._panel = CountPanel(classes, self._sizes)
        self._trails = Trails(self._sizes.outline + 1, max(2.0, height / 180))
        self._labels = Labels(classes, self._sizes)
        self._lit_until: dict[str, float] = {}
        self._view = CameraPose()

    def draw(self, planes: Planes, tracks: Tracks) -> None:
        """Draws into `planes`, which may be views with padded rows.

        Raises:
            ValueError: the planes have another size than was said.
        """
        if (planes.width, planes.height) != (self._width, self._height):
            came, expected = f"{planes.width}x{planes.height}", f"{self._width}x{self._height}"
            raise ValueError(f"overlay: got a frame of {came}, expected {expected}")
        boxes = _finite_boxes(tracks.boxes_px).tolist()
        rows = sorted(range(len(boxes)), key=lambda row: boxes[row][3])  # near objects over far ones
        for zone in self._zones:
            zone.put_area(planes)
        if self._video.trails:
            if (camera_transform := self._view.camera_transform(tracks.camera, tracks.epoch)) is not None:
                self._trails.camera_transform(camera_transform)
            self._trails.update(tracks.pts_s, tracks.ids, tracks.feet_px)
            self._trails.draw(planes)
        filled = tracks.masks.any(axis=(1, 2)).tolist()
        ids = tracks.ids.tolist()
        for row in rows:
            mask = tracks.masks[row] if self._video.masks and filled[row] else None
            self._draw_object(planes, boxes[row], mask, ids[row])
        for name in tracks.crossed:
            self._lit_until[name] = tracks.pts_s + LIT_S
        lit = {line.name: self._lit_until.get(line.name, -1.0) > tracks.pts_s for line in self._lines}
        for line in self._lines:
            line.put_stroke(planes, lit[line.name])
        self._taken.clear()
        self._taken.take(*self._panel.put(planes, tracks.stream, tracks.pts_s, tracks.unique))
        for line in self._lines:
            self._taken.take(*line.box)
        for zone in self._zones:
            self._taken.take(*zone.box)
        if self._video.labels:
            self._labels.draw(planes, tracks, boxes, rows[::-1], self._taken)
        for line in self._lines:
            line.put_plate(planes, tracks.lines.get(line.name, {}), lit[line.name])
        for zone in self._zones:
            zone.put_plate(planes, tracks.zones.get(zone.name, {}))

    def _draw_object(self, planes: Planes, box: list[float], mask: Array | None, identity: int) -> None:
        """Fill and outline, both inside the box; without a mask the box itself."""
        x0, y0, x1, y1 = map(round, box)
        left, top = max(x0, 0), max(y0, 0)
        right, bottom = min(x1, planes.width), min(y1, planes.height)
        if left >= right or top >= bottom:
            return
        levels = yuv(object_colour(identity))
        luma = planes.y[top:bottom, left:right]
        chroma = np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        if mask is None:
            corners = np.array(
                [[0, 0], [x1 - x0 - 1, 0], [x1 - x0 - 1, y1 - y0 - 1], [0, y1 - y0 - 1]], np.float64
            )
            corners += (x0 - left, y0 - top)
            self._outline(planes, (left, top), luma, chroma, [corners], levels)
            return
        part = (left, top, right, bottom)
        inside = _inside(mask, box, part, 2)
        tint(planes.u[chroma], inside, levels[1], FILL)
        tint(planes.v[chroma], inside, levels[2], FILL)
        coarse = max(right - left, bottom - top) > COARSE_PX
        found, _ = cv2.findContours(
            inside if coarse else _inside(mask, box, part, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        contours = [np.asarray(cv2.approxPolyDP(one, 0.8, True)[:, 0], np.int32) << FIXED for one in found]
        if coarse:  # a chroma pixel's centre lies between two of luma
            half = 1 << FIXED - 1
            off = np.array((half - (left % 2 << FIXED), half - (top % 2 << FIXED)), np.int32)
            contours = [contour * 2 + off for contour in contours]
        strokes(luma, contours, True, levels[0], self._sizes.outline)

    def _outline(
        self,
        planes: Planes,
        corner: tuple[int, int],
        luma: Plane,
        chroma: tuple[slice, slice],
        contours: list[NDArray[np.float64]],
        levels: tuple[int, int, int],
    ) -> None:
        """`contours`: each (n, 2) x y in pixels of `luma`."""
        wide = self._sizes.outline
        camera_transform = np.array((corner[0] % 2 - 0.5, corner[1] % 2 - 0.5))
        strokes(luma, [fixed(points) for points in contours], True, levels[0], wide)
        half = [fixed((points + camera_transform) / 2) for points in contours]
        strokes(planes.u[chroma], half, True, levels[1], max(1, wide // 2))
        strokes(planes.v[chroma], half, True, levels[2], max(1, wide // 2))


def _inside(mask: Array, box: list[float], part: tuple[int, int, int, int], divide: int) -> Plane:
    """255 where the mask is, 0 elsewhere, for the pixels `part` (x0 y0 x1 y1 in luma) of a plane.

    `divide`: 1 for luma, 2 for chroma. The mask is spread over the whole box; `part` is what the frame shows.
    """
    x0, y0 = part[0] // divide, part[1] // divide
    width, height = (part[2] + divide - 1) // divide - x0, (part[3] + divide - 1) // divide - y0
    left, top, right, bottom = (value / divide for value in box)
    if abs(right - left - width) <= 1 and abs(bottom - top - height) <= 1:
        spread = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        # The frame cuts the box: sample only what is seen. Pixel centre -> mask cell centre.
        per_x, per_y = MASK_SIZE / (right - left), MASK_SIZE / (bottom - top)
        move = np.array(
            [[per_x, 0, (x0 + 0.5 - left) * per_x - 0.5], [0, per_y, (y0 + 0.5 - top) * per_y - 0.5]],
            np.float64,
        )
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        spread = cv2.warpAffine(mask, move, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.threshold(spread, 127, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _finite_boxes(boxes_px: Array) -> NDArray[np.float64]:
    """Boxes that drawing can take: not-a-number becomes an empty box, far away becomes near enough."""
    boxes = np.nan_to_num(boxes_px.astype(np.float64), nan=0.0, posinf=1e6, neginf=-1e6).clip(-1e6, 1e6)
    return np.asarray(boxes.reshape(-1, 4), np.float64)
