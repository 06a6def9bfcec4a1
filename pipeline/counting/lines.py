"""Rule `lines`: directed crossings of the configured lines. When an object crosses is decided in `line_counter.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.counting.line_counter import LineCounter
from pipeline.counting.rule import CountedStream, CountingRule, among
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
        self._counters: dict[str, LineCounter] = {}
        self._counted: Crossings = {line: {} for line in self._config}
        self._shown: Crossings | None = None
        """Cached result of `crossings`, which is read with every frame; None: out of date."""
        self._shown_classes = -1

    def begin(self, frame: tuple[int, int]) -> None:
        """See `CountingRule.begin`."""
        self._counters = {name: LineCounter(line, frame) for name, line in self._config.items()}

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        """See `CountingRule.observe`."""
        events = []
        for name, counter in self._counters.items():
            direction = counter.observe(object_id, observation, arriving)
            # followed whatever its class, for the vote may still change; counted only as a class of the line
            if direction is not None and among(class_name, self._config[name].classes):
                events.append(self._crossed(name, direction, class_name, object_id, observation))
        return events

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        """See `CountingRule.stitch`."""
        events = []
        for name, counter in self._counters.items():
            direction = counter.stitch(object_id, later, first.frame_time.pts_s)
            if direction is not None and self._counts(name, class_name):
                events.append(self._crossed(name, direction, class_name, object_id, first))
        return events

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        """See `CountingRule.end`."""
        events = []
        for name, counter in self._counters.items():
            left = counter.end(object_id)
            if left is not None and self._counts(name, class_name):
                events.append(self._crossed(name, left[0], class_name, object_id, left[1]))
        return events

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`: one for each line."""
        return {name: RulePart(line, self._part(name)) for name, line in self._config.items()}

    def _part(self, line: str) -> StateOf:
        def take() -> State:
            counter = self._counters.get(line)  # there is none before the first frame that the model has seen
            return {"counter": counter and counter.state(), "counted": self._counted[line]}

        def put(state: State) -> None:
            if state["counter"] is not None:
                self._counters[line].restore(state["counter"])
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
