"""Unique objects: tracks that are confirmed, with their class by vote, and fragments stitched into one object.

A track that is confirmed (`confirmation.py`) is either the rest of an object that was lost, or another one. All lost
objects compete for it, and all tracks that began since compete for each of them (`stitching.py` gives the likelihood
ratio of each pair); it is another one if that is likelier than all of them together. What happened to the track
before is told afterwards, under the object's id.
"""

from __future__ import annotations

from collections import Counter
from math import exp

from pipeline.config.schema import TrackerConfig
from pipeline.records.state import AttributeState
from pipeline.tracking import uncertainty
from pipeline.tracking.appearance_memory import Appearance, appearance_evidence
from pipeline.tracking.birth_rate import BirthRate
from pipeline.tracking.camera import CameraTransform
from pipeline.tracking.confirmation import MIN_OBSERVATIONS, is_confirmed, is_nearly_confirmed
from pipeline.tracking.identities import CountedObject, Track, has_moved
from pipeline.tracking.observation import Observation, outward
from pipeline.tracking.stitching import STILL_S, Speed, is_still, left_frame, stitch_evidence

MAX_TENTATIVE_S = 3.0
"""A track that is not confirmed within this time is judged from then on as a new one."""
LATE_CONFIRM_S = 2.0
"""How long after a track has ended a successor may still be confirmed."""
MAX_STILL = 200
"""Objects that stood still when they were lost and are kept for as long as the stream lasts: the latest."""
MIN_ODDS = 0.02
"""Odds below which a stitch is not thought of."""


class ObjectRegistry(AttributeState):
    """All tracks and objects of one stream that still matter. Times are seconds of the stream's clock."""

    STATE = (
        "_size",
        "_tracks",
        "_seen_s",
        "_objects",
        "_still",
        "_births",
        "_began_s",
        "_now_s",
        "_next",
        "_frames",
        "_retired",
        "_doubt",
    )

    def __init__(self, config: TrackerConfig, moving: bool = False) -> None:
        self._config = config
        self._moving = moving
        self._size = (1, 1)
        self._tracks: dict[int, Track] = {}
        self._seen_s: dict[int, float] = {}
        self._objects: dict[int, CountedObject] = {}
        self._still: dict[int, CountedObject] = {}
        """Retired objects that may come back in their place."""
        self._births = BirthRate()
        self._began_s: float | None = None
        self._now_s = 0.0
        self._next = 1
        self._frames = 0
        self._retired: Counter[int] = Counter()
        self._doubt = uncertainty.Doubt()
        """About what is not kept any more."""

    def frame(self, size: tuple[int, int], pts_s: float) -> None:
        """Begins a frame that the model has processed.

        Args:
            size: Width and height, pixels.
            pts_s: Media time, seconds.
        """
        if self._began_s is None:
            self._began_s = self._now_s = pts_s
        self._births.advance(max(0.0, pts_s - self._now_s), size)
        self._now_s = pts_s
        self._frames += 1
        self._size = size

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """Converts everything that is compared with later observations to the pixels of the next frame.

        Args:
            camera_transform: Maps pixels of the last frame to pixels of the next one.
        """
        for track in self._tracks.values():
            track.transform(camera_transform)
        for counted in (*self._objects.values(), *self._still.values()):
            counted.transform(camera_transform)

    def height_px(self, number: int, height_px: float) -> float:
        """Height of a track's object, smoothed over about its last ten observations.

        Args:
            number: Number of the track.
            height_px: Height in this frame, pixels.

        Returns:
            Pixels.
        """
        track = self._tracks.get(number)
        if track is None:
            return height_px
        share = max(0.1, 1.0 / (track.seen + 1))
        return track.height_px + share * (height_px - track.height_px)

    def whole(self, number: int, observation: Observation) -> Observation:
        """The next observation of a track, with the hidden part of the object filled in as by `Track.whole`.

        Args:
            number: Number of the track.
            observation: As detected.
        """
        track = self._tracks.get(number)
        return observation if track is None else track.whole(observation)

    def observe(
        self,
        number: int,
        observation: Observation,
        speed_px_s: Speed,
        appearance: Appearance,
        shadow: bool,
        now_s: float,
    ) -> Track:
        """Takes one observation of a track.

        Args:
            number: Number of the track.
            observation: The observation.
            speed_px_s: Rates of centre x, centre y, width and height, pixels a second.
            appearance: Mean appearance of the track so far.
            shadow: Whether its box lies on that of another track.
            now_s: Media seconds.
        """
        track = self._tracks.get(number)
        if track is not None and track.object_id is None and track.lasted_s > MAX_TENTATIVE_S:
            track = None  # what was not believed for so long says nothing about what is there now
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
            counted.score += observation.score
            self._now_at(counted, track, now_s)
        return track

    def confirm(self, number: int, now_s: float) -> CountedObject | None:
        """Confirms a track as a new object or as the continuation of an earlier one, if it meets the conditions of
        `confirmation`.

        Args:
            number: Number of the track.
            now_s: Media seconds.

        Returns:
            The object, whose `track` is still the earlier one if it is a continuation; None if the track is not
            confirmed.
        """
        track = self._tracks[number]
        if not is_confirmed(track, self._frames, self._config.confirm_s):
            return None
        odds = self._predecessors(track)
        new = 1 / (1 + sum(odds.values()))
        counted = self._resumed(odds) if new <= 0.5 else None
        if counted is None:
            counted = CountedObject(
                id=self._next,
                track=number,
                last=track.last,
                last_s=now_s,
                speed_px_s=track.speed_px_s,
                votes=Counter(),
                first=track.first,
                first_speed_px_s=track.first_speed_px_s,
                final=self._next,
                place=track.first,
                birth_weight=new,
            )
            self._births.add(track.first, self._age_s(track.first), new)
            self._objects[counted.id] = counted
            self._next += 1
        else:
            self._births.lost(counted.last, True)
        counted.doubt += uncertainty.variance(new)
        counted.ambiguous += uncertainty.is_ambiguous(new)
        counted.score += track.score
        counted.votes.update(track.votes)
        self._now_at(counted, track, now_s)
        track.object_id = counted.id
        return counted

    def get(self, number: int) -> CountedObject:
        """A confirmed object.

        Args:
            number: Id of the object.
        """
        return self._objects[number]

    def expired(self, now_s: float) -> list[int]:
        """Objects to which nothing can be stitched any more. Tracks that are as old are dropped.

        Args:
            now_s: Media seconds.

        Returns:
            Ids in increasing order.
        """
        limit_s = self._config.hold_s + self._config.join_s + LATE_CONFIRM_S
        for number in [number for number, seen_s in self._seen_s.items() if now_s - seen_s > limit_s]:
            self._doubt.add_track(self._tracks[number], self._nearly(self._tracks[number]))
            del self._tracks[number], self._seen_s[number]
        return sorted(counted.id for counted in self._objects.values() if now_s - counted.last_s > limit_s)

    def stitch_late(self, number: int) -> CountedObject | None:
        """Looks once more whether an object that has ended was observed later as another one.

        Args:
            number: Id of the object.

        Returns:
            The later one, which then stands for both, so that the object is counted once; None if there is none.
        """
        lost = self._objects[number]
        if any(outward(lost.speed_px_s, edge) > 0 for edge in lost.last.edges):
            return None
        odds = {
            counted.id: self._odds(lost, counted)
            for counted in self._objects.values()
            if not counted.stitched and not counted.first.edges
        }
        odds = {key: value for key, value in odds.items() if value > MIN_ODDS}
        if not odds:
            return None
        none = 1 / (1 + sum(odds.values()))
        lost.doubt += uncertainty.variance(none)
        lost.ambiguous += uncertainty.is_ambiguous(none)
        if none > 0.5:
            return None
        best = self._objects[max(odds, key=lambda key: odds[key])]
        best.votes.update(lost.votes)
        best.final, best.stitched = lost.final, True
        best.score += lost.score
        best.doubt += lost.doubt
        best.ambiguous += lost.ambiguous
        self._births.lost(lost.last, True)
        self._births.add(best.first, self._age_s(best.first), -best.birth_weight)
        best.birth_weight = 0.0
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
        """Drops an object that has expired. What is kept is that it was there, and its place if it stood still.

        Args:
            number: Id of the object.
        """
        counted = self._objects.pop(number)
        self._births.lost(counted.last, False)
        if counted.still_s >= STILL_S:
            self._still[number] = counted
            if len(self._still) <= MAX_STILL:
                return
            counted = self._still.pop(next(iter(self._still)))
        self._retired[counted.class_id] += 1
        self._doubt.add_object(counted)

    def may_return(self, number: int) -> bool:
        """Whether a retired object is kept because it stood still, and continues under its id should it reappear.

        Args:
            number: Id of the object.
        """
        return number in self._still

    def unique(self) -> dict[int, int]:
        """Class -> objects so far."""
        counts = self._retired.copy()
        for counted in (*self._objects.values(), *self._still.values()):
            counts[counted.class_id] += 1
        return dict(counts)

    def doubt(self) -> uncertainty.Doubt:
        """About all decisions behind `unique`."""
        doubt = self._doubt.copy()
        for counted in (*self._objects.values(), *self._still.values()):
            doubt.add_object(counted)
        for track in self._tracks.values():
            doubt.add_track(track, self._nearly(track))
        return doubt

    def _now_at(self, counted: CountedObject, track: Track, now_s: float) -> None:
        counted.last, counted.last_s, counted.speed_px_s = track.last, now_s, track.speed_px_s
        counted.appearance = track.appearance
        if has_moved(counted.place, track.last):
            counted.place, counted.moved = track.last, True

    def _nearly(self, track: Track) -> bool:
        return is_nearly_confirmed(track, self._frames, self._config.confirm_s)

    def _age_s(self, observation: Observation) -> float:
        return observation.frame_time.pts_s - (self._began_s or 0.0)

    def _odds(self, lost: CountedObject, found: CountedObject | Track) -> float:
        """Odds that `found` goes on `lost` against that it was born where it began; 0: impossible."""
        gap_s = found.first.frame_time.pts_s - lost.last.frame_time.pts_s
        if gap_s <= 0 or (gap_s > self._config.join_s and not is_still(lost, found)):
            return 0.0
        if isinstance(found, CountedObject) and left_frame(lost, gap_s, self._size):
            return 0.0
        density = self._births.density(found.first)
        evidence = stitch_evidence(lost, found, gap_s, density, self._births.hidden, self._size, self._moving)
        if evidence < -20:
            return 0.0
        return exp(min(evidence + appearance_evidence(lost.appearance, found.appearance), 20.0))

    def _predecessors(self, track: Track) -> dict[int, float]:
        """Id -> odds of the lost objects that a track may go on, against that it is another one."""
        odds = {}
        for counted in (*self._still.values(), *self._objects.values()) if self._config.join_s > 0 else ():
            if (value := self._odds(counted, track)) > MIN_ODDS:
                odds[counted.id] = value / (1 + self._claims(counted, track))
        return odds

    def _resumed(self, odds: dict[int, float]) -> CountedObject:
        """The likeliest of some lost objects, which is not lost any more."""
        best = max(odds, key=lambda number: odds[number])
        if best in self._still:
            self._objects[best] = self._still.pop(best)
        return self._objects[best]

    def _claims(self, counted: CountedObject, track: Track) -> float:
        """Odds of all other tracks that may go on a lost object: what they claim, `track` has to share (one round of
        the message passing of Williams and Lau, Approximate evaluation of marginal association probabilities with
        belief propagation, IEEE Trans. Aerospace and Electronic Systems, 2014)."""
        newest = track.last.frame_time.seq
        rivals = (
            other
            for other in self._tracks.values()
            if other is not track
            and other.object_id is None
            and other.seen >= MIN_OBSERVATIONS
            and other.last.frame_time.seq == newest
        )
        return sum(self._odds(counted, other) for other in rivals)
