"""A scene with an object that streets do not have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.scene.actors import Actor, OtherLook, Pose, make_actor
from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.pinhole import PinholeCamera
from pipeline.demo.scene.sprite import Sprite
from pipeline.demo.scene.traffic import PlanSpan
from pipeline.demo.scene.truth import scene_truth
from pipeline.demo.scene.world import Scene

COLOUR = (255.0, 0.0, 200.0)


@dataclass(frozen=True)
class Balloon(OtherLook):
    """A disc above the road."""

    @property
    def extent_m(self) -> tuple[float, float, float]:
        return 1.0, 1.0, 2.0

    def draw(self, sprite: Sprite, camera: PinholeCamera, pose: Pose, light: Light) -> None:
        middle = camera.project(np.array([[pose.s, pose.d, 1.0]]))[0][0]
        sprite.disc(middle, 0.8 * camera.focal_px / camera.depth(pose.s, pose.d), COLOUR)


class BalloonScene(Scene):
    """One balloon crosses the picture, and nothing else moves."""

    def plan(self, rng: np.random.Generator, span: PlanSpan, first_id: int) -> list[Actor]:
        way = [(-2.0, 2.0), (2.0, 2.0)]
        return [make_actor(first_id, "balloon", Balloon(), 0.0, 2.0, way)]


def test_an_object_of_another_kind_draws_itself_and_is_in_the_truth() -> None:
    scene = BalloonScene.from_seed(3, width=320, height=180, fps=10.0, duration_s=1.5)
    frame = scene.frame(10)
    (one,) = frame.instances
    assert one.class_name == "balloon"
    pink = frame.image[frame.mask(one.label)].astype(int)
    assert (pink[:, 0] > pink[:, 1] + 40).mean() > 0.9
    assert scene_truth(scene).unique == {"balloon": 1}
