"""A zone in the picture: a light fill, its border, and a badge with its name and occupancy."""

from __future__ import annotations

import math

import numpy as np

from pipeline.config.schema import ZoneConfig
from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.colours import to_yuv
from pipeline.video.overlay.placement import OccupancyGrid, badge_position
from pipeline.video.overlay.stamp import SparseStamp, Stamp
from pipeline.video.overlay.strokes import tint
from pipeline.video.overlay.style import DARK, PANEL_OPACITY, WHITE, ZONE_COLOUR, OverlaySizes

MAX_BADGES = 16
"""Number of badge stamps kept in memory."""
LUMA_OPACITY, CHROMA_OPACITY = 0.07, 0.22
"""Of the fill: it changes colour rather than brightness, so that the scene's texture stays visible."""


class ZoneMark:
    """Draws one zone. Fill and border are prepared once, a badge when its count changes.

    Args:
        name: of the zone.
        config: of the zone, relative coordinates.
        frame: width and height of the frames, pixels.
        sizes: of drawn elements.
        occupied: what is covered already; the badge is added.
    """

    def __init__(
        self,
        name: str,
        config: ZoneConfig,
        frame: tuple[int, int],
        sizes: OverlaySizes,
        occupied: OccupancyGrid,
    ) -> None:
        self.name, self._sizes = name, sizes
        width, height = frame
        points = [(x * width, y * height) for x, y in config.points]
        reach = sizes.stroke * 3
        left, top = (int(max(0.0, min(point[n] for point in points) - reach)) // 2 * 2 for n in range(2))
        right, bottom = (max(point[n] for point in points) + reach for n in range(2))
        inner = [(x - left, y - top) for x, y in points]
        shape = Canvas(math.ceil(right - left) + 2, math.ceil(bottom - top) + 2)
        shape.polygon(inner, ZONE_COLOUR, 1.0)
        keep = shape.stamp().keep
        luma = (255 - keep[0])[: height - top, : width - left]
        chroma = (255 - keep[1])[: (height + 1) // 2 - top // 2, : (width + 1) // 2 - left // 2]
        self._inside = (
            np.where(luma > 127, 255, 0).astype(np.uint8),
            np.where(chroma > 127, 255, 0).astype(np.uint8),
        )
        self._corner = (left, top)
        border = Canvas(shape.width, shape.height)
        border.stroke(inner, sizes.stroke * 2.2, DARK, 0.35, closed=True)
        border.stroke(inner, sizes.stroke * 0.9, ZONE_COLOUR, 0.9, closed=True)
        self._border = SparseStamp.of(border.stamp(), left, top, width, height)
        self._badges: dict[int, Stamp] = {}
        widest = self._badge(888)
        size = (widest.width, widest.height)
        highest = min(points, key=lambda point: (point[1], point[0]))
        self._position = badge_position(size, (highest, *points), frame, sizes.margin, occupied)
        self.box: tuple[int, int, int, int] = (*self._position, *size)
        """x, y, width, height of the badge at its widest, pixels."""
        occupied.occupy(*self.box)

    def draw_area(self, planes: Planes) -> None:
        """Draws fill and border.

        Args:
            planes: Of the frame; drawn on in place.
        """
        left, top = self._corner
        levels = to_yuv(ZONE_COLOUR)
        for number, (plane, level) in enumerate(zip((planes.y, planes.u, planes.v), levels, strict=True)):
            inside = self._inside[min(number, 1)]
            x, y = (left, top) if number == 0 else (left // 2, top // 2)
            part = plane[y : y + inside.shape[0], x : x + inside.shape[1]]
            opacity = LUMA_OPACITY if number == 0 else CHROMA_OPACITY
            tint(part, inside[: part.shape[0], : part.shape[1]], level, opacity)
        self._border.blend(planes)

    def draw_badge(self, planes: Planes, counts: dict[str, int]) -> None:
        """Draws the badge.

        Args:
            planes: changed in place.
            counts: class -> objects inside now.
        """
        count = sum(counts.values())
        if count not in self._badges:
            if len(self._badges) > MAX_BADGES:
                self._badges.clear()
            self._badges[count] = self._badge(count)
        self._badges[count].blend(planes, *self._position)

    def _badge(self, count: int) -> Stamp:
        size = self._sizes.badge
        pad = round(size * 0.8)
        words = text_width(self.name, size)
        canvas = Canvas(2 * pad + words + round(size * 0.7) + text_width(str(count), size), round(size * 2.3))
        canvas.panel(0, 0, canvas.width, canvas.height, size * 0.6, DARK, PANEL_OPACITY)
        baseline = (canvas.height + size) / 2
        canvas.text(self.name, pad, baseline, size, ZONE_COLOUR)
        canvas.text(str(count), pad + words + size * 0.7, baseline, size, WHITE)
        return canvas.stamp()
