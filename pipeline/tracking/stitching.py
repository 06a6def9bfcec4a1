"""How unlike it is that one fragment goes on where another one was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, inf, log
from typing import Protocol

from pipeline.geometry.points import Xy
from pipeline.tracking.kalman import COAST_S
from pipeline.tracking.observation import Observation, outside, outward

STITCH_REACH = 0.54
"""How far from the expected place a successor may begin, in sizes of the object."""
STITCH_REACH_PER_S = 0.77
"""And how much farther for each second of the gap, sizes per second."""
STITCH_SHAPE_SCALE = 0.42
"""Logarithm of the ratio of heights that costs as much as the whole distance."""
STITCH_HEIGHT_SHARE = 0.3
"""How much of it is for the heights alone, the rest for what differs less, height or width: one of the two may
be half hidden."""
STITCH_EDGE_ALIGNMENT = 0.8
"""How much of the distance of the centres one edge may explain."""
STITCH_CLASS_COST = 0.5
"""Costs: the classes differ."""
STITCH_BORDER_COST = 0.32
"""Costs: the one was lost at a border of the frame, or the other began at one, not both."""
STITCH_ENTERED_COST = 1.0
"""Costs: the other began at a border and grew as it came in."""
STITCH_TURN_COST = 0.1
"""Costs of a change of speed by one size per second."""
ENTERED_GROWTH = 1.15
"""Growth of what is to be seen of an object from which on it is coming in."""

OWN_SPEED = 0.15
"""Speed from which on an object goes in or out by itself, where the camera moves, sizes per second."""

Speed = tuple[float, float, float, float]
"""Change of centre x, centre y, width and height, pixels per second."""


class LostFragment(Protocol):
    """A fragment that was lost."""

    last: Observation
    speed_px_s: Speed
    votes: Counter[int]


class NewFragment(Protocol):
    """A fragment that may go on it."""

    first: Observation
    last: Observation
    first_speed_px_s: Speed
    votes: Counter[int]


def leading(votes: Counter[int]) -> int:
    """The class with the most votes; the smaller number where two have the same."""
    return min(votes, key=lambda class_id: (-votes[class_id], class_id))


def stitch_cost(
    lost: LostFragment, found: NewFragment, gap_s: float, frame: tuple[int, int], moving: bool = False
) -> float:
    """How unlike it is that `found` goes on `lost` after `gap_s`: below 1 they are taken for one object.

    Where the camera moves, speeds are those over the scene, and who stands may leave the picture and come back.
    """
    old, new = lost.last, found.first
    vx, vy, vw, vh = lost.speed_px_s
    width, height = old.place_px[2] - old.place_px[0], old.place_px[3] - old.place_px[1]
    then = (old.center[0] + vx * gap_s, old.center[1] + vy * gap_s, width + vw * gap_s, height + vh * gap_s)
    # a box can be without area: cut off by the border
    old_wide, new_wide = max(1.0, old.width_px), max(1.0, new.width_px)
    old_tall, new_tall = max(1.0, old.height_px), max(1.0, new.height_px)
    size = 1.5 * (old_wide * old_tall * new_wide * new_tall) ** 0.25
    own = OWN_SPEED * size if moving else 0.0
    if old.edges and outside(then, lost.speed_px_s, old.edges, frame, own):
        return inf
    reach_s = COAST_S * (1 - exp(-gap_s / COAST_S))
    # distance of the centres, less what one edge alone explains: the other one may be half hidden
    slack = (abs(old.width_px - new.width_px) / 2, abs(old.extent_px("t") - new.extent_px("t")) / 2)
    ahead = _distance(_moved(old.center, lost.speed_px_s, reach_s), new.center, slack)
    back = _distance(_moved(new.center, found.first_speed_px_s, -reach_s), old.center, slack)
    speed = max(_length(lost.speed_px_s[:2]), _length(found.first_speed_px_s[:2])) / size
    away = min(ahead, (ahead + back) / 2) / size / (STITCH_REACH + (STITCH_REACH_PER_S + 0.3 * speed) * gap_s)
    tall = abs(log(old_tall / new_tall))
    wide = abs(log(old_wide / new_wide))
    shape = (STITCH_HEIGHT_SHARE * tall + (1 - STITCH_HEIGHT_SHARE) * min(tall, wide)) / STITCH_SHAPE_SCALE
    flip = 0.0 if leading(lost.votes) == leading(found.votes) else STITCH_CLASS_COST
    edge = STITCH_BORDER_COST if bool(old.edges) != bool(new.edges) else 0.0
    came_in = any(
        found.last.extent_px(e) > ENTERED_GROWTH * new.extent_px(e)
        for e in new.edges
        if (e not in old.edges or outward(lost.speed_px_s, e) > own)
        and not (moving and outward(found.first_speed_px_s, e) > -own)
    )
    turn = _length((vx - found.first_speed_px_s[0], vy - found.first_speed_px_s[1])) / size
    return float(away + shape / 2 + flip + edge + STITCH_ENTERED_COST * came_in + STITCH_TURN_COST * turn)


def left_frame(lost: LostFragment, gap_s: float, frame: tuple[int, int]) -> bool:
    """Whether an object at its last speed is outside of a frame of (width, height) pixels after `gap_s`, all of it."""
    center = _moved(lost.last.center, lost.speed_px_s, gap_s)
    half = (lost.last.width_px / 2, lost.last.extent_px("t") / 2)
    return any(center[axis] + half[axis] < 0 or center[axis] - half[axis] > frame[axis] for axis in (0, 1))


def _moved(place: Xy, speed_px_s: Speed, time_s: float) -> Xy:
    return place[0] + speed_px_s[0] * time_s, place[1] + speed_px_s[1] * time_s


def _length(vector: Sequence[float]) -> float:
    return float((vector[0] ** 2 + vector[1] ** 2) ** 0.5)


def _distance(a: Xy, b: Xy, slack: Xy) -> float:
    dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
    return _length(
        (dx - STITCH_EDGE_ALIGNMENT * min(dx, slack[0]), dy - STITCH_EDGE_ALIGNMENT * min(dy, slack[1]))
    )
