"""Actors: people and vehicles, each with an appearance and a path. Their state is a pure function of time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pipeline.demo.scene.cycles import CycleLook, cycle_extent
from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.person_looks import PersonLook, person_extent
from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.sprite import Sprite
from pipeline.demo.scene.vehicle_looks import VehicleLook, vehicle_extent

CLASSES = ("person", "bicycle", "car", "bus")
_AHEAD_S = 0.3


@dataclass(frozen=True)
class Pose:
    """State of an actor at one time.

    Attributes:
        s, d: position, metres.
        along: unit heading (s, d).
        travel_m: distance travelled since the start of the path.
        pace: 0 standing to 1 walking.
    """

    s: float
    d: float
    along: Floats
    travel_m: float
    pace: float


class OtherLook(ABC):
    """Appearance of an object that streets do not have: it draws itself."""

    @property
    @abstractmethod
    def extent_m(self) -> tuple[float, float, float]:
        """Half length, half width, height in metres."""

    @abstractmethod
    def draw(self, sprite: Sprite, camera: PinholeCamera, pose: Pose, light: Light) -> None:
        """Draws the object.

        Args:
            sprite: drawn on.
            camera, light: of the scene.
            pose: of the object.
        """


Look = PersonLook | CycleLook | VehicleLook | OtherLook


@dataclass(frozen=True)
class Actor:
    """One object of the scene.

    Attributes:
        track_id: unique in the scene.
        class_name: one of `CLASSES`, or another one for an `OtherLook`.
        look: its appearance.
        times_s: (N,) when it is at each point of its path.
        path_m: (N, 2) s d; during a pause a point repeats.
        travel_m: (N,) distance travelled up to each point.
    """

    track_id: int
    class_name: str
    look: Look
    times_s: Floats
    path_m: Floats
    travel_m: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def extent_m(self) -> tuple[float, float, float]:
        """Half length, half width, height in metres."""
        if isinstance(self.look, PersonLook):
            return person_extent(self.look)
        if isinstance(self.look, CycleLook):
            return cycle_extent(self.look)
        if isinstance(self.look, OtherLook):
            return self.look.extent_m
        return vehicle_extent(self.look)

    def positions(self, times_s: Floats) -> Floats:
        """Positions at given times. Before and after its lifetime, an actor stays at the ends of its path.

        Args:
            times_s: (N,).

        Returns:
            (N, 2) s d, metres.
        """
        return np.column_stack([np.interp(times_s, self.times_s, self.path_m[:, i]) for i in (0, 1)])

    def alive(self, time_s: float) -> bool:
        """Whether the actor is part of the scene at a time.

        Args:
            time_s: Seconds from the start of the scene.
        """
        return bool(self.times_s[0] <= time_s <= self.times_s[-1])

    def pose(self, time_s: float) -> Pose:
        """State at a time in seconds.

        Args:
            time_s: Seconds from the start of the scene.
        """
        probe = self.positions(np.array([time_s - _AHEAD_S, time_s, time_s + _AHEAD_S]))
        step = probe[2] - probe[0]
        length = float(np.hypot(step[0], step[1]))
        if length < 0.06:  # standing: keeps the heading it arrived with, or will leave with
            i = int(np.clip(np.searchsorted(self.times_s, time_s), 1, len(self.times_s) - 1))
            while i > 1 and np.allclose(self.path_m[i], self.path_m[i - 1]):
                i -= 1
            step = self.path_m[i] - self.path_m[i - 1]
            heading = step / max(1e-6, float(np.hypot(step[0], step[1])))
        else:
            heading = step / length
        travel = float(np.interp(time_s, self.times_s, self.travel_m))
        pace = min(1.0, length / (2 * _AHEAD_S) / 0.8)
        return Pose(float(probe[1, 0]), float(probe[1, 1]), heading, travel, pace)


def make_actor(
    track_id: int, class_name: str, look: Look, start_s: float, speed_mps: float,
    way: list[tuple[float, float]], pauses: dict[int, float] | None = None,
) -> Actor:  # fmt: skip
    """Makes an actor that follows a path at constant speed.

    Args:
        track_id, class_name, look: see `Actor`.
        start_s: when it starts.
        speed_mps: metres per second.
        way: points s d of the path, metres.
        pauses: index of a point -> seconds it stands there.
    """
    times, points, travel = [start_s], [way[0]], [0.0]
    for i, (a, b) in enumerate(pairwise(way)):
        length = float(np.hypot(b[0] - a[0], b[1] - a[1]))
        if length < 1e-6:
            continue
        times.append(times[-1] + length / speed_mps)
        points.append(b)
        travel.append(travel[-1] + length)
        if pauses and i + 1 in pauses:
            times.append(times[-1] + pauses[i + 1])
            points.append(b)
            travel.append(travel[-1])
    return Actor(track_id, class_name, look, np.array(times), np.array(points), np.array(travel))


def foot_points(actor: Actor, camera: PinholeCamera, times_s: Floats) -> Floats:
    """Where an actor stands on the ground.

    For people and bicycles it is the point below their middle; for cars and buses that below the middle of the side
    facing the camera, where the bottom of their mask is.

    Args:
        actor: the actor.
        camera: of the scene.
        times_s: (N,).

    Returns:
        (N, 2) x y, pixels.
    """
    place = actor.positions(times_s)
    near = 0.0 if actor.class_name in ("person", "bicycle") else actor.extent_m[1] * 0.9
    ground = np.column_stack([place[:, 0], place[:, 1] - near, np.zeros(len(place))])
    return camera.project(ground)[0]


def rough_boxes(actor: Actor, camera: PinholeCamera, times_s: Floats) -> tuple[Floats, Floats]:
    """Approximate boxes of an actor, without drawing it.

    Args:
        actor: the actor.
        camera: of the scene.
        times_s: (N,).

    Returns:
        (N, 4) x0 y0 x1 y1 in pixels, empty outside of the actor's lifetime, and (N,) depths in metres.
    """
    place = actor.positions(times_s)
    long, wide, tall = actor.extent_m
    step = np.gradient(place, axis=0) if len(place) > 1 else np.zeros_like(place)
    across = np.abs(step[:, 1]) > np.abs(step[:, 0])
    if actor.class_name == "person":
        long = wide = 0.3
    half_s, half_d = np.where(across, wide, long), np.where(across, long, wide)
    boxes = np.empty((len(place), 4))
    depth = np.empty(len(place))
    low, high = np.full((len(place), 2), np.inf), np.full((len(place), 2), -np.inf)
    for a in (-1, 1):
        for b in (-1, 1):
            for h in (0.0, tall):
                px, _ = camera.project(np.column_stack([place[:, 0] + a * half_s, place[:, 1] + b * half_d,
                                                        np.full(len(place), h)]))  # fmt: skip
                low, high = np.minimum(low, px), np.maximum(high, px)
    boxes[:, :2], boxes[:, 2:] = low, high
    _, depth = camera.project(np.column_stack([place, np.zeros(len(place))]))
    dead = (times_s < actor.times_s[0]) | (times_s > actor.times_s[-1])
    boxes[dead] = 0.0
    return boxes, depth
