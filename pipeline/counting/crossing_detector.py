"""State machine that decides when objects cross one line, and in which direction.

For each object there is a *confirmed side* of the line: the side on which its anchor was last beyond the dead band, a
fraction of the object's own height. An object crosses when the confirmed side changes and the path of the anchor in
between passes through the line:

    no side --beyond the band--> left <--path through the line, beyond the band--> right

A side is confirmed by two observations in a row that are over the line, one of them beyond the band, or by one beyond
it that the motion before it predicts (`step_check.py`). Within the dead band nothing happens. So an object that stands
on the line, and whose box jitters, counts nothing, nor does one that touches the line and turns back. An object that
crosses and comes back counts once in each direction. Only the path decides whether the line was crossed: an object that
walks around an end of it changes sides without a crossing, and a bend that is entered and left again is crossed twice,
in opposite directions, which cancels out.

At the border of the frame this is not enough. There the border cuts off part of the object, so the anchor stops moving
before it is beyond a line along the border. See `_came_in`, `_flew_in` and `end` for objects that come from outside and
leave, and `_side` for the narrower dead band.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.config.schema import LineConfig
from pipeline.counting.crosser import Crosser, thinned
from pipeline.counting.step_check import is_predicted, kept_height
from pipeline.geometry.points import Xy
from pipeline.geometry.polyline import Polyline
from pipeline.records.state import AttributeState
from pipeline.tracking.observation import Observation

CUT = 0.8
"""An object whose visible extent is below this fraction of its full extent is cut by the border."""
BEYOND = 0.05
"""Distance outside the frame at which an object is assumed to come from or to go to, in widths of the frame."""
STEP_S = 1.0
"""Longest time between two observations over which the motion between them is extrapolated."""


class CrossingDetector(AttributeState):
    """Detects crossings of one line by all objects.

    Args:
        config: the line, in fractions of the frame.
        frame: width and height of the frame in pixels.

    Attributes:
        anchor: what crosses the line: `foot`, `center` or `mask`.
    """

    STATE = ("_crossers",)

    def __init__(self, config: LineConfig, frame: tuple[int, int]) -> None:
        self._config = config
        self._frame = frame
        self.anchor = config.anchor
        self._line = Polyline([(x * frame[0], y * frame[1]) for x, y in config.points])
        self._room = self._line.room(frame)
        self._crossers: dict[int, Crosser] = {}

    @property
    def line(self) -> Polyline:
        """The line in pixels."""
        return self._line

    @property
    def crossers(self) -> Mapping[int, Crosser]:
        """Object -> its state relative to the line."""
        return self._crossers

    def catch_up(self, object_id: int, recent: Crosser) -> None:
        """Brings the state of an object up to date that `observe` was not told of, since nothing could happen to it.

        Args:
            object_id: the object; its state is settled (`Crosser.settled_side`), and it has been beyond the dead band.
            recent: has its last observations and its extent.
        """
        crosser = self._crossers[object_id]
        if crosser.last is not recent.last and recent.last is not None:
            crosser.take(recent)
            crosser.path = [self._anchor(recent.last)[0]]

    def observe(self, object_id: int, observation: Observation, arriving: bool = False) -> str | None:
        """Takes the next observation of an object.

        Args:
            object_id: the object.
            observation: later than the one before of the same object.
            arriving: the object appeared in view while the stream was running, so it may come from outside the frame.
                One that is there in the first frame may have been there for long.

        Returns:
            Name of the direction in which the object has just crossed the line, or None.
        """
        place, distance = self._anchor(observation)
        crosser = self._crossers.get(object_id)
        if crosser is None:
            crosser = self._crossers[object_id] = Crosser(arriving=arriving)
            if arriving and observation.edges:
                self._came_in(crosser, observation, place)
        elif crosser.arriving and crosser.before is None and crosser.last is not None and not crosser.border:
            self._flew_in(crosser, crosser.last, observation)
        before, last = crosser.before, crosser.last
        crosser.see(observation)
        side = self._side(distance, observation.height_px)
        if side and side == crosser.side and crosser.first_side and not crosser.border:
            # most often: where it was before
            crosser.path, crosser.hand, crosser.pending = [place], side, 0
            return None
        if side not in (0, crosser.side) and crosser.side:
            sure = crosser.hand == side or is_predicted(before, last, observation)
            side, crosser.pending = (side, 0) if sure else (0, side)
        else:
            # beyond the dead band before, and still over the line
            side = crosser.pending if side == 0 and _sign(distance) == crosser.pending else side
            crosser.pending = 0
        crosser.hand = _sign(distance)
        if crosser.border and not self._border_is_settled(crosser, observation, place, side):
            return None
        return self._move(crosser, place, side, observation.frame_time.pts_s)

    def end(self, object_id: int) -> tuple[str, Observation] | None:
        """Drops the state of an object that has ended, and decides whether it left the frame across the line.
        The anchor of an object that leaves stays in the frame, since the border cuts the box. The object has left over
        a border if it was getting smaller there, or if the motion of its last two observations leads out of the frame.
        An object that was last seen beyond the line, only once, has crossed it if the whole of it had moved there.

        Args:
            object_id: Also one that was never observed.

        Returns:
            Name of the direction, and the last observation; None if the object did not leave across the line.
        """
        crosser = self._crossers.pop(object_id, None)
        if crosser is None or crosser.last is None:
            return None
        last = crosser.last
        over = [border for border in last.edges if last.extent_px(border) < CUT * crosser.full_extent(border)]
        if not over and crosser.before is not None:
            over = list(self._borders_ahead(crosser.before, last))
        for border in over:
            outside = self._outside(border, self._anchor(last)[0])
            side = _sign(self._line.distance(outside))
            direction = self._move(crosser, outside, side, last.frame_time.pts_s)
            if direction is not None:
                return direction, last
        if crosser.pending and kept_height(crosser.before, last):
            direction = self._move(crosser, self._anchor(last)[0], crosser.pending, last.frame_time.pts_s)
            if direction is not None:
                return direction, last
        return None

    def stitch(self, object_id: int, later: int, pts_s: float) -> str | None:
        """Merges two objects that turned out to be one.

        The crossings of each of them are counted already. What is left is the gap between them: the older one may have
        been on one side when it was lost, and the later one on the other side when it appeared.

        Args:
            object_id: the older one, which is forgotten.
            later: the one that goes on, with the past of both.
            pts_s: media time of the first observation of `later`.

        Returns:
            Name of the direction in which the line was crossed during the gap, or None.
        """
        newer = self._crossers.get(later)
        older = None if newer is None else self._crossers.pop(object_id, None)
        if older is None or newer is None:
            return None
        newer.inherit_extent(older)
        newer.counted_s = max(older.counted_s, newer.counted_s)
        if newer.first_side == 0:
            # The later one has been within the dead band all the time: nothing is decided, it continues the path.
            newer.side, newer.path = older.side, thinned(older.path + newer.path)
            newer.first_side, newer.first_path = older.first_side, older.first_path
            return None
        side = newer.first_side
        gap_path = older.path + newer.first_path
        if older.first_side:
            newer.first_side, newer.first_path = older.first_side, older.first_path
        else:
            newer.first_path = thinned(gap_path)
        return self._crossing(newer, older.side, side, gap_path, pts_s)

    def _move(self, crosser: Crosser, place: Xy, side: int, pts_s: float) -> str | None:
        """Continues the path to `place`, on the confirmed side `side`, or 0 within the dead band."""
        crosser.append(place)
        if side == 0:
            return None
        before, path = crosser.side, crosser.path
        crosser.side, crosser.path = side, [place]
        if crosser.first_side == 0:
            crosser.first_side, crosser.first_path = side, path
        return self._crossing(crosser, before, side, path, pts_s)

    def _crossing(self, crosser: Crosser, before: int, side: int, path: list[Xy], pts_s: float) -> str | None:
        """Name of the direction if `path`, from one confirmed side to the next, passes through the line."""
        # The net number of crossings, not whether there is one: a path that enters a bend and leaves it again meets the
        # line twice. Its sign has to agree with the change of sides, or the object went around an end of the line.
        if before in (0, side) or self._line.crossings(path) * before <= 0:
            return None
        if pts_s - crosser.counted_s < self._config.cooldown_s:
            return None
        crosser.counted_s = pts_s
        return self._config.directions[0 if before > 0 else 1]

    def _anchor(self, observation: Observation) -> tuple[Xy, float]:
        """The position that makes the path, and its signed distance to the line, which tells the side."""
        if self.anchor == "mask":
            return self._line.mask_anchor(np.array(observation.place_px), observation.mask)
        place = observation.foot if self.anchor == "foot" else observation.center
        return place, self._line.distance(place)

    def _side(self, distance: float, height_px: float) -> int:
        """The side that a signed distance confirms, or 0 within the dead band."""
        side = 1 if distance > 0 else -1
        # Between the line and the border there may be less room than the dead band is wide. No object could ever be
        # confirmed there, so the band is at most half of that room.
        band, room = self._config.deadband * height_px, self._room[side] / 2
        return side if distance and abs(distance) > min(band, room) else 0

    def _came_in(self, crosser: Crosser, observation: Observation, place: Xy) -> None:
        """Starts the path outside the frame if the line is between the object, just appeared, and a border it touches.

        Such an object may have crossed the line unseen: a person who enters over a line along the lower border is
        first seen as a head, whose box already ends beyond it. `_border_is_settled` decides that later.
        """
        here = _sign(self._line.distance(place))
        for border in observation.edges:
            outside = self._outside(border, place)
            side = _sign(self._line.distance(outside))
            if side and side != here and self._line.meets([outside, place]):
                crosser.side, crosser.path, crosser.border = side, [outside], border
                crosser.first_side, crosser.first_path = side, [outside]
                crosser.extent_at_border_px = observation.extent_px(border)
                return

    def _border_is_settled(self, crosser: Crosser, observation: Observation, place: Xy, side: int) -> bool:
        """Whether it is decided if an object came in over the border at which it appeared.

        While it touches the border, its anchor is that of the visible part only, and nothing is known: the path grows,
        and a crossing would be premature. Back on the outer side of the line it can be decided as for any object. Once
        it is clear of the border: an object that is larger now than it was there was cut, so it came from outside.
        One that always had its full size just stood at the border, so the assumed start outside is dropped.
        """
        if crosser.border in observation.edges:
            crosser.append(place)
            if side != crosser.side:
                return False
        elif crosser.extent_at_border_px >= CUT * observation.extent_px(crosser.border) and (
            crosser.before is None or crosser.border not in self._borders_ahead(observation, crosser.before)
        ):
            crosser.side, crosser.path = 0, crosser.path[1:]
        if crosser.border not in observation.edges:
            crosser.border = ""
        return True

    def _flew_in(self, crosser: Crosser, first: Observation, second: Observation) -> None:
        """Starts the path outside the frame for an object so fast that one step before it was still outside.

        It appears in full, at a distance from the border, so that `_came_in` does not notice it.
        """
        for border in self._borders_ahead(second, first):
            place = self._anchor(first)[0]
            outside = self._outside(border, place)
            side = _sign(self._line.distance(outside))
            if side and side != crosser.side:
                crosser.side, crosser.path = side, [outside, place]
                return

    def _borders_ahead(self, one: Observation, other: Observation) -> str:
        """Borders of the frame that the centre passes if the step from `one` to `other` is repeated; most often none.

        With the later observation first this looks back in time.
        """
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

    def _outside(self, border: str, place: Xy) -> Xy:
        """The point outside the frame, perpendicular to a border, from `place`."""
        width, height = self._frame
        away = BEYOND * width
        return {
            "l": (-away, place[1]),
            "r": (width + away, place[1]),
            "t": (place[0], -away),
            "b": (place[0], height + away),
        }[border]


def _sign(value: float) -> int:
    return int(value > 0) - int(value < 0)
