"""Counting of one stream: a pure function of its instances and its configuration.

The same instances and the same configuration give the same tracks, events and totals, bit for bit: after a
crash the log of instances is played again, and the past can be counted again with other lines.

The way of one frame: instances that repeat others are left out, `Tracker` links the rest to tracks, `ObjectRegistry`
makes objects of tracks, `CountingRules` counts the objects at lines and zones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.rules import CountingRules
from pipeline.counting.smoothing import Smoother
from pipeline.counting.totals import FrameResult, Totals, TrackRow
from pipeline.geometry.boxes import box_iou
from pipeline.geometry.mask_iou import mask_iou
from pipeline.geometry.masks import foot_points
from pipeline.geometry.plane import Floats
from pipeline.records.event import CountEvent
from pipeline.tracking.appearance_memory import Appearance
from pipeline.tracking.camera import CameraPose
from pipeline.tracking.duplicates import without_duplicates
from pipeline.tracking.factory import make_tracker
from pipeline.tracking.objects import CountedObject, ObjectRegistry
from pipeline.tracking.observation import FrameTime, Observation, touched
from pipeline.tracking.stitching import Speed
from pipeline.tracking.uncertainty import margin
from pipeline.transport.messages import OK, STATIC, Instances, Tracks

SHADOW_IOU = 0.48
"""Overlap of boxes, and of masks, from which on two instances show one object."""


class StreamCounter:
    """Tracks and counts one stream.

    Args:
        name: name of the stream, for its events.
        stream: lines, zones and classes.
        tracker: how instances become objects.
        classes: the model's class names.
        rows: whether rows of a track file are wanted.
    """

    def __init__(
        self,
        name: str,
        stream: StreamConfig,
        tracker: TrackerConfig,
        classes: Sequence[str],
        rows: bool = True,
    ) -> None:
        self._classes = tuple(classes)
        self._stream_classes = stream.classes
        self._tracker = make_tracker(tracker)
        self._appearance = tracker.appearance
        moving = stream.camera == "moving"
        self._registry = ObjectRegistry(tracker, moving)
        self._camera_pose = CameraPose() if moving else None
        self._rules = CountingRules(name, stream)
        self._frame: tuple[int, int] | None = None
        self._pts_s = 0.0
        self._began_s = 0.0
        self._clock_s = 0.0
        self._smoother = Smoother(0.0 if moving else tracker.smooth_s) if rows else None
        self._final: dict[int, int] = {}

    def update(self, instances: Instances) -> FrameResult:
        """Takes the next frame; frames come in the order of their `seq`."""
        if instances.skipped not in (OK, STATIC):
            return FrameResult(self._tracks(instances, [], np.zeros((0, 2)), []), [], [])
        if self._frame is None:
            self._frame = (instances.width, instances.height)
            self._began_s = self._pts_s = instances.pts_s
            self._rules.begin(self._frame)
        dt_s = max(0.0, instances.pts_s - self._pts_s)
        self._pts_s = instances.pts_s
        self._clock_s += dt_s
        events: list[CountEvent] = []
        visible: list[tuple[int, CountedObject]] = []
        if not self._appearance:
            instances = msgspec.structs.replace(instances, appearances=None)
        instances = without_duplicates(instances)
        scaled = self._as_first_frame(instances, self._frame)
        if self._camera_pose is not None:
            self._follow(self._camera_pose, instances, self._frame)
        spots = foot_points(scaled.boxes_px.astype(np.float64), scaled.masks)
        self._registry.frame(self._frame)
        linked = self._tracker.update(scaled, dt_s)
        seen = linked.rows.tolist()
        shadows = _shadows(seen, scaled)
        speeds = linked.speed_px_s.tolist()
        for track, row, speed, appearance, shadow in zip(
            linked.tracks.tolist(), seen, speeds, linked.appearances, shadows, strict=True
        ):
            observation = self._observation(track, row, instances, scaled, spots)
            counted = self._observe(track, observation, tuple(speed), appearance, shadow, events)
            if counted is not None and self._rules.wanted(self._classes[counted.class_id]):
                visible.append((row, counted))
        for number in self._registry.expired(self._clock_s):
            self._end(number, events)
        rows = self._smoother.due(self._pts_s) if self._smoother else []
        return FrameResult(self._tracks(instances, visible, spots, events), events, rows)

    def finish(self) -> list[CountEvent]:
        """The stream is over: events of objects that left over the border of the frame shortly before."""
        events: list[CountEvent] = []
        for number in self._registry.active_ids():
            if self._registry.get(number).last_s < self._clock_s:
                self._end(number, events)
        return events

    def last_rows(self) -> list[TrackRow]:
        """The stream is over, or left: rows that waited for what would come after them."""
        return self._smoother.rest() if self._smoother else []

    def totals(self) -> Totals:
        """All counts so far."""
        totals = self._rules.totals(self._unique())
        ambiguous = dict.fromkeys(totals.unique, 0)
        for class_id, count in sorted(self._registry.ambiguous().items()):
            if count and self._rules.wanted(self._classes[class_id]):
                ambiguous[self._classes[class_id]] = count
        uncertainty = {class_name: margin(count) for class_name, count in ambiguous.items()}
        return replace(totals, uncertainty=uncertainty, ambiguous=ambiguous)

    def heat(self) -> dict[str, Floats]:
        """Class -> (rows, columns): object-seconds at each spot of the frame so far."""
        return self._rules.heat()

    def final_ids(self) -> dict[int, int]:
        """Id of every object as shown -> its final id."""
        return {number: self._final.get(number, number) for number in range(1, self._registry.count + 1)}

    def _follow(self, view: CameraPose, instances: Instances, frame: tuple[int, int]) -> None:
        """Moves all that is known along with the camera."""
        scale = frame[0] / instances.width, frame[1] / instances.height
        if (camera_transform := view.camera_transform(instances.camera, instances.epoch, scale)) is not None:
            self._tracker.camera_transform(camera_transform)
            self._registry.camera_transform(camera_transform)

    @staticmethod
    def _as_first_frame(instances: Instances, frame: tuple[int, int]) -> Instances:
        """The instances in pixels of the stream's first frame, should the camera have changed its resolution."""
        if (instances.width, instances.height) == frame:
            return instances
        scale = np.array([frame[0] / instances.width, frame[1] / instances.height] * 2, np.float32)
        return msgspec.structs.replace(
            instances, boxes_px=instances.boxes_px * scale, width=frame[0], height=frame[1]
        )

    def _observation(
        self, track: int, row: int, instances: Instances, scaled: Instances, spots: Floats
    ) -> Observation:
        x0, y0, x1, y1 = scaled.boxes_px[row].tolist()
        left, top, right, bottom = instances.boxes_px[row].tolist()
        return Observation(
            frame_time=FrameTime(
                instances.seq, instances.epoch, instances.index, instances.pts_s, instances.wall_s
            ),
            box_px=(left, top, right, bottom),
            place_px=(x0, y0, x1, y1),
            foot=(float(spots[row, 0]), float(spots[row, 1])),
            center=((x0 + x1) / 2, (y0 + y1) / 2),
            height_px=self._registry.height_px(track, y1 - y0),
            score=float(instances.scores[row]),
            class_id=int(instances.class_ids[row]),
            edges=touched((x0, y0, x1, y1), (scaled.width, scaled.height)),
            mask=instances.masks[row],
        )

    def _observe(
        self,
        number: int,
        observation: Observation,
        speed_px_s: Speed,
        appearance: Appearance,
        shadow: bool,
        events: list[CountEvent],
    ) -> CountedObject | None:
        """Takes one sighting of track `number`; returns its object if there is one by now."""
        track = self._registry.observe(number, observation, speed_px_s, appearance, shadow, self._clock_s)
        if track.object_id is not None:
            counted = self._registry.get(track.object_id)
            self._count(counted, observation, False, events)
            return counted
        confirmed = self._registry.confirm(number, self._clock_s)
        if confirmed is None:
            return None
        if confirmed.track != number:
            self._tracker.forget(confirmed.track)
            confirmed.track = number
        arriving = track.first.frame_time.pts_s > self._began_s
        for past in track.waiting:
            self._count(confirmed, past, arriving, events)
        track.waiting.clear()
        return confirmed

    def _end(self, number: int, events: list[CountEvent]) -> None:
        """Nothing more is seen of an object under this id."""
        class_name = self._classes[self._registry.get(number).class_id]
        same = self._registry.stitch_late(number)
        if same is None:
            self._registry.retire(number)
        else:
            if self._smoother is not None:
                self._final[same.id] = same.final
            if self._rules.wanted(class_name):
                # what lies between the two, a line perhaps, was passed out of sight
                events += self._rules.stitch(number, same.id, class_name, same.first)
        events += self._rules.end(number, class_name)

    def _count(
        self, counted: CountedObject, observation: Observation, arriving: bool, events: list[CountEvent]
    ) -> None:
        class_name = self._classes[counted.class_id]
        if self._rules.wanted(class_name):
            events += self._rules.observe(counted.id, class_name, observation, arriving)
            if self._smoother is not None:
                frame_time = observation.frame_time
                row = TrackRow(
                    counted.id, frame_time.index, class_name, observation.score, observation.box_px
                )
                self._smoother.add(row, frame_time.pts_s)

    def _tracks(
        self,
        instances: Instances,
        visible: list[tuple[int, CountedObject]],
        spots: Floats,
        events: list[CountEvent],
    ) -> Tracks:
        rows = np.array([row for row, _ in visible], np.int64)
        frame = self._frame or (instances.width, instances.height)
        scale = np.array([instances.width / frame[0], instances.height / frame[1]])
        return Tracks(
            stream=instances.stream,
            epoch=instances.epoch,
            seq=instances.seq,
            index=instances.index,
            pts_s=instances.pts_s,
            wall_s=instances.wall_s,
            ids=np.array([counted.id for _, counted in visible], np.int64),
            boxes_px=instances.boxes_px[rows],
            scores=instances.scores[rows],
            class_ids=np.array([counted.class_id for _, counted in visible], np.int16),
            masks=instances.masks[rows],
            feet_px=(spots[rows] * scale).astype(np.float32),
            lines=self._rules.line_totals(),
            zones=self._rules.inside(),
            unique=self._unique(),
            camera=instances.camera,
            crossed=tuple(dict.fromkeys(event.name for event in events if event.kind == "line")),
        )

    def _unique(self) -> dict[str, int]:
        counts = dict.fromkeys(sorted(self._stream_classes or ()), 0)
        for class_id, count in sorted(self._registry.unique().items()):
            if self._rules.wanted(self._classes[class_id]):
                counts[self._classes[class_id]] = count
        return counts


def _shadows(rows: list[int], instances: Instances) -> list[bool]:
    """Whether each of the instances `rows`, the oldest track first, lies on one before it: a second box on
    the same object."""
    places, masks = instances.boxes_px.astype(np.float64)[rows], instances.masks[rows]
    overlap = np.tril(box_iou(places, places), -1)
    result = [False] * len(rows)
    for young, old in zip(*np.nonzero(overlap >= SHADOW_IOU), strict=True):
        result[young] = result[young] or (
            mask_iou(places[young], masks[young], places[old], masks[old]) >= SHADOW_IOU
        )
    return result
