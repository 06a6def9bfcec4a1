"""Rule `od`: from which line or zone to which objects went (an origin-destination matrix)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart
from pipeline.counting.zones import INSIDE
from pipeline.records.event import CountEvent
from pipeline.records.state import AttributeState, checkpointed
from pipeline.tracking.observation import Observation
from pipeline.transport.totals import Table


@checkpointed
@dataclass(slots=True)
class _Journey:
    class_name: str
    first: str
    last: str
    stops: int = 1


class Journeys(AttributeState):
    """The first and the last line or zone that each object met. Bounded by the number of lines and zones.

    Leaving a zone and entering it again is one stay there; crossing a line twice is a journey there and back.

    Args:
        lines, zones: their names; ` (line)` and ` (zone)` are added to a name that is used for both.
    """

    STATE = ("_under_way", "_over")

    def __init__(self, lines: Iterable[str], zones: Iterable[str]) -> None:
        lines, zones = set(lines), set(zones)
        self._names = {
            (kind, name): f"{name} ({kind})" if name in lines & zones else name
            for kind, names in (("line", lines), ("zone", zones))
            for name in names
        }
        self._areas = {self._names["zone", name] for name in zones}
        self._under_way: dict[int, _Journey] = {}
        self._over: Counter[tuple[str, str, str]] = Counter()

    def stop(self, object_id: int, class_name: str, kind: str, name: str) -> None:
        """Adds a stop: an object crossed a line, or is newly in a zone.

        Args:
            object_id: The object.
            class_name: Its class by vote.
            kind: `line` or `zone`.
            name: Of the line or zone.
        """
        where = self._names[kind, name]
        journey = self._under_way.get(object_id)
        if journey is None:
            self._under_way[object_id] = _Journey(class_name, where, where)
            return
        again = where == journey.last and where in self._areas
        journey.class_name, journey.last = class_name, where
        journey.stops += not again

    def end(self, object_id: int) -> None:
        """Completes the journey of an object that has ended; it counts with two stops or more.

        Args:
            object_id: Also one without a stop.
        """
        journey = self._under_way.pop(object_id, None)
        if journey is not None and journey.stops > 1:
            self._over[journey.first, journey.last, journey.class_name] += 1

    def stitch(self, object_id: int, later: int) -> None:
        """Concatenates the journeys of two objects that turned out to be one.

        Args:
            object_id: See `CountingRule.stitch`.
            later: See `CountingRule.stitch`.
        """
        journey, rest = self._under_way.pop(object_id, None), self._under_way.get(later)
        if journey is None:
            return
        if rest is not None:
            again = rest.first == journey.last and rest.first in self._areas
            journey.class_name, journey.last = rest.class_name, rest.last
            journey.stops += rest.stops - again
        self._under_way[later] = journey

    def matrix(self) -> dict[str, dict[str, dict[str, int]]]:
        """Origin -> destination -> class -> objects, including those still in view."""
        counts = self._over.copy()
        for journey in self._under_way.values():
            if journey.stops > 1:
                counts[journey.first, journey.last, journey.class_name] += 1
        result: dict[str, dict[str, dict[str, int]]] = {}
        for (first, last, class_name), count in sorted(counts.items()):
            result.setdefault(first, {}).setdefault(last, {})[class_name] = count
        return result


class OriginDestination(CountingRule):
    """Follows the journeys of objects by the events of lines and zones."""

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self._journeys = Journeys(stream.config.lines, stream.config.zones)

    def on_event(self, event: CountEvent) -> None:
        """See `CountingRule.on_event`."""
        if event.kind == "line" or (event.kind == "zone" and event.direction == INSIDE):
            self._journeys.stop(event.track, event.class_name, event.kind, event.name)

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        """See `CountingRule.stitch`."""
        self._journeys.stitch(object_id, later)
        return ()

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        """See `CountingRule.end`."""
        self._journeys.end(object_id)
        return ()

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`."""
        config = self.stream.config
        return {"": RulePart([set(config.lines), set(config.zones)], self._journeys)}

    def totals(self) -> Mapping[str, Any]:
        """`od`: origin -> destination -> class -> objects."""
        return {"od": self._journeys.matrix()}

    def table(self) -> Iterable[Table]:
        rows = tuple(
            (first, last, cls, str(count))
            for first, ends in self._journeys.matrix().items()
            for last, classes in ends.items()
            for cls, count in classes.items()
        )
        return (Table(rows, "From and to", ("from", "to", "class", "count")),)
