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
from pipeline.tracking import uncertainty
from pipeline.tracking.appearance_memory import UNKNOWN, Appearance, appearance_stitch_cost
from pipeline.tracking.camera import CameraTransform
from pipeline.tracking.observation import Observation, outward
from pipeline.tracking.stitching import Speed, leading, left_frame, stitch_cost

MIN_OBSERVATIONS = 3
MIN_SCORE_SUM = 3.9
"""Sum of the scores of all sightings of a confirmed track."""
MIN_SCORE_SUM_S = 0.5
"""What so many seconds of sure sightings would give is enough where it is less: at low frame rates."""
MIN_MEAN_SCORE = 0.45
"""Mean score of the sightings of a confirmed track."""
MIN_SEEN_SHARE = 0.3
"""Share of the frames since it began in which a track must have been seen to be confirmed."""
MAX_SHADOWED_SHARE = 0.28
"""Share of its sightings from which on a track that lies on another one is its shadow."""
MAX_PENDING = 256
"""Sightings kept of a track that is not confirmed: the latest."""
LATE_CONFIRM_S = 2.0
"""How long after a track has ended a successor may still be confirmed."""

MAX_STITCH_LATE_COST = 1.2
"""Cost of a join up to which an object that was lost in sight of the camera, and never came back, is taken for one
that appeared in sight of the camera meanwhile."""


@dataclass(slots=True)
class Track:
    """One track of the tracker, not or not yet an object by itself."""

    first: Observation
    last: Observation
    speed_px_s: Speed
    since: int = 0
    """Number of the frame in which it began."""
    seen: int = 0
    score: float = 0.0
    shadowed: int = 0
    height_px: float = 0.0
    object_id: int | None = None
    votes: Counter[int] = field(default_factory=Counter)
    appearance: Appearance = UNKNOWN
    waiting: deque[Observation] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))
    first_speed_px_s: Speed = (0.0, 0.0, 0.0, 0.0)

    @property
    def lasted_s(self) -> float:
        """Media seconds from its first sighting to its last."""
        return self.last.frame_time.pts_s - self.first.frame_time.pts_s


@dataclass(slots=True)
class CountedObject:
    """One confirmed object."""

    id: int
    track: int
    last: Observation
    last_s: float
    speed_px_s: Speed
    votes: Counter[int]
    first: Observation
    first_speed_px_s: Speed
    final: int
    """Its id when all is known: that of the object it was found to go on, or its own."""
    appearance: Appearance = UNKNOWN
    score: float = 0.0
    """Sum of the scores of all its sightings."""
    ambiguous_decisions: int = 0
    """Joins, and decisions that there was none, that might as well have been the other way."""
    joined: bool = False
    """Whether it was found, late, to go on another one."""

    @property
    def class_id(self) -> int:
        return leading(self.votes)

    @property
    def ambiguous(self) -> int:
        """Decisions about it that might as well have been the other way: joins, and that it is an object at all."""
        return self.ambiguous_decisions + (self.score < uncertainty.SURE_SCORE_SUM)


class ObjectRegistry:
    """All tracks and objects of one stream that still matter. Times are seconds of the stream's clock."""

    def __init__(self, config: TrackerConfig, moving: bool = False) -> None:
        self._config = config
        self._moving = moving
        self._size = (1, 1)
        self._tracks: dict[int, Track] = {}
        self._seen_s: dict[int, float] = {}
        self._objects: dict[int, CountedObject] = {}
        self._next = 1
        self._frames = 0
        self._retired: Counter[int] = Counter()
        self._ambiguous: Counter[int] = Counter()
        """Class -> doubtful decisions about what is not kept any more."""

    def frame(self, size: tuple[int, int]) -> None:
        """A frame of (width, height) pixels begins that the model has seen."""
        self._frames += 1
        self._size = size

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """The camera has moved: what is compared with what comes is told in the pixels of the new frame."""
        for track in self._tracks.values():
            track.first, track.last = (
                camera_transform.observation(track.first),
                camera_transform.observation(track.last),
            )
            track.speed_px_s = camera_transform.speed(track.speed_px_s)
            track.first_speed_px_s = camera_transform.speed(track.first_speed_px_s)
            track.height_px *= camera_transform.scale
        for counted in self._objects.values():
            counted.first, counted.last = (
                camera_transform.observation(counted.first),
                camera_transform.observation(counted.last),
            )
            counted.speed_px_s = camera_transform.speed(counted.speed_px_s)
            counted.first_speed_px_s = camera_transform.speed(counted.first_speed_px_s)

    def height_px(self, number: int, height_px: float) -> float:
        """Height of a track's object, smoothed over about its last ten sightings."""
        track = self._tracks.get(number)
        if track is None:
            return height_px
        share = max(0.1, 1.0 / (track.seen + 1))
        return track.height_px + share * (height_px - track.height_px)

    def observe(
        self,
        number: int,
        observation: Observation,
        speed_px_s: Speed,
        appearance: Appearance,
        shadow: bool,
        now_s: float,
    ) -> Track:
        """Takes one sighting of a track."""
        track = self._tracks.get(number)
        if track is None:
            track = self._tracks[number] = Track(observation, observation, speed_px_s, self._frames)
        track.last, track.speed_px_s, track.height_px = observation, speed_px_s, observation.height_px
        track.seen += 1
        track.score += observation.score
        track.appearance = appearance
        track.shadowed += shadow
        self._seen_s[number] = now_s
        if track.object_id is None:
            track.votes[observation.class_id] += observation.score  # type: ignore[assignment]
            track.waiting.append(observation)
            if track.seen <= MIN_OBSERVATIONS:
                track.first_speed_px_s = speed_px_s
        else:
            counted = self._objects[track.object_id]
            counted.votes[observation.class_id] += observation.score  # type: ignore[assignment]
            counted.last, counted.last_s, counted.speed_px_s = observation, now_s, speed_px_s
            counted.appearance = appearance
            counted.score += observation.score
        return track

    def confirm(self, number: int, now_s: float) -> CountedObject | None:
        """Makes a track an object, or the rest of one, if it deserves it. `counted.track` is the track before."""
        track = self._tracks[number]
        if (
            track.seen < MIN_OBSERVATIONS
            or track.lasted_s < self._config.confirm_s - 1e-6
            or track.score < max(self._min_score_sum(track), MIN_MEAN_SCORE * track.seen)
            or track.seen < MIN_SEEN_SHARE * (self._frames - track.since + 1)
            or track.shadowed > MAX_SHADOWED_SHARE * track.seen
        ):
            return None
        counted, cost = self._predecessor(track)
        if counted is None:
            counted = CountedObject(
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
            self._objects[counted.id] = counted
            self._next += 1
        counted.ambiguous_decisions += uncertainty.is_ambiguous(cost)
        counted.score += track.score
        counted.votes.update(track.votes)
        counted.last, counted.last_s, counted.speed_px_s = track.last, now_s, track.speed_px_s
        counted.appearance = track.appearance
        track.object_id = counted.id
        return counted

    def get(self, number: int) -> CountedObject:
        """The confirmed object with this id."""
        return self._objects[number]

    def expired(self, now_s: float) -> list[int]:
        """Objects that nothing can be joined to any more, in the order of their ids. Forgets dead tracks."""
        limit_s = self._config.hold_s + self._config.join_s + LATE_CONFIRM_S
        for number in [number for number, seen_s in self._seen_s.items() if now_s - seen_s > limit_s]:
            self._ambiguous += self._nearly_confirmed(self._tracks[number])
            del self._tracks[number], self._seen_s[number]
        return sorted(counted.id for counted in self._objects.values() if now_s - counted.last_s > limit_s)

    def stitch_late(self, number: int) -> CountedObject | None:
        """Looks once more whether an object that is over was seen later as another one, and gives that one, which
        takes its place: it is the same object, counted once."""
        lost = self._objects[number]
        if any(outward(lost.speed_px_s, edge) > 0 for edge in lost.last.edges):
            return None
        best, least = None, uncertainty.AMBIGUOUS_LATE_COST
        for counted in self._objects.values():
            gap_s = counted.first.frame_time.pts_s - lost.last.frame_time.pts_s
            if (
                0 < gap_s <= self._config.join_s
                and not counted.joined
                and not counted.first.edges
                and not left_frame(lost, gap_s, self._size)
                and (cost := self._stitch_cost(lost, counted, gap_s)) < least
            ):
                best, least = counted, cost
        if best is None:
            return None
        lost.ambiguous_decisions += 1
        if least >= MAX_STITCH_LATE_COST:
            return None
        best.votes.update(lost.votes)
        best.final, best.joined = lost.final, True
        best.score += lost.score
        best.ambiguous_decisions += lost.ambiguous_decisions
        del self._objects[number]
        return best

    @property
    def count(self) -> int:
        """Objects so far: ids run from 1 to this."""
        return self._next - 1

    def active_ids(self) -> list[int]:
        """Ids of all objects not retired."""
        return sorted(self._objects)

    def retire(self, number: int) -> None:
        """Keeps nothing of an object but that it was there."""
        counted = self._objects.pop(number)
        self._retired[counted.class_id] += 1
        self._ambiguous[counted.class_id] += counted.ambiguous

    def unique(self) -> dict[int, int]:
        """Class -> objects so far."""
        counts = self._retired.copy()
        for counted in self._objects.values():
            counts[counted.class_id] += 1
        return dict(counts)

    def ambiguous(self) -> dict[int, int]:
        """Class -> decisions about them that might as well have been the other way (`uncertainty.py`)."""
        counts = self._ambiguous.copy()
        for counted in self._objects.values():
            counts[counted.class_id] += counted.ambiguous
        for track in self._tracks.values():
            counts += self._nearly_confirmed(track)
        return dict(counts)

    def _stitch_cost(self, lost: CountedObject, found: CountedObject | Track, gap_s: float) -> float:
        """What it costs that `found` goes on `lost`: where, how large, and what it looks like."""
        return stitch_cost(lost, found, gap_s, self._size, self._moving) + appearance_stitch_cost(
            lost.appearance, found.appearance
        )

    def _min_score_sum(self, track: Track) -> float:
        """`MIN_SCORE_SUM`, or what `MIN_SCORE_SUM_S` come to at the frame rate of the track's life."""
        frames = self._frames - track.since
        if track.lasted_s <= 0 or not frames:
            return MIN_SCORE_SUM
        return min(MIN_SCORE_SUM, MIN_SCORE_SUM_S * frames / track.lasted_s)

    def _nearly_confirmed(self, track: Track) -> Counter[int]:
        """Class -> 1 of a track that came near to being an object and is none."""
        if (
            track.object_id is not None
            or track.seen < MIN_OBSERVATIONS
            or track.shadowed > MAX_SHADOWED_SHARE * track.seen
        ):
            return Counter()
        score, mean = (
            uncertainty.NEARLY_SHARE * self._min_score_sum(track),
            uncertainty.NEARLY_MEAN_SHARE * MIN_MEAN_SCORE,
        )
        near = track.lasted_s >= uncertainty.NEARLY_SHARE * self._config.confirm_s and track.score >= max(
            score, mean * track.seen
        )
        return Counter({leading(track.votes): 1} if near else ())

    def _predecessor(self, track: Track) -> tuple[CountedObject | None, float]:
        """The object that a track goes on, if any, and what it costs that it goes on the likeliest one."""
        best, least = None, inf
        for counted in self._objects.values():
            gap_s = track.first.frame_time.pts_s - counted.last.frame_time.pts_s
            if (
                0 < gap_s <= self._config.join_s
                and (cost := self._stitch_cost(counted, track, gap_s)) < least
            ):
                best, least = counted, cost
        return (best if least < 1.0 else None), least
