"""Counting lines and zones, with the plates that show their counts.

What stays the same is made once; a plate is made when its count changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from pipeline.config.schema import LineConfig, ZoneConfig
from pipeline.transport.planes import Planes
from pipeline.video.overlay.canvas import Canvas, text_width
from pipeline.video.overlay.paint import Colour, Scatter, Stamp, tint, yuv
from pipeline.video.overlay.style import DARK, LIT, PANEL_OPACITY, SOFT, WHITE, ZONE, Sizes, Taken


def arrow(
    canvas: Canvas, x: float, y: float, direction: tuple[float, float], size: float, colour: Colour
) -> None:
    """A solid arrow head with its middle at (x, y)."""
    dx, dy = direction
    tip, wing = size * 0.55, size * 0.5
    points = [
        (x + dx * tip, y + dy * tip),
        (x - dx * tip - dy * wing, y - dy * tip + dx * wing),
        (x - dx * tip * 0.45, y - dy * tip * 0.45),
        (x - dx * tip + dy * wing, y - dy * tip - dx * wing),
    ]
    canvas.polygon(points, colour, 1.0)


def to_right_hand(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Unit vector to the right of who walks from `start` to `end` on the screen, where y grows downward."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(1e-6, math.hypot(dx, dy))
    return -dy / length, dx / length


def middle_of(
    points: Sequence[tuple[float, float]],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The place half way along a chain of points, and the unit vector to the right hand of who walks by there."""
    ends = list(accumulate((math.dist(a, b) for a, b in pairwise(points)), initial=0.0))
    number = next(n for n, end in enumerate(ends) if end >= ends[-1] / 2 and n > 0)
    a, b = points[number - 1], points[number]
    share = (ends[-1] / 2 - ends[number - 1]) / max(1e-6, ends[number] - ends[number - 1])
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])), to_right_hand(a, b)


class LineMark:
    """A counting line: the stroke with an arrow each way, and a plate with its name and counts.

    The arrow of the first direction points to the right hand of who walks from the first point to the second.
    """

    def __init__(
        self, name: str, config: LineConfig, width: int, height: int, sizes: Sizes, taken: Taken
    ) -> None:
        self.name, self._config, self._sizes = name, config, sizes
        points = [(x * width, y * height) for x, y in config.points]
        self._middle, self._across = middle_of(points)
        self._strokes = tuple(self._stroke(points, width, height, lit) for lit in (False, True))
        self._plates: dict[tuple[int, int, bool], Stamp] = {}
        widest = self._plate(8888, 8888, lit=False)
        # The end nearer to the frame's edge: there the plate hides least.
        ends = sorted(
            (points[0], points[-1]), key=lambda end: min(end[0], end[1], width - end[0], height - end[1])
        )
        self._place = _place_plate(widest, ends, width, height, sizes, taken)
        taken.take(*self._place, widest.width, widest.height)
        self._box = (*self._place, widest.width, widest.height)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the plate at its widest."""
        return self._box

    def put_stroke(self, planes: Planes, lit: bool) -> None:
        self._strokes[lit].put(planes)

    def put_plate(self, planes: Planes, counts: dict[str, dict[str, int]], lit: bool) -> None:
        """`counts`: class -> direction -> crossings."""
        first, second = (
            sum(of_class.get(direction, 0) for of_class in counts.values())
            for direction in self._config.directions
        )
        key = (first, second, lit)
        if key not in self._plates:
            if len(self._plates) > 16:
                self._plates.clear()
            self._plates[key] = self._plate(first, second, lit)
        self._plates[key].put(planes, *self._place)

    def _stroke(self, line: Sequence[tuple[float, float]], width: int, height: int, lit: bool) -> Scatter:
        stroke, reach = self._sizes.stroke, self._sizes.stroke * 13
        low, high = (tuple(pick(point[n] for point in line) for n in range(2)) for pick in (min, max))
        left, top = (int(low[n] - reach) // 2 * 2 for n in range(2))
        canvas = Canvas(round(high[0] - low[0] + 2 * reach) + 4, round(high[1] - low[1] + 2 * reach) + 4)
        points = [(x - left, y - top) for x, y in line]
        colour = LIT if lit else WHITE
        if lit:
            canvas.stroke(points, stroke * 5, LIT, 0.30)
        canvas.stroke(points, stroke * 2.4, DARK, 0.45)
        canvas.stroke(points, stroke, colour, 1.0)
        for x, y in (points[0], points[-1]):
            canvas.panel(x - stroke * 2, y - stroke * 2, stroke * 4, stroke * 4, stroke * 2, DARK, 0.6)
            canvas.panel(
                x - stroke * 1.4, y - stroke * 1.4, stroke * 2.8, stroke * 2.8, stroke * 1.4, colour, 1.0
            )
        middle = (self._middle[0] - left, self._middle[1] - top)
        for sign in (1, -1):
            x, y = (middle[n] + sign * self._across[n] * stroke * 6.5 for n in range(2))
            direction = (sign * self._across[0], sign * self._across[1])
            arrow(canvas, x, y, direction, stroke * 7.5, DARK)
            arrow(canvas, x, y, direction, stroke * 5.5, colour)
        return Scatter.of(canvas.stamp(), left, top, width, height)

    def _plate(self, first: int, second: int, lit: bool) -> Stamp:
        size = self._sizes.plate
        pad, gap = round(size * 0.8), round(size * 0.7)
        forward, back = self._config.directions
        against = (-self._across[0], -self._across[1])
        counts = ((self._across, forward, str(first)), (against, back, str(second)))
        width = pad + text_width(self.name, size)
        for _, word, count in counts:
            width += (
                round(2.2 * gap) + size + text_width(word, size) + round(gap * 0.6) + text_width(count, size)
            )
        if self._config.net:
            width += 2 * gap + text_width("net", size) + text_width("-8888", size)
        canvas = Canvas(width + pad, round(size * 2.3))
        canvas.panel(0, 0, canvas.width, canvas.height, size * 0.6, DARK, PANEL_OPACITY)
        if lit:
            canvas.panel(0, 0, max(3, size * 0.35), canvas.height, size * 0.15, LIT, 1.0)
        baseline = (canvas.height + size) / 2
        canvas.text(self.name, pad, baseline, size, LIT if lit else WHITE)
        x = float(pad + text_width(self.name, size))
        for direction, word, count in counts:
            x += 1.4 * gap
            arrow(canvas, x + size / 2, canvas.height / 2, direction, size * 0.95, LIT if lit else ZONE)
            x += size + gap * 0.8
            canvas.text(word, x, baseline, size, SOFT)
            x += text_width(word, size) + gap * 0.6
            canvas.text(count, x, baseline, size, WHITE)
            x += text_width(count, size)
        if self._config.net:
            canvas.text("net", x + 1.4 * gap, baseline, size, SOFT)
            canvas.text(str(first - second), x + 2 * gap + text_width("net", size), baseline, size, WHITE)
        return canvas.stamp()


class ZoneMark:
    """A zone: a light fill, its edge, and a plate with its name and how many objects are inside."""

    def __init__(
        self, name: str, config: ZoneConfig, width: int, height: int, sizes: Sizes, taken: Taken
    ) -> None:
        self.name, self._sizes = name, sizes
        points = [(x * width, y * height) for x, y in config.points]
        reach = sizes.stroke * 3
        left, top = (int(max(0.0, min(point[n] for point in points) - reach)) // 2 * 2 for n in range(2))
        right, bottom = (max(point[n] for point in points) + reach for n in range(2))
        inner = [(x - left, y - top) for x, y in points]
        shape = Canvas(math.ceil(right - left) + 2, math.ceil(bottom - top) + 2)
        shape.polygon(inner, ZONE, 1.0)
        keep = shape.stamp().keep
        luma = (255 - keep[0])[: height - top, : width - left]
        chroma = (255 - keep[1])[: (height + 1) // 2 - top // 2, : (width + 1) // 2 - left // 2]
        self._inside = (
            np.where(luma > 127, 255, 0).astype(np.uint8),
            np.where(chroma > 127, 255, 0).astype(np.uint8),
        )
        self._at = (left, top)
        edge = Canvas(shape.width, shape.height)
        edge.stroke(inner, sizes.stroke * 2.2, DARK, 0.35, closed=True)
        edge.stroke(inner, sizes.stroke * 0.9, ZONE, 0.9, closed=True)
        self._edge = Scatter.of(edge.stamp(), left, top, width, height)
        self._plates: dict[int, Stamp] = {}
        widest = self._plate(888)
        highest = min(points, key=lambda point: (point[1], point[0]))
        self._place = _place_plate(widest, (highest, *points), width, height, sizes, taken)
        self._box = (*self._place, widest.width, widest.height)
        taken.take(*self._box)

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self._box

    def put_area(self, planes: Planes) -> None:
        left, top = self._at
        for number, (plane, level) in enumerate(zip((planes.y, planes.u, planes.v), yuv(ZONE), strict=True)):
            inside = self._inside[min(number, 1)]
            x, y = (left, top) if number == 0 else (left // 2, top // 2)
            part = plane[y : y + inside.shape[0], x : x + inside.shape[1]]
            tint(part, inside[: part.shape[0], : part.shape[1]], level, 0.07 if number == 0 else 0.22)
        self._edge.put(planes)

    def put_plate(self, planes: Planes, counts: dict[str, int]) -> None:
        """`counts`: class -> objects inside now."""
        count = sum(counts.values())
        if count not in self._plates:
            if len(self._plates) > 16:
                self._plates.clear()
            self._plates[count] = self._plate(count)
        self._plates[count].put(planes, *self._place)

    def _plate(self, count: int) -> Stamp:
        size = self._sizes.plate
        pad = round(size * 0.8)
        words = text_width(self.name, size)
        canvas = Canvas(2 * pad + words + round(size * 0.7) + text_width(str(count), size), round(size * 2.3))
        canvas.panel(0, 0, canvas.width, canvas.height, size * 0.6, DARK, PANEL_OPACITY)
        baseline = (canvas.height + size) / 2
        canvas.text(self.name, pad, baseline, size, ZONE)
        canvas.text(str(count), pad + words + size * 0.7, baseline, size, WHITE)
        return canvas.stamp()


def _place_plate(
    plate: Stamp, points: Sequence[tuple[float, float]], width: int, height: int, sizes: Sizes, taken: Taken
) -> tuple[int, int]:
    """Upper left corner for a plate near one of the points: inside the frame, over no other where possible."""
    gap = sizes.margin
    options: list[tuple[float, float]] = []
    for x, y in points:
        for left in (x + gap, x - gap - plate.width, x - plate.width / 2):
            options += [(left, y - gap - plate.height), (left, y + gap)]
    for x, y in points:  # farther away, for crowded corners
        for step in range(1, 6):
            options += [
                (x + gap, y + step * (plate.height + 4)),
                (x + gap, y - (step + 1) * (plate.height + 4)),
            ]
    inside = []
    for left, top in options:
        x = int(min(max(left, gap), max(gap, width - gap - plate.width))) // 2 * 2
        y = int(min(max(top, gap), max(gap, height - gap - plate.height))) // 2 * 2
        inside.append((x, y))
    return next((place for place in inside if taken.free(*place, plate.width, plate.height)), inside[0])
