"""State machine that decides when objects are inside one zone, a polygon.

An object is inside by one point, or by the fraction of its mask that is inside. It *enters* when it was seen outside
before, and *exits* when it is seen outside afterwards. One that is inside when it is first seen has *appeared* there,
one that is inside when it is last seen has *vanished* there: no border was crossed in view. At every moment, summed
over all classes:

    entries + appeared = exits + vanished + inside now

Near the border the state of an object does not change (hysteresis), so that a jittering box counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from pipeline.config.schema import ZoneConfig
from pipeline.geometry.masks import mask_cells
from pipeline.geometry.plane import points_in_polygon, polygon_depth
from pipeline.metrics.quantiles import Histogram, QuantileSketch
from pipeline.records.state import AttributeState, checkpointed
from pipeline.tracking.observation import Observation

checkpointed(QuantileSketch)

BORDER = 0.1
"""Half width of the hysteresis band: in heights of the object, or as a fraction of its mask."""
DWELL_EDGES_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Bucket edges of the dwell time for Prometheus."""


class Passage(NamedTuple):
    """An object entered or left the zone.

    Attributes:
        dwell_s: how long the stay was that an exit ends, media seconds; None for an entry.
    """

    direction: Literal["entry", "exit"]
    dwell_s: float | None


@checkpointed
@dataclass(slots=True)
class _Stay:
    """One object, inside or outside.

    Attributes:
        since_s, last_s: media times at which the stay inside began, and of the last observation inside.
        appeared: whether the object was inside when it was first seen.
    """

    inside: bool
    since_s: float
    last_s: float
    class_name: str
    appeared: bool


@checkpointed
@dataclass(slots=True)
class _Numbers:
    """Totals of one class."""

    now: int = 0
    peak: int = 0
    entries: int = 0
    exits: int = 0
    appeared: int = 0
    vanished: int = 0
    dwell: QuantileSketch = field(default_factory=lambda: QuantileSketch(DWELL_EDGES_S))

    def move(self, count: int) -> None:
        """Adds `count` objects to those inside now."""
        self.now += count
        self.peak = max(self.peak, self.now)

    def as_dict(self) -> dict[str, float]:
        return {
            "now": self.now,
            "entries": self.entries,
            "exits": self.exits,
            "dwell_s": round(self.dwell.quantile(0.5), 3),
            "dwell_p95_s": round(self.dwell.quantile(0.95), 3),
            "peak": self.peak,
            "appeared": self.appeared,
            "vanished": self.vanished,
        }


class ZoneCounter(AttributeState):
    """Follows all objects with respect to one zone.

    Args:
        config: the zone, in fractions of the frame.
    """

    STATE = ("_stays", "_numbers")

    def __init__(self, config: ZoneConfig) -> None:
        self._config = config
        self._polygon = np.array(config.points, np.float64)
        self._widest_band = 0.0
        self._box = (0.0, 0.0, 0.0, 0.0)
        self._stays: dict[int, _Stay] = {}
        self._numbers: dict[str, _Numbers] = {}

    def begin(self, frame: tuple[int, int]) -> None:
        """Scales the polygon to the frame; called once, before everything else.

        Args:
            frame: Width and height, pixels.
        """
        self._polygon = self._polygon * np.array(frame, np.float64)
        low, high = self._polygon.min(axis=0), self._polygon.max(axis=0)
        self._widest_band = float((high - low).min()) / 8
        self._box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    def observe(self, object_id: int, observation: Observation, class_name: str) -> Passage | None:
        """Takes the next observation of an object.

        Args:
            object_id: the object.
            observation: later than the one before of the same object.
            class_name: its class by vote, which may have changed since: it takes its presence along to another class.

        Returns:
            The entry or exit that this observation completes, or None.
        """
        inside, clear = self._state(observation)
        pts_s = observation.frame_time.pts_s
        stay = self._stays.get(object_id)
        if stay is None:
            self._stays[object_id] = _Stay(inside, pts_s, pts_s, class_name, inside)
            if inside:
                self._of(class_name).appeared += 1
                self._of(class_name).move(1)
            return None
        if stay.class_name != class_name:
            if stay.inside:
                self._of(stay.class_name).move(-1)
                self._of(class_name).move(1)
            stay.class_name = class_name
        if stay.inside:
            stay.last_s = pts_s
        if stay.inside == inside or not clear:
            return None
        if inside:
            return self._enter(stay, pts_s)
        return self._exit(stay)

    def inside(self, object_id: int) -> bool:
        """Whether an object is inside the zone now.

        Args:
            object_id: Also one that was never observed.
        """
        stay = self._stays.get(object_id)
        return stay is not None and stay.inside

    def end(self, object_id: int) -> None:
        """Drops the state of an object that has ended; if it was inside, it counts as vanished.

        Args:
            object_id: Also one that was never observed.
        """
        stay = self._stays.pop(object_id, None)
        if stay is not None and stay.inside:
            self._leave(stay)
            self._of(stay.class_name).vanished += 1

    def stitch(self, object_id: int, later: int) -> Passage | None:
        """Merges two objects that turned out to be one, and puts right what was counted of them as two.

        Args:
            object_id: the older one, which is forgotten.
            later: the one that goes on, with the past of both.

        Returns:
            The entry or exit that happened out of sight in between, or None.
        """
        after = self._stays.get(later)
        before = None if after is None else self._stays.pop(object_id, None)
        if before is None or after is None:
            return None
        result = None
        if before.inside and not after.appeared:
            # lost inside, found outside
            result = self._exit(before)
        elif after.appeared:
            # It did not appear: it was inside all the time, as one object instead of two, or entered out of sight.
            self._of(after.class_name).appeared -= 1
            if before.inside:
                self._of(before.class_name).move(-1)
                after.since_s = before.since_s if after.inside else after.since_s
            else:
                self._of(after.class_name).entries += 1
                result = Passage("entry", None)
        after.appeared = before.appeared
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
        nothing = _Numbers()
        return {
            name: self._numbers.get(name, nothing).as_dict() for name in sorted({*classes, *self._numbers})
        }

    def dwell(self) -> dict[str, Histogram]:
        """Class -> histogram of the stays that are over, seconds."""
        return {name: numbers.dwell.histogram() for name, numbers in sorted(self._numbers.items())}

    def _of(self, class_name: str) -> _Numbers:
        return self._numbers.setdefault(class_name, _Numbers())

    def _enter(self, stay: _Stay, pts_s: float) -> Passage:
        stay.inside, stay.since_s, stay.last_s = True, pts_s, pts_s
        self._of(stay.class_name).entries += 1
        self._of(stay.class_name).move(1)
        return Passage("entry", None)

    def _exit(self, stay: _Stay) -> Passage:
        self._leave(stay)
        self._of(stay.class_name).exits += 1
        return Passage("exit", stay.last_s - stay.since_s)

    def _leave(self, stay: _Stay) -> None:
        stay.inside = False
        self._of(stay.class_name).move(-1)
        self._of(stay.class_name).dwell.add(stay.last_s - stay.since_s)

    def _state(self, observation: Observation) -> tuple[bool, bool]:
        """Whether the object is inside, and whether that is certain, beyond the hysteresis band."""
        if self._config.by == "mask":
            share = self._share(observation)
            least = self._config.share
            # The band never reaches 0 or 1: an object must be able to be inside, and outside, for certain.
            low, high = max(least - BORDER, least / 2), min(least + BORDER, (least + 1) / 2)
            return share >= least, not low < share < high
        x, y = place = observation.foot if self._config.anchor == "foot" else observation.center
        # In a zone narrower than the band of a tall object nothing would ever be certain.
        band = min(BORDER * observation.height_px, self._widest_band)
        left, top, right, bottom = self._box
        if max(left - x, x - right, top - y, y - bottom) > band:
            return (
                False,
                True,
            )  # most objects: farther from the bounding box than the band is wide, which is quick to tell
        depth = polygon_depth(self._polygon, place)
        return depth > 0, abs(depth) > band

    def _share(self, observation: Observation) -> float:
        """Fraction of the mask that is inside, 0..1."""
        x0, y0, x1, y1 = observation.place_px
        left, top, right, bottom = self._box
        if x1 <= left or x0 >= right or y1 <= top or y0 >= bottom:
            return 0.0
        cells = mask_cells(np.array(observation.place_px), observation.mask)
        return float(points_in_polygon(self._polygon, cells).mean())
