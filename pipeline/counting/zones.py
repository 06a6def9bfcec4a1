"""Rule `zones`: occupancy, entries, exits and dwell time of the zones. `passage_detector.py` follows the objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.counting.counted_stream import CountedStream, among
from pipeline.counting.passage_detector import Passage, PassageDetector
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart
from pipeline.metrics.series import Kind, Sample, Series
from pipeline.records.event import CountEvent
from pipeline.tracking.observation import Observation
from pipeline.transport.totals import Table

INSIDE = "inside"
"""Direction of the internal event of an object that is newly in a zone, whether it entered or appeared there."""

FAMILIES: tuple[tuple[str, str, str, Kind], ...] = (
    ("now", "tallycam_zone_objects", "Objects inside a zone now.", "gauge"),
    ("peak", "tallycam_zone_objects_peak", "The most objects that were inside a zone at once.", "gauge"),
    ("entries", "tallycam_zone_entries", "Objects that entered a zone.", "counter"),
    ("exits", "tallycam_zone_exits", "Objects that left a zone.", "counter"),
)
"""Which of a zone's totals are metrics: key, name, help, kind."""


class Zones(CountingRule):
    """Counts by zone and class: objects inside now and at most, entries, exits, and how long objects stayed."""

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self._config = stream.config.zones
        self._detectors = {name: PassageDetector(zone) for name, zone in self._config.items()}

    def begin(self, frame: tuple[int, int]) -> None:
        """See `CountingRule.begin`."""
        for detector in self._detectors.values():
            detector.begin(frame)

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        """See `CountingRule.observe`."""
        events = []
        for name, detector in self._detectors.items():
            if not among(class_name, self._config[name].classes):
                detector.end(object_id)  # the vote has changed to a class that the zone does not count
                continue
            outside = not detector.inside(object_id)
            passages = detector.observe(object_id, observation, class_name)
            entered = any(passage.direction == "entry" for passage in passages)
            if entered or (outside and detector.inside(object_id)):
                events.append(
                    self.event(
                        object_id, class_name, observation, name, INSIDE, kind="zone", change="internal"
                    )
                )
            events += self._passed(name, passages, class_name, object_id)
        return events

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        """See `CountingRule.stitch`."""
        events: list[CountEvent] = []
        for name, detector in self._detectors.items():
            events += self._passed(name, detector.stitch(object_id, later), class_name, object_id)
        return events

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        """See `CountingRule.end`."""
        events: list[CountEvent] = []
        for name, detector in self._detectors.items():
            events += self._passed(name, detector.end(object_id), class_name, object_id)
        return events

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`: one for each zone."""
        return {name: RulePart(self._config[name], detector) for name, detector in self._detectors.items()}

    def totals(self) -> Mapping[str, Any]:
        """`zones`: zone -> class -> `now`, `entries`, `exits`, `dwell_s` and `dwell_p95_s` (median and 95th percentile
        of the stays that are over, seconds), `peak`, `appeared`, `vanished`."""
        return {"zones": self._numbers()}

    def series(self) -> Iterable[Series]:
        labels = ("zone", "class")
        numbers = self._numbers()
        for key, name, help_text, kind in FAMILIES:
            samples = tuple(
                Sample((zone, cls), values[key])
                for zone, classes in numbers.items()
                for cls, values in classes.items()
            )
            yield Series(name, help_text, kind, labels, samples)
        dwell = tuple(
            Sample((zone, cls), histogram)
            for zone, detector in self._detectors.items()
            for cls, histogram in detector.dwell().items()
        )
        yield Series(
            "tallycam_zone_dwell_seconds",
            "Media time of finished stays in a zone.",
            "histogram",
            labels,
            dwell,
        )

    def table(self) -> Iterable[Table]:
        rows = []
        for zone, classes in self._numbers().items():
            for cls, numbers in classes.items():
                words = (f"{key} {numbers[key]:.0f}" for key in ("entries", "exits", "now", "peak"))
                rows.append((f"zone {zone}", cls, "  ".join(words)))
                if median_s := numbers["dwell_s"]:
                    words_of_time = f"median {median_s:.1f} s  95 % {numbers['dwell_p95_s']:.1f} s"
                    rows.append((f"time in {zone}", cls, words_of_time))
        return (Table(tuple(rows)),)

    def drawn(self) -> Mapping[str, Any]:
        return {"zones": {name: detector.now() for name, detector in self._detectors.items()}}

    def _numbers(self) -> dict[str, dict[str, dict[str, float]]]:
        return {
            name: detector.totals(self.stream.shown_classes(self._config[name].classes))
            for name, detector in self._detectors.items()
        }

    def _passed(
        self, zone: str, passages: Iterable[Passage], class_name: str, object_id: int
    ) -> list[CountEvent]:
        return [
            self.event(
                object_id,
                class_name,
                passage.observation,
                zone,
                passage.direction,
                kind="zone",
                dwell_s=passage.dwell_s,
            )
            for passage in passages
        ]
