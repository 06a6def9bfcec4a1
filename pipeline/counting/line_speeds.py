"""Rule `speeds`: how fast objects cross the lines, in a stream whose ground is calibrated (`ground.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.metrics.quantiles import QuantileSketch
from pipeline.metrics.series import Sample, Series
from pipeline.records.event import CountEvent
from pipeline.records.state import State, checkpointed
from pipeline.transport.totals import Table

checkpointed(QuantileSketch)

EDGES_KMH = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 130.0)
"""Bucket edges of the speed for Prometheus."""


class LineSpeeds(CountingRule):
    """Distribution of the speeds of line crossings, by line and class."""

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self._speeds: dict[str, dict[str, QuantileSketch]] = {line: {} for line in stream.config.lines}

    def on_event(self, event: CountEvent) -> None:
        """See `CountingRule.on_event`."""
        if event.kind == "line" and event.speed_kmh is not None:
            classes = self._speeds[event.name]
            classes.setdefault(event.class_name, QuantileSketch(EDGES_KMH)).add(event.speed_kmh)

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`: one for each line."""
        config = self.stream.config
        return {
            name: RulePart([config.ground, line], self._part(name)) for name, line in config.lines.items()
        }

    def _part(self, line: str) -> StateOf:
        def put(state: State) -> None:
            self._speeds[line] = state["speeds"]

        return StateOf(lambda: {"speeds": self._speeds[line]}, put)

    def totals(self) -> Mapping[str, Any]:
        """`speeds`: line -> class -> `count` of measured crossings, `median_kmh`, `p85_kmh`, `p95_kmh`."""
        return {"speeds": self._numbers()}

    def series(self) -> Iterable[Series]:
        samples = tuple(
            Sample((line, cls), sketch.histogram())
            for line, classes in self._speeds.items()
            for cls, sketch in classes.items()
        )
        return (
            Series(
                "tallycam_line_speed_kmh",
                "Speed on the ground of objects that crossed a line.",
                "histogram",
                ("line", "class"),
                samples,
            ),
        )

    def table(self) -> Iterable[Table]:
        rows = tuple(
            (
                f"speed at {line}",
                cls,
                f"median {kmh['median_kmh']:.0f}  85 % {kmh['p85_kmh']:.0f}  95 % {kmh['p95_kmh']:.0f} km/h",
            )
            for line, classes in self._numbers().items()
            for cls, kmh in classes.items()
        )
        return (Table(rows),)

    def _numbers(self) -> dict[str, dict[str, dict[str, float]]]:
        return {
            line: {
                cls: {
                    "count": sketch.count,
                    "median_kmh": round(sketch.quantile(0.5), 1),
                    "p85_kmh": round(sketch.quantile(0.85), 1),
                    "p95_kmh": round(sketch.quantile(0.95), 1),
                }
                for cls, sketch in sorted(classes.items())
            }
            for line, classes in self._speeds.items()
            if classes
        }
