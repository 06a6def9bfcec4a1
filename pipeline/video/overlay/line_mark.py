"""A counting line in the picture: its stroke, its arrows, and a badge with its name and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from pipeline.config.schema import LineConfig
from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.colours import Colour
from pipeline.video.overlay.placement import OccupancyGrid, badge_position
from pipeline.video.overlay.stamp import SparseStamp, Stamp
from pipeline.video.overlay.style import (
    DARK,
    HIGHLIGHT,
    MUTED,
    PANEL_OPACITY,
    WHITE,
    ZONE_COLOUR,
    OverlaySizes,
)

MAX_BADGES = 16
"""Number of badge stamps kept in memory: counts change slowly, and a highlighted one returns to normal."""


def draw_arrow(
    canvas: Canvas, x: float, y: float, direction: tuple[float, float], size: float, colour: Colour
) -> None:
    """Draws a solid arrow head.

    Args:
        canvas: drawn on.
        x, y: its middle, pixels.
        direction: unit vector it points to.
        size: pixels.
        colour: red, green, blue.
    """
    dx, dy = direction
    tip, wing = size * 0.55, size * 0.5
    points = [
        (x + dx * tip, y + dy * tip),
        (x - dx * tip - dy * wing, y - dy * tip + dx * wing),
        (x - dx * tip * 0.45, y - dy * tip * 0.45),
        (x - dx * tip + dy * wing, y - dy * tip - dx * wing),
    ]
    canvas.polygon(points, colour, 1.0)


def right_normal(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Unit vector to the right-hand side, as seen on the screen, when going from `start` to `end` (y points down).

    Args:
        start: x y.
        end: x y; not `start`.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(1e-6, math.hypot(dx, dy))
    return -dy / length, dx / length


def midpoint(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The point half way along a polyline, and the unit vector to its right-hand side there.

    Args:
        points: x y of two points or more.
    """
    ends = list(accumulate((math.dist(a, b) for a, b in pairwise(points)), initial=0.0))
    number = next(n for n, end in enumerate(ends) if end >= ends[-1] / 2 and n > 0)
    a, b = points[number - 1], points[number]
    share = (ends[-1] / 2 - ends[number - 1]) / max(1e-6, ends[number] - ends[number - 1])
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])), right_normal(a, b)


class LineMark:
    """Draws one counting line. The stroke is prepared once, a badge when its counts change.

    The arrow of the first direction points to the right-hand side, seen from the line's first point.

    Args:
        name: of the line.
        config: of the line, relative coordinates.
        frame: width and height of the frames, pixels.
        sizes: of drawn elements.
        occupied: what is covered already; the badge is added.
    """

    def __init__(
        self,
        name: str,
        config: LineConfig,
        frame: tuple[int, int],
        sizes: OverlaySizes,
        occupied: OccupancyGrid,
    ) -> None:
        self.name, self._config, self._sizes = name, config, sizes
        width, height = frame
        points = [(x * width, y * height) for x, y in config.points]
        self._middle, self._normal = midpoint(points)
        self._strokes = tuple(self._stroke(points, frame, highlighted) for highlighted in (False, True))
        self._badges: dict[tuple[int, int, bool], Stamp] = {}
        widest = self._badge(8888, 8888, highlighted=False)
        size = (widest.width, widest.height)
        # Start at the end nearer to the frame's border, where the badge hides least.
        ends = sorted(
            (points[0], points[-1]), key=lambda end: min(end[0], end[1], width - end[0], height - end[1])
        )
        self._position = badge_position(size, ends, frame, sizes.margin, occupied)
        self.box: tuple[int, int, int, int] = (*self._position, *size)
        """x, y, width, height of the badge at its widest, pixels."""
        occupied.occupy(*self.box)

    def draw_stroke(self, planes: Planes, highlighted: bool) -> None:
        """Draws the line and its arrows.

        Args:
            planes: Of the frame; drawn on in place.
            highlighted: Whether an object has just crossed it.
        """
        self._strokes[highlighted].blend(planes)

    def draw_badge(self, planes: Planes, counts: dict[str, dict[str, int]], highlighted: bool) -> None:
        """Draws the badge.

        Args:
            planes: changed in place.
            counts: class -> direction -> crossings.
            highlighted: an object has just crossed.
        """
        first, second = (
            sum(of_class.get(direction, 0) for of_class in counts.values())
            for direction in self._config.directions
        )
        key = (first, second, highlighted)
        if key not in self._badges:
            if len(self._badges) > MAX_BADGES:
                self._badges.clear()
            self._badges[key] = self._badge(first, second, highlighted)
        self._badges[key].blend(planes, *self._position)

    def _stroke(
        self, line: Sequence[tuple[float, float]], frame: tuple[int, int], highlighted: bool
    ) -> SparseStamp:
        stroke, reach = self._sizes.stroke, self._sizes.stroke * 13
        low, high = (tuple(pick(point[n] for point in line) for n in range(2)) for pick in (min, max))
        left, top = (int(low[n] - reach) // 2 * 2 for n in range(2))
        canvas = Canvas(round(high[0] - low[0] + 2 * reach) + 4, round(high[1] - low[1] + 2 * reach) + 4)
        points = [(x - left, y - top) for x, y in line]
        colour = HIGHLIGHT if highlighted else WHITE
        if highlighted:
            canvas.stroke(points, stroke * 5, HIGHLIGHT, 0.30)
        canvas.stroke(points, stroke * 2.4, DARK, 0.45)
        canvas.stroke(points, stroke, colour, 1.0)
        for x, y in (points[0], points[-1]):
            canvas.panel(x - stroke * 2, y - stroke * 2, stroke * 4, stroke * 4, stroke * 2, DARK, 0.6)
            canvas.panel(
                x - stroke * 1.4, y - stroke * 1.4, stroke * 2.8, stroke * 2.8, stroke * 1.4, colour, 1.0
            )
        middle = (self._middle[0] - left, self._middle[1] - top)
        for sign in (1, -1):
            x, y = (middle[n] + sign * self._normal[n] * stroke * 6.5 for n in range(2))
            direction = (sign * self._normal[0], sign * self._normal[1])
            draw_arrow(canvas, x, y, direction, stroke * 7.5, DARK)
            draw_arrow(canvas, x, y, direction, stroke * 5.5, colour)
        return SparseStamp.of(canvas.stamp(), left, top, *frame)

    def _badge(self, first: int, second: int, highlighted: bool) -> Stamp:
        size = self._sizes.badge
        pad, gap = round(size * 0.8), round(size * 0.7)
        forward, back = self._config.directions
        left_normal = (-self._normal[0], -self._normal[1])
        counts = ((self._normal, forward, str(first)), (left_normal, back, str(second)))
        width = pad + text_width(self.name, size)
        for _, word, count in counts:
            width += (
                round(2.2 * gap) + size + text_width(word, size) + round(gap * 0.6) + text_width(count, size)
            )
        if self._config.net:
            width += 2 * gap + text_width("net", size) + text_width("-8888", size)
        canvas = Canvas(width + pad, round(size * 2.3))
        canvas.panel(0, 0, canvas.width, canvas.height, size * 0.6, DARK, PANEL_OPACITY)
        if highlighted:
            canvas.panel(0, 0, max(3, size * 0.35), canvas.height, size * 0.15, HIGHLIGHT, 1.0)
        baseline = (canvas.height + size) / 2
        canvas.text(self.name, pad, baseline, size, HIGHLIGHT if highlighted else WHITE)
        x = float(pad + text_width(self.name, size))
        arrow_colour = HIGHLIGHT if highlighted else ZONE_COLOUR
        for direction, word, count in counts:
            x += 1.4 * gap
            draw_arrow(canvas, x + size / 2, canvas.height / 2, direction, size * 0.95, arrow_colour)
            x += size + gap * 0.8
            canvas.text(word, x, baseline, size, MUTED)
            x += text_width(word, size) + gap * 0.6
            canvas.text(count, x, baseline, size, WHITE)
            x += text_width(count, size)
        if self._config.net:
            canvas.text("net", x + 1.4 * gap, baseline, size, MUTED)
            canvas.text(str(first - second), x + 2 * gap + text_width("net", size), baseline, size, WHITE)
        return canvas.stamp()
