"""All counting rules of one stream as one: passes on what happens to its objects, collects events and totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.config.schema import StreamConfig
from pipeline.counting.counted_stream import CountedStream, ObjectTable
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart
from pipeline.counting.rule_table import make_rules
from pipeline.records.event import CountEvent
from pipeline.records.summary import plain
from pipeline.tracking.observation import FrameTime, Observation
from pipeline.transport.totals import StreamTotals

_Rule = TypeVar("_Rule", bound=CountingRule)


class CountingRules:
    """The rules of one stream, in the order of the table.

    Args:
        name: of the stream, for its events.
        config: lines, zones, rules, classes, ground.
        objects: the objects of the stream.
        pictures: whether pictures are drawn of what is counted; rules for these alone are left out otherwise.

    Raises:
        ConfigError: a rule in the configuration does not exist, or its settings are wrong.
    """

    def __init__(
        self, name: str, config: StreamConfig, objects: ObjectTable, *, pictures: bool = True
    ) -> None:
        self._pictures = pictures
        self._stream = CountedStream(name, config, objects)
        built_in, others = make_rules(self._stream)
        built_in = [rule for rule in built_in if pictures or not rule.picture_only]
        self._built_in, self._others = built_in, others
        self._rules: Sequence[CountingRule] = (*built_in, *others)
        self._of_all_classes = [
            *(rule for rule in built_in if rule.all_classes),
            *(rule for rule in others if rule.receives_all_classes),
        ]
        self._of_frames = [rule for rule in self._rules if type(rule).frame is not CountingRule.frame]
        self._of_all_objects = [
            rule for rule in self._rules if type(rule).frame_objects is not CountingRule.frame_objects
        ]

    def begin(self, frame: tuple[int, int]) -> None:
        """See `CountingRule.begin`."""
        self._stream.begin(frame)
        for rule in self._rules:
            rule.begin(frame)

    def frame(self, frame_time: FrameTime, condition: str) -> list[CountEvent]:
        """See `CountingRule.frame`."""
        events: list[CountEvent] = []
        for rule in self._of_frames:
            self._collect(rule.frame(frame_time, condition), events)
        return events

    def frame_objects(self, observed: Sequence[tuple[int, Observation]]) -> None:
        """See `CountingRule.frame_objects`."""
        for rule in self._of_all_objects:
            rule.frame_objects(observed)

    def confirm(self, object_id: int, class_name: str, observation: Observation) -> list[CountEvent]:
        """See `CountingRule.confirm`."""
        events: list[CountEvent] = []
        for rule in self._told(class_name):
            self._collect(rule.confirm(object_id, class_name, observation), events)
        return events

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> list[CountEvent]:
        """See `CountingRule.observe`."""
        events: list[CountEvent] = []
        if self._stream.wanted(class_name):
            self._stream.observe(object_id, class_name, observation)
        for rule in self._told(class_name):
            if found := rule.observe(object_id, class_name, observation, arriving):
                self._collect(found, events)
        return events

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> list[CountEvent]:
        """See `CountingRule.stitch`."""
        events: list[CountEvent] = []
        for rule in self._told(class_name):
            self._collect(rule.stitch(object_id, later, class_name, first), events)
        return events

    def end(self, object_id: int, class_name: str) -> list[CountEvent]:
        """See `CountingRule.end`."""
        events: list[CountEvent] = []
        for rule in self._rules:
            self._collect(rule.end(object_id, class_name), events)
        self._stream.end(object_id)
        return events

    def wanted(self, class_name: str) -> bool:
        """See `CountedStream.wanted`."""
        return self._stream.wanted(class_name)

    def summary(self) -> dict[str, Any]:
        """All counts so far, with the keys of the stream in `summary.json`."""
        summary: dict[str, Any] = {}
        for rule in self._built_in:
            summary |= rule.totals()
        if self._others:
            summary["rules"] = {rule.name: plain(rule.totals()) for rule in self._others}
        return summary

    def totals(self) -> StreamTotals:
        """All counts so far, in every form in which they are shown."""
        live: dict[str, str] = {}
        for rule in self._rules:
            live |= rule.live()
        return StreamTotals(
            summary=self.summary(),
            series=tuple(series for rule in self._rules for series in rule.series()),
            live=live,
            tables=tuple(table for rule in self._rules for table in rule.table() if table.rows),
        )

    def drawn(self) -> dict[str, Any]:
        """Fields of `FrameTracks` that hold what the annotated video shows of the counts."""
        fields: dict[str, Any] = {}
        for rule in self._rules if self._pictures else ():
            fields |= rule.drawn()
        return fields

    def parts(self) -> list[tuple[str, Mapping[str, RulePart]]]:
        """Name of each rule that ships or is configured, and the parts of its state."""
        return [(rule.name, rule.parts()) for rule in (*self._built_in, *self._others)]

    @property
    def from_outside(self) -> tuple[str, ...]:
        """Names of the rules that the configuration adds."""
        return tuple(rule.name for rule in self._others)

    @property
    def stream(self) -> CountedStream:
        """What all rules share."""
        return self._stream

    def listen(self, kind: type[_Rule]) -> _Rule:
        """Adds a rule, which receives every call from now on. Its totals are left out of `summary.json`.

        Args:
            kind: the rule's class; it has no settings.
        """
        rule = kind(self._stream, kind.__name__, {})
        self._rules = (*self._rules, rule)
        if rule.all_classes:
            self._of_all_classes.append(rule)
        if kind.frame_objects is not CountingRule.frame_objects:
            self._of_all_objects.append(rule)
        return rule

    def of(self, kind: type[_Rule]) -> _Rule:
        """The built-in rule of a class.

        Args:
            kind: class of a rule that every stream has.

        Raises:
            LookupError: it is not a built-in rule, or is left out.
        """
        for rule in self._built_in:
            if isinstance(rule, kind):
                return rule
        raise LookupError(f"the stream has no rule {kind.__name__}")

    def _told(self, class_name: str) -> Iterable[CountingRule]:
        return self._rules if self._stream.wanted(class_name) else self._of_all_classes

    def _collect(self, found: Iterable[CountEvent], events: list[CountEvent]) -> None:
        """Passes the events of one rule to all rules, and appends those meant for the database to `events`."""
        for event in found:
            for rule in self._rules:
                rule.on_event(event)
            if event.change != "internal":
                events.append(event)
