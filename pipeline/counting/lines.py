"""Rule `lines`: directed crossings of the configured lines. `crossing_detector.py` decides when an object crosses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.counting.counted_stream import CountedStream, among
from pipeline.counting.crossing_detectors import CrossingDetectors
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.metrics.series import Sample, Series
from pipeline.records.event import CountEvent
from pipeline.records.state import State, StateError
from pipeline.tracking.observation import Observation
from pipeline.transport.totals import Table

Crossings = dict[str, dict[str, dict[str, int]]]
"""Line -> class -> direction -> crossings. Every direction is there, in the configured order, also with 0."""


class Lines(CountingRule):
    """Counts crossings by line, class and direction."""

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self._config = stream.config.lines
        self._detectors: CrossingDetectors | None = None
        self._counted: Crossings = {line: {} for line in self._config}
        self._shown: Crossings | None = None
        """Cached result of `crossings`, which is read with every frame; None: out of date."""
        self._shown_classes = -1

    def begin(self, frame: tuple[int, int]) -> None:
        """See `CountingRule.begin`."""
        self._detectors = CrossingDetectors(self._config, frame) if self._config else None

    def frame_objects(self, observed: Sequence[tuple[int, Observation]]) -> None:
        """See `CountingRule.frame_objects`."""
        if self._detectors is not None:
            self._detectors.look(observed)

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        """See `CountingRule.observe`."""
        if self._detectors is None:
            return ()
        # followed whatever its class, for the vote may still change; counted only as a class of the line
        return [
            self._crossed(name, direction, class_name, object_id, observation)
            for name, direction in self._detectors.observe(object_id, observation, arriving)
            if among(class_name, self._config[name].classes)
        ]

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        """See `CountingRule.stitch`."""
        if self._detectors is None:
            return ()
        return [
            self._crossed(name, direction, class_name, object_id, first)
            for name, direction in self._detectors.stitch(object_id, later, first.frame_time.pts_s)
            if self._counts(name, class_name)
        ]

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        """See `CountingRule.end`."""
        if self._detectors is None:
            return ()
        return [
            self._crossed(name, direction, class_name, object_id, last)
            for name, direction, last in self._detectors.end(object_id)
            if self._counts(name, class_name)
        ]

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`: one for each line."""
        return {name: RulePart(line, self._part(name)) for name, line in self._config.items()}

    def _part(self, line: str) -> StateOf:
        def take() -> State:
            # there is none before the first frame that the model has seen
            counter = None if self._detectors is None else self._detectors.detector(line).state()
            return {"counter": counter, "counted": self._counted[line]}

        def put(state: State) -> None:
            if state["counter"] is not None:
                if self._detectors is None:
                    raise StateError(f"line {line}: no frame had been counted")
                self._detectors.restore(line, state["counter"])
            directions = set(self._config[line].directions)
            if any(set(counts) != directions for counts in state["counted"].values()):
                raise StateError(f"line {line}: its crossings are in other directions")
            self._counted[line] = state["counted"]
            self._shown = None

        return StateOf(take, put)

    def crossings(self) -> Crossings:
        """Crossings so far, for every class configured or seen. The returned mapping is not modified later."""
        if self._shown is None or len(self.stream.seen) != self._shown_classes:
            self._shown_classes = len(self.stream.seen)
            self._shown = {
                name: {
                    cls: dict(self._counted[name].get(cls) or dict.fromkeys(line.directions, 0))
                    for cls in sorted(self.stream.shown_classes(line.classes) | self._counted[name].keys())
                }
                for name, line in self._config.items()
            }
        return self._shown

    def totals(self) -> Mapping[str, Any]:
        """`lines`: as `Crossings`; `net`: as `net_of`."""
        return {"lines": self.crossings(), "net": net_of(self.crossings())}

    def series(self) -> Iterable[Series]:
        labels = ("line", "class")
        crossings = tuple(
            Sample((line, cls, direction), count)
            for line, classes in self.crossings().items()
            for cls, directions in classes.items()
            for direction, count in directions.items()
        )
        net = tuple(
            Sample((line, cls), count)
            for line, classes in net_of(self.crossings()).items()
            for cls, count in classes.items()
        )
        return (
            Series(
                "tallycam_line_crossings",
                "Objects that crossed a line.",
                "counter",
                (*labels, "direction"),
                crossings,
            ),
            Series(
                "tallycam_line_net",
                "Crossings in a line's first direction minus those in the second.",
                "gauge",
                labels,
                net,
            ),
        )

    def live(self) -> Mapping[str, str]:
        rows = []
        for line, classes in self.crossings().items():
            sums: Counter[str] = Counter()
            for directions in classes.values():
                sums.update(directions)
            rows.append(f"{line}: {_in_words(sums) if classes else 0}")
        return {"lines": "\n".join(rows)}

    def table(self) -> Iterable[Table]:
        rows = tuple(
            (f"line {line}", cls, _in_words(directions))
            for line, classes in self.crossings().items()
            for cls, directions in classes.items()
        )
        return (Table(rows),)

    def drawn(self) -> Mapping[str, Any]:
        return {"lines": self.crossings()}

    def _counts(self, line: str, class_name: str) -> bool:
        return self.stream.wanted(class_name) and among(class_name, self._config[line].classes)

    def _crossed(
        self, line: str, direction: str, class_name: str, object_id: int, observation: Observation
    ) -> CountEvent:
        zeros = dict.fromkeys(self._config[line].directions, 0)
        self._counted[line].setdefault(class_name, zeros)[direction] += 1
        self._shown = None
        speed_kmh = self.stream.speed_kmh(object_id, observation.frame_time.pts_s)
        return self.event(
            object_id, class_name, observation, line, direction, kind="line", speed_kmh=speed_kmh
        )


def _in_words(directions: Mapping[str, int]) -> str:
    """Crossings by direction, and their difference: `in 4  out 2  net 2`."""
    words = "  ".join(f"{direction} {count}" for direction, count in directions.items())
    return f"{words}  net {_net(directions)}"


def _net(directions: Mapping[str, int]) -> int:
    return 2 * next(iter(directions.values()), 0) - sum(directions.values())


def net_of(crossings: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Net flow over each line.

    Args:
        crossings: As `Crossings`; the first direction of each line counts as positive.

    Returns:
        Line -> class -> crossings in the first direction minus those in the second.
    """
    return {
        line: {cls: _net(directions) for cls, directions in classes.items()}
        for line, classes in crossings.items()
    }
