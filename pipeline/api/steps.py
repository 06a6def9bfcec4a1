"""What a frame says of the objects of a stream, kept with its tracks so that counters can be told of it later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.rule import CountingRule
from pipeline.records.event import CountEvent
from pipeline.tracking.observation import Observation


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a method of `CountingRule`.

    Attributes:
        method: `observe`, `stitch` or `end`.
        arguments: of the call.
    """

    method: str
    arguments: tuple[Any, ...]

    def tell(self, stream: CountedStream, rule: CountingRule) -> Iterator[CountEvent]:
        """Makes the call; returns the events that are meant for others."""
        if self.method == "observe":
            stream.observe(*self.arguments[:3])
        for event in getattr(rule, self.method)(*self.arguments):
            if event.change != "internal":
                yield event


class StepRecorder(CountingRule):
    """A rule that counts nothing and remembers what it was told."""

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self._steps: list[Step] = []

    def take(self) -> tuple[Step, ...]:
        """The steps since the last call."""
        steps = tuple(self._steps)
        self._steps.clear()
        return steps

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        self._steps.append(Step("observe", (object_id, class_name, observation, arriving)))
        return ()

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        self._steps.append(Step("stitch", (object_id, later, class_name, first)))
        return ()

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        self._steps.append(Step("end", (object_id, class_name)))
        return ()
