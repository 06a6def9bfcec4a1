"""State machine that decides when objects are inside one zone, a polygon.

An object is inside by one point, or by the fraction of its mask that is inside. It *enters* when it was seen outside
before, and *exits* when it is seen outside afterwards. One that is inside when it is first seen has *appeared* there,
one that is inside when it is last seen has *vanished* there: no border was crossed in view. At every moment, summed
over all classes:

    entries + appeared = exits + vanished + inside now

Near the border the state of an object does not change (hysteresis), so that a jittering box counts nothing. It changes
with two observations in a row, one of them beyond that band, or with one beyond it that the motion before it predicts
(`step_check.py`). An object that was on one side of a zone and is on the other side in its next observation has entered
and left in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.config.schema import ZoneConfig
from pipeline.counting.step_check import is_predicted, kept_height
from pipeline.counting.zone_numbers import ZoneNumbers
from pipeline.counting.zone_shape import ZoneShape
from pipeline.metrics.quantiles import Histogram
from pipeline.records.state import AttributeState, checkpointed
from pipeline.tracking.observation import Observation


class Passage(NamedTuple):
    """An object entered or left the zone.

    Attributes:
        dwell_s: how long the stay was that an exit ends, media seconds; None for an entry.
        observation: the one with which it entered or left.
    """

    direction: Literal["entry", "exit"]
    dwell_s: float | None
    observation: Observation


@checkpointed
@dataclass(slots=True)
class _Stay:
    """One object, inside or outside.

    Attributes:
        since_s, last_s: media times at which the stay inside began, and of the last observation inside.
        appeared: whether the object was inside when it was first seen.
        first, before, last: its first observation and the last two.
        hand: whether the last observation was inside, within the band as well.
        out: last observation outside and beyond the band; None: since then it was seen inside.
        deep: whether the way since `out` led through the zone.
        pending: whether the last observation was the first one that speaks for a change.
        jump_s: how long a jump over the zone that the last observation was the first one to show has been inside;
            None: there was none.
    """

    inside: bool
    since_s: float
    last_s: float
    class_name: str
    appeared: bool
    first: Observation
    last: Observation
    hand: bool
    before: Observation | None = None
    out: Observation | None = None
    deep: bool = False
    pending: bool = False
    jump_s: float | None = None


class PassageDetector(AttributeState):
    """Follows all objects with respect to one zone.

    Args:
        config: the zone, in fractions of the frame.
    """

    STATE = ("_stays", "_numbers")

    def __init__(self, config: ZoneConfig) -> None:
        self._shape = ZoneShape(config)
        self._stays: dict[int, _Stay] = {}
        self._numbers: dict[str, ZoneNumbers] = {}

    def begin(self, frame: tuple[int, int]) -> None:
        """Scales the polygon to the frame; called once, before everything else.

        Args:
            frame: Width and height, pixels.
        """
        self._shape.begin(frame)

    def observe(self, object_id: int, observation: Observation, class_name: str) -> list[Passage]:
        """Takes the next observation of an object.

        Args:
            object_id: the object.
            observation: later than the one before of the same object.
            class_name: its class by vote, which may have changed since: it takes its presence along to another class.

        Returns:
            The entries and exits that this observation completes, in their order.
        """
        inside, clear = self._shape.state(observation)
        pts_s = observation.frame_time.pts_s
        stay = self._stays.get(object_id)
        if stay is None:
            self._stays[object_id] = _Stay(
                inside, pts_s, pts_s, class_name, inside, observation, observation, inside
            )
            if inside:
                self._of(class_name).appeared += 1
                self._of(class_name).move(1)
            else:
                self._stays[object_id].out = observation
            return []
        if stay.class_name != class_name:
            if stay.inside:
                self._of(stay.class_name).move(-1)
                self._of(class_name).move(1)
            stay.class_name = class_name
        passages = self._passages(stay, observation, inside, clear)
        stay.before, stay.last, stay.hand = stay.last, observation, inside
        if stay.inside:
            stay.last_s = pts_s
        return passages

    def _passages(self, stay: _Stay, now: Observation, inside: bool, clear: bool) -> list[Passage]:
        """Decides, with the next observation, about the one before and about this one."""
        changed = clear and inside != stay.inside
        jump_s = None if stay.inside else self._jump_s(stay, now, clear and not inside)
        if not (changed or stay.pending or stay.jump_s is not None or jump_s is not None):
            return []
        predicted = is_predicted(stay.before, stay.last, now)
        passages: list[Passage] = []
        if stay.jump_s is not None:
            if not inside and jump_s is None:
                passages += self._jump(stay, stay.jump_s, now)
            stay.jump_s = jump_s = None  # one jump after another: there and back
        if stay.pending and (inside != stay.inside or (clear and predicted)):
            # seen twice, or once on a straight way through and out on the other side
            passages.append(self._change(stay, stay.last, now))
            changed, predicted, jump_s = clear and inside != stay.inside, True, None
        stay.pending = False
        if changed and (predicted or stay.hand == inside):
            passages.append(self._change(stay, now, now))
        elif changed:
            stay.pending = True
        elif jump_s is not None and predicted:
            passages += self._jump(stay, jump_s, now)
        else:
            stay.jump_s = jump_s
        return passages

    def inside(self, object_id: int) -> bool:
        """Whether an object is inside the zone now.

        Args:
            object_id: Also one that was never observed.
        """
        stay = self._stays.get(object_id)
        return stay is not None and stay.inside

    def end(self, object_id: int) -> list[Passage]:
        """Drops the state of an object that has ended; if it was inside, it counts as vanished.

        Args:
            object_id: Also one that was never observed.

        Returns:
            The entry or exit for which the last observation spoke first, if the whole of the object had moved there.
        """
        stay = self._stays.pop(object_id, None)
        if stay is None:
            return []
        passages = []
        if kept_height(stay.before, stay.last):
            if stay.pending:
                passages.append(self._change(stay, stay.last, stay.last))
            elif stay.jump_s is not None:
                passages += self._jump(stay, stay.jump_s, stay.last)
        if stay.inside:
            self._leave(stay)
            self._of(stay.class_name).vanished += 1
        return passages

    def stitch(self, object_id: int, later: int) -> list[Passage]:
        """Merges two objects that turned out to be one, and puts right what was counted of them as two.

        Args:
            object_id: the older one, which is forgotten.
            later: the one that goes on, with the past of both.

        Returns:
            The entry or exit that happened out of sight in between, or both.
        """
        after = self._stays.get(later)
        before = None if after is None else self._stays.pop(object_id, None)
        if before is None or after is None:
            return []
        result = []
        if before.inside and not after.appeared:
            # lost inside, found outside
            result = [self._exit(before, after.first)]
        elif after.appeared:
            # It did not appear: it was inside all the time, as one object instead of two, or entered out of sight.
            self._of(after.class_name).appeared -= 1
            if before.inside:
                self._of(before.class_name).move(-1)
                after.since_s = before.since_s if after.inside else after.since_s
            else:
                self._of(after.class_name).entries += 1
                result = [Passage("entry", None, after.first)]
        elif (jump_s := self._shape.within_s(before.last, after.first)) is not None:
            result = self._jump(before, jump_s, after.first)
        after.appeared, after.first = before.appeared, before.first
        return result

    def now(self) -> dict[str, int]:
        """Class -> number of objects inside, where there are any."""
        return {name: numbers.now for name, numbers in self._numbers.items() if numbers.now}

    def totals(self, classes: Iterable[str]) -> dict[str, dict[str, float]]:
        """Class -> `now`, `entries`, `exits`, `dwell_s` and `dwell_p95_s` (median and 95th percentile of the stays that
        are over, seconds), `peak`, `appeared`, `vanished`.

        Args:
            classes: those to report in any case; all others that were seen are reported, too.
        """
        nothing = ZoneNumbers()
        return {
            name: self._numbers.get(name, nothing).as_dict() for name in sorted({*classes, *self._numbers})
        }

    def dwell(self) -> dict[str, Histogram]:
        """Class -> histogram of the stays that are over, seconds."""
        return {name: numbers.dwell.histogram() for name, numbers in sorted(self._numbers.items())}

    def _of(self, class_name: str) -> ZoneNumbers:
        return self._numbers.setdefault(class_name, ZoneNumbers())

    def _change(self, stay: _Stay, first: Observation, now: Observation) -> Passage:
        """The object is inside instead of outside, or outside instead of inside, since the observation `first`."""
        if stay.inside:
            stay.last_s, stay.out = first.frame_time.pts_s, now
            return self._exit(stay, now)
        stay.inside, stay.out, stay.deep = True, None, False
        stay.since_s = stay.last_s = first.frame_time.pts_s
        self._of(stay.class_name).entries += 1
        self._of(stay.class_name).move(1)
        return Passage("entry", None, now)

    def _exit(self, stay: _Stay, now: Observation) -> Passage:
        self._leave(stay)
        self._of(stay.class_name).exits += 1
        return Passage("exit", stay.last_s - stay.since_s, now)

    def _jump(self, stay: _Stay, dwell_s: float, now: Observation) -> list[Passage]:
        """The object passed through the zone between two observations outside."""
        entry = self._change(stay, now, now)
        stay.last_s = stay.since_s + dwell_s
        return [entry, self._exit(stay, now)]

    def _jump_s(self, stay: _Stay, now: Observation, out: bool) -> float | None:
        """For how long an object that is not inside has been inside since it was last clearly outside.

        Args:
            stay: its state before this observation.
            now: the observation.
            out: whether it is clearly outside.

        Returns:
            None: it was not, or is not clearly outside again.
        """
        stay.deep = stay.deep or self._shape.within_s(stay.last, now) is not None
        if not out:
            return None
        before, deep = stay.out, stay.deep
        stay.out, stay.deep = now, False
        return self._shape.within_s(before, now) if deep and before is not None else None

    def _leave(self, stay: _Stay) -> None:
        stay.inside = False
        self._of(stay.class_name).move(-1)
        self._of(stay.class_name).dwell.add(stay.last_s - stay.since_s)
