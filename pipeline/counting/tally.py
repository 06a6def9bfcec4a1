"""What is counted of confirmed objects in one stream: lines, zones, and the events they give."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.config import StreamConfig
from pipeline.counting.lines import LineCounter
from pipeline.counting.sighting import Sighting
from pipeline.counting.zones import ZoneCounter
from pipeline.records.event import CountEvent, Kind


class Tally:
    """The lines and zones of one stream.

    Args:
        name: of the stream, for its events.
        stream: lines, zones and classes.
    """

    def __init__(self, name: str, stream: StreamConfig) -> None:
        self._name = name
        self._stream = stream
        self._lines: dict[str, LineCounter] = {}
        self._zones: dict[str, ZoneCounter] = {}
        self._classes: set[str] = set(stream.classes or ())
        self._crossings: dict[str, dict[str, dict[str, int]]] = {
            name: {cls: dict.fromkeys(line.directions, 0) for cls in self._configured(line.classes)}
            for name, line in stream.lines.items()
        }
        self._passages: dict[str, dict[str, dict[str, int]]] = {
            name: {cls: {"entry": 0, "exit": 0} for cls in self._configured(zone.classes)}
            for name, zone in stream.zones.items()
        }

    def begin(self, frame: tuple[int, int]) -> None:
        """The width and height of the stream's first frame in pixels are known."""
        self._lines = {name: LineCounter(line, frame) for name, line in self._stream.lines.items()}
        self._zones = {name: ZoneCounter(zone, frame) for name, zone in self._stream.zones.items()}

    def wanted(self, class_name: str) -> bool:
        """Whether the stream counts this class."""
        return among(class_name, self._stream.classes)

    def see(self, item: int, class_name: str, sighting: Sighting, arriving: bool) -> list[CountEvent]:
        """The next sighting of a confirmed object of a wanted class; `arriving` as in `LineCounter.see`."""
        self._classes.add(class_name)
        events: list[CountEvent] = []
        for name, line in self._lines.items():
            direction = line.see(item, sighting, arriving)
            if direction is not None and among(class_name, self._stream.lines[name].classes):
                events.append(self._crossed(name, direction, class_name, item, sighting))
        for name, zone in self._zones.items():
            if not among(class_name, self._stream.zones[name].classes):
                zone.end(item)
                continue
            passage = zone.see(item, sighting, class_name)
            if passage is not None:
                counts = self._passages[name].setdefault(class_name, {"entry": 0, "exit": 0})
                counts[passage] += 1
                events.append(self._event("zone", name, class_name, passage, item, sighting))
        return events

    def end(self, item: int, class_name: str) -> list[CountEvent]:
        """The object will not be seen again."""
        events: list[CountEvent] = []
        for name, line in self._lines.items():
            left = line.end(item)
            counted = self.wanted(class_name) and among(class_name, self._stream.lines[name].classes)
            if left is not None and counted:
                events.append(self._crossed(name, left[0], class_name, item, left[1]))
        for zone in self._zones.values():
            zone.end(item)
        return events

    def line_totals(self) -> dict[str, dict[str, dict[str, int]]]:
        """Line -> class -> direction -> crossings, for every class configured or seen."""
        result: dict[str, dict[str, dict[str, int]]] = {}
        for name, line in self._stream.lines.items():
            zeros = {cls: dict.fromkeys(line.directions, 0) for cls in self._seen(line.classes)}
            counted = {cls: dict(counts) for cls, counts in self._crossings[name].items()}
            result[name] = dict(sorted({**zeros, **counted}.items()))
        return result

    def zone_totals(self) -> dict[str, dict[str, dict[str, float]]]:
        """Zone -> class -> now, entries, exits, dwell_s, for every class configured or seen."""
        return {
            name: {
                cls: self._zone(name, cls)
                for cls in sorted({*self._passages[name], *self._seen(zone.classes)})
            }
            for name, zone in self._stream.zones.items()
        }

    def inside(self) -> dict[str, dict[str, int]]:
        """Zone -> class -> objects inside now."""
        return {name: zone.now() for name, zone in self._zones.items()}

    def _zone(self, name: str, class_name: str) -> dict[str, float]:
        zone, counts = self._zones.get(name), self._passages[name].get(class_name, {})
        return {
            "now": zone.now().get(class_name, 0) if zone else 0,
            "entries": counts.get("entry", 0),
            "exits": counts.get("exit", 0),
            "dwell_s": zone.dwell_s(class_name) if zone else 0.0,
        }

    def _crossed(
        self, name: str, direction: str, class_name: str, item: int, sighting: Sighting
    ) -> CountEvent:
        both = dict.fromkeys(self._stream.lines[name].directions, 0)
        self._crossings[name].setdefault(class_name, both)[direction] += 1
        return self._event("line", name, class_name, direction, item, sighting)

    def _event(
        self, kind: Kind, name: str, class_name: str, direction: str, item: int, sighting: Sighting
    ) -> CountEvent:
        moment = sighting.moment
        return CountEvent(
            stream=self._name,
            kind=kind,
            name=name,
            class_name=class_name,
            direction=direction,
            track=item,
            epoch=moment.epoch,
            seq=moment.seq,
            index=moment.index,
            pts_s=moment.pts_s,
            wall_s=moment.wall_s,
            score=sighting.score,
            box_px=sighting.box_px,
        )

    def _seen(self, classes: Iterable[str] | None) -> list[str]:
        return [cls for cls in self._classes if among(cls, classes)]

    def _configured(self, classes: tuple[str, ...] | None) -> list[str]:
        """Classes that are configured by name, here or for the stream."""
        return [cls for cls in classes or self._stream.classes or () if self.wanted(cls)]


def among(class_name: str, classes: Iterable[str] | None) -> bool:
    """Whether a class is wanted; None stands for all."""
    return classes is None or class_name in classes
