"""Counting of one stream: a pure function of its instances and its configuration.

The same instances and the same configuration give the same tracks, events and totals, bit for bit: after a
crash the log of instances is played again, and the past can be counted again with other lines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.config import StreamConfig, TrackerConfig
from pipeline.counting.geometry import MASK_INSIDE, Floats, feet, overlaps
from pipeline.counting.lines import LineCounter
from pipeline.counting.sighting import Moment, Sighting, touched
from pipeline.counting.step import Step, Totals, TrackRow
from pipeline.counting.tracker import Seen, Tracker
from pipeline.counting.unique import Item, Registry
from pipeline.counting.zones import ZoneCounter
from pipeline.messages import OK, Instances, Tracks
from pipeline.records.event import CountEvent, Kind

SHADOW_OVERLAP = 0.6
"""Overlap of boxes, and of masks, from which on two instances show one object."""


class StreamCounter:
    """Tracks and counts one stream.

    Args:
        name: name of the stream, for its events.
        stream: lines, zones and classes.
        tracker: how instances become objects.
        classes: the model's class names.
    """

    def __init__(
        self, name: str, stream: StreamConfig, tracker: TrackerConfig, classes: Sequence[str]
    ) -> None:
        self._name = name
        self._stream = stream
        self._classes = tuple(classes)
        self._tracker = Tracker(tracker)
        self._registry = Registry(tracker)
        self._frame: tuple[int, int] | None = None
        self._pts_s: float | None = None
        self._began_s = 0.0
        self._clock_s = 0.0
        self._line_counters: dict[str, LineCounter] = {}
        self._zone_counters: dict[str, ZoneCounter] = {}
        self._crossings: dict[str, dict[str, dict[str, int]]] = {}
        self._passages: dict[str, dict[str, dict[str, int]]] = {}
        self._known: set[str] = set(stream.classes or ())
        for line_name, line in stream.lines.items():
            self._crossings[line_name] = {
                cls: dict.fromkeys(line.directions, 0) for cls in self._of(line.classes)
            }
        for zone_name, zone in stream.zones.items():
            self._passages[zone_name] = {cls: {"entries": 0, "exits": 0} for cls in self._of(zone.classes)}

    def update(self, instances: Instances) -> Step:
        """Takes the next frame; frames come in the order of their `seq`."""
        moment = Moment(instances.seq, instances.epoch, instances.index, instances.pts_s, instances.wall_s)
        if instances.skipped != OK:
            if instances.skipped == "static" and self._pts_s is not None:
                self._pts_s = max(self._pts_s, instances.pts_s)
            return Step(self._tracks(instances, [], np.zeros((0, 2)), []), [], [])
        if self._frame is None:
            self._begin(instances)
        dt_s = 0.0 if self._pts_s is None else max(0.0, instances.pts_s - self._pts_s)
        self._pts_s = instances.pts_s
        self._clock_s += dt_s
        self._registry.frame()
        seen = self._tracker.update(instances, dt_s)
        boxes_px = instances.boxes_px.astype(np.float64)
        places = boxes_px * self._to_first_frame(instances)
        spots = feet(places, instances.masks)
        shadows = self._shadows(seen, places, instances.masks)
        events: list[CountEvent] = []
        rows: list[TrackRow] = []
        shown: list[tuple[int, Item]] = []
        for entry, shadow in zip(seen, shadows, strict=True):
            row = entry.row
            box, place = boxes_px[row].tolist(), places[row].tolist()
            sighting = Sighting(
                moment=moment,
                box_px=(box[0], box[1], box[2], box[3]),
                place_px=(place[0], place[1], place[2], place[3]),
                foot=(float(spots[row, 0]), float(spots[row, 1])),
                center=((place[0] + place[2]) / 2, (place[1] + place[3]) / 2),
                height_px=self._registry.height_px(entry.track, place[3] - place[1]),
                score=float(instances.scores[row]),
                class_id=int(instances.class_ids[row]),
                edges=touched((place[0], place[1], place[2], place[3]), self._frame or (1, 1)),
                mask=instances.masks[row],
            )
            item = self._see(entry, sighting, shadow, events, rows)
            if item is not None and self._wanted(item):
                shown.append((row, item))
        for number in self._registry.over(self._clock_s):
            self._end(number, events)
            self._registry.retire(number)
        return Step(self._tracks(instances, shown, spots, events), events, rows)

    def finish(self) -> list[CountEvent]:
        """The stream is over: events of objects that were lost at the border of the frame, not seen since."""
        events: list[CountEvent] = []
        for number in self._registry.everyone():
            if self._registry.item(number).last_s < self._clock_s:
                self._end(number, events)
        return events

    def totals(self) -> Totals:
        """All counts so far."""
        zones: dict[str, dict[str, dict[str, float]]] = {}
        for name, passages in self._passages.items():
            zone = self._zone_counters.get(name)
            now = zone.now() if zone else {}
            zones[name] = {
                cls: {
                    "now": now.get(cls, 0),
                    "entries": passages.get(cls, {}).get("entries", 0),
                    "exits": passages.get(cls, {}).get("exits", 0),
                    "dwell_s": zone.dwell_s(cls) if zone else 0.0,
                }
                for cls in sorted({*passages, *now, *self._seen_of(self._stream.zones[name].classes)})
            }
        return Totals(self._unique(), self._line_totals(), zones)

    def final_ids(self) -> dict[int, int]:
        """Id of every object as shown -> its final id."""
        return {number: number for number in range(1, self._registry.count + 1)}

    def _begin(self, instances: Instances) -> None:
        self._frame = (instances.width, instances.height)
        self._began_s = instances.pts_s
        for name, line in self._stream.lines.items():
            self._line_counters[name] = LineCounter(line, self._frame)
        for name, zone in self._stream.zones.items():
            self._zone_counters[name] = ZoneCounter(zone, self._frame)

    def _to_first_frame(self, instances: Instances) -> Floats:
        width, height = self._frame or (instances.width, instances.height)
        return np.array([width / instances.width, height / instances.height] * 2)

    def _see(
        self, entry: Seen, sighting: Sighting, shadow: bool, events: list[CountEvent], rows: list[TrackRow]
    ) -> Item | None:
        """Takes one sighting; returns its object if there is one by now."""
        track = self._registry.see(entry.track, sighting, entry.speed_px_s, shadow, self._clock_s)
        if track.item is not None:
            item = self._registry.item(track.item)
            self._count(item, sighting, False, events, rows)
            return item
        item_or_none = self._registry.confirm(entry.track, self._clock_s)
        if item_or_none is None:
            return None
        item = item_or_none
        if item.track != entry.track:
            self._tracker.forget(item.track)
            item.track = entry.track
        arriving = track.first.moment.pts_s > self._began_s
        for past in track.waiting:
            self._count(item, past, arriving, events, rows)
        track.waiting.clear()
        return item

    def _count(
        self, item: Item, sighting: Sighting, arriving: bool, events: list[CountEvent], rows: list[TrackRow]
    ) -> None:
        class_name = self._classes[item.class_id]
        if not self._wanted(item):
            return
        self._known.add(class_name)
        rows.append(TrackRow(item.item, sighting.moment.index, class_name, sighting.score, sighting.box_px))
        for name, line in self._line_counters.items():
            direction = line.see(item.item, sighting, arriving)
            if direction is not None and _among(class_name, self._stream.lines[name].classes):
                self._crossed(name, direction, class_name, item.item, sighting, events)
        for name, zone in self._zone_counters.items():
            if not _among(class_name, self._stream.zones[name].classes):
                zone.end(item.item)
                continue
            passage = zone.see(item.item, sighting, class_name)
            if passage is not None:
                counts = self._passages[name].setdefault(class_name, {"entries": 0, "exits": 0})
                counts["entries" if passage == "entry" else "exits"] += 1
                events.append(self._event("zone", name, class_name, passage, item.item, sighting))

    def _crossed(
        self,
        name: str,
        direction: str,
        class_name: str,
        item: int,
        sighting: Sighting,
        events: list[CountEvent],
    ) -> None:
        both = dict.fromkeys(self._stream.lines[name].directions, 0)
        self._crossings[name].setdefault(class_name, both)[direction] += 1
        events.append(self._event("line", name, class_name, direction, item, sighting))

    def _end(self, number: int, events: list[CountEvent]) -> None:
        """An object will not come back."""
        item = self._registry.item(number)
        class_name = self._classes[item.class_id]
        for name, line in self._line_counters.items():
            left = line.end(number)
            if (
                left is not None
                and self._wanted(item)
                and _among(class_name, self._stream.lines[name].classes)
            ):
                direction, sighting = left
                self._crossed(name, direction, class_name, number, sighting, events)
        for zone in self._zone_counters.values():
            zone.end(number)

    def _shadows(self, seen: list[Seen], places: Floats, masks: NDArray[np.uint8]) -> list[bool]:
        """Whether each seen track lies on an older one: a second box on the same object."""
        rows = [entry.row for entry in seen]
        overlap = np.tril(overlaps(places[rows], places[rows]), -1)
        result = [False] * len(rows)
        for young, old in zip(*np.nonzero(overlap >= SHADOW_OVERLAP), strict=True):
            result[young] = result[young] or _same(masks[rows[young]], masks[rows[old]])
        return result

    def _tracks(
        self,
        instances: Instances,
        shown: list[tuple[int, Item]],
        spots: Floats,
        events: list[CountEvent],
    ) -> Tracks:
        rows = np.array([row for row, _ in shown], np.int64)
        scale = self._to_first_frame(instances)[:2]
        return Tracks(
            stream=instances.stream,
            epoch=instances.epoch,
            seq=instances.seq,
            index=instances.index,
            pts_s=instances.pts_s,
            wall_s=instances.wall_s,
            ids=np.array([item.item for _, item in shown], np.int64),
            boxes_px=instances.boxes_px[rows],
            scores=instances.scores[rows],
            class_ids=np.array([item.class_id for _, item in shown], np.int16),
            masks=instances.masks[rows],
            feet_px=(spots[rows] / scale).astype(np.float32),
            lines=self._line_totals(),
            zones={name: zone.now() for name, zone in self._zone_counters.items()},
            unique=self._unique(),
            crossed=tuple(dict.fromkeys(event.name for event in events if event.kind == "line")),
        )

    def _unique(self) -> dict[str, int]:
        counts = dict.fromkeys(sorted(self._stream.classes or ()), 0)
        for class_id, count in sorted(self._registry.unique().items()):
            if _among(self._classes[class_id], self._stream.classes):
                counts[self._classes[class_id]] = count
        return counts

    def _line_totals(self) -> dict[str, dict[str, dict[str, int]]]:
        result: dict[str, dict[str, dict[str, int]]] = {}
        for name, line in self._stream.lines.items():
            zeros = {cls: dict.fromkeys(line.directions, 0) for cls in self._seen_of(line.classes)}
            counted = {cls: dict(counts) for cls, counts in self._crossings[name].items()}
            result[name] = dict(sorted({**zeros, **counted}.items()))
        return result

    def _wanted(self, item: Item) -> bool:
        return _among(self._classes[item.class_id], self._stream.classes)

    def _seen_of(self, classes: tuple[str, ...] | None) -> list[str]:
        """Classes of objects so far that a line or zone counts."""
        return [cls for cls in self._known if _among(cls, classes)]

    def _of(self, classes: tuple[str, ...] | None) -> tuple[str, ...]:
        """Classes that are configured by name, here or for the stream."""
        return tuple(
            cls for cls in classes or self._stream.classes or () if _among(cls, self._stream.classes)
        )

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


def _among(class_name: str, classes: tuple[str, ...] | None) -> bool:
    return classes is None or class_name in classes


def _same(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Whether two masks over nearly the same box show one object. Empty masks leave it to the boxes."""
    a, b = first >= MASK_INSIDE, second >= MASK_INSIDE
    union = int((a | b).sum())
    return union == 0 or int((a & b).sum()) >= SHADOW_OVERLAP * union
