"""Track stitching: whether one fragment goes on where another one was lost, as a likelihood ratio.

Two explanations of a track that begins after an object was lost are compared:

- it is the same object: it was hidden for the gap, moved on about as before, and has about the same size;
- the lost object is gone, and another one was born here by chance (`birth_rate.py`).

The logarithm of the ratio of their likelihoods is positive where the first is likelier. So the same distance and gap
stitch fragments in an empty scene and do not in a crowd. Widths of the distributions were read off the gaps in the
detections of true objects (decision 0004).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, inf, log, pi
from typing import Protocol

from pipeline.geometry.points import Xy
from pipeline.tracking.birth_rate import size_px
from pipeline.tracking.kalman import COAST_S
from pipeline.tracking.observation import Observation, outside, outward

PLACE_SCALE = 0.08
"""Scale of the distance between where an object should reappear and where it does, in sizes of the object."""
PLACE_SCALE_PER_S = 0.1
"""And its growth for each second of the gap."""
PLACE_SCALE_PER_LENGTH = 0.07
"""And for each size that the object would have moved in the gap."""
WIDE_SHARE = 0.02
WIDE_SCALE = 3.0
"""So many of the objects do something else while they are hidden: their distances have a scale so much larger."""
MOTION_SHARE = 0.6
"""Two motions are tried, an object that slows down while it is hidden and one that does not; this much of the
probability is left for the better of them."""
HIDDEN_AT_BORDER = 0.33
"""An object that is lost at the border of the frame is hidden, not gone, with this part of the probability of one
that is lost inside."""
GAP_SCALE_S = 1.5
GAP_POWER = 2.0
"""How long objects are hidden: the probability of more than t is (1 + t / scale) ** -power (Pareto II, Lomax)."""
STILL_GAP_S = 1.0
"""What stands still is hidden for as long as something stands before it: its gaps count as this long at the most."""
STILL_HIDDEN = 0.5
"""What stands still does not leave: it is hidden with this probability at least, also at the border of the frame."""
STILL_S = 1.0
"""An object that has stayed in its place for so long stands still."""
STILL_OVERLAP = 0.5
"""Intersection over union of the boxes before and after the gap from which on something is in its place."""
SHAPE_SCALE = 0.12
"""Scale of the logarithm of the ratio of heights (or widths) of one object before and after."""
OTHER_SHAPE_SCALE = 0.5
"""The same of two different objects."""
HEIGHT_SHARE = 0.3
"""How much of it is for the heights alone, the rest for what differs less, height or width: one of the two may be
half hidden."""
MIN_SHAPE_EVIDENCE = -8.0
CLASS_EVIDENCE = -2.0
"""The classes differ."""
ENTERED_EVIDENCE = -4.0
"""The other began at a border and grew as it came in."""
TURN_EVIDENCE = -0.3
"""For each size per second by which the velocities differ."""
EDGE_ALIGNMENT = 0.8
"""How much of the distance of the centres one edge may explain."""
ENTERED_GROWTH = 1.15
"""Growth of what is to be seen of an object from which on it is coming in."""
OWN_SPEED = 0.15
"""Speed from which on an object goes in or out by itself, where the camera moves, sizes per second."""

MAX_TURN_PER_S = 2.0
"""Change of the velocity of an object that goes out over the border and comes in again there, within one second, in
sizes per second."""

Speed = tuple[float, float, float, float]
"""Change of centre x, centre y, width and height, pixels per second."""


class LostFragment(Protocol):
    """A fragment that was lost."""

    last: Observation
    speed_px_s: Speed
    votes: Counter[int]

    @property
    def still_s(self) -> float:
        """How long it had stayed in its place when it was lost, seconds."""


class NewFragment(Protocol):
    """A fragment that may go on it."""

    first: Observation
    last: Observation
    first_speed_px_s: Speed
    votes: Counter[int]

    @property
    def moved(self) -> bool:
        """Whether it has left the place where it began."""


def leading(votes: Counter[int]) -> int:
    """The class with the most votes; of several the one with the smallest id.

    Args:
        votes: Class id -> sum of scores; not empty.
    """
    return min(votes, key=lambda class_id: (-votes[class_id], class_id))


def stitch_evidence(
    lost: LostFragment,
    found: NewFragment,
    gap_s: float,
    birth_density: float,
    hidden: float,
    frame: tuple[int, int],
    moving: bool = False,
) -> float:
    """Logarithm of the likelihood ratio of "`found` goes on `lost`" and "`lost` is gone, `found` is another one".

    Args:
        gap_s: from the last observation of `lost` to the first one of `found`, media seconds.
        birth_density: births per second and squared object size where `found` began.
        hidden: probability that an object that is lost is hidden, not gone.
        frame: width and height, pixels.
        moving: whether the camera moves: speeds are those over the scene, and what stands may leave the frame and
            come back.

    Returns:
        Nats, without what appearance says; -inf where it is impossible.
    """
    old, new = lost.last, found.first
    size = (size_px(old) * size_px(new)) ** 0.5
    own = OWN_SPEED * size if moving else 0.0
    if left_over_border(lost, gap_s, frame, own) or _turned_too_fast(lost, found, gap_s, size, own):
        return -inf
    still = is_still(lost, found)
    vx, vy = lost.speed_px_s[:2]
    speed = max(_length((vx, vy)), _length(found.first_speed_px_s[:2])) / size
    hidden *= HIDDEN_AT_BORDER if old.edges else 1.0
    if still:
        gap_s, speed = min(gap_s, STILL_GAP_S), 0.0
        hidden = max(hidden, STILL_HIDDEN)
    scale = PLACE_SCALE + (PLACE_SCALE_PER_S + PLACE_SCALE_PER_LENGTH * speed) * gap_s
    distance = _place_distance(lost, found, gap_s) / size
    place = (1 - WIDE_SHARE) * _density(distance, scale) + WIDE_SHARE * _density(distance, WIDE_SCALE * scale)
    gap = hidden * GAP_POWER / GAP_SCALE_S * (1 + gap_s / GAP_SCALE_S) ** (-GAP_POWER - 1)
    evidence = log(MOTION_SHARE * place * gap / birth_density + 1e-12) + _shape_evidence(old, new)
    if leading(lost.votes) != leading(found.votes):
        evidence += CLASS_EVIDENCE
    if _entered(lost, found, own, moving):
        evidence += ENTERED_EVIDENCE
    turn = _length((vx - found.first_speed_px_s[0], vy - found.first_speed_px_s[1])) / size
    return float(evidence + TURN_EVIDENCE * turn)


def is_still(lost: LostFragment, found: NewFragment) -> bool:
    """Whether a fragment stood still when it was lost, and another one begins in its place.

    Args:
        lost: The earlier fragment.
        found: The later one.
    """
    return (
        lost.still_s >= STILL_S
        and not found.moved
        and overlap(lost.last.place_px, found.first.place_px) >= STILL_OVERLAP
    )


def left_over_border(lost: LostFragment, gap_s: float, frame: tuple[int, int], own_px_s: float = 0.0) -> bool:
    """Whether an object that the border cut when it was lost has left the frame over that border.

    Args:
        lost: The fragment.
        gap_s: Media seconds since.
        frame: Width and height, pixels.
        own_px_s: As in `observation.outside`.
    """
    old = lost.last
    if not old.edges:
        return False
    (x, y), (vx, vy, vw, vh) = old.center, lost.speed_px_s
    width, height = old.width_px, old.extent_px("t")
    then = (x + vx * gap_s, y + vy * gap_s, width + vw * gap_s, height + vh * gap_s)
    return outside(then, lost.speed_px_s, old.edges, frame, own_px_s)


def left_frame(lost: LostFragment, gap_s: float, frame: tuple[int, int]) -> bool:
    """Whether an object is outside of the frame, all of it, if it kept its last velocity.

    Args:
        lost: The fragment.
        gap_s: Media seconds since.
        frame: Width and height, pixels.
    """
    center = _moved(lost.last.center, lost.speed_px_s, gap_s)
    half = (lost.last.width_px / 2, lost.last.extent_px("t") / 2)
    return any(center[axis] + half[axis] < 0 or center[axis] - half[axis] > frame[axis] for axis in (0, 1))


def _place_distance(lost: LostFragment, found: NewFragment, gap_s: float) -> float:
    """Pixels from where `lost` should be after `gap_s` to where `found` began, or the mean of that and of the same
    backwards in time; less what one edge alone explains, as the other one may be half hidden."""
    old, new = lost.last, found.first
    reach_s = COAST_S * (1 - exp(-gap_s / COAST_S))
    slack = (abs(old.width_px - new.width_px) / 2, abs(old.extent_px("t") - new.extent_px("t")) / 2)
    best = inf
    for time_s in (reach_s, gap_s):  # it slowed down, or went on
        ahead = _distance(_moved(old.center, lost.speed_px_s, time_s), new.center, slack)
        back = _distance(_moved(new.center, found.first_speed_px_s, -time_s), old.center, slack)
        best = min(best, ahead, (ahead + back) / 2)
    return best


def _shape_evidence(old: Observation, new: Observation) -> float:
    tall = abs(log(max(1.0, old.height_px) / max(1.0, new.height_px)))
    # a box can be without area: cut off by the border
    wide = abs(log(max(1.0, old.width_px) / max(1.0, new.width_px)))
    off = HEIGHT_SHARE * tall + (1 - HEIGHT_SHARE) * min(tall, wide)
    evidence = log(OTHER_SHAPE_SCALE / SHAPE_SCALE) - off * (1 / SHAPE_SCALE - 1 / OTHER_SHAPE_SCALE)
    return max(evidence, MIN_SHAPE_EVIDENCE)


def _entered(lost: LostFragment, found: NewFragment, own_px_s: float, moving: bool) -> bool:
    """Whether `found` came in over the border of the frame, and not `lost` with it."""
    return any(
        found.last.extent_px(edge) > ENTERED_GROWTH * found.first.extent_px(edge)
        for edge in found.first.edges
        if (edge not in lost.last.edges or outward(lost.speed_px_s, edge) > own_px_s)
        and not (moving and outward(found.first_speed_px_s, edge) > -own_px_s)
    )


def _turned_too_fast(
    lost: LostFragment, found: NewFragment, gap_s: float, size: float, own_px_s: float
) -> bool:
    """Whether `lost` went out over a border over which `found` came in, and `gap_s` is too short to turn round."""
    for edge in set(lost.last.edges) & set(found.first.edges):
        out, back = outward(lost.speed_px_s, edge), -outward(found.first_speed_px_s, edge)
        if min(out, back) > own_px_s and out + back > MAX_TURN_PER_S * gap_s * size:
            return True
    return False


def _density(distance: float, scale: float) -> float:
    """Density of a place at `distance` from the middle of a two-dimensional exponential distribution."""
    return exp(-distance / scale) / (2 * pi * scale * scale)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes.

    Args:
        a: x0 y0 x1 y1.
        b: x0 y0 x1 y1.
    """
    sides = [min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]) for axis in (0, 1)]
    if min(sides) <= 0:
        return 0.0
    common = sides[0] * sides[1]
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / whole if whole > 0 else 0.0


def _moved(place: Xy, speed_px_s: Speed, time_s: float) -> Xy:
    return place[0] + speed_px_s[0] * time_s, place[1] + speed_px_s[1] * time_s


def _length(vector: Sequence[float]) -> float:
    return float((vector[0] ** 2 + vector[1] ** 2) ** 0.5)


def _distance(a: Xy, b: Xy, slack: Xy) -> float:
    dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
    return _length((dx - EDGE_ALIGNMENT * min(dx, slack[0]), dy - EDGE_ALIGNMENT * min(dy, slack[1])))
