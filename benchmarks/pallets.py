"""A street on which self-driving carts carry loaded pallets: a class that the model which ships has never seen.

Pallets, their loads and their ways are drawn from the seed of a scene; the street, people and vehicles are those of
`tallycam demo`. People, bicycles and cars are there as well, and are background to who counts pallets.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.demo.scene.actors import Actor, OtherLook, Pose, make_actor
from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.pinhole import PinholeCamera
from pipeline.demo.scene.sprite import Colour, Sprite, shade
from pipeline.demo.scene.traffic import Planner, PlanSpan
from pipeline.demo.scene.world import Scene
from pipeline.records.scene_truth import SceneLayout

PALLET = "pallet"
DECK_M = 0.34
"""Height of the cart with the pallet on it."""
WOOD = ((196, 158, 108), (176, 138, 92), (206, 176, 132), (150, 120, 88))
LOADS = ("boxes", "boxes", "film", "drums", "planks", "empty")


@dataclass(frozen=True)
class Block:
    """A cuboid of the load in the coordinates of its pallet.

    Attributes:
        low, high: opposite corners, (forward, left, up), metres.
        colour: RGB.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    colour: Colour


@dataclass(frozen=True)
class PalletLook(OtherLook):
    """A pallet on its cart with a load.

    Attributes:
        blocks: from what is drawn first to what is drawn last, within one height from back to front.
        length_m, width_m, height_m: of all together.
    """

    blocks: tuple[Block, ...]
    length_m: float
    width_m: float
    height_m: float

    @property
    def extent_m(self) -> tuple[float, float, float]:
        """See `OtherLook`."""
        return self.length_m / 2, self.width_m / 2, self.height_m

    def draw(self, sprite: Sprite, camera: PinholeCamera, pose: Pose, light: Light) -> None:
        """See `OtherLook`."""
        forward, left = pose.along, np.array([-pose.along[1], pose.along[0]])
        toward = camera.toward_camera(pose.s, pose.d)
        near = np.array([toward @ forward, toward @ left])

        def away(block: Block) -> tuple[float, float]:
            middle = (np.array(block.low) + np.array(block.high)) / 2
            return float(block.low[2]), float(middle[:2] @ near)

        for block in sorted(self.blocks, key=away):
            _draw_block(sprite, camera, block, pose, near, light)


def _draw_block(
    sprite: Sprite, camera: PinholeCamera, block: Block, pose: Pose, near: np.ndarray, light: Light
) -> None:
    """The sides of a cuboid that face the camera, then its top."""
    (x0, y0, z0), (x1, y1, z1) = block.low, block.high
    forward, left = pose.along, np.array([-pose.along[1], pose.along[0]])

    def face(corners: list[tuple[float, float, float]], normal: tuple[float, float, float]) -> None:
        body = np.array(corners)
        ground = np.array([pose.s, pose.d]) + body[:, :1] * forward + body[:, 1:2] * left
        pixels = camera.project(np.column_stack([ground, body[:, 2]]))[0]
        flat = normal[0] * forward + normal[1] * left
        tone = float(light.facing(np.array([[flat[0], flat[1], normal[2]]]))[0])
        sprite.convex(pixels, shade(block.colour, tone))

    x, end = (x1, 1.0) if near[0] > 0 else (x0, -1.0)
    y, side = (y1, 1.0) if near[1] > 0 else (y0, -1.0)
    face([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], (end, 0.0, 0.0))
    face([(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)], (0.0, side, 0.0))
    face([(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)], (0.0, 0.0, 1.0))


def make_pallet(rng: np.random.Generator) -> PalletLook:
    """Draws a pallet: boards, blocks and a load of one of `LOADS`."""
    long, wide = float(rng.uniform(1.15, 1.5)), float(rng.uniform(0.8, 1.05))
    half_l, half_w = long / 2, wide / 2
    wood = WOOD[int(rng.integers(len(WOOD)))]
    cart = (60.0, 62.0, 66.0) if rng.random() < 0.6 else (206.0, 150.0, 30.0)
    blocks = [Block((-half_l, -half_w * 0.9, 0.03), (half_l, half_w * 0.9, 0.18), cart)]
    blocks += [
        Block((x, -half_w, 0.18), (x + 0.16, half_w, 0.29), shade(wood, 0.72))
        for x in (-half_l, -0.08, half_l - 0.16)
    ]
    blocks.append(Block((-half_l, -half_w, 0.29), (half_l, half_w, DECK_M), wood))
    blocks += _load(rng, str(rng.choice(LOADS)), half_l * 0.95, half_w * 0.95, wood)
    return PalletLook(tuple(blocks), long, wide, max(block.high[2] for block in blocks))


def _load(rng: np.random.Generator, kind: str, half_l: float, half_w: float, wood: Colour) -> list[Block]:
    """The blocks of a load on the deck."""
    if kind == "empty":
        return []
    if kind == "film":
        top = DECK_M + float(rng.uniform(0.7, 1.3))
        grey = float(rng.uniform(150, 225))
        return [Block((-half_l, -half_w, DECK_M), (half_l, half_w, top), (grey, grey, grey + 8))]
    if kind == "planks":
        return [
            Block((-half_l, -half_w, DECK_M + 0.11 * n), (half_l, half_w, DECK_M + 0.1 + 0.11 * n),
                  shade(wood, float(rng.uniform(0.8, 1.15))))
            for n in range(int(rng.integers(3, 9)))
        ]  # fmt: skip
    drums = kind == "drums"
    colour = (
        (float(rng.uniform(20, 90)), float(rng.uniform(60, 120)), float(rng.uniform(110, 200)))
        if drums
        else (float(rng.uniform(168, 205)), float(rng.uniform(128, 155)), float(rng.uniform(84, 110)))
    )
    rows, columns = (2, 2) if drums else (int(rng.integers(2, 4)), 2)
    step = float(rng.uniform(0.7, 0.9)) if drums else float(rng.uniform(0.28, 0.42))
    layers = 1 if drums else int(rng.integers(1, 4))
    gap = 0.05 if drums else 0.015
    blocks = []
    for layer in range(layers):
        last = layer == layers - 1
        for i in range(rows):
            for j in range(columns):
                if last and layer and rng.random() < 0.35:
                    continue
                x, y = -half_l + 2 * half_l * i / rows, -half_w + 2 * half_w * j / columns
                low = (x + gap, y + gap, DECK_M + layer * step)
                high = (
                    x + 2 * half_l / rows - gap,
                    y + 2 * half_w / columns - gap,
                    DECK_M + (layer + 1) * step,
                )
                blocks.append(Block(low, high, shade(colour, float(rng.uniform(0.86, 1.08)))))
    return blocks


class PalletScene(Scene):
    """A street with pallets on it. The line `road` counts them."""

    def __init__(self, *arguments: float, **options: float) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        road = replace(self.layout.lines[0], classes=(PALLET,))
        self.layout = SceneLayout((road,), ())

    def plan(self, rng: np.random.Generator, span: PlanSpan, first_id: int) -> list[Actor]:
        """See `Scene.plan`."""
        planner = Planner(self.camera, self.street, self.fixtures, span, self.check)
        length = (span.to_s - span.from_s) / 30.0
        wants = (
            (PALLET, 9.0, 150),
            ("zebra", 1.5, 40),
            ("car", 3.0, 60),
            ("bicycle", 2.0, 40),
            ("person", 7.0, 40),
        )
        track_id = first_id
        for name, per_half_minute, tries in wants:
            target, kept = round(per_half_minute * self.traffic * length * float(rng.uniform(0.8, 1.2))), 0
            for _ in range(round(tries * max(1.0, length * self.traffic))):
                if kept >= target:
                    break
                if planner.offer(self._candidate(rng, planner, name, track_id)):
                    kept += 1
                    track_id += 1
        return planner.actors

    def _candidate(self, rng: np.random.Generator, planner: Planner, name: str, track_id: int) -> Actor:
        if name == PALLET:
            return self._pallet(rng, planner.span, track_id)
        if name == "bicycle":
            return planner.bicycle(rng, track_id)
        if name == "car":
            return planner.motor(rng, track_id, name)
        return planner.person(rng, track_id, "zebra" if name == "zebra" else "")

    def _pallet(self, rng: np.random.Generator, span: PlanSpan, track_id: int) -> Actor:
        """Draws a pallet on its way along the road, in either direction."""
        look = make_pallet(rng)
        d = float(rng.uniform(0.7, self.street.road_m - 0.7))
        ends = [self.camera.s_at(x, d) + margin for x, margin in ((0.0, -1.2), (float(self.width), 1.2))]
        way = [(s, d) for s in (ends if rng.random() < 0.5 else ends[::-1])]
        start, speed = float(rng.uniform(span.first_s, span.last_s)), float(rng.uniform(1.0, 2.4))
        return make_actor(track_id, PALLET, look, start, speed, way)
