"""Draws masks, outlines, labels, trails, lines, zones and counts into a frame's planes.

The planes are changed in place and only where something is drawn: no operation touches a whole frame or uses floats.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import StreamConfig, VideoConfig
from pipeline.geometry.masks import MASK_SIZE
from pipeline.tracking.camera import CameraPose
from pipeline.transport.messages import Array, FrameTracks
from pipeline.transport.planes import Plane, Planes
from pipeline.video.overlay.colours import object_colour, to_yuv
from pipeline.video.overlay.condition_banner import ConditionBanner
from pipeline.video.overlay.count_panel import CountPanel
from pipeline.video.overlay.labels import Labels
from pipeline.video.overlay.line_mark import LineMark
from pipeline.video.overlay.placement import OccupancyGrid
from pipeline.video.overlay.strokes import FRACTION_BITS, draw_polylines, tint, to_fixed_point
from pipeline.video.overlay.style import OverlaySizes
from pipeline.video.overlay.trails import Trails
from pipeline.video.overlay.zone_mark import ZoneMark

HIGHLIGHT_S = 0.6
"""Media seconds for which a line is highlighted after a crossing."""
MASK_OPACITY = 0.68
"""Opacity of a mask. Only chroma is tinted: luma, and with it the object's texture, stays as it is."""
COARSE_PX = 160
"""Masks of boxes larger than this are traced on the chroma grid, which has a quarter of the pixels."""


class Overlay:
    """Draws the annotations of one stream. Keeps trails and label positions; its memory is bounded.

    Args:
        stream: its lines and zones, in relative coordinates.
        video: which annotations to draw.
        classes: the model's class names.
        width: of the frames, pixels; tracks are in the same pixels.
        height: as `width`.
        zone: time zone of the site.
    """

    def __init__(
        self,
        stream: StreamConfig,
        video: VideoConfig,
        classes: tuple[str, ...],
        width: int,
        height: int,
        zone: ZoneInfo | None = None,
    ) -> None:
        self._video = video
        self._frame = (width, height)
        self._sizes = OverlaySizes.for_height(height)
        self._occupied = OccupancyGrid(width, height)
        margin, badge = self._sizes.margin, self._sizes.badge
        self._occupied.occupy(margin, margin, badge * 16, badge * 10)  # the count panel, approximately
        self._lines = [
            LineMark(name, line, self._frame, self._sizes, self._occupied)
            for name, line in stream.lines.items()
        ]
        self._zones = [
            ZoneMark(name, zone, self._frame, self._sizes, self._occupied)
            for name, zone in stream.zones.items()
        ]
        self._panel = CountPanel(classes, self._sizes)
        self._trails = Trails(self._sizes.outline + 1, max(2.0, height / 180))
        self._labels = Labels(classes, self._sizes)
        self._banner = ConditionBanner(zone, self._sizes)
        self._highlighted_until: dict[str, float] = {}
        self._camera = CameraPose()

    def draw(self, planes: Planes, tracks: FrameTracks) -> None:
        """Annotates one frame.

        Args:
            planes: changed in place; may be views with padded rows.
            tracks: objects and counts of the frame.

        Raises:
            ValueError: the planes are not of the overlay's size.
        """
        if (planes.width, planes.height) != self._frame:
            got, expected = f"{planes.width}x{planes.height}", f"{self._frame[0]}x{self._frame[1]}"
            raise ValueError(f"overlay: got a frame of {got}, expected {expected}")
        boxes = _finite_boxes(tracks.boxes_px).tolist()
        rows = sorted(range(len(boxes)), key=lambda row: boxes[row][3])  # near objects over far ones
        for zone in self._zones:
            zone.draw_area(planes)
        if self._video.trails:
            if (camera_transform := self._camera.camera_transform(tracks.camera, tracks.epoch)) is not None:
                self._trails.camera_transform(camera_transform)
            self._trails.update(tracks.pts_s, tracks.ids, tracks.feet_px)
            self._trails.draw(planes)
        filled = tracks.masks.any(axis=(1, 2)).tolist()
        ids = tracks.ids.tolist()
        for row in rows:
            mask = tracks.masks[row] if self._video.masks and filled[row] else None
            self._draw_object(planes, boxes[row], mask, ids[row])
        for name in tracks.crossed:
            self._highlighted_until[name] = tracks.pts_s + HIGHLIGHT_S
        highlighted = {
            line.name: self._highlighted_until.get(line.name, -1.0) > tracks.pts_s for line in self._lines
        }
        for line in self._lines:
            line.draw_stroke(planes, highlighted[line.name])
        self._occupied.clear()
        panel = self._panel.draw(planes, tracks.stream, tracks.pts_s, tracks.unique)
        self._occupied.occupy(*panel)
        for box in [line.box for line in self._lines] + [zone.box for zone in self._zones]:
            self._occupied.occupy(*box)
        if self._video.labels:
            self._labels.draw(planes, tracks, boxes, rows[::-1], self._occupied)
        for line in self._lines:
            line.draw_badge(planes, tracks.lines.get(line.name, {}), highlighted[line.name])
        for zone in self._zones:
            zone.draw_badge(planes, tracks.zones.get(zone.name, {}))
        if tracks.condition:
            self._banner.draw(planes, tracks.condition, tracks.condition_since_s, panel[0] + panel[2])

    def draw_condition(self, planes: Planes, condition: str, since_s: float) -> None:
        """Tells on an annotated picture what is wrong with the camera.

        Args:
            planes: changed in place.
            condition: as in `FrameTracks`.
            since_s: Unix time since which it is.
        """
        self._banner.draw(planes, condition, since_s)

    def _draw_object(self, planes: Planes, box: list[float], mask: Array | None, identity: int) -> None:
        """Draws fill and outline of a mask, clipped to its box; without a mask the box itself."""
        x0, y0, x1, y1 = map(round, box)
        left, top = max(x0, 0), max(y0, 0)
        right, bottom = min(x1, planes.width), min(y1, planes.height)
        if left >= right or top >= bottom:
            return
        levels = to_yuv(object_colour(identity))
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
        tint(planes.u[chroma], inside, levels[1], MASK_OPACITY)
        tint(planes.v[chroma], inside, levels[2], MASK_OPACITY)
        coarse = max(right - left, bottom - top) > COARSE_PX
        found, _ = cv2.findContours(
            inside if coarse else _inside(mask, box, part, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        contours = [
            np.asarray(cv2.approxPolyDP(one, 0.8, True)[:, 0], np.int32) << FRACTION_BITS for one in found
        ]
        if coarse:  # from chroma to luma pixels: the centre of a chroma pixel lies between two luma pixels
            half = 1 << FRACTION_BITS - 1
            offset = np.array(
                (half - (left % 2 << FRACTION_BITS), half - (top % 2 << FRACTION_BITS)), np.int32
            )
            contours = [contour * 2 + offset for contour in contours]
        draw_polylines(luma, contours, True, levels[0], self._sizes.outline)

    def _outline(
        self,
        planes: Planes,
        corner: tuple[int, int],
        luma: Plane,
        chroma: tuple[slice, slice],
        contours: list[NDArray[np.float64]],
        levels: tuple[int, int, int],
    ) -> None:
        """Draws outlines in luma and chroma.

        Args:
            planes: changed in place.
            corner: x y of the part that is drawn on, in luma pixels.
            luma: that part of the luma plane.
            chroma: rows and columns of that part in the chroma planes.
            contours: (n, 2) x y in pixels of `luma`, each.
            levels: Y, U, V.
        """
        width = self._sizes.outline
        offset = np.array((corner[0] % 2 - 0.5, corner[1] % 2 - 0.5))
        draw_polylines(luma, [to_fixed_point(points) for points in contours], True, levels[0], width)
        half = [to_fixed_point((points + offset) / 2) for points in contours]
        draw_polylines(planes.u[chroma], half, True, levels[1], max(1, width // 2))
        draw_polylines(planes.v[chroma], half, True, levels[2], max(1, width // 2))


def _inside(mask: Array, box: list[float], part: tuple[int, int, int, int], divide: int) -> Plane:
    """Resamples a mask to the visible pixels of its box.

    Args:
        mask: (28, 28) uint8, spread over the whole box.
        box: x0 y0 x1 y1, luma pixels.
        part: x0 y0 x1 y1 of the box's visible part, luma pixels.
        divide: 1 for the luma plane, 2 for a chroma plane.

    Returns:
        (h, w) uint8 for the pixels of `part` in that plane: 255 inside the mask, 0 elsewhere.
    """
    x0, y0 = part[0] // divide, part[1] // divide
    width, height = (part[2] + divide - 1) // divide - x0, (part[3] + divide - 1) // divide - y0
    left, top, right, bottom = (value / divide for value in box)
    if abs(right - left - width) <= 1 and abs(bottom - top - height) <= 1:
        spread = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        # The frame's border cuts the box: sample only the visible part, from pixel centres to cell centres.
        per_x, per_y = MASK_SIZE / (right - left), MASK_SIZE / (bottom - top)
        to_cells = np.array(
            [[per_x, 0, (x0 + 0.5 - left) * per_x - 0.5], [0, per_y, (y0 + 0.5 - top) * per_y - 0.5]],
            np.float64,
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        spread = cv2.warpAffine(mask, to_cells, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.threshold(spread, 127, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _finite_boxes(boxes_px: Array) -> NDArray[np.float64]:
    """Boxes that can be drawn: NaN becomes 0, and coordinates are clipped to a million pixels."""
    boxes = np.nan_to_num(boxes_px.astype(np.float64), nan=0.0, posinf=1e6, neginf=-1e6).clip(-1e6, 1e6)
    return np.asarray(boxes.reshape(-1, 4), np.float64)
