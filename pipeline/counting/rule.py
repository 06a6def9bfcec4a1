"""Interface of counting rules: between the objects of a stream and everything that is counted of them.

A rule is notified of every confirmed object of its stream: when it is confirmed, at each observation, when it is
stitched to an earlier object, and when it ends. It returns events, and reports its totals at any time: for
`summary.json`, for Prometheus, for the tables on the terminal. No other module knows what a rule counts.

A rule is deterministic: the same calls give the same events and totals. After a crash the log of instances is replayed
through it, so it must not use clocks, files or random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pipeline.config.fields import ConfigModel
from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.metrics.series import Series
from pipeline.records.event import Change, CountEvent
from pipeline.records.state import attributes, set_attributes
from pipeline.tracking.observation import FrameTime, Observation
from pipeline.transport.totals import Table


class CountingRule:
    """Base of all rules: every method may be overridden, none has to be. Override `__init__` to set up state.

    Args:
        stream: what the rule may know of its stream.
        name: of the rule: the key under `streams.NAME.rules`, or its name in the table of built-in rules.
        settings: the rule's configuration: an instance of `Settings`, or the plain mapping where there is none.

    Attributes:
        Settings: model of the configuration; None: any mapping.
        all_classes: whether the rule also receives objects of classes that the stream does not count.
        picture_only: whether the rule is of no use where no pictures are drawn. Of built-in rules.
    """

    Settings: ClassVar[type[ConfigModel] | None] = None
    all_classes: ClassVar[bool] = False
    picture_only: ClassVar[bool] = False

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        self.stream = stream
        self.name = name
        self.settings = settings

    def begin(self, frame: tuple[int, int]) -> None:
        """Called once, before everything else.

        Args:
            frame: Width and height of the stream's first frame, pixels.
        """

    def frame(self, frame_time: FrameTime, condition: str) -> Iterable[CountEvent]:
        """Called for each frame, before its objects are counted, also for one that the model has not seen.

        Args:
            frame_time: Which frame, and when.
            condition: What is wrong with its picture, see `messages.FrameRef`; empty: nothing.

        Returns:
            Events of this frame.
        """
        return ()

    def frame_objects(self, observed: Sequence[tuple[int, Observation]]) -> None:
        """Called for each frame that the model has seen, before `observe` for its objects, with all of them together.

        For rules that find out with arrays about which of many objects nothing has to be done.

        Args:
            observed: Objects known before, each with its observation in this frame, which `observe` may follow with.
                Where a frame confirms a track, its observations come in calls of `observe` only.
        """

    def confirm(self, object_id: int, class_name: str, observation: Observation) -> Iterable[CountEvent]:
        """A new object is confirmed. Its earlier observations follow in calls of `observe`.

        Args:
            object_id: From 1, unique within the stream.
            class_name: Class by vote.
            observation: The one that confirmed it.

        Returns:
            Events of this frame.
        """
        return ()

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        """An object was observed.

        Args:
            object_id: A confirmed object; its observations come in the order of time.
            class_name: Class by vote so far, which may change from one observation to the next.
            observation: Place and time; coordinates are pixels of the stream's first frame.
            arriving: The object appeared in view while the stream was running, so it may have come from outside.

        Returns:
            Events of this observation.
        """
        return ()

    def stitch(self, object_id: int, later: int, class_name: str, first: Observation) -> Iterable[CountEvent]:
        """The object `later` is the continuation of `object_id` after an occlusion, and inherits its state.

        Args:
            object_id: The older one, which gets no more observations; `end` follows, with no state left to end.
            later: The one that appeared after `object_id` was lost.
            class_name: Class of `object_id`.
            first: First observation of `later`.

        Returns:
            Events that happened unobserved, between the last observation of `object_id` and the first of `later`.
        """
        return ()

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        """The object has ended: drop its state.

        One that stood still when it was lost may reappear much later in the same place. Then `observe` follows, without
        `confirm`; see `ObjectTable.may_return`.

        Args:
            object_id: Also one of a class that the stream does not count, or that this rule never received.
            class_name: Class by the final vote; count it only if `stream.wanted(class_name)`.

        Returns:
            Events that the end decides.
        """
        return ()

    def on_event(self, event: CountEvent) -> None:
        """Called with each event of any rule of the stream, before the next rule is called.

        Args:
            event: Of this rule or another one.
        """

    def totals(self) -> Mapping[str, Any]:
        """What was counted so far, as plain JSON values. Empty values are left out of `summary.json`.

        Built-in rules: keys of the stream's part of `summary.json`; others: what stands there under `rules.NAME`.
        """
        return {}

    def series(self) -> Iterable[Series]:
        """What was counted so far as metric families, also those without samples yet."""
        return ()

    def live(self) -> Mapping[str, str]:
        """Column of the terminal's table during a run -> short text."""
        return {}

    def table(self) -> Iterable[Table]:
        """Rows of the tables on the terminal at the end of a run."""
        return ()

    def drawn(self) -> Mapping[str, Any]:
        """Fields of the message `FrameTracks` that hold what the annotated video shows of this rule. Called for
        each frame: must be cheap, and must not return anything that changes later."""
        return {}

    def parts(self) -> Mapping[str, RulePart]:
        """The state of the rule, for checkpoints: parts that are restored, or lost, each by itself.

        Default: one part with all attributes that are not those of `CountingRule`. They have to be plain values, NumPy
        arrays, collections of these, or dataclasses marked `@checkpointed` (`records/state.py`). Of a rule whose
        state cannot be saved, what it has counted is lost when a process has to be started again, except in
        recordings, which are counted again from the beginning.
        """
        own = [name for name in vars(self) if name not in ("stream", "name", "settings")]
        content = StateOf(lambda: attributes(self, own), lambda state: set_attributes(self, own, state))
        return {"": RulePart([type(self).__module__, type(self).__qualname__, self.settings], content)}

    def event(
        self,
        object_id: int,
        class_name: str,
        observation: Observation,
        name: str = "",
        direction: str = "",
        *,
        kind: str = "",
        dwell_s: float | None = None,
        speed_kmh: float | None = None,
        change: Change = "new",
    ) -> CountEvent:
        """An event of this rule at an observation of an object.

        Args:
            name, direction: what exactly happened, without `/`; one object has at most one event with the same name
                and direction in a frame.
            kind: default: the name of the rule.
            dwell_s, speed_kmh, change: as in `CountEvent`.
        """
        frame_time = observation.frame_time
        clock, recorded_s = self.stream.clock(frame_time)
        return CountEvent(
            stream=self.stream.name,
            kind=kind or self.name,
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
            change=change,
            clock=clock,
            recorded_s=recorded_s,
        )
