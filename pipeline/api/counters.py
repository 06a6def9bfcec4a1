"""Counters for tracks: a line and a zone, by the rules of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pipeline.api.configuration import validated
from pipeline.api.tracks import Tracks
from pipeline.config.schema import LineConfig, StreamConfig, ZoneConfig
from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.lines import Lines
from pipeline.counting.rule import CountingRule
from pipeline.counting.zones import Zones
from pipeline.records.event import CountEvent

Point = tuple[float, float]


class _NoObjects:
    """An `ObjectTable` for a stream without objects of its own."""

    def unique(self) -> dict[str, int]:
        return {}

    def ambiguous(self) -> dict[str, int]:
        return {}

    def uncertain(self) -> dict[str, int]:
        return {}

    def may_return(self, object_id: int) -> bool:
        """See `ObjectTable.may_return`."""
        return False

    def class_of(self, object_id: int) -> str:
        raise LookupError(object_id)


class _RuleCounter:
    """One counting rule that is fed with tracks."""

    def __init__(self, config: StreamConfig, rule: type[CountingRule]) -> None:
        self._stream = CountedStream("", config, _NoObjects())
        self._rule = rule(self._stream, rule.__name__, {})
        self._begun = False

    def update(self, tracks: Tracks) -> list[CountEvent]:
        """Takes the tracks of the next frame.

        Args:
            tracks: of every frame, in order, from `Tracker.update` or of the frames of `pipeline.open`; at the end
                those of `Tracker.finish`.

        Returns:
            What they brought. An event may be of a frame shortly before, since an object has to be confirmed first.
        """
        if not self._begun:
            self._begun = True
            self._stream.begin(tracks.frame_size)
            self._rule.begin(tracks.frame_size)
        return [event for step in tracks.steps for event in step.tell(self._stream, self._rule)]


class LineCounter(_RuleCounter):
    """Counts objects that cross a line, by class and direction.

    An object crosses when the side of the line that it is confirmed to be on changes while its path meets the line.
    Touching it and turning back counts nothing; crossing and coming back counts one in each direction.

    Args:
        points: two points, or more for a line with bends, as (x, y) in parts of the frame: 0..1 from left to right
            and from top to bottom, as in a configuration. Pixels: divide by the frame's width and height.
        directions: walk from the first point to the last as seen on the screen: the first name is for objects that
            cross from the left hand to the right hand, the second for the other way.
        name: of the line, in its events.
        classes: names of the classes that count; None: all.
        anchor: what crosses: `foot`, `center`, or `mask`: the side that holds most of the mask.
        deadband: how far beyond the line an object has to be, in heights of the object, before its side is confirmed.
        cooldown_s: seconds before the same object may count again.

    Raises:
        ConfigError: the points are no line.
    """

    def __init__(
        self,
        points: Sequence[Point],
        directions: tuple[str, str] = ("forward", "back"),
        *,
        name: str = "line",
        classes: Sequence[str] | None = None,
        anchor: Literal["foot", "center", "mask"] = "foot",
        deadband: float = 0.1,
        cooldown_s: float = 0.0,
    ) -> None:
        values = {
            "points": points,
            "directions": directions,
            "classes": classes,
            "anchor": anchor,
            "deadband": deadband,
            "cooldown_s": cooldown_s,
        }
        line = validated(LineConfig, values, name)
        super().__init__(StreamConfig(source="none", lines={name: line}), Lines)
        self._name = name

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Class -> direction -> crossings so far."""
        lines: dict[str, dict[str, dict[str, int]]] = dict(self._rule.totals())["lines"]
        return lines[self._name]


class ZoneCounter(_RuleCounter):
    """Counts objects that enter and leave a polygon, how many are inside, and for how long they stay.

    Args:
        polygon: three points or more, as (x, y) in parts of the frame, as for `LineCounter`.
        name: of the zone, in its events.
        classes: names of the classes that count; None: all.
        by: whether an object is inside by one point (`anchor`) or by a part of its mask (`mask`).
        anchor: which point: `foot` or `center`.
        share: with `by="mask"`: how much of the mask has to be inside.

    Raises:
        ConfigError: the points are no polygon.
    """

    def __init__(
        self,
        polygon: Sequence[Point],
        *,
        name: str = "zone",
        classes: Sequence[str] | None = None,
        by: Literal["anchor", "mask"] = "anchor",
        anchor: Literal["foot", "center"] = "foot",
        share: float = 0.5,
    ) -> None:
        values = {"points": polygon, "classes": classes, "by": by, "anchor": anchor, "share": share}
        zone = validated(ZoneConfig, values, name)
        super().__init__(StreamConfig(source="none", zones={name: zone}), Zones)
        self._name = name

    @property
    def counts(self) -> dict[str, dict[str, Any]]:
        """Class -> `now`, `peak`, `entries`, `exits`, `appeared`, `vanished`, and the median and the 95th percentile of
        the completed stays in seconds, `dwell_s` and `dwell_p95_s`."""
        zones: dict[str, dict[str, dict[str, Any]]] = dict(self._rule.totals())["zones"]
        return zones[self._name]
