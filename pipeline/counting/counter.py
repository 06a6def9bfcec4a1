"""Counting of one stream: a pure function of its instances and its configuration.

The same instances and the same configuration give bitwise identical tracks, events and totals. That is why a log of
the instances is enough to go on after a crash, and to count the past again with other lines.

`StreamCounter.update` is the way of one frame, from top to bottom.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import numpy as np

from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.counted_objects import CountedObjects, ObjectUpdate
from pipeline.counting.frame_result import FrameResult, TrackRow, tracks_of
from pipeline.counting.heat import HeatMap
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import StateOf, plain, sections_of
from pipeline.counting.rules import CountingRules
from pipeline.counting.smoothing import Smoother
from pipeline.counting.track_observations import in_first_frame, track_observations
from pipeline.geometry.masks import foot_points
from pipeline.geometry.plane import Floats
from pipeline.records.checkpoint import SectionKey, digest
from pipeline.records.event import CountEvent
from pipeline.records.state import State, StateError, Stateful, attributes, encode_state, set_attributes
from pipeline.tracking.camera import CameraPose
from pipeline.tracking.class_groups import groups_of
from pipeline.tracking.duplicates import without_duplicates
from pipeline.tracking.factory import make_tracker
from pipeline.tracking.observation import FrameTime
from pipeline.tracking.splits import without_splits
from pipeline.transport.messages import OK, STATIC, Instances
from pipeline.transport.totals import StreamTotals

_Rule = TypeVar("_Rule", bound=CountingRule)


log = logging.getLogger(__name__)

_TRACKING = "tracking"
_VERSION = 1
"""Of the layout of the state of tracking; rises when it changes."""
_STATE = ("_tracker", "_objects", "_smoother", "_camera_pose", "_size", "_pts_s", "_clock_s", "_final")


class StreamCounter:
    """Tracks and counts one stream.

    Args:
        name: name of the stream, for its events.
        stream: lines, zones, classes and rules.
        tracker: how instances become objects.
        classes: the model's class names.
        rows: whether rows of a track file are wanted.
        pictures: whether pictures are drawn of it: `FrameTracks` with the counts so far, and the heat map.

    Raises:
        ConfigError: a rule in the configuration does not exist, or its settings are wrong.
    """

    def __init__(
        self,
        name: str,
        stream: StreamConfig,
        tracker: TrackerConfig,
        classes: Sequence[str],
        rows: bool = True,
        pictures: bool = True,
    ) -> None:
        moving = stream.camera == "moving"
        self._tracker = make_tracker(tracker, classes)
        self._groups = groups_of(classes)
        self._objects = CountedObjects(tracker, self._tracker, classes, stream.classes, moving)
        self._rules = CountingRules(name, stream, self._objects, pictures=pictures)
        self._smoother = Smoother(0.0 if moving else tracker.smooth_s) if rows else None
        self._camera_pose = CameraPose() if moving else None
        self._use_appearance = tracker.appearance
        self._size: tuple[int, int] | None = None
        """Width and height of the stream's first frame, in whose pixels everything is tracked and counted."""
        self._pts_s = 0.0
        self._clock_s = 0.0
        """Media time that has passed, seconds; unlike `pts_s` it never goes back."""
        self._final: dict[int, int] = {}
        self._unsaved: set[str] = set()
        self._tracking_key = SectionKey(
            _VERSION, digest(plain([tracker, list(classes), stream.camera, rows]))
        )

    def update(self, instances: Instances) -> FrameResult:
        """Counts the next frame.

        Args:
            instances: frames come in the order of their `seq`. One that the model has not seen counts nothing.
        """
        frame_time = FrameTime(
            instances.seq, instances.epoch, instances.index, instances.pts_s, instances.wall_s
        )
        events = self._rules.frame(frame_time, instances.condition)
        if instances.skipped not in (OK, STATIC):
            drawn = self._rules.drawn()
            return FrameResult(tracks_of(instances, [], np.zeros((0, 2)), drawn, events), events, [])
        size, dt_s = self._begin_frame(instances)
        if not self._use_appearance:
            instances = msgspec.structs.replace(instances, appearances=None)
        instances = without_duplicates(instances, self._groups)
        instances = without_splits(instances, self._expected(instances, size, dt_s), self._groups)
        scaled = in_first_frame(instances, size)
        feet_px = foot_points(scaled.boxes_px.astype(np.float64), scaled.masks)
        self._follow_camera(instances, size)

        self._objects.begin_frame(size, instances.pts_s)
        matches = self._tracker.update(scaled, dt_s)
        observed = track_observations(matches, instances, scaled, feet_px, self._objects.height_px)
        updates = self._objects.observe(observed, self._clock_s)

        self._rules.frame_objects(
            [
                (update.counted.id, update.observations[0])
                for update in updates
                if len(update.observations) == 1
            ]
        )
        events += [event for update in updates for event in self._count(update)]
        events += [event for gone in self._objects.expired(self._clock_s) for event in self._end(gone)]

        visible = [(one.row, one.counted) for one in updates if self._rules.wanted(one.class_name)]
        scale = np.array([instances.width / size[0], instances.height / size[1]])
        tracks = tracks_of(instances, visible, feet_px * scale, self._rules.drawn(), events)
        rows = self._smoother.due(self._pts_s) if self._smoother else []
        return FrameResult(tracks, events, rows)

    required_sections = (_TRACKING,)
    """Sections of a checkpoint without which nothing can be restored."""

    def section_keys(self) -> dict[str, SectionKey]:
        """Section of a checkpoint -> what has to agree for it to be restored in this counter."""
        return {name: key for name, (key, _) in self._stateful_sections().items()}

    def sections(self) -> dict[str, tuple[SectionKey, State]]:
        """The state after the last frame, for `encode_checkpoint`: it must be encoded before the next frame."""
        found = {}
        for name, (key, content) in self._stateful_sections().items():
            state = content.state()
            rule = name.partition("/")[0]
            if rule in self._rules.from_outside and not self._can_be_encoded(rule, state):
                continue
            found[name] = key, state
        return found

    def restore(self, states: Mapping[str, State]) -> None:
        """Continues from a checkpoint, before the first frame.

        Args:
            states: section -> its state. Rules whose sections are missing begin with nothing counted.

        Raises:
            StateError: a state is of another version, or holds something else.
            KeyError: a section of `required_sections` is missing.
        """
        tracking = states[_TRACKING]
        with _refusing(_TRACKING):
            self._restore_tracking(tracking)
        for name, (_, content) in self._stateful_sections().items():
            if name in states and name != _TRACKING:
                with _refusing(name):
                    content.restore(states[name])

    def finish(self) -> list[CountEvent]:
        """Ends the stream: decides the outcome of objects lost shortly before, and returns their events."""
        return [event for lost in self._objects.lost(self._clock_s) for event in self._end(lost)]

    def last_rows(self) -> list[TrackRow]:
        """Rows still held back for smoothing; call it at the end of the stream, or when leaving it."""
        return self._smoother.rest() if self._smoother else []

    def listen(self, kind: type[_Rule]) -> _Rule:
        """Adds a rule that receives all objects and is left out of every summary, for programs that count by
        themselves. Call it before the first frame.

        Args:
            kind: the rule's class.
        """
        return self._rules.listen(kind)

    def summary(self) -> dict[str, Any]:
        """All counts so far, with the keys of the stream in `summary.json`."""
        return self._rules.summary()

    def totals(self) -> StreamTotals:
        """All counts so far, in every form in which they are shown, without `frames` and `skipped`."""
        return self._rules.totals()

    def heat(self) -> Mapping[str, Floats]:
        """Class -> (rows, columns) float64: object-seconds at each place in the picture so far.

        Raises:
            LookupError: no pictures are drawn of it.
        """
        return self._rules.of(HeatMap).heat()

    def final_ids(self) -> dict[int, int]:
        """Id of every object as in the rows -> its final id: the oldest of those that turned out to be one object."""
        return {number: self._final.get(number, number) for number in range(1, self._objects.count + 1)}

    def _stateful_sections(self) -> dict[str, tuple[SectionKey, Stateful]]:
        tracking = StateOf(self._tracking_state, self._restore_tracking)
        rules = sections_of([("stream", self._rules.stream.parts()), *self._rules.parts()])
        return {_TRACKING: (self._tracking_key, tracking), **rules}

    def _can_be_encoded(self, rule: str, state: State) -> bool:
        """Whether the state of a rule from another package can be saved; the first failure is logged."""
        try:
            encode_state(state)
        except StateError as error:
            if rule not in self._unsaved:
                self._unsaved.add(rule)
                log.warning("what the rule %s has counted is lost with a restart: %s", rule, error)
            return False
        return True

    def _tracking_state(self) -> State:
        return attributes(self, _STATE) | {"stream": self._rules.stream.state()}

    def _restore_tracking(self, state: State) -> None:
        state = dict(state)
        stream = state.pop("stream")
        set_attributes(self, _STATE, state)
        self._rules.stream.restore(stream)
        if self._size is not None:
            self._rules.begin(self._size)

    def _begin_frame(self, instances: Instances) -> tuple[tuple[int, int], float]:
        """Size of the stream's first frame, and the media seconds since the frame before."""
        if self._size is None:
            self._size = (instances.width, instances.height)
            self._pts_s = instances.pts_s
            self._rules.begin(self._size)
        dt_s = max(0.0, instances.pts_s - self._pts_s)
        self._pts_s = instances.pts_s
        self._clock_s += dt_s
        return self._size, dt_s

    def _expected(self, instances: Instances, size: tuple[int, int], dt_s: float) -> Floats:
        """(M, 4) float64 x0 y0 x1 y1: where the established tracks should be, in the pixels of this frame."""
        return self._tracker.expected(dt_s) * ([instances.width / size[0], instances.height / size[1]] * 2)

    def _follow_camera(self, instances: Instances, size: tuple[int, int]) -> None:
        """Moves tracks and objects along with a camera that moves."""
        if self._camera_pose is None:
            return
        scale = size[0] / instances.width, size[1] / instances.height
        transform = self._camera_pose.camera_transform(instances.camera, instances.epoch, scale)
        if transform is not None:
            self._tracker.camera_transform(transform)
            self._objects.camera_transform(transform)

    def _count(self, update: ObjectUpdate) -> list[CountEvent]:
        """Passes one object to the rules and to the track file."""
        object_id, class_name = update.counted.id, update.class_name
        events: list[CountEvent] = []
        if update.new:
            events += self._rules.confirm(object_id, class_name, update.observations[-1])
        for observation in update.observations:
            events += self._rules.observe(object_id, class_name, observation, update.arriving)
            if self._smoother is not None and self._rules.wanted(class_name):
                time = observation.frame_time
                row = TrackRow(object_id, time.index, class_name, observation.score, observation.box_px)
                self._smoother.add(row, time.pts_s)
        return events

    def _end(self, object_id: int) -> list[CountEvent]:
        """Retires an object that was lost for too long, or stitches it to its continuation."""
        class_name = self._objects.class_of(object_id)
        events: list[CountEvent] = []
        if (later := self._objects.retire(object_id)) is not None:
            if self._smoother is not None:
                self._final[later.id] = later.final
            events += self._rules.stitch(object_id, later.id, class_name, later.first)
        return events + self._rules.end(object_id, class_name)


@contextmanager
def _refusing(section: str) -> Iterator[None]:
    """Reports a state that does not hold what it has to as one that cannot be restored."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"{section}: {type(error).__name__}: {error}") from None
