"""A street scene: background, furniture and actors, rendered frame by frame.

A frame is a pure function of the seed and its index, so frames can be rendered in any order. A bicycle and its rider
are one object of class `bicycle`; riders do not count as persons.
"""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene.actors import CLASSES, Actor, Pose, foot_points
from pipeline.demo.scene.backdrop import paint_backdrop
from pipeline.demo.scene.cycles import CycleLook, draw_cycle
from pipeline.demo.scene.furniture import Fixture, furnish
from pipeline.demo.scene.grading import Grading
from pipeline.demo.scene.lighting import Light, make_light
from pipeline.demo.scene.people import draw_person
from pipeline.demo.scene.person_looks import PersonLook
from pipeline.demo.scene.pinhole import PinholeCamera
from pipeline.demo.scene.rendered import Rendered, RenderedInstance
from pipeline.demo.scene.shadows import ShadowLayer, glow
from pipeline.demo.scene.sprite import Bytes, Sprite
from pipeline.demo.scene.street import Street, make_camera, make_layout, make_street
from pipeline.demo.scene.traffic import PlanSpan, plan
from pipeline.demo.scene.vehicle_looks import VehicleLook
from pipeline.demo.scene.vehicles import draw_vehicle
from pipeline.records.scene_truth import SceneLayout

__all__ = ["CLASSES", "Rendered", "RenderedInstance", "Scene"]

_WARM_S = 26.0  # longest time that an object needs to pass through the picture
_CHAPTER_S = 30.0  # an endless scene is planned in sections of this length
_MASK_ALPHA = 96


class Scene:
    """A street seen from a fixed camera. Make it with `Scene.from_seed`."""

    def __init__(self, seed: int, width: int, height: int, fps: float, duration_s: float, traffic: float,
                 endless: bool, check: bool = True) -> None:  # fmt: skip
        self.seed, self.width, self.height = seed, width, height
        self.fps, self.duration_s, self.traffic, self.endless = fps, duration_s, traffic, endless
        self.check = check and not endless  # an endless scene is for load tests: planning must be fast
        rng = np.random.default_rng([seed, 1])
        self.camera: PinholeCamera
        self.camera, near_walk = make_camera(rng, width, height)
        self.street: Street = make_street(rng, near_walk)
        self.layout: SceneLayout = make_layout(self.camera, self.street)
        self.light: Light = make_light(rng)
        self.fixtures: list[Fixture] = furnish(
            self.camera, self.street, self.light, np.random.default_rng([seed, 2])
        )
        self.backdrop: Bytes = paint_backdrop(
            self.camera, self.street, self.light, np.random.default_rng([seed, 3])
        )
        self._shadows = ShadowLayer(self.camera, self.light, self.street.facade_d)
        for fixture in self.fixtures:
            self._shadows.fixture(fixture)
        still = self._shadows.apply(self.backdrop)
        for fixture in self.fixtures:
            _over(still, fixture.rgba, fixture.x0, fixture.y0)
        if self.light.kind == "dusk":
            glow(still, self.fixtures, self.camera)
        self._still: Bytes = still
        self._grading = Grading(np.random.default_rng([seed, 4]), self.light, width, height)
        self._chapters: OrderedDict[int, list[Actor]] = OrderedDict()

    @classmethod
    def from_seed(
        cls, seed: int, *, width: int = 640, height: int = 360, fps: float = 25.0, duration_s: float = 30.0,
        traffic: float = 1.0, endless: bool = False,
    ) -> Scene:  # fmt: skip
        """Makes the scene of a seed.

        Args:
            seed: determines the street and everything that happens in it.
            width, height: of the frames, pixels.
            fps: frame rate in Hz.
            duration_s: length of a finite scene.
            traffic: density of people and vehicles; 1 is normal.
            endless: without an end, in bounded memory.
        """
        return cls(seed, width, height, fps, duration_s, traffic, endless)

    @property
    def frame_count(self) -> int:
        """Number of frames of a finite scene."""
        return round(self.duration_s * self.fps)

    def _chapter(self, number: int) -> list[Actor]:
        """Actors that start in one chapter; a finite scene has chapter 0 only."""
        found = self._chapters.get(number)
        if found is None:
            if self.endless:
                begin = number * _CHAPTER_S
                first = begin if number else -_WARM_S
                span = PlanSpan(
                    first, begin + _CHAPTER_S - 3.0, begin if number else 0.0, begin + _CHAPTER_S + 12.0
                )
            else:
                span = PlanSpan(-_WARM_S, self.duration_s - 1.0, 0.0, self.duration_s)
            rng = np.random.default_rng([self.seed, 5, number])
            found = self.plan(rng, span, number * 1000 + 1)
            self._chapters[number] = found
            while len(self._chapters) > 4:
                self._chapters.popitem(last=False)
        return found

    def plan(self, rng: np.random.Generator, span: PlanSpan, first_id: int) -> list[Actor]:
        """Plans the actors of a span; a scene with other objects overrides it.

        Args:
            rng: source of randomness.
            span: the time that is planned.
            first_id: track id of the first actor; the others follow.
        """
        return plan(rng, self.camera, self.street, self.fixtures, span, self.traffic, first_id, self.check)

    def actors(self, time_s: float = 0.0) -> list[Actor]:
        """Actors that may be in the street at a time; for a finite scene all of them.

        Args:
            time_s: Seconds from the start of the scene.
        """
        if not self.endless:
            return self._chapter(0)
        number = int(time_s // _CHAPTER_S)
        return [a for n in (number - 1, number) if n >= 0 for a in self._chapter(n)]

    def frame(self, index: int) -> Rendered:
        """Renders one frame; `index` counts from 0.

        Args:
            index: Number of the frame.
        """
        time_s = index / self.fps
        present = [(actor, actor.pose(time_s)) for actor in self.actors(time_s) if actor.alive(time_s)]
        present.sort(key=lambda pair: -self.camera.depth(pair[1].s, pair[1].d))
        self._shadows.clear()
        for actor, pose in present:
            self._shadows.actor(actor, pose)
        image = self._shadows.apply(self._still)
        labels = np.zeros((self.height, self.width), np.int16)
        drawn: list[tuple[Actor, int, tuple[float, float, float, float]]] = []
        for actor, pose in present:
            painted = self._paint(image, labels, actor, pose, len(drawn) + 1)
            if painted is not None:
                drawn.append((actor, *painted))
        instances = _measure(labels, drawn, self.camera, time_s)
        return Rendered(index, time_s, self._grading.apply(image, index, time_s), labels, instances)

    def _paint(
        self, image: Bytes, labels: NDArray[np.int16], actor: Actor, pose: Pose, label: int
    ) -> tuple[int, tuple[float, float, float, float]] | None:
        """Draws one actor.

        Returns:
            Area and box of its whole silhouette in pixels; None if it is not in the picture.
        """
        box = self._bounds(actor, pose)
        if box[2] <= 0 or box[0] >= self.width or box[3] <= 0 or box[1] >= self.height:
            return None
        sprite = Sprite(*box, oversample=2 if self.height <= 720 else 1)
        if isinstance(actor.look, PersonLook):
            stride = pose.travel_m / (0.78 * actor.look.height_m / 1.74) * np.pi
            draw_person(sprite, self.camera, actor.look, pose.s, pose.d, pose.along, stride, pose.pace)
        elif isinstance(actor.look, CycleLook):
            draw_cycle(sprite, self.camera, actor.look, pose.s, pose.d, pose.along, pose.travel_m)
        elif isinstance(actor.look, VehicleLook):
            draw_vehicle(
                sprite, self.camera, actor.look, pose.s, pose.d, pose.along, pose.travel_m, self.light
            )
        else:
            actor.look.draw(sprite, self.camera, pose, self.light)
        rgba = sprite.finish()
        solid = rgba[:, :, 3] > _MASK_ALPHA
        whole = int(np.count_nonzero(solid))
        if not whole:
            return None
        x, y, w, h = cv2.boundingRect(solid.view(np.uint8))
        full = (float(box[0] + x), float(box[1] + y), float(box[0] + x + w), float(box[1] + y + h))
        x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2], self.width), min(box[3], self.height)
        part = rgba[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
        part = self._hide(part, x0, y0, x1, y1, self.camera.depth(pose.s, pose.d), pose.d)
        _over(image, part, x0, y0)
        view = labels[y0:y1, x0:x1]
        view[part[:, :, 3] > _MASK_ALPHA] = label
        return whole, full

    def _bounds(self, actor: Actor, pose: Pose) -> tuple[int, int, int, int]:
        """Pixel box x0 y0 x1 y1 that an actor cannot exceed."""
        long, wide, tall = actor.extent_m
        n, a = pose.along, np.array([-pose.along[1], pose.along[0]])
        corners = np.array([[pose.s + i * long * n[0] + j * wide * a[0], pose.d + i * long * n[1] + j * wide * a[1], h]
                            for i in (-1, 1) for j in (-1, 1) for h in (-0.05, tall)])  # fmt: skip
        px = self.camera.project(corners)[0]
        low, high = np.floor(px.min(0)).astype(int) - 2, np.ceil(px.max(0)).astype(int) + 2
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _hide(self, part: Bytes, x0: int, y0: int, x1: int, y1: int, depth_m: float, d: float) -> Bytes:
        """Erases the parts of a sprite that are behind furniture or inside a house."""
        out = part
        for fixture in self.fixtures:
            fh, fw = fixture.rgba.shape[:2]
            a, b = max(x0, fixture.x0), min(x1, fixture.x0 + fw)
            c, e = max(y0, fixture.y0), min(y1, fixture.y0 + fh)
            if fixture.depth_m >= depth_m or a >= b or c >= e:
                continue
            if out is part:
                out = part.copy()
            alpha = fixture.rgba[c - fixture.y0 : e - fixture.y0, a - fixture.x0 : b - fixture.x0, 3]
            view = out[c - y0 : e - y0, a - x0 : b - x0]
            view[:] = (view * ((255 - alpha)[:, :, None] / np.float32(255))).astype(np.uint8)
        facade = self.street.facade_d
        if d > facade - 0.05:
            hole = np.zeros(out.shape[:2], np.uint8)
            for door in self.street.doors_s:
                frame = np.array([[door - 0.58, facade, 0.1], [door + 0.58, facade, 0.1], [door + 0.58, facade, 2.04],
                                  [door - 0.58, facade, 2.04]])  # fmt: skip
                px = self.camera.project(frame)[0] - [x0, y0]
                cv2.fillConvexPoly(hole, np.round(px * 16).astype(np.int32), (255.0,), cv2.LINE_AA, 4)
            dark = np.float32(1.0 - 0.55 * min(1.0, (d - facade) / 0.9))
            gain = np.repeat((hole / np.float32(255))[:, :, None], 4, axis=2)
            gain[:, :, :3] *= dark
            out = (out * gain).astype(np.uint8)
        return out


def _over(image: Bytes, rgba: Bytes, x0: int, y0: int) -> None:
    """Composites a premultiplied sprite onto the image in place; parts outside are clipped."""
    h, w = image.shape[:2]
    a, b = max(0, x0), min(w, x0 + rgba.shape[1])
    c, e = max(0, y0), min(h, y0 + rgba.shape[0])
    if a >= b or c >= e:
        return
    part = rgba[c - y0 : e - y0, a - x0 : b - x0]
    view = image[c:e, a:b]
    rest = cv2.merge([255 - part[:, :, 3]] * 3)
    kept = cv2.multiply(view, rest, scale=1.0 / 255.0)
    view[:] = cv2.add(kept, np.ascontiguousarray(part[:, :, :3]))


def _measure(
    labels: NDArray[np.int16], drawn: list[tuple[Actor, int, tuple[float, float, float, float]]], camera: PinholeCamera,
    time_s: float,
) -> tuple[RenderedInstance, ...]:  # fmt: skip
    """Measures the visible instances. Fully hidden objects are left out, and labels renumbered without gaps."""
    instances: list[RenderedInstance] = []
    for old, (actor, whole, full) in enumerate(drawn, start=1):
        x0, y0 = max(0, int(full[0])), max(0, int(full[1]))
        view = labels[y0 : int(full[3]) + 1, x0 : int(full[2]) + 1]
        mask = view == old
        area = int(np.count_nonzero(mask))
        if not area:
            continue
        label = len(instances) + 1
        if label != old:
            view[mask] = label
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        foot = foot_points(actor, camera, np.array([time_s]))[0]
        box = (float(x0 + x), float(y0 + y), float(x0 + x + w), float(y0 + y + h))
        standing = (float(foot[0]), float(foot[1]))
        instances.append(
            RenderedInstance(
                label, actor.track_id, actor.class_name, box, area, min(1.0, area / whole), standing, full
            )
        )
    return tuple(instances)


def sample(seed: int, *, width: int = 640, height: int = 360) -> Rendered:
    """One random frame of a random street, for training: each seed has its own street and actors.

    Args:
        seed: Determines the frame.
        width: Of the frame, pixels.
        height: Of the frame, pixels.
    """
    rng = np.random.default_rng([seed, 77])
    scene = Scene(seed, width, height, 25.0, 6.0, float(rng.uniform(1.2, 2.6)), False, check=False)
    return scene.frame(int(rng.integers(0, 150)))
