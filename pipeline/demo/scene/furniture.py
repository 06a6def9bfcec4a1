"""Street furniture: lamp posts, trees, shelter, planters, benches, signs. Drawn once, composited by depth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.sprite import Bytes, Colour, Sprite, mix, shade
from pipeline.demo.scene.street import Street

LEAVES: tuple[Colour, ...] = ((92, 132, 66), (74, 116, 72), (120, 142, 62), (186, 132, 54), (104, 140, 92))


@dataclass(frozen=True)
class Fixture:
    """A piece of furniture.

    Attributes:
        kind: a key of `_KINDS`.
        s, d: position, metres.
        depth_m: along the optical axis.
        x0, y0: upper left corner of `rgba` in the frame, pixels.
        rgba: (h, w, 4) uint8, premultiplied.
        occlusion: x0 y0 x1 y1 of its opaque part in pixels, for planning traffic.
        lamp_px: x y of its lamp, if it has one.
    """

    kind: str
    s: float
    d: float
    depth_m: float
    x0: int
    y0: int
    rgba: Bytes
    occlusion: tuple[float, float, float, float]
    lamp_px: tuple[float, float] | None = None


class _Draw:
    """A sprite addressed in metres to the right of and above a foot point; `m` is pixels per metre there."""

    def __init__(
        self, camera: PinholeCamera, s: float, d: float, left: float, right: float, up: float
    ) -> None:
        self.camera, self.s, self.d = camera, s, d
        x, y = camera.point(s, d)
        self.m = camera.focal_px / camera.depth(s, d)
        self.foot = np.array([x, y])
        box = (x - left * self.m, y - up * self.m, x + right * self.m, y + 0.5 * self.m)
        x0, x1 = max(-4, int(box[0])), min(camera.width + 4, int(box[2]) + 1)
        y0, y1 = max(-4, int(box[1])), min(camera.height + 4, int(box[3]) + 1)
        self.visible = x1 > x0 and y1 > y0
        self.sprite = Sprite(x0, y0, x1, y1)
        self.lamp_px: tuple[float, float] | None = None

    def at(self, right: float, up: float) -> Floats:
        return np.array([self.foot[0] + right * self.m, self.foot[1] - up * self.m])

    def box(self, x0: float, x1: float, h0: float, h1: float, colour: Colour) -> None:
        points = np.array([self.at(x0, h0), self.at(x1, h0), self.at(x1, h1), self.at(x0, h1)])
        self.sprite.convex(points, colour)

    def cuboid(self, half_s: float, half_d: float, h0: float, h1: float, colour: Colour, tone: float) -> None:
        """Draws a cuboid parallel to the street: its top and its visible faces."""
        s, d = self.s, self.d
        corners = np.array([[s + a * half_s, d + b * half_d, h] for h in (h0, h1)
                            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])  # fmt: skip
        px = self.camera.project(corners)[0]
        self.sprite.hull([px], shade(colour, tone * 0.72))
        self.sprite.convex(px[[0, 1, 5, 4]], shade(colour, tone * 0.92))
        self.sprite.convex(px[4:8], shade(colour, tone * 1.12))


def _lamp(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    iron: Colour = mix((58, 66, 68), (50, 70, 60), float(rng.random()))
    tall = float(rng.uniform(4.2, 5.6))
    g.sprite.limb(g.at(0, 0.05), g.at(0, 0.5), 0.13 * g.m, 0.1 * g.m, iron)
    g.sprite.limb(g.at(0, 0.4), g.at(0, tall), 0.065 * g.m, 0.045 * g.m, iron)
    g.sprite.limb(g.at(-0.02, 0.5), g.at(-0.02, tall), 0.018 * g.m, 0.015 * g.m, shade(iron, 1.5))
    g.sprite.limb(g.at(0, 1.0), g.at(0, 1.06), 0.085 * g.m, 0.085 * g.m, shade(iron, 0.9))
    side = 1 if rng.random() < 0.5 else -1
    curve = [
        g.at(side * 0.9 * np.sin(a), tall + 0.45 * (1 - np.cos(a)) * 1.0) for a in np.linspace(0, 1.5, 8)
    ]
    for a, b in pairwise(curve):
        g.sprite.limb(a, b, 0.04 * g.m, 0.04 * g.m, iron)
    head = curve[-1]
    g.lamp_px = (float(head[0]) + side * 0.2 * g.m, float(head[1]) + 0.1 * g.m)
    g.sprite.limb(
        head, head + np.array([side * 0.4 * g.m, 0.04 * g.m]), 0.1 * g.m, 0.07 * g.m, shade(iron, 1.1)
    )
    glow: Colour = (255, 232, 170) if light.kind in ("dusk", "golden") else (226, 228, 222)
    g.sprite.limb(head + np.array([0, 0.07 * g.m]), head + np.array([side * 0.36 * g.m, 0.1 * g.m]), 0.045 * g.m,
                  0.04 * g.m, glow)  # fmt: skip


def _tree(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    bark: Colour = mix((104, 84, 66), (122, 112, 100), float(rng.random()))
    leaf = LEAVES[int(rng.integers(len(LEAVES)))]
    trunk = float(rng.uniform(2.5, 3.1))
    g.cuboid(0.55, 0.4, 0.0, 0.05, (98, 82, 66), 1.0)
    g.sprite.limb(g.at(0, 0.0), g.at(0.03, trunk), 0.16 * g.m, 0.1 * g.m, bark)
    g.sprite.limb(g.at(0.05, 0.05), g.at(0.07, trunk), 0.06 * g.m, 0.04 * g.m, shade(bark, 0.78))
    for x, up in ((-0.6, 1.0), (0.55, 0.9), (0.1, 1.3)):
        g.sprite.limb(g.at(0.03, trunk - 0.2), g.at(x, trunk + up), 0.07 * g.m, 0.03 * g.m, bark)
    wide, tall = float(rng.uniform(1.2, 1.7)), float(rng.uniform(1.3, 1.8))
    heart = trunk + tall * 0.85
    clumps = [(float(wide * 0.62 * r * np.cos(a)), float(tall * 0.6 * r * np.sin(a)), float(rng.uniform(0.42, 0.66)))
              for a, r in zip(rng.uniform(0, 6.28, 13), np.sqrt(rng.uniform(0.05, 1, 13)), strict=True)]  # fmt: skip
    clumps.sort(key=lambda clump: clump[1] * 0.3 + clump[0] * 0.2)
    for x, up, size in clumps:
        g.sprite.disc(g.at(x, heart + up), size * 1.08 * g.m, shade(leaf, 0.56))
    side = -1.0 if light.sun[0] < 0 else 1.0
    for x, up, size in clumps:
        for tone, count, reach, lift in ((0.66, 16, 1.08, -0.12), (0.86, 18, 0.95, 0.0), (1.08, 16, 0.72, 0.14),
                                         (1.3, 9, 0.5, 0.24)):  # fmt: skip
            for angle, r in zip(rng.uniform(0, 6.28, count), np.sqrt(rng.uniform(0, 1, count)), strict=True):
                spot = g.at(x + size * reach * r * float(np.cos(angle)) + side * 0.6 * lift * size,
                            heart + up + size * reach * r * float(np.sin(angle)) + lift * size)  # fmt: skip
                g.sprite.disc(
                    spot,
                    float(rng.uniform(0.05, 0.12)) * g.m,
                    shade(leaf, tone * float(rng.uniform(0.92, 1.08))),
                )


def _planter(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    wood: Colour = ((140, 104, 72), (112, 112, 112), (92, 108, 98), (152, 120, 96))[int(rng.integers(4))]
    half = float(rng.uniform(0.6, 0.95))
    g.cuboid(half, 0.28, 0.0, 0.5, wood, 1.0)
    for x in np.arange(-half + 0.2, half, 0.3):
        a = g.camera.point(g.s + float(x), g.d - 0.28, 0.03)
        b = g.camera.point(g.s + float(x), g.d - 0.28, 0.48)
        g.sprite.stroke(np.array([a, b]), 0.02 * g.m, shade(wood, 0.78))
    leaf = LEAVES[int(rng.integers(3))]
    blooms: tuple[Colour, ...] = (
        (222, 70, 84),
        (240, 190, 70),
        (236, 228, 232),
        (180, 90, 170),
        (240, 130, 70),
    )
    bloom = blooms[int(rng.integers(5))]
    for tone in (0.75, 1.0, 1.2):
        for _ in range(16):
            x, up = float(rng.uniform(-half, half)), float(rng.uniform(0.5, 0.78))
            g.sprite.disc(g.at(x, up), float(rng.uniform(0.06, 0.13)) * g.m, shade(leaf, tone))
    for _ in range(20):
        x, up = float(rng.uniform(-half, half)), float(rng.uniform(0.55, 0.88))
        g.sprite.disc(
            g.at(x, up), float(rng.uniform(0.03, 0.055)) * g.m, shade(bloom, float(rng.uniform(0.85, 1.1)))
        )


def _bench(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    wood: Colour = (158, 112, 70)
    for x in (-0.7, 0.7):
        g.box(x - 0.04, x + 0.04, 0.0, 0.45, (52, 54, 58))
    g.cuboid(0.85, 0.22, 0.4, 0.46, wood, 1.05)
    for h in (0.56, 0.7, 0.84):
        g.box(-0.85, 0.85, h + 0.1, h + 0.2, shade(wood, 0.96))
    for x in (-0.66, 0.66):
        g.box(x - 0.03, x + 0.03, 0.4, 1.04, (60, 62, 66))


def _sign(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    g.sprite.limb(g.at(0, 0.0), g.at(0, 2.9), 0.04 * g.m, 0.04 * g.m, (150, 154, 158))
    g.sprite.limb(g.at(-0.012, 0.0), g.at(-0.012, 2.9), 0.012 * g.m, 0.012 * g.m, (206, 208, 210))
    blue: Colour = (36, 92, 170)
    g.box(-0.34, 0.34, 2.3, 2.98, (244, 244, 244))
    g.box(-0.31, 0.31, 2.33, 2.95, blue)
    g.sprite.convex(np.array([g.at(-0.26, 2.38), g.at(0.26, 2.38), g.at(0.0, 2.9)]), (248, 248, 248))
    g.sprite.limb(g.at(0.0, 2.66), g.at(0.0, 2.58), 0.035 * g.m, 0.04 * g.m, (30, 30, 32))
    g.sprite.limb(g.at(0.0, 2.56), g.at(-0.08, 2.42), 0.025 * g.m, 0.02 * g.m, (30, 30, 32))
    g.sprite.limb(g.at(0.0, 2.56), g.at(0.08, 2.42), 0.025 * g.m, 0.02 * g.m, (30, 30, 32))


def _shelter(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    steel: Colour = (82, 88, 94)
    for x in (-1.5, 1.5):
        g.box(x - 0.05, x + 0.05, 0.0, 2.45, steel)
    pane = np.array([g.at(-1.5, 0.2), g.at(1.5, 0.2), g.at(1.5, 2.3), g.at(-1.5, 2.3)])
    g.sprite.convex(pane, (196, 216, 222), 0.3)
    for x in (-1.5, -0.5, 0.5, 1.5):
        g.box(x - 0.035, x + 0.035, 0.0, 2.42, steel)
    g.box(-1.5, 1.5, 0.18, 0.26, steel)
    g.box(-1.2, 0.3, 0.46, 0.54, (150, 110, 72))
    g.box(0.72, 1.38, 0.5, 2.1, (238, 236, 230))
    posters: tuple[Colour, ...] = ((206, 84, 66), (62, 128, 150), (230, 180, 70), (120, 90, 140))
    poster = posters[int(rng.integers(4))]
    g.box(0.78, 1.32, 0.56, 2.04, poster)
    g.sprite.disc(g.at(1.05, 1.5), 0.17 * g.m, mix(poster, (255, 250, 230), 0.7))
    g.box(0.86, 1.24, 0.76, 0.84, mix(poster, (255, 250, 230), 0.7))
    g.box(0.86, 1.12, 0.92, 0.98, mix(poster, (255, 250, 230), 0.7))
    g.cuboid(1.7, 0.75, 2.42, 2.56, (70, 78, 84), 1.0)


def _bin(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    green: Colour = ((60, 92, 76), (70, 74, 80), (110, 60, 50))[int(rng.integers(3))]
    g.box(-0.2, 0.2, 0.05, 0.85, green)
    g.box(-0.2, -0.1, 0.05, 0.85, shade(green, 1.25))
    g.box(-0.23, 0.23, 0.82, 0.92, shade(green, 0.8))
    g.box(-0.1, 0.12, 0.64, 0.74, (28, 30, 32))


def _bollard(g: _Draw, rng: np.random.Generator, light: Light) -> None:
    g.sprite.limb(g.at(0, 0.05), g.at(0, 0.82), 0.07 * g.m, 0.06 * g.m, (66, 70, 74))
    g.sprite.limb(g.at(-0.02, 0.1), g.at(-0.02, 0.8), 0.015 * g.m, 0.015 * g.m, (128, 132, 136))
    g.box(-0.065, 0.065, 0.64, 0.74, (232, 230, 222))


_KINDS = {
    # kind: painter, reach left/right, height, opaque half width, opaque height
    "lamp": (_lamp, 1.6, 6.6, 0.08, 5.0), "tree": (_tree, 2.6, 7.4, 0.16, 2.6),
    "planter": (_planter, 1.3, 1.2, 0.8, 0.75),
    "bench": (_bench, 1.1, 1.3, 0.8, 0.9), "sign": (_sign, 0.6, 3.2, 0.05, 3.0),
    "shelter": (_shelter, 2.2, 3.0, 0.3, 2.4),
    "bin": (_bin, 0.4, 1.1, 0.22, 0.9), "bollard": (_bollard, 0.25, 1.0, 0.07, 0.85),
}  # fmt: skip


def _build(
    kind: str, camera: PinholeCamera, s: float, d: float, rng: np.random.Generator, light: Light
) -> Fixture | None:
    draw, reach, height, half, tall = _KINDS[kind]
    g = _Draw(camera, s, d, reach, reach, height)
    if not g.visible:
        return None
    draw(g, rng, light)
    a, b = g.at(-half, 0.0), g.at(half, tall)
    rgba = g.sprite.finish()
    return Fixture(kind, s, d, camera.depth(s, d), g.sprite.x0, g.sprite.y0, rgba,
                   (float(a[0]), float(b[1]), float(b[0]), float(a[1])), g.lamp_px)  # fmt: skip


def furnish(camera: PinholeCamera, street: Street, light: Light, rng: np.random.Generator) -> list[Fixture]:
    """Draws the furniture of both pavements, clear of the zebra, the doors and the pavement's counting line.

    Args:
        camera: Camera of the scene.
        street: Ground plan of the scene.
        light: Light of the scene.
        rng: Source of randomness.

    Returns:
        Sorted from far to near.
    """
    wanted: list[tuple[str, float, float]] = []
    road, far = street.road_m, street.facade_d

    def free(s: float, margin: float) -> bool:
        clear = abs(s - street.zebra_s) > 2.1 + margin
        return clear and all(abs(s - other) > margin + 0.9 for _, other, _ in wanted)

    def try_place(
        kind: str, d: float, low: float, high: float, margin: float, off_doors: bool = False
    ) -> None:
        for _ in range(12):
            s = float(rng.uniform(low, high))
            if free(s, margin) and not (
                off_doors and any(abs(s - door) < margin + 0.8 for door in street.doors_s)
            ):
                wanted.append((kind, s, d))
                return

    wide = 11.0
    if rng.random() < 0.75:
        try_place("shelter", road + 1.25, -7.5, 7.5, 1.9)
    for _ in range(int(rng.integers(1, 4))):
        try_place("tree", road + 0.75, -wide, wide, 0.9)
    try_place("lamp", road + 0.5, -wide, 0, 0.4)
    try_place("lamp", road + 0.5, 0, wide, 0.4)
    for kind in ("bench", "bin", "planter", "planter"):
        if rng.random() < 0.7:
            try_place(kind, far - 0.55, -wide, wide, 0.9, off_doors=True)
    wanted.append(("sign", street.zebra_s + float(rng.choice([-2.3, 2.3])), road + 0.4))
    far_count = len(wanted)
    near = list(wanted)
    wanted.clear()

    def near_free(s: float, margin: float) -> bool:
        return (abs(s - street.zebra_s) > 2.0 + margin and abs(s - street.walk_line_s) > 1.3 + margin
                and all(abs(s - other) > margin + 0.9 for _, other, _ in wanted))  # fmt: skip

    edge = 5.8
    menu = ["lamp", "tree", "planter", "planter", "sign", "bollard", "bin"]
    for kind in rng.permutation(menu)[: int(rng.integers(2, 5))]:
        margin = 0.8 if kind == "planter" else 0.3
        for _ in range(10):
            s = float(rng.uniform(-edge, edge))
            if near_free(s, margin):
                wanted.append((str(kind), s, -0.42))
                break
    pieces = near[:far_count] + wanted
    built = [_build(kind, camera, s, d, rng, light) for kind, s, d in pieces]
    return sorted((f for f in built if f is not None), key=lambda f: -f.depth_m)
