"""Plans the actors of a scene, such that their true counts are unambiguous.

Candidates are drawn at random and accepted if every object of the plan stays clearly visible: none is occluded for
long, none is in the picture for a moment only, none crosses a counting line while occluded, no vehicles collide, and
people on the zebra are not occluded by vehicles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.demo.scene.actors import Actor, Look, make_actor, rough_boxes
from pipeline.demo.scene.cycles import make_cycle
from pipeline.demo.scene.furniture import Fixture
from pipeline.demo.scene.person_looks import make_person
from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.street import Street
from pipeline.demo.scene.vehicle_looks import make_bus, make_car

_STEP_S = 0.2
_HIDDEN_SHARE = 0.72  # an object covered by more than this counts as occluded
_HIDDEN_MAX_S = 1.0
_FOLLOW_M = {"car": 4.0, "bus": 4.0, "bicycle": 1.5}  # gap between vehicles of one lane
_ZEBRA_SHARE = 0.2  # largest occlusion of a person on the zebra
_PRESENT_MIN_S = 1.4


@dataclass(frozen=True)
class PlanSpan:
    """The time a plan covers: objects start in [first_s, last_s) and are checked in [from_s, to_s]."""

    first_s: float
    last_s: float
    from_s: float
    to_s: float


class Planner:
    """Draws candidates and accepts those with which all objects stay countable.

    Args:
        camera, street, fixtures: of the scene.
        span: the time that is planned.
        check: whether visibility is checked; without, only collisions are.
    """

    def __init__(
        self, camera: PinholeCamera, street: Street, fixtures: list[Fixture], span: PlanSpan, check: bool
    ) -> None:
        self.camera, self.street, self.span, self.check = camera, street, span, check
        self.fixtures = fixtures
        self.times: Floats = np.arange(span.from_s, span.to_s + 1e-9, _STEP_S)
        self.actors: list[Actor] = []
        self._boxes: list[Floats] = []
        self._depths: list[Floats] = []
        self._hidden: list[Floats] = []

    def _ends(self, d: float, margin: float) -> tuple[float, float]:
        s0 = self.camera.s_at(0.0, d) - margin
        s1 = self.camera.s_at(float(self.camera.width), d) + margin
        return s0, s1

    def person(self, rng: np.random.Generator, track_id: int, route: str = "") -> Actor:
        """Draws a pedestrian: along a pavement (perhaps pausing), over the zebra, or in or out of a door.

        Args:
            rng: source of randomness.
            track_id: of the actor.
            route: `near`, `far`, `zebra` or `door`; empty draws one.
        """
        street = self.street
        look = make_person(rng)
        speed = float(rng.uniform(1.0, 1.65))
        sign = 1 if rng.random() < 0.5 else -1
        near_d = float(rng.uniform(-street.near_walk_m + 0.75, -0.85))
        far_d = street.road_m + float(rng.uniform(1.15, street.far_walk_m - 0.95))
        route = route or str(rng.choice(["near", "near", "near", "near", "near", "far", "far", "door"]))
        start = float(rng.uniform(self.span.first_s, self.span.last_s))
        low, high = self._ends(near_d, 0.6)
        far_low, far_high = self._ends(far_d, 0.6)
        pauses: dict[int, float] = {}
        zebra = street.zebra_s + float(rng.uniform(-1.1, 1.1))
        if route == "near":
            way = [(low, near_d), (high, near_d)]
            if rng.random() < 0.3:
                stop = float(rng.uniform(low * 0.6, high * 0.6))
                if abs(stop - street.walk_line_s) > 1.2:
                    way.insert(1, (stop, near_d))
                    pauses[1] = float(rng.uniform(1.5, 4.0))
        elif route == "far":
            way = [(far_low, far_d), (far_high, far_d)]
        elif route == "zebra":
            entry = low if rng.random() < 0.5 else high
            leave = far_low if rng.random() < 0.5 else far_high
            way = [(entry, near_d), (zebra, near_d), (zebra, -0.5), (zebra, street.road_m + 0.6), (zebra, far_d),
                   (leave, far_d)]  # fmt: skip
            pauses[2] = float(rng.uniform(0.3, 1.2))
            speed = max(speed, 1.25)
        else:
            door = street.doors_s[int(rng.integers(len(street.doors_s)))]
            leave = far_low if rng.random() < 0.5 else far_high
            way = [(door, street.facade_d + 0.9), (door, far_d), (leave, far_d)]
        if route == "near" and sign < 0:
            way = way[::-1]
        elif route != "near" and rng.random() < 0.5:
            way = way[::-1]
            pauses = {len(way) - 1 - k - (1 if route == "zebra" else 0): v for k, v in pauses.items()}
        actor = make_actor(track_id, "person", look, start, speed, way, pauses)
        if route != "zebra":
            return actor
        step_off = float(actor.times_s[3])  # spreads out the times at which people step onto the zebra
        wanted = float(rng.uniform(self.span.from_s - 4.0, max(self.span.from_s, self.span.to_s - 9.0)))
        return replace(actor, times_s=actor.times_s + (wanted - step_off))

    def _driving(
        self, rng: np.random.Generator, track_id: int, name: str, look: Look, half: float, speed: float,
        far: bool, d: float,
    ) -> Actor:  # fmt: skip
        sign = -self.street.near_sign if far else self.street.near_sign
        low, high = self._ends(d, half + 0.5)
        way = [(low, d), (high, d)] if sign > 0 else [(high, d), (low, d)]
        return make_actor(
            track_id, name, look, float(rng.uniform(self.span.first_s, self.span.last_s)), speed, way
        )

    def bicycle(self, rng: np.random.Generator, track_id: int) -> Actor:
        """Draws a cyclist in a cycle lane.

        Args:
            rng: Source of randomness.
            track_id: Of the actor.
        """
        far = bool(rng.random() < 0.5)
        lane = self.street.bike_lane_m
        d = lane * 0.5 + float(rng.uniform(-0.2, 0.2))
        d = self.street.road_m - d if far else d
        return self._driving(
            rng, track_id, "bicycle", make_cycle(rng), 1.0, float(rng.uniform(2.8, 4.4)), far, d
        )

    def motor(self, rng: np.random.Generator, track_id: int, name: str) -> Actor:
        """Draws a car or a bus in a lane; `name` is its class.

        Args:
            rng: Source of randomness.
            track_id: Of the actor.
            name: `car` or `bus`.
        """
        look = make_bus(rng) if name == "bus" else make_car(rng)
        far = bool(rng.random() < (0.6 if name == "bus" else 0.5))
        lane = 1.5 if far else 0.5
        d = self.street.bike_lane_m + lane * self.street.lane_m + float(rng.uniform(-0.12, 0.12))
        speed = float(rng.uniform(4.6, 6.0) if name == "bus" else rng.uniform(4.6, 7.0))
        return self._driving(rng, track_id, name, look, look.length_m / 2, speed, far, d)

    def _inside(self, boxes: Floats) -> Floats:
        """Share of each box (N, 4) that is inside the picture, (N,)."""
        w = np.clip(np.minimum(boxes[:, 2], self.camera.width) - np.maximum(boxes[:, 0], 0), 0, None)
        h = np.clip(np.minimum(boxes[:, 3], self.camera.height) - np.maximum(boxes[:, 1], 0), 0, None)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        share: Floats = np.where(area > 0, w * h / np.maximum(area, 1e-9), 0.0)
        return share

    @staticmethod
    def _cover(boxes: Floats, by: Floats) -> Floats:
        """Share of each box (N, 4) that the box beside it in `by` covers, (N,)."""
        w = np.maximum(np.minimum(boxes[:, 2], by[:, 2]) - np.maximum(boxes[:, 0], by[:, 0]), 0)
        h = np.maximum(np.minimum(boxes[:, 3], by[:, 3]) - np.maximum(boxes[:, 1], by[:, 1]), 0)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        share: Floats = np.where(area > 0, w * h / np.maximum(area, 1e-9), 0.0)
        return share

    def _long_hidden(self, hidden: Floats, seen: Floats) -> bool:
        runs = (hidden > _HIDDEN_SHARE) & (seen > 0.05)
        need = int(_HIDDEN_MAX_S / _STEP_S) + 1
        if not runs.any():
            return False
        total = np.concatenate(([0], np.cumsum(runs)))
        return bool((total[need:] - total[:-need]).max() >= need)

    def _lost_at_line(self, actor: Actor, hidden: Floats) -> bool:
        """Whether it crosses a line or kerb while occluded, or too close to the ends of the planned time."""
        place = actor.positions(self.times)
        street = self.street
        marks = [(street.walk_line_s, 0)] if actor.class_name == "person" else [(street.road_line_s, 0)]
        if actor.class_name == "person":
            marks += [(0.2, 1), (street.road_m - 0.4, 1)]
            crossing = (place[:, 1] > -0.3) & (place[:, 1] < street.road_m + 0.3)
            if (hidden[crossing] > _ZEBRA_SHARE).any():
                return True
        for value, axis in marks:
            side = place[:, axis] > value
            for i in np.flatnonzero(side[1:] != side[:-1]):
                window = hidden[max(0, i - 3) : i + 5]
                if (window > 0.45).any() or i < 6 or i > len(self.times) - 8:
                    return True
        return False

    def _collides(self, actor: Actor) -> bool:
        place = actor.positions(self.times)
        dead = (self.times < actor.times_s[0]) | (self.times > actor.times_s[-1])
        long, wide, _ = actor.extent_m
        for other in self.actors:
            if actor.class_name == "person" and other.class_name == "person":
                gap_s, gap_d = 0.45, 0.3
            else:
                follow = _FOLLOW_M.get(actor.class_name, 1.5)
                gap_s, gap_d = long + other.extent_m[0] + follow, wide + other.extent_m[1] + 0.05
            theirs = other.positions(self.times)
            gone = dead | (self.times < other.times_s[0]) | (self.times > other.times_s[-1])
            close = (np.abs(place[:, 0] - theirs[:, 0]) < gap_s) & (
                np.abs(place[:, 1] - theirs[:, 1]) < gap_d
            )
            if (close & ~gone).any():
                return True
        return False

    def offer(self, actor: Actor) -> bool:
        """Accepts an actor if it and all accepted before stay countable.

        Args:
            actor: With its path.

        Returns:
            Whether it was accepted.
        """
        if self._collides(actor):
            return False
        boxes, depth = rough_boxes(actor, self.camera, self.times)
        seen = self._inside(boxes)
        present = float((seen > 0.6).sum()) * _STEP_S
        if present < _PRESENT_MIN_S:
            return False
        if not self.check:
            self.actors.append(actor)
            return True
        hidden = np.zeros(len(self.times))
        for fixture in self.fixtures:
            still = np.broadcast_to(np.array(fixture.occlusion), boxes.shape)
            hidden += self._cover(boxes, still) * (depth > fixture.depth_m)
        news: list[Floats] = []
        for other, other_depth, old in zip(self._boxes, self._depths, self._hidden, strict=True):
            hidden += self._cover(boxes, other) * (depth > other_depth) * 0.85
            news.append(old + self._cover(other, boxes) * (other_depth > depth) * 0.85)
        if self._long_hidden(hidden, seen) or self._lost_at_line(actor, hidden):
            return False
        for other_actor, other, new in zip(self.actors, self._boxes, news, strict=True):
            if self._long_hidden(new, self._inside(other)) or self._lost_at_line(other_actor, new):
                return False
        self.actors.append(actor)
        self._boxes.append(boxes)
        self._depths.append(depth)
        self._hidden = [*news, hidden]
        return True


def plan(
    rng: np.random.Generator, camera: PinholeCamera, street: Street, fixtures: list[Fixture], span: PlanSpan,
    traffic: float, first_id: int, check: bool = True,
) -> list[Actor]:  # fmt: skip
    """Plans the actors of a span.

    Args:
        rng: source of randomness.
        camera, street, fixtures: of the scene.
        span: the time that is planned.
        traffic: density; 1 is about one new object per second.
        first_id: track id of the first actor; the others follow.
        check: see `Planner`.
    """
    planner = Planner(camera, street, fixtures, span, check)
    length = (span.to_s - span.from_s) / 30.0
    wants = (
        ("bus", 3.0, 60),
        ("zebra", 4.2, 120),
        ("car", 8.0, 180),
        ("bicycle", 6.2, 80),
        ("person", 13.0, 60),
    )
    track_id = first_id
    for name, per_half_minute, tries in wants:
        target = max(0, round(per_half_minute * traffic * length * float(rng.uniform(0.9, 1.12))))
        kept = 0
        for _ in range(round(tries * max(1.0, length * traffic))):
            if kept >= target:
                break
            if name in ("person", "zebra"):
                actor = planner.person(rng, track_id, name if name == "zebra" else "")
            elif name == "bicycle":
                actor = planner.bicycle(rng, track_id)
            else:
                actor = planner.motor(rng, track_id, name)
            if planner.offer(actor):
                kept += 1
                track_id += 1
    return planner.actors
