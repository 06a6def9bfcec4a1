"""Unique objects: tracks that are confirmed, with their class by vote, and fragments joined into one object.

A track is confirmed once it has been seen for `confirm_s`, at least three times, with enough score in all, and
not as the shadow of another track (a second box on the same object). Only then is it decided whether it goes
on an object that was lost before: where the object should be by then, how far it can have walked, and how
alike the sizes are. What happened to the track before is told afterwards, under the object's id.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from math import inf

from pipeline.config.schema import TrackerConfig
from pipeline.tracking import uncertainty as doubt
from pipeline.tracking.appearance_memory import UNKNOWN, Look, join_cost_of_looks
from pipeline.tracking.camera import Shift
from pipeline.tracking.observation import Sighting, outward
from pipeline.tracking.stitching import Speed, join_cost, leading, walked_out

LEAST_SEEN = 3
LEAST_SCORE = 3.9
"""Sum of the scores of all sightings of a confirmed track."""
LEAST_SCORE_S = 0.5
"""What so many seconds of sure sightings would give is enough where it is less: at low frame rates."""
LEAST_MEAN = 0.45
"""Mean score of the sightings of a confirmed track."""
LEAST_SHARE = 0.3
"""Share of the frames since it began in which a track must have been seen to be confirmed."""
SHADOW = 0.28
"""Share of its sightings from which on a track that lies on another one is its shadow."""
WAITING = 256
"""Sightings kept of a track that is not confirmed: the latest."""
LATE_S = 2.0
"""How long after a track has ended a successor may still be confirmed."""

LATE_COST = 1.2
"""Cost of a join up to which an object that was lost in sight of the camera, and never came back, is taken for one
that appeared in sight of the camera meanwhile."""


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
    look: Look = UNKNOWN
    waiting: deque[Sighting] = field(default_factory=lambda: deque(maxlen=WAITING))
    first_speed_px_s: Speed = (0.0, 0.0, 0.0, 0.0)

    @property
    def lasted_s(self) -> float:
        """Media seconds from its first sighting to its last."""
        return self.last.moment.pts_s - self.first.moment.pts_s


@dataclass(slots=True)
class Item:
    """One confirmed object."""

    item: int
    track: int
    last: Sighting
    last_s: float
    speed_px_s: Speed
    votes: Counter[int]
    first: Sighting
    first_speed_px_s: Speed
    final: int
    """Its id when all is known: that of the object it was found to go on, or its own."""
    look: Look = UNKNOWN
    score: float = 0.0
    """Sum of the scores of all its sightings."""
    doubts: int = 0
    """Joins, and decisions that there was none, that might as well have been the other way."""
    joined: bool = False
    """Whether it was found, late, to go on another one."""

    @property
    def class_id(self) -> int:
        return leading(self.votes)

    @property
    def doubtful(self) -> int:
        """Decisions about it that might as well have been the other way: joins, and that it is an object at all."""
        return self.doubts + (self.score < doubt.SURE_SCORE)


class Registry:
    """All tracks and objects of one stream that still matter. Times are seconds of the stream's clock."""

    def __init__(self, config: TrackerConfig, moving: bool = False) -> None:
        self._config = config
        self._moving = moving
        self._size = (1, 1)
        self._tracks: dict[int, Track] = {}
        self._seen_s: dict[int, float] = {}
        self._items: dict[int, Item] = {}
        self._next = 1
        self._frames = 0
        self._retired: Counter[int] = Counter()
        self._doubtful: Counter[int] = Counter()
        """Class -> doubtful decisions about what is not kept any more."""

    def frame(self, size: tuple[int, int]) -> None:
        """A frame of (width, height) pixels begins that the model has seen."""
        self._frames += 1
        self._size = size

    def shift(self, shift: Shift) -> None:
        """The camera has moved: what is compared with what comes is told in the pixels of the new frame."""
        for track in self._tracks.values():
            track.first, track.last = shift.sighting(track.first), shift.sighting(track.last)
            track.speed_px_s = shift.speed(track.speed_px_s)
            track.first_speed_px_s = shift.speed(track.first_speed_px_s)
            track.height_px *= shift.scale
        for item in self._items.values():
            item.first, item.last = shift.sighting(item.first), shift.sighting(item.last)
            item.speed_px_s = shift.speed(item.speed_px_s)
            item.first_speed_px_s = shift.speed(item.first_speed_px_s)

    def height_px(self, number: int, height_px: float) -> float:
        """Height of a track's object, smoothed over about its last ten sightings."""
        track = self._tracks.get(number)
        if track is None:
            return height_px
        share = max(0.1, 1.0 / (track.seen + 1))
        return track.height_px + share * (height_px - track.height_px)

    def see(
        self, number: int, sighting: Sighting, speed_px_s: Speed, look: Look, shadow: bool, now_s: float
    ) -> Track:
        """Takes one sighting of a track."""
        track = self._tracks.get(number)
        if track is None:
            track = self._tracks[number] = Track(sighting, sighting, speed_px_s, self._frames)
        track.last, track.speed_px_s, track.height_px = sighting, speed_px_s, sighting.height_px
        track.seen += 1
        track.score += sighting.score
        track.look = look
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
            item.look = look
            item.score += sighting.score
        return track

    def confirm(self, number: int, now_s: float) -> Item | None:
        """Makes a track an object, or the rest of one, if it deserves it. `item.track` is the track before."""
        track = self._tracks[number]
        if (
            track.seen < LEAST_SEEN
            or track.lasted_s < self._config.confirm_s - 1e-6
            or track.score < max(self._least_score(track), LEAST_MEAN * track.seen)
            or track.seen < LEAST_SHARE * (self._frames - track.since + 1)
            or track.shadowed > SHADOW * track.seen
        ):
            return None
        item, cost = self._predecessor(track)
        if item is None:
            item = Item(
                self._next,
                number,
                track.last,
                now_s,
                track.speed_px_s,
                Counter(),
                track.first,
                track.first_speed_px_s,
                self._next,
            )
            self._items[item.item] = item
            self._next += 1
        item.doubts += doubt.close(cost)
        item.score += track.score
        item.votes.update(track.votes)
        item.last, item.last_s, item.speed_px_s = track.last, now_s, track.speed_px_s
        item.look = track.look
        track.item = item.item
        return item

    def item(self, number: int) -> Item:
        """The confirmed object with this id."""
        return self._items[number]

    def over(self, now_s: float) -> list[int]:
        """Objects that nothing can be joined to any more, in the order of their ids. Forgets dead tracks."""
        limit_s = self._config.hold_s + self._config.join_s + LATE_S
        for number in [number for number, seen_s in self._seen_s.items() if now_s - seen_s > limit_s]:
            self._doubtful += self._missed(self._tracks[number])
            del self._tracks[number], self._seen_s[number]
        return sorted(item.item for item in self._items.values() if now_s - item.last_s > limit_s)

    def late_join(self, number: int) -> Item | None:
        """Looks once more whether an object that is over was seen later as another one, and gives that one, which
        takes its place: it is the same object, counted once."""
        lost = self._items[number]
        if any(outward(lost.speed_px_s, edge) > 0 for edge in lost.last.edges):
            return None
        best, least = None, doubt.CLOSE_LATE
        for item in self._items.values():
            gap_s = item.first.moment.pts_s - lost.last.moment.pts_s
            if (
                0 < gap_s <= self._config.join_s
                and not item.joined
                and not item.first.edges
                and not walked_out(lost, gap_s, self._size)
                and (cost := self._join_cost(lost, item, gap_s)) < least
            ):
                best, least = item, cost
        if best is None:
            return None
        lost.doubts += 1
        if least >= LATE_COST:
            return None
        best.votes.update(lost.votes)
        best.final, best.joined = lost.final, True
        best.score += lost.score
        best.doubts += lost.doubts
        del self._items[number]
        return best

    @property
    def count(self) -> int:
        """Objects so far: ids run from 1 to this."""
        return self._next - 1

    def everyone(self) -> list[int]:
        """Ids of all objects not retired."""
        return sorted(self._items)

    def retire(self, number: int) -> None:
        """Keeps nothing of an object but that it was there."""
        item = self._items.pop(number)
        self._retired[item.class_id] += 1
        self._doubtful[item.class_id] += item.doubtful

    def unique(self) -> dict[int, int]:
        """Class -> objects so far."""
        counts = self._retired.copy()
        for item in self._items.values():
            counts[item.class_id] += 1
        return dict(counts)

    def doubtful(self) -> dict[int, int]:
        """Class -> decisions about them that might as well have been the other way (`doubt.py`)."""
        counts = self._doubtful.copy()
        for item in self._items.values():
            counts[item.class_id] += item.doubtful
        for track in self._tracks.values():
            counts += self._missed(track)
        return dict(counts)

    def _join_cost(self, lost: Item, found: Item | Track, gap_s: float) -> float:
        """What it costs that `found` goes on `lost`: where, how large, and what it looks like."""
        return join_cost(lost, found, gap_s, self._size, self._moving) + join_cost_of_looks(
            lost.look, found.look
        )

    def _least_score(self, track: Track) -> float:
        """`LEAST_SCORE`, or what `LEAST_SCORE_S` come to at the frame rate of the track's life."""
        frames = self._frames - track.since
        if track.lasted_s <= 0 or not frames:
            return LEAST_SCORE
        return min(LEAST_SCORE, LEAST_SCORE_S * frames / track.lasted_s)

    def _missed(self, track: Track) -> Counter[int]:
        """Class -> 1 of a track that came near to being an object and is none."""
        if track.item is not None or track.seen < LEAST_SEEN or track.shadowed > SHADOW * track.seen:
            return Counter()
        score, mean = doubt.NEARLY * self._least_score(track), doubt.NEARLY_MEAN * LEAST_MEAN
        near = track.lasted_s >= doubt.NEARLY * self._config.confirm_s and track.score >= max(
            score, mean * track.seen
        )
        return Counter({leading(track.votes): 1} if near else ())

    def _predecessor(self, track: Track) -> tuple[Item | None, float]:
        """The object that a track goes on, if any, and what it costs that it goes on the likeliest one."""
        best, least = None, inf
        for item in self._items.values():
            gap_s = track.first.moment.pts_s - item.last.moment.pts_s
            if 0 < gap_s <= self._config.join_s and (cost := self._join_cost(item, track, gap_s)) < least:
                best, least = item, cost
        return (best if least < 1.0 else None), least
