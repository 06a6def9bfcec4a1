"""Directed crossings of one line.

An object crosses when its confirmed side changes while its path goes through the line. A side is confirmed only
beyond the dead band, a part of the object's own height: standing, shaking and turning back on the line count
nothing, coming back counts the other way. The path is kept from the last position on the confirmed side on,
so that walking around an end of the line counts nothing, nor does a bend that is crossed in and out again.

At the border of the frame an object is cut, and its anchor cannot reach a line along the border. So the band
is never more than half of the room between line and border; an object that grew while it came in came from
outside, and one that shrank and vanished at the border went outside; so did one that would have been outside
one frame later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.config.schema import LineConfig
from pipeline.geometry.points import Xy
from pipeline.geometry.polyline import Polyline
from pipeline.tracking.observation import Observation

PATH_POINTS = 64
"""Positions kept since the last confirmed side; beyond that every second one is left out."""
CUT = 0.8
"""An object whose visible part is below this share of its whole was cut by the border."""
BEYOND = 0.05
"""How far outside the frame an object is thought to come from, in widths of the frame."""
STEP_S = 1.0
"""The longest time between two sightings from which it is told where an object was one such time before or after."""


@dataclass(slots=True)
class _Course:
    side: int = 0
    path: list[Xy] = field(default_factory=list)
    counted_s: float = -np.inf
    edge: str = ""
    """Border at which the object began, until it is clear whether it came in there."""
    cut_px: float = 0.0
    """What was to be seen of it then."""
    whole: dict[str, float] = field(default_factory=dict)
    """Border -> extent when it last did not touch that border."""
    arriving: bool = False
    first_side: int = 0
    head: list[Xy] = field(default_factory=list)
    """The path up to the first confirmed side."""
    before: Observation | None = None
    last: Observation | None = None


class LineCounter:
    """Follows every object against one line.

    Args:
        config: the line, in relative coordinates.
        frame: width and height in pixels.
    """

    def __init__(self, config: LineConfig, frame: tuple[int, int]) -> None:
        self._config = config
        self._frame = frame
        self._line = Polyline([(x * frame[0], y * frame[1]) for x, y in config.points])
        self._room = self._line.room(frame)
        self._courses: dict[int, _Course] = {}

    def observe(self, object_id: int, observation: Observation, arriving: bool = False) -> str | None:
        """The next sighting of an object.

        Args:
            item: the object's id.
            sighting: in the order of time for each object.
            arriving: nothing hid the place before: an object that begins here may have come from outside.

        Returns:
            The name of the direction in which it has just crossed, or None.
        """
        place, distance = self._anchor(observation)
        course = self._courses.get(object_id)
        if course is None:
            course = self._courses[object_id] = _Course(arriving=arriving)
            if arriving and observation.edges:
                self._came_in(course, observation, place)
        elif course.arriving and course.before is None and course.last is not None and not course.edge:
            self._flew_in(course, course.last, observation)
        course.before, course.last = course.last, observation
        for edge in "ltrb":
            if edge not in observation.edges:
                course.whole[edge] = observation.extent_px(edge)
        side = self._side(distance, observation.height_px)
        if course.edge:
            if course.edge in observation.edges:
                _append(course.path, place)
                if side != course.side:
                    return None
            elif course.cut_px >= CUT * observation.extent_px(course.edge) and (
                course.before is None or course.edge not in self._beyond(observation, course.before)
            ):
                course.side, course.path = 0, course.path[1:]
            if course.edge not in observation.edges:
                course.edge = ""
        return self._move(course, place, side, observation.frame_time.pts_s)

    def end(self, object_id: int) -> tuple[str, Observation] | None:
        """The object will not be seen again. Returns the direction and the last sighting if it left the frame
        over the line."""
        course = self._courses.pop(object_id, None)
        if course is None or course.last is None:
            return None
        last = course.last
        over = [edge for edge in last.edges if last.extent_px(edge) < CUT * course.whole.get(edge, 0.0)]
        if not over and course.before is not None:
            over = list(self._beyond(course.before, last))
        for edge in over:
            outside = self._outside(edge, self._anchor(last)[0])
            side = _sign(self._line.distance(outside))
            direction = self._move(course, outside, side, last.frame_time.pts_s)
            if direction is not None:
                return direction, last
        return None

    def stitch(self, object_id: int, later: int, pts_s: float) -> str | None:
        """Merges the object `later`, first seen at `pts_s`, into `object_id`, which it turned out to be.

        Returns:
            The direction in which it crossed the line between the two, or None.
        """
        rest = self._courses.get(later)
        course = None if rest is None else self._courses.pop(object_id, None)
        if course is None or rest is None:
            return None
        rest.whole = course.whole | rest.whole
        rest.counted_s = max(course.counted_s, rest.counted_s)
        way = course.path + rest.head
        if rest.first_side == 0:
            rest.side, rest.path = course.side, _thinned(course.path + rest.path)
            rest.first_side, rest.head = course.first_side, course.head
            return None
        side = rest.first_side
        if course.first_side:
            rest.first_side, rest.head = course.first_side, course.head
        else:
            rest.head = _thinned(way)
        return self._crossed(rest, course.side, side, way, pts_s)

    def _move(self, course: _Course, place: Xy, side: int, pts_s: float) -> str | None:
        _append(course.path, place)
        if side == 0:
            return None
        before, path = course.side, course.path
        course.side, course.path = side, [place]
        if course.first_side == 0:
            course.first_side, course.head = side, path
        return self._crossed(course, before, side, path, pts_s)

    def _crossed(self, course: _Course, before: int, side: int, path: list[Xy], pts_s: float) -> str | None:
        """The direction if a path from one confirmed side to the next went through the line."""
        if before in (0, side) or self._line.crossings(path) * before <= 0:
            return None
        if pts_s - course.counted_s < self._config.cooldown_s:
            return None
        course.counted_s = pts_s
        return self._config.directions[0 if before > 0 else 1]

    def _anchor(self, observation: Observation) -> tuple[Xy, float]:
        """The position that makes the path, and the signed distance that tells the side."""
        if self._config.anchor == "mask":
            return self._line.mask_anchor(np.array(observation.place_px), observation.mask)
        place = observation.foot if self._config.anchor == "foot" else observation.center
        return place, self._line.distance(place)

    def _side(self, distance: float, height_px: float) -> int:
        side = _sign(distance)
        if side == 0:
            return 0
        band = min(self._config.deadband * height_px, self._room[side] / 2)
        return side if abs(distance) > band else 0

    def _came_in(self, course: _Course, observation: Observation, place: Xy) -> None:
        """If the line runs between the object and the border, it may have been crossed out of sight."""
        here = _sign(self._line.distance(place))
        for edge in observation.edges:
            outside = self._outside(edge, place)
            side = _sign(self._line.distance(outside))
            if side and side != here and self._line.meets([outside, place]):
                course.side, course.path, course.edge = side, [outside], edge
                course.first_side, course.head = side, [outside]
                course.cut_px = observation.extent_px(edge)
                return

    def _flew_in(self, course: _Course, first: Observation, second: Observation) -> None:
        """An object so fast that it was outside one such step before its first sighting."""
        for edge in self._beyond(second, first):
            place = self._anchor(first)[0]
            outside = self._outside(edge, place)
            side = _sign(self._line.distance(outside))
            if side and side != course.side:
                course.side, course.path = side, [outside, place]
                return

    def _beyond(self, one: Observation, other: Observation) -> str:
        """The border of the frame over which one more step like that from `one` to `other` leads, if any."""
        if not 0 < abs(other.frame_time.pts_s - one.frame_time.pts_s) <= STEP_S:
            return ""
        x, y = (2 * other.center[axis] - one.center[axis] for axis in (0, 1))
        width, height = self._frame
        return (
            ("l" if x < 0 else "")
            + ("t" if y < 0 else "")
            + ("r" if x > width else "")
            + ("b" if y > height else "")
        )

    def _outside(self, edge: str, place: Xy) -> Xy:
        width, height = self._frame
        away = BEYOND * width
        return {
            "l": (-away, place[1]),
            "r": (width + away, place[1]),
            "t": (place[0], -away),
            "b": (place[0], height + away),
        }[edge]


def _sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def _append(path: list[Xy], place: Xy) -> None:
    path.append(place)
    if len(path) > PATH_POINTS:
        del path[1:-1:2]


def _thinned(path: list[Xy]) -> list[Xy]:
    while len(path) > PATH_POINTS:
        path = [path[0], *path[1:-1:2], path[-1]]
    return path
