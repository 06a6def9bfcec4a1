"""What is counted of confirmed objects in one stream: lines, zones, paths, speeds, and the events they give."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.config.schema import StreamConfig
from pipeline.counting.ground import EDGES_KMH, Ground
from pipeline.counting.lines import LineCounter
from pipeline.counting.paths import Heat, Journeys
from pipeline.counting.totals import Totals
from pipeline.counting.zones import Passage, ZoneCounter
from pipeline.geometry.plane import Floats
from pipeline.metrics.quantiles import QuantileSketch
from pipeline.records.event import CountEvent
from pipeline.tracking.observation import Observation


class CountingRules:
    """The lines, zones, paths and speeds of one stream.

    Args:
        name: of the stream, for its events.
        stream: lines, zones, classes, ground.
    """

    def __init__(self, name: str, stream: StreamConfig) -> None:
        self._name = name
        self._stream = stream
        self._lines: dict[str, LineCounter] = {}
        self._zones = {name: ZoneCounter(zone) for name, zone in stream.zones.items()}
        self._journeys = Journeys(stream.lines, stream.zones)
        self._heat: Heat | None = None
        self._ground: Ground | None = None
        self._classes: set[str] = set(stream.classes or ())
        self._crossings: dict[str, dict[str, dict[str, int]]] = {
            name: {cls: dict.fromkeys(line.directions, 0) for cls in self._configured(line.classes)}
            for name, line in stream.lines.items()
        }
        self._speeds: dict[str, dict[str, QuantileSketch]] = {name: {} for name in stream.lines}

    def begin(self, frame: tuple[int, int]) -> None:
        """The width and height of the stream's first frame in pixels are known."""
        self._lines = {name: LineCounter(line, frame) for name, line in self._stream.lines.items()}
        for zone in self._zones.values():
            zone.begin(frame)
        self._heat = Heat(frame)
        if self._stream.ground is not None:
            self._ground = Ground(self._stream.ground, frame)

    def wanted(self, class_name: str) -> bool:
        """Whether the stream counts this class."""
        return among(class_name, self._stream.classes)

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> list[CountEvent]:
        """The next sighting of a confirmed object of a wanted class; `arriving` as in `LineCounter.observe`."""
        self._classes.add(class_name)
        events: list[CountEvent] = []
        if self._heat is not None:
            self._heat.observe(object_id, class_name, observation.foot, observation.frame_time.pts_s)
        if self._ground is not None:
            self._ground.observe(object_id, observation)
        for name, line in self._lines.items():
            direction = line.observe(object_id, observation, arriving)
            if direction is not None and among(class_name, self._stream.lines[name].classes):
                events.append(self._crossed(name, direction, class_name, object_id, observation))
        for name, zone in self._zones.items():
            if not among(class_name, self._stream.zones[name].classes):
                zone.end(object_id)
                continue
            outside = not zone.inside(object_id)
            passage = zone.observe(object_id, observation, class_name)
            if outside and zone.inside(object_id):
                self._journeys.stop(object_id, class_name, "zone", name)
            if passage is not None:
                events.append(self._passed(name, passage, class_name, object_id, observation))
        return events

    def end(self, object_id: int, class_name: str) -> list[CountEvent]:
        """The object will not be seen again."""
        events: list[CountEvent] = []
        for name, line in self._lines.items():
            left = line.end(object_id)
            if left is not None and self._counts(name, class_name):
                events.append(self._crossed(name, left[0], class_name, object_id, left[1]))
        for zone in self._zones.values():
            zone.end(object_id)
        self._journeys.end(object_id)
        for follower in (self._heat, self._ground):
            if follower is not None:
                follower.end(object_id)
        return events

    def stitch(
        self, object_id: int, later: int, class_name: str, observation: Observation
    ) -> list[CountEvent]:
        """The object `later` has turned out to be `object_id`, seen again: it goes on with the past of both.

        Args:
            item: the older object; nothing more is seen under this id, and `end` has nothing left to end.
            later: the one that began after `object_id` was lost.
            class_name: of both together.
            sighting: the first one of `later`.

        Returns:
            What nobody saw: lines and borders between the last sighting of `object_id` and the first of `later`.
        """
        events: list[CountEvent] = []
        for name, line in self._lines.items():
            direction = line.stitch(object_id, later, observation.frame_time.pts_s)
            if direction is not None and self._counts(name, class_name):
                events.append(self._crossed(name, direction, class_name, object_id, observation))
        for name, zone in self._zones.items():
            passage = zone.stitch(object_id, later)
            if passage is not None:
                events.append(self._passed(name, passage, class_name, object_id, observation))
        self._journeys.stitch(object_id, later)
        return events

    def totals(self, unique: dict[str, int]) -> Totals:
        """All counts so far, with the unique objects that another one counts."""
        zones = self._stream.zones
        return Totals(
            unique=unique,
            lines=self.line_totals(),
            zones={
                name: zone.totals([*self._configured(zones[name].classes), *self._seen(zones[name].classes)])
                for name, zone in self._zones.items()
            },
            speeds=self._speed_totals(),
            od=self._journeys.table(),
            dwell={name: zone.dwell() for name, zone in self._zones.items()},
            speed={
                name: {cls: spread.histogram() for cls, spread in classes.items()}
                for name, classes in self._speeds.items()
            },
        )

    def line_totals(self) -> dict[str, dict[str, dict[str, int]]]:
        """Line -> class -> direction -> crossings, for every class configured or seen."""
        result: dict[str, dict[str, dict[str, int]]] = {}
        for name, line in self._stream.lines.items():
            zeros = {cls: dict.fromkeys(line.directions, 0) for cls in self._seen(line.classes)}
            counted = {cls: dict(counts) for cls, counts in self._crossings[name].items()}
            result[name] = dict(sorted({**zeros, **counted}.items()))
        return result

    def inside(self) -> dict[str, dict[str, int]]:
        """Zone -> class -> objects inside now."""
        return {name: zone.now() for name, zone in self._zones.items()}

    def heat(self) -> dict[str, Floats]:
        """Class -> (rows, columns): object-seconds at each spot of the frame."""
        return {} if self._heat is None else self._heat.seconds

    def _speed_totals(self) -> dict[str, dict[str, dict[str, float]]]:
        return {
            name: {
                cls: {
                    "count": spread.count,
                    "median_kmh": round(spread.quantile(0.5), 1),
                    "p85_kmh": round(spread.quantile(0.85), 1),
                    "p95_kmh": round(spread.quantile(0.95), 1),
                }
                for cls, spread in sorted(classes.items())
            }
            for name, classes in self._speeds.items()
            if classes
        }

    def _counts(self, line: str, class_name: str) -> bool:
        return self.wanted(class_name) and among(class_name, self._stream.lines[line].classes)

    def _crossed(
        self, name: str, direction: str, class_name: str, object_id: int, observation: Observation
    ) -> CountEvent:
        both = dict.fromkeys(self._stream.lines[name].directions, 0)
        self._crossings[name].setdefault(class_name, both)[direction] += 1
        self._journeys.stop(object_id, class_name, "line", name)
        speed_kmh = None
        if self._ground is not None:
            speed_kmh = self._ground.speed_kmh(object_id, observation.frame_time.pts_s)
        if speed_kmh is not None:
            self._speeds[name].setdefault(class_name, QuantileSketch(EDGES_KMH)).add(speed_kmh)
        return self._event("line", name, class_name, direction, object_id, observation, speed_kmh=speed_kmh)

    def _passed(
        self, name: str, passage: Passage, class_name: str, object_id: int, observation: Observation
    ) -> CountEvent:
        return self._event(
            "zone", name, class_name, passage.direction, object_id, observation, dwell_s=passage.dwell_s
        )

    def _event(
        self,
        kind: str,
        name: str,
        class_name: str,
        direction: str,
        object_id: int,
        observation: Observation,
        *,
        dwell_s: float | None = None,
        speed_kmh: float | None = None,
    ) -> CountEvent:
        frame_time = observation.frame_time
        return CountEvent(
            stream=self._name,
            kind=kind,
            name=name,
            class_name=class_name,
            direction=direction,
            track=object_id,
            epoch=frame_time.epoch,
            seq=frame_time.seq,
            index=frame_time.index,
            pts_s=frame_time.pts_s,
            wall_s=frame_time.wall_s,
            score=observation.score,
            box_px=observation.box_px,
            dwell_s=dwell_s,
            speed_kmh=speed_kmh,
        )

    def _seen(self, classes: Iterable[str] | None) -> list[str]:
        return [cls for cls in self._classes if among(cls, classes)]

    def _configured(self, classes: tuple[str, ...] | None) -> list[str]:
        """Classes that are configured by name, here or for the stream."""
        return [cls for cls in classes or self._stream.classes or () if self.wanted(cls)]


def among(class_name: str, classes: Iterable[str] | None) -> bool:
    """Whether a class is wanted; None stands for all."""
    return classes is None or class_name in classes
