"""A counting rule of another package, kept apart: if it fails, it is left out from then on, and counting goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.metrics.series import Series
from pipeline.records.event import CountEvent
from pipeline.tracking.observation import FrameTime, Observation
from pipeline.transport.totals import Table

log = logging.getLogger(__name__)

_FAILURE = "failure"
"""Part of the state: why the rule is left out. A process that is started again leaves it out as well."""


class GuardedRule(CountingRule):
    """Calls a rule until it raises an error, or returns something else than events.

    A rule is deterministic: with the same frames it would fail again. So it is not tried again, and its totals, which
    would lack what came later, say only why it failed.

    Args:
        rule: The rule.
        where: Its place in the configuration, for the log.
    """

    def __init__(self, rule: CountingRule, where: str) -> None:
        super().__init__(rule.stream, rule.name, rule.settings)
        self.rule = rule
        self.receives_all_classes = rule.all_classes
        self._where = f"{where} ({type(rule).__module__}:{type(rule).__qualname__})"
        self._index = 0
        self._failure = ""

    def begin(self, frame: tuple[int, int]) -> None:
        self._call("begin", frame)

    def frame(self, frame_time: FrameTime, condition: str) -> Iterable[CountEvent]:
        self._index = frame_time.index
        return self._events("frame", frame_time, condition)

    def frame_objects(self, observed: Sequence[tuple[int, Observation]]) -> None:
        self._call("frame_objects", observed)

    def confirm(self, object_id: int, class_name: str, observation: Observation) -> Iterable[CountEvent]:
        return self._events("confirm", object_id, class_name, observation)

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        return self._events("observe", object_id, class_name, observation, arriving)

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        return self._events("stitch", object_id, later, class_name, first)

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        return self._events("end", object_id, class_name)

    def on_event(self, event: CountEvent) -> None:
        self._call("on_event", event)

    def totals(self) -> Mapping[str, Any]:
        totals = self._call("totals") or {}
        return {"failed": self._failure} if self._failure else totals

    def series(self) -> Iterable[Series]:
        return self._call("series") or ()

    def live(self) -> Mapping[str, str]:
        return self._call("live") or {}

    def table(self) -> Iterable[Table]:
        table = self._call("table") or ()
        return (Table(((self.name, "", "failed"),)),) if self._failure else table

    def drawn(self) -> Mapping[str, Any]:
        return self._call("drawn") or {}

    def parts(self) -> Mapping[str, RulePart]:
        parts: Mapping[str, RulePart] = self._call("parts") or {}
        own = RulePart(
            [type(self.rule).__module__, type(self.rule).__qualname__, self.settings],
            StateOf(lambda: {"why": self._failure}, self._restore),
        )
        return {_FAILURE: own} if self._failure else {**parts, _FAILURE: own}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._failure = state["why"]

    def _events(self, method: str, *arguments: Any) -> tuple[CountEvent, ...]:
        found = self._call(method, *arguments, finish=_as_events)
        return found or ()

    def _call(self, method: str, *arguments: Any, finish: Any = lambda value: value) -> Any:
        """What a method of the rule returns; None once the rule has failed."""
        if self._failure:
            return None
        try:
            return finish(getattr(self.rule, method)(*arguments))
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            self._failure = f"{method}() failed at frame {self._index}: {what}"
            log.error(
                "%s: %s; the rule is left out from here on, everything else is counted",
                self._where,
                self._failure,
                extra={"stream": self.stream.name, "shown": True},
            )
            log.info("where the rule failed", exc_info=True, extra={"stream": self.stream.name})
            return None


def _as_events(found: Any) -> tuple[CountEvent, ...]:
    events = tuple(found or ())
    for event in events:
        if not isinstance(event, CountEvent):
            raise TypeError(f"it returned a {type(event).__name__}, expected events (self.event(...))")
    return events
