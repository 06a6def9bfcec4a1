"""Unique objects: tracks that are confirmed, with their class by vote, and fragments joined into one object.

A track is confirmed once it has been seen for `confirm_s`, at least three times, with enough score in all, and
not as the shadow of another track (a second box on the same object). Only then is it decided whether it goes
on an object that was lost before: where the object should be by then, how far it can have walked, and how
alike the sizes are. What happened to the track before is told afterwards, under the object's id.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, log

from pipeline.config import TrackerConfig
from pipeline.counting.geometry import Xy
from pipeline.counting.motion import COAST_S
from pipeline.counting.sighting import Sighting, outside, outward

LEAST_SEEN = 3
LEAST_SCORE = 3.0
"""Sum of the scores of all sightings of a confirmed track."""
LEAST_SHARE = 0.3
"""Share of the frames since it began in which a track must have been seen to be confirmed."""
SHADOW = 0.28
"""Share of its sightings from which on a track that lies on another one is its shadow."""
WAITING = 256
"""Sightings kept of a track that is not confirmed: the latest."""
LATE_S = 2.0
"""How long after a track has ended a successor may still be confirmed."""

JOIN_NEAR = 0.54
"""How far from the expected place a successor may begin, in sizes of the object."""
JOIN_SPEED = 0.77
"""And how much farther for each second of the gap, sizes per second."""
JOIN_SHAPE = 0.42
"""Logarithm of the ratio of heights that costs as much as the whole distance."""
JOIN_TALL = 0.3
"""How much of it is for the heights alone, the rest for what differs less, height or width: one of the two may
be half hidden."""
JOIN_ALIGNED = 0.8
"""How much of the distance of the centres one edge may explain."""
JOIN_FLIP = 0.5
"""Costs: the classes differ."""
JOIN_AT_EDGE = 0.3
"""Costs: the one was lost at a border of the frame, or the other began at one, not both."""
JOIN_CAME_IN = 1.0
"""Costs: the other began at a border and grew as it came in."""
JOIN_TURN = 0.1
"""Costs of a change of speed by one size per second."""
GREW = 1.15
"""Growth of what is to be seen of an object from which on it is coming in."""
Speed = tuple[float, float, float, float]
"""Change of centre x, centre y, width and height, pixels per second."""


@dataclass(slots=True)
class Track:
    """One track of the tracker, not or not yet an object by itself."""

    first: Sighting
    last: Sighting
    speed_px_s: Speed
    since: int = 0
    """Number of the frame in which it began."""
    seen: int = 0
    score: float = 0.0
    shadowed: int = 0
    height_px: float = 0.0
    item: int | None = None
    votes: Counter[int] = field(default_factory=Counter)
    waiting: deque[Sighting] = field(default_factory=lambda: deque(maxlen=WAITING))
    first_speed_px_s: Speed = (0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True)
class Item:
    """One confirmed object."""

    item: int
    track: int
    last: Sighting
    last_s: float
    speed_px_s: Speed
    votes: Counter[int]

    @property
    def class_id(self) -> int:
        return leading(self.votes)


def leading(votes: Counter[int]) -> int:
    """The class with the most votes; the smaller number where two have the same."""
    return min(votes, key=lambda class_id: (-votes[class_id], class_id))


class Registry:
    """All tracks and objects of one stream that still matter. Times are seconds of the stream's clock."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._size = (1, 1)
        self._tracks: dict[int, Track] = {}
        self._seen_s: dict[int, float] = {}
        self._items: dict[int, Item] = {}
        self._next = 1
        self._frames = 0
        self._retired: Counter[int] = Counter()
        self.joins = 0

    def frame(self, size: tuple[int, int]) -> None:
        """A frame of (width, height) pixels begins that the model has seen."""
        self._frames += 1
        self._size = size

    def height_px(self, number: int, height_px: float) -> float:
        """Height of a track's object, smoothed over about its last ten sightings."""
        track = self._tracks.get(number)
        if track is None:
            return height_px
        share = max(0.1, 1.0 / (track.seen + 1))
        return track.height_px + share * (height_px - track.height_px)

    def see(self, number: int, sighting: Sighting, speed_px_s: Speed, shadow: bool, now_s: float) -> Track:
        """Takes one sighting of a track."""
        track = self._tracks.get(number)
        if track is None:
            track = self._tracks[number] = Track(sighting, sighting, speed_px_s, self._frames)
        track.last, track.speed_px_s, track.height_px = sighting, speed_px_s, sighting.height_px
        track.seen += 1
        track.score += sighting.score
        track.shadowed += shadow
        self._seen_s[number] = now_s
        if track.item is None:
            track.votes[sighting.class_id] += sighting.score  # type: ignore[assignment]
            track.waiting.append(sighting)
            if track.seen <= LEAST_SEEN:
                track.first_speed_px_s = speed_px_s
        else:
            item = self._items[track.item]
            item.votes[sighting.class_id] += sighting.score  # type: ignore[assignment]
            item.last, item.last_s, item.speed_px_s = sighting, now_s, speed_px_s
        return track

    def confirm(self, number: int, now_s: float) -> Item | None:
        """Makes a track an object, or the rest of one, if it deserves it. `item.track` is the track before."""
        track = self._tracks[number]
        lasted_s = track.last.moment.pts_s - track.first.moment.pts_s
        if (
            track.seen < LEAST_SEEN
            or lasted_s < self._config.confirm_s - 1e-6
            or track.score < LEAST_SCORE
            or track.seen < LEAST_SHARE * (self._frames - track.since + 1)
            or track.shadowed > SHADOW * track.seen
        ):
            return None
        item = self._predecessor(track)
        if item is None:
            item = Item(self._next, number, track.last, now_s, track.speed_px_s, Counter())
            self._items[item.item] = item
            self._next += 1
        else:
            self.joins += 1
        item.votes.update(track.votes)
        item.last, item.last_s, item.speed_px_s = track.last, now_s, track.speed_px_s
        track.item = item.item
        return item

    def item(self, number: int) -> Item:
        """The confirmed object with this id."""
        return self._items[number]

    def over(self, now_s: float) -> list[int]:
        """Objects that nothing can be joined to any more, in the order of their ids. Forgets dead tracks."""
        limit_s = self._config.hold_s + self._config.join_s + LATE_S
        for number in [number for number, seen_s in self._seen_s.items() if now_s - seen_s > limit_s]:
            del self._tracks[number], self._seen_s[number]
        return sorted(item.item for item in self._items.values() if now_s - item.last_s > limit_s)

    @property
    def count(self) -> int:
        """Objects so far: ids run from 1 to this."""
        return self._next - 1

    def everyone(self) -> list[int]:
        """Ids of all objects not retired."""
        return sorted(self._items)

    def retire(self, number: int) -> None:
        """Keeps nothing of an object but that it was there."""
        self._retired[self._items.pop(number).class_id] += 1

    def unique(self) -> dict[int, int]:
        """Class -> objects so far."""
        counts = self._retired.copy()
        for item in self._items.values():
            counts[item.class_id] += 1
        return dict(counts)

    def _predecessor(self, track: Track) -> Item | None:
        best, least = None, 1.0
        for item in self._items.values():
            gap_s = track.first.moment.pts_s - item.last.moment.pts_s
            if (
                0 < gap_s <= self._config.join_s
                and (cost := join_cost(item, track, gap_s, self._size)) < least
            ):
                best, least = item, cost
        return best


def join_cost(item: Item, track: Track, gap_s: float, frame: tuple[int, int]) -> float:
    """How unlike it is that `track` goes on `item` after `gap_s`: below 1 they are taken for one object."""
    old, new = item.last, track.first
    vx, vy, vw, vh = item.speed_px_s
    width, height = old.place_px[2] - old.place_px[0], old.place_px[3] - old.place_px[1]
    then = (old.center[0] + vx * gap_s, old.center[1] + vy * gap_s, width + vw * gap_s, height + vh * gap_s)
    if old.edges and outside(then, item.speed_px_s, old.edges, frame):
        return inf
    size = 1.5 * (old.width_px * old.height_px * new.width_px * new.height_px) ** 0.25
    reach_s = COAST_S * (1 - exp(-gap_s / COAST_S))
    # distance of the centres, less what one edge alone explains: the other one may be half hidden
    slack = (abs(old.width_px - new.width_px) / 2, abs(old.extent_px("t") - new.extent_px("t")) / 2)
    ahead = _distance(_moved(old.center, item.speed_px_s, reach_s), new.center, slack)
    back = _distance(_moved(new.center, track.first_speed_px_s, -reach_s), old.center, slack)
    speed = max(_length(item.speed_px_s[:2]), _length(track.first_speed_px_s[:2])) / size
    away = min(ahead, (ahead + back) / 2) / size / (JOIN_NEAR + (JOIN_SPEED + 0.3 * speed) * gap_s)
    tall = abs(log(old.height_px / new.height_px))
    wide = abs(log(max(1.0, old.width_px) / max(1.0, new.width_px)))
    shape = (JOIN_TALL * tall + (1 - JOIN_TALL) * min(tall, wide)) / JOIN_SHAPE
    flip = 0.0 if leading(item.votes) == leading(track.votes) else JOIN_FLIP
    edge = JOIN_AT_EDGE if bool(old.edges) != bool(new.edges) else 0.0
    came_in = any(
        track.last.extent_px(e) > GREW * new.extent_px(e)
        for e in new.edges
        if e not in old.edges or outward(item.speed_px_s, e) > 0
    )
    turn = _length((vx - track.first_speed_px_s[0], vy - track.first_speed_px_s[1])) / size
    return float(away + shape / 2 + flip + edge + JOIN_CAME_IN * came_in + JOIN_TURN * turn)


def _moved(place: Xy, speed_px_s: Speed, time_s: float) -> Xy:
    return place[0] + speed_px_s[0] * time_s, place[1] + speed_px_s[1] * time_s


def _length(vector: Sequence[float]) -> float:
    return float((vector[0] ** 2 + vector[1] ** 2) ** 0.5)


def _distance(a: Xy, b: Xy, slack: Xy) -> float:
    dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
    return _length((dx - JOIN_ALIGNED * min(dx, slack[0]), dy - JOIN_ALIGNED * min(dy, slack[1])))
