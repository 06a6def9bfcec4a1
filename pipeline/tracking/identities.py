"""A track of the tracker, and a counted object: what is kept of each."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from pipeline.records.state import checkpointed
from pipeline.tracking.appearance_memory import UNKNOWN, Appearance
from pipeline.tracking.birth_rate import size_px
from pipeline.tracking.camera import CameraTransform
from pipeline.tracking.hidden_part import Shape
from pipeline.tracking.observation import Observation
from pipeline.tracking.stitching import Speed, leading

MAX_PENDING = 256
"""Observations kept of a track that is not confirmed: the latest."""
STILL_DISTANCE = 0.15
"""An object that stays within this distance, in sizes, stands still."""


@checkpointed
@dataclass(slots=True)
class Track:
    """One track of the tracker, not or not yet an object by itself."""

    first: Observation
    last: Observation
    speed_px_s: Speed
    since: int = 0
    """Number of the frame in which it began."""
    seen: int = 0
    score: float = 0.0
    shadowed: int = 0
    height_px: float = 0.0
    object_id: int | None = None
    votes: Counter[int] = field(default_factory=Counter)
    appearance: Appearance = UNKNOWN
    waiting: deque[Observation] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))
    first_speed_px_s: Speed = (0.0, 0.0, 0.0, 0.0)
    shape: Shape | None = None

    @property
    def lasted_s(self) -> float:
        """Media seconds from its first observation to its last."""
        return self.last.frame_time.pts_s - self.first.frame_time.pts_s

    @property
    def moved(self) -> bool:
        """As `NewFragment.moved`."""
        return has_moved(self.first, self.last)

    def transform(self, camera: CameraTransform) -> None:
        """Converts all places to the pixels of the next frame.

        Args:
            camera: Motion of the camera between the two frames.
        """
        self.first, self.last = camera.observation(self.first), camera.observation(self.last)
        self.speed_px_s = camera.speed(self.speed_px_s)
        self.first_speed_px_s = camera.speed(self.first_speed_px_s)
        self.height_px *= camera.scale
        if self.shape is not None:
            self.shape.transform(camera)

    def whole(self, observation: Observation) -> Observation:
        """The next observation, with the foot where it is if the lower part of the object is hidden.

        Args:
            observation: As it was seen.
        """
        if self.shape is None:
            self.shape = Shape(self.last, self.last)
        return self.shape.whole(observation)


@checkpointed
@dataclass(slots=True)
class CountedObject:
    """One confirmed object."""

    id: int
    track: int
    last: Observation
    last_s: float
    speed_px_s: Speed
    votes: Counter[int]
    first: Observation
    first_speed_px_s: Speed
    final: int
    """Its id when all is known: that of the object it was found to go on, or its own."""
    place: Observation
    """The first observation in the place where it stands."""
    appearance: Appearance = UNKNOWN
    score: float = 0.0
    """Sum of the scores of all its observations."""
    doubt: float = 0.0
    """Variance of the decisions about it: stitches, and decisions that there was none."""
    ambiguous: int = 0
    """How many of these decisions might as well have been the other way."""
    moved: bool = False
    """As `NewFragment.moved`."""
    birth_weight: float = 0.0
    """What it counted in `BirthRate`."""
    stitched: bool = False
    """Whether it was found, late, to go on another one."""

    @property
    def class_id(self) -> int:
        return leading(self.votes)

    @property
    def still_s(self) -> float:
        """As `LostFragment.still_s`."""
        return self.last.frame_time.pts_s - self.place.frame_time.pts_s

    def transform(self, camera: CameraTransform) -> None:
        """Converts all places to the pixels of the next frame.

        Args:
            camera: Motion of the camera between the two frames.
        """
        self.first, self.last = camera.observation(self.first), camera.observation(self.last)
        self.place = camera.observation(self.place)
        self.speed_px_s = camera.speed(self.speed_px_s)
        self.first_speed_px_s = camera.speed(self.first_speed_px_s)


def has_moved(before: Observation, now: Observation) -> bool:
    """Whether an object has moved by more than `STILL_DISTANCE` of its size.

    Args:
        before: An earlier observation.
        now: A later one.
    """
    dx, dy = now.center[0] - before.center[0], now.center[1] - before.center[1]
    return bool((dx * dx + dy * dy) ** 0.5 > STILL_DISTANCE * size_px(before))
