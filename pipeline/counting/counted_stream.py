"""What the counting rules of one stream share: configuration, objects, ground, and the clock of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from pipeline.config.schema import StreamConfig
from pipeline.counting.ground import Ground
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.records.event import Clock
from pipeline.records.state import State
from pipeline.tracking.observation import FrameTime, Observation


class ObjectTable(Protocol):
    """What rules may query about the objects of a stream."""

    def unique(self) -> dict[str, int]:
        """Class -> number of objects so far, for the classes that the stream counts."""

    def ambiguous(self) -> dict[str, int]:
        """Class -> number of ambiguous decisions behind `unique` (`tracking/uncertainty.py`)."""

    def uncertain(self) -> dict[str, int]:
        """Class -> by how many objects `unique` may be off, as in 34 ± 2."""

    def may_return(self, object_id: int) -> bool:
        """Whether an object that has ended is still known, and is observed again should it reappear in its place.

        Args:
            object_id: Of an object that has ended.
        """

    def class_of(self, object_id: int) -> str:
        """Class of an active or lost object, by vote over all its observations.

        Args:
            object_id: Of an object that has not ended.
        """


class CountedStream:
    """What all rules of one stream share.

    Args:
        name: of the stream.
        config: its configuration.
        objects: its objects.

    Attributes:
        frame: width and height of the first frame in pixels; all rules count in its coordinates.
        seen: classes of all objects observed so far, and those that the configuration names for the stream.
    """

    def __init__(self, name: str, config: StreamConfig, objects: ObjectTable) -> None:
        self.name = name
        self.config = config
        self.objects = objects
        self.frame = (1, 1)
        self.seen: set[str] = set(config.classes or ())
        self._clock, self._start_s = _clock_of(config.start)
        self._ground: Ground | None = None

    def begin(self, frame: tuple[int, int]) -> None:
        """Sets the frame size, and with it the ground plane.

        Args:
            frame: Width and height of the stream's first frame, pixels.
        """
        self.frame = frame
        if self.config.ground is not None:
            self._ground = Ground(self.config.ground, frame)

    def state(self) -> State:
        """See `Stateful.state`; the ground's is a section of its own."""
        return {"frame": self.frame, "seen": set(self.seen)}

    def restore(self, state: State) -> None:
        """See `Stateful.restore`."""
        self.begin(state["frame"])
        self.seen |= state["seen"]

    def parts(self) -> Mapping[str, RulePart]:
        """State that is lost with a change of the configuration; as `CountingRule.parts`."""
        if self.config.ground is None:
            return {}
        return {"ground": RulePart(self.config.ground, StateOf(self._ground_state, self._restore_ground))}

    def _ground_state(self) -> State:
        return {} if self._ground is None else self._ground.state()

    def _restore_ground(self, state: State) -> None:
        if self._ground is not None and state:  # empty: no frame had been counted
            self._ground.restore(state)

    def wanted(self, class_name: str) -> bool:
        """Whether the stream counts a class.

        Args:
            class_name: One of the model's classes.
        """
        return among(class_name, self.config.classes)

    def shown_classes(self, limit: tuple[str, ...] | None) -> set[str]:
        """Classes to report, with 0 if need be: those configured by name and those seen.

        Args:
            limit: classes of a line or zone; None: all.
        """
        configured = {name for name in limit or self.config.classes or () if self.wanted(name)}
        return configured | {name for name in self.seen if among(name, limit)}

    def observe(self, object_id: int, class_name: str, observation: Observation) -> None:
        """Takes an observation of an object of a wanted class, before the rules do.

        Args:
            object_id: See `CountingRule.observe`.
            class_name: See `CountingRule.observe`.
            observation: See `CountingRule.observe`.
        """
        self.seen.add(class_name)
        if self._ground is not None:
            self._ground.observe(object_id, observation)

    def end(self, object_id: int) -> None:
        """Drops the state of an object that has ended.

        Args:
            object_id: Also one that was never observed here.
        """
        if self._ground is not None:
            self._ground.end(object_id)

    def clock(self, frame_time: FrameTime) -> tuple[Clock, float | None]:
        """What the time of an event is taken from.

        Args:
            frame_time: Of the frame in which it happened.

        Returns:
            `CountEvent.clock` and `CountEvent.recorded_s`.
        """
        return self._clock, None if self._start_s is None else self._start_s + frame_time.pts_s

    def speed_kmh(self, object_id: int, pts_s: float) -> float | None:
        """Speed of an object over ground.

        Args:
            object_id: A confirmed object.
            pts_s: Media time of one of its observations, seconds.

        Returns:
            km/h; None without a calibrated ground plane, or where the speed cannot be measured.
        """
        return None if self._ground is None else self._ground.speed_kmh(object_id, pts_s)


def _clock_of(start: str | None) -> tuple[Clock, float | None]:
    """The clock of a stream by its setting `start`, and Unix time at media time 0 for that of a recording."""
    if start is None:
        return "wall", None
    try:
        began = datetime.fromisoformat(start)
    except ValueError:  # `unknown`, or a pattern that was not looked for
        return "unknown", None
    return ("unknown", None) if began.tzinfo is None else ("recording", began.timestamp())


def among(class_name: str, classes: Iterable[str] | None) -> bool:
    """Whether a class is one of `classes`.

    Args:
        class_name: Name of a class.
        classes: Names; None: all classes.
    """
    return classes is None or class_name in classes
