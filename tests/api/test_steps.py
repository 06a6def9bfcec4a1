"""Steps: another rule is told later, and of the same things, what the recorder was told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pipeline.api.counters import _NoObjects
from pipeline.api.steps import StepRecorder
from pipeline.config.schema import StreamConfig
from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.rule import CountingRule
from pipeline.records.event import CountEvent
from tests.counting.counting_scenes import Thing, counter, instances


class Witness(CountingRule):
    """Remembers its calls; each one gives an event, those of `observe` an internal one as well."""

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self.calls: list[tuple[object, ...]] = []

    def observe(self, *arguments: Any) -> Iterable[CountEvent]:  # type: ignore[override]
        self.calls.append(("observe", *arguments))
        event = self.event(arguments[0], arguments[1], arguments[2], "seen")
        return [event, replace(event, change="internal")]

    def stitch(self, *arguments: Any) -> Iterable[CountEvent]:  # type: ignore[override]
        self.calls.append(("stitch", *arguments))
        return [self.event(arguments[0], arguments[2], arguments[3], "stitched")]

    def end(self, *arguments: Any) -> Iterable[CountEvent]:  # type: ignore[override]
        self.calls.append(("end", *arguments))
        return []


def test_a_rule_is_told_what_the_recorder_was_told() -> None:
    subject = counter()
    recorder = subject.listen(StepRecorder)
    for number in range(30):
        subject.update(instances([Thing((100.0 + 6 * number, 300.0))], number, number / 25))
    observed = recorder.take()
    assert {step.method for step in observed} == {"observe"} and len(observed) == 30
    first = observed[0].arguments[2]
    recorder.stitch(1, 2, "person", first)
    recorder.end(1, "person")
    stream = CountedStream("", StreamConfig(source="none"), _NoObjects())
    witness = Witness(stream, "witness", {})
    steps = (*observed, *recorder.take())
    events = [event.name for step in steps for event in step.tell(stream, witness)]
    assert events == ["seen"] * 30 + ["stitched"], "what is internal stays with the rules"
    assert witness.calls[0] == ("observe", *observed[0].arguments)
    assert witness.calls[-2:] == [("stitch", 1, 2, "person", first), ("end", 1, "person")]
    assert stream.seen == {"person"}
    assert recorder.take() == ()
