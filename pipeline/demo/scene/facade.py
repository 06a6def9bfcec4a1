"""Facades: walls, windows, doors and shops of one row of buildings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.painter import Painter
from pipeline.demo.scene.pinhole import Floats
from pipeline.demo.scene.sprite import Colour, mix, shade

WALLS: tuple[Colour, ...] = (
    (178, 96, 76), (202, 168, 128), (222, 206, 176), (156, 120, 100), (190, 186, 176), (214, 158, 128), (148, 158, 160),
    (230, 214, 196), (196, 128, 104), (176, 190, 178), (228, 190, 130), (134, 92, 82), (206, 196, 206), (166, 178, 192),
)  # fmt: skip
ACCENTS: tuple[Colour, ...] = (
    (52, 92, 84), (142, 48, 46), (48, 72, 112), (206, 154, 58), (90, 62, 84), (66, 66, 70), (60, 118, 126),
    (178, 92, 50),
)  # fmt: skip


@dataclass(frozen=True)
class House:
    """One building of the row; lengths in metres."""

    s0: float
    s1: float
    height: float
    wall: Colour
    accent: Colour
    brick: bool
    shop: bool
    floor_m: float
    columns: int
    shutters: bool
    balconies: bool
    awning: bool
    door_s: float | None
    garden: bool = False  # instead of a building: hedge, fence and trees


def make_row(
    rng: np.random.Generator, low_s: float, high_s: float, doors_s: tuple[float, ...]
) -> list[House]:
    """Draws a row of houses from `low_s` to `high_s`; no party wall is near any of the given doors.

    Args:
        rng: Source of randomness.
        low_s: Where the row begins, metres along the street.
        high_s: Where it ends.
        doors_s: Where doors are, metres along the street.
    """
    cuts = [low_s]
    while cuts[-1] < high_s:
        nxt = cuts[-1] + float(rng.uniform(5.5, 9.5))
        while any(abs(nxt - door) < 1.4 for door in doors_s):
            nxt += 0.7
        cuts.append(nxt)
    houses, last = [], -1
    for s0, s1 in pairwise(cuts):
        choice = int(rng.integers(len(WALLS)))
        choice = (choice + 1) % len(WALLS) if choice == last else choice
        last = choice
        inside = [door for door in doors_s if s0 + 0.9 < door < s1 - 0.9]
        houses.append(House(
            s0, s1, float(rng.choice([5.6, 6.4, 7.2, 8.8, 9.6, 12.5])) + float(rng.uniform(-0.3, 0.3)), WALLS[choice],
            ACCENTS[int(rng.integers(len(ACCENTS)))], bool(rng.random() < 0.5), bool(rng.random() < 0.68),
            float(rng.uniform(2.9, 3.3)), max(2, round((s1 - s0) / float(rng.uniform(2.0, 2.7)))),
            bool(rng.random() < 0.3), bool(rng.random() < 0.3), bool(rng.random() < 0.65),
            inside[0] if inside else None, not inside and bool(rng.random() < 0.75)))  # fmt: skip
    return houses


def _rows(s0: float, s1: float, heights: Floats, d: float) -> Floats:
    out = np.empty((len(heights), 2, 3))
    out[:, 0, 0], out[:, 1, 0] = s0, s1
    out[:, :, 1], out[:, :, 2] = d, heights[:, None]
    return out


def _window(
    p: Painter, rng: np.random.Generator, s0: float, s1: float, h0: float, h1: float, d: float, frame: Colour,
    light: Light, house: House,
) -> None:  # fmt: skip
    p.wall(s0 - 0.1, s1 + 0.1, h0 - 0.1, h1 + 0.12, d, shade(house.wall, 1.13))
    p.wall(s0, s1, h0, h1, d, frame)
    lit = rng.random() < light.windows_lit
    glass = mix((255, 214, 140), (255, 236, 190), float(rng.random()))
    if not lit:
        glass = mix(
            shade((74, 90, 106), float(rng.uniform(0.7, 1.1))), light.sky_low, float(rng.uniform(0.05, 0.3))
        )
    if not lit:
        glass = tuple(c * t for c, t in zip(glass, light.tint, strict=True))  # type: ignore[assignment]
    mid, bar = (s0 + s1) / 2, 0.035
    for a, b in ((s0 + 0.06, mid - bar), (mid + bar, s1 - 0.06)):
        p.wall(a, b, h0 + 0.06, h1 - 0.06, d, glass)
        top = np.array([[a, d, h1 - 0.06], [b, d, h1 - 0.06], [b, d, h1 - 0.5], [a, d, h1 - 0.3]])
        p.poly(top, shade(glass, 0.84))
        if rng.random() < 0.4:
            curtain = mix((236, 232, 222), glass, 0.35)
            p.wall(a, a + (b - a) * float(rng.uniform(0.25, 0.6)), h0 + 0.06, h1 - 0.06, d, curtain)
    p.wall(s0 + 0.05, s1 - 0.05, (h0 * 0.38 + h1 * 0.62), (h0 * 0.38 + h1 * 0.62) + 0.06, d, frame)
    p.wall(s0 - 0.14, s1 + 0.14, h0 - 0.16, h0 - 0.06, d - 0.12, shade(house.wall, 1.2))
    p.wall(s0 - 0.12, s1 + 0.12, h0 - 0.23, h0 - 0.16, d, shade(house.wall, 0.74))
    if house.shutters:
        for a, b in ((s0 - 0.52, s0 - 0.06), (s1 + 0.06, s1 + 0.52)):
            p.wall(a, b, h0 - 0.05, h1 + 0.03, d, house.accent)
            p.lines(
                _rows(a + 0.05, b - 0.05, np.arange(h0 + 0.1, h1, 0.16), d), 0.03, shade(house.accent, 0.8)
            )


def _balcony(p: Painter, s0: float, s1: float, h: float, d: float) -> None:
    p.flat(s0 - 0.3, s1 + 0.3, d - 0.7, d, (120, 116, 112), h - 0.12)
    p.wall(s0 - 0.3, s1 + 0.3, h - 0.22, h - 0.1, d - 0.7, (168, 164, 158))
    posts = np.arange(s0 - 0.28, s1 + 0.3, 0.14)
    rails = np.empty((len(posts), 2, 3))
    rails[:, :, 0], rails[:, :, 1] = posts[:, None], d - 0.7
    rails[:, 0, 2], rails[:, 1, 2] = h - 0.1, h + 0.85
    p.lines(rails, 0.025, (54, 54, 58))
    p.lines(_rows(s0 - 0.3, s1 + 0.3, np.array([h + 0.87]), d - 0.7), 0.05, (44, 44, 48))


def _door(p: Painter, rng: np.random.Generator, s: float, d: float, house: House, open_door: bool) -> None:
    frame = shade(house.wall, 1.16)
    p.wall(s - 0.72, s + 0.72, 0.0, 2.62, d, frame)
    p.wall(s - 0.6, s + 0.6, 0.0, 2.5, d, (40, 36, 36))
    if open_door:
        p.wall(s - 0.6, s + 0.6, 0.0, 2.05, d, (74, 60, 50))
        p.wall(s - 0.36, s + 0.4, 0.28, 1.9, d, (96, 78, 62))
        p.wall(s - 0.2, s + 0.26, 0.46, 1.78, d, (128, 104, 78))
        p.flat(s - 0.6, s + 0.6, d, d + 0.02, (60, 50, 44))
        p.wall(s - 0.6, s + 0.6, 2.05, 2.5, d, (116, 108, 92))
        p.wall(s - 0.6, s + 0.6, 0.0, 0.12, d, (74, 68, 64))
        leaf = np.array(
            [[s - 0.6, d, 0.02], [s - 0.48, d + 0.2, 0.02], [s - 0.48, d + 0.2, 2.05], [s - 0.6, d, 2.05]]
        )
        p.poly(leaf, house.accent)
    else:
        p.wall(s - 0.54, s + 0.54, 0.05, 2.1, d, house.accent)
        p.wall(s - 0.54, s + 0.54, 2.16, 2.46, d, (150, 164, 172))
        for h0, h1 in ((0.2, 0.95), (1.1, 1.95)):
            p.wall(s - 0.4, s - 0.06, h0, h1, d, shade(house.accent, 0.82))
            p.wall(s + 0.06, s + 0.4, h0, h1, d, shade(house.accent, 0.82))
        p.wall(s + 0.4, s + 0.48, 1.0, 1.1, d, (222, 196, 110))
    p.flat(s - 0.8, s + 0.8, d - 0.35, d, shade(frame, 0.92), 0.04)


def _shop(p: Painter, rng: np.random.Generator, house: House, d: float, light: Light) -> None:
    s0, s1 = house.s0 + 0.45, house.s1 - 0.45
    p.wall(s0 - 0.2, s1 + 0.2, 0.0, 3.0, d, shade(house.accent, 0.92))
    p.wall(s0 - 0.2, s1 + 0.2, 0.0, 0.42, d, shade(house.accent, 0.72))
    spans = [(s0, s1)]
    if house.door_s is not None:
        spans = [(s0, house.door_s - 0.8), (house.door_s + 0.8, s1)]
    inside = mix((92, 96, 100), (255, 222, 160), 0.25 + 0.75 * min(1.0, 2 * light.windows_lit))
    for a, b in spans:
        if b - a < 0.7:
            continue
        p.wall(a, b, 0.46, 2.36, d, shade(inside, 0.7))
        p.wall(a, b, 1.3, 2.36, d, shade(inside, 0.84))
        x = a + 0.2
        while x < b - 0.5:  # goods in the shop window
            w, h = float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.3, 0.95))
            goods = mix(WALLS[int(rng.integers(len(WALLS)))], ACCENTS[int(rng.integers(len(ACCENTS)))], 0.4)
            p.wall(x, min(x + w, b - 0.1), 0.5, 0.5 + h, d, shade(goods, 0.82))
            x += w + float(rng.uniform(0.1, 0.4))
        streak = np.array([[a + 0.3, d, 0.46], [a + 0.7, d, 0.46], [a + 1.4, d, 2.36], [a + 1.0, d, 2.36]])
        if b - a > 1.6:
            p.poly(streak, mix(shade(inside, 0.86), light.sky_low, 0.35))
        for x in np.linspace(a, b, max(2, round((b - a) / 1.5) + 1)):
            p.wall(float(x) - 0.04, float(x) + 0.04, 0.42, 2.4, d, shade(house.accent, 1.12))
        p.wall(a - 0.04, b + 0.04, 2.36, 2.44, d, shade(house.accent, 1.12))
    p.wall(s0 - 0.2, s1 + 0.2, 2.44, 3.0, d - 0.1, house.accent)
    letters = s0 + (s1 - s0) * 0.3
    ink = mix(house.accent, (255, 248, 226), 0.85)
    while letters < s0 + (s1 - s0) * 0.7:
        w = float(rng.uniform(0.12, 0.26))
        p.wall(letters, letters + w, 2.6, 2.6 + float(rng.uniform(0.16, 0.26)), d - 0.1, ink)
        letters += w + 0.08
    if house.awning:
        stripes = max(4, round((s1 - s0) / 0.5))
        edges = np.linspace(s0, s1, stripes + 1)
        light_cloth = (244, 238, 224)
        for i in range(stripes):
            cloth: Colour = light_cloth if i % 2 else mix(house.accent, (230, 120, 90), 0.25)
            a, b = float(edges[i]), float(edges[i + 1])
            p.poly(
                np.array([[a, d - 0.1, 2.62], [b, d - 0.1, 2.62], [b, d - 1.0, 2.25], [a, d - 1.0, 2.25]]),
                cloth,
            )
            p.wall(a, b, 2.05, 2.25, d - 1.0, shade(cloth, 0.86))


def _garden(p: Painter, rng: np.random.Generator, house: House, d: float, light: Light) -> None:
    greens: tuple[Colour, ...] = ((84, 122, 66), (70, 108, 70), (110, 132, 62))
    leaf = mix(greens[int(rng.integers(3))], light.sky_low, 0.06)
    wide = house.s1 - house.s0
    p.flat(house.s0, house.s1, d, d + 5.0, shade(leaf, 1.15))
    for back, tall, tone, air in ((4.5, 5.4, 0.7, 0.22), (3.0, 4.2, 0.82, 0.12), (1.2, 1.6, 0.95, 0.0)):
        for _ in range(9):
            s, h = float(rng.uniform(house.s0 + 0.8, house.s1 - 0.8)), float(rng.uniform(0.35, 0.85)) * tall
            for grow in (1.0, 0.72, 0.44):
                colour = mix(shade(leaf, tone * (1.45 - 0.45 * grow)), light.sky_low, air)
                centre, unit = p.camera.point(s, d + back, h), p.camera.focal_px / p.camera.depth(s, d + back)
                for _ in range(10):
                    at = (
                        np.array(centre)
                        + rng.normal(0, 0.34 * grow, 2) * unit
                        + np.array([0, -0.3 * (1 - grow) * unit])
                    )
                    p.disc(at, float(rng.uniform(0.14, 0.3)) * unit * (0.4 + 0.6 * grow) * tall / 4.0, colour)
    stone = shade(house.wall, 0.92)
    p.wall(house.s0, house.s1, 0.0, 0.75, d, stone)
    p.wall(house.s0, house.s1, 0.72, 0.82, d - 0.06, shade(stone, 1.2))
    posts = np.arange(house.s0 + 0.1, house.s1, 0.16)
    bars = np.empty((len(posts), 2, 3))
    bars[:, :, 0], bars[:, :, 1], bars[:, 0, 2], bars[:, 1, 2] = posts[:, None], d, 0.82, 1.7
    p.lines(bars, 0.03, (52, 56, 58))
    p.lines(_rows(house.s0, house.s1, np.array([0.95, 1.6]), d), 0.05, (46, 50, 52))
    for s in np.linspace(house.s0 + 0.15, house.s1 - 0.15, max(2, round(wide / 2.4))):
        p.wall(float(s) - 0.16, float(s) + 0.16, 0.0, 1.85, d - 0.04, shade(stone, 1.06))
        p.wall(float(s) - 0.2, float(s) + 0.2, 1.85, 1.98, d - 0.06, shade(stone, 1.24))


def draw_house(p: Painter, rng: np.random.Generator, house: House, d: float, light: Light) -> None:
    """Paints one facade at distance `d`, or a garden. All facades face the camera, so they share one shade.

    Args:
        p: Painter of the frame.
        rng: Source of randomness.
        house: Of a row.
        d: Distance of the facade across the street, metres.
        light: Light of the scene.
    """
    if house.garden:
        _garden(p, rng, house, d, light)
        return
    tone = float(light.facing(np.array([[0.0, -1.0, 0.0]]))[0]) + 0.1
    wall = shade(house.wall, tone)
    house = House(**{**house.__dict__, "wall": wall, "accent": shade(house.accent, tone + 0.06)})
    p.wall(house.s0, house.s1, 0.0, house.height, d, wall)
    if house.brick:
        p.lines(_rows(house.s0, house.s1, np.arange(0.24, house.height, 0.24), d), 0.02, shade(wall, 0.93))
        for row in np.arange(0.24, house.height, 0.48):
            bricks = rng.uniform(house.s0, house.s1 - 0.5, 5)
            for a in bricks:
                p.wall(float(a), float(a) + 0.45, float(row), float(row) + 0.24, d,
                       shade(wall, float(rng.uniform(0.9, 1.08))))  # fmt: skip
    p.wall(house.s0, house.s1, 0.0, 0.4, d, shade(wall, 0.72))
    ground = 3.15
    p.wall(house.s0, house.s1, ground - 0.05, ground + 0.14, d - 0.08, shade(wall, 1.14))
    p.wall(house.s0, house.s1, ground - 0.14, ground - 0.05, d, shade(wall, 0.78))
    frame: Colour = (238, 234, 226) if rng.random() < 0.6 else shade(house.accent, 0.8)
    pitch = (house.s1 - house.s0) / house.columns
    wide = min(1.25, pitch * 0.5)
    base = ground + 0.75
    while base + 1.7 < house.height:
        for column in range(house.columns):
            s = house.s0 + (column + 0.5) * pitch
            _window(p, rng, s - wide / 2, s + wide / 2, base, base + 1.55, d, frame, light, house)
            if house.balconies and column % 2 == 0:
                _balcony(p, s - wide / 2, s + wide / 2, base - 0.2, d)
        base += house.floor_m
    p.wall(house.s0 - 0.08, house.s1 + 0.08, house.height - 0.3, house.height, d - 0.15, shade(wall, 1.18))
    p.wall(house.s0, house.s1, house.height - 0.42, house.height - 0.3, d, shade(wall, 0.74))
    roof = np.array(
        [
            [house.s0 - 0.1, d, house.height],
            [house.s1 + 0.1, d, house.height],
            [house.s1 - 0.5, d + 2.5, house.height + 1.7],
            [house.s0 + 0.5, d + 2.5, house.height + 1.7],
        ]
    )
    p.poly(roof, shade((122, 82, 70), tone))
    if house.shop:
        _shop(p, rng, house, d, light)
    else:
        for column in range(house.columns):
            s = house.s0 + (column + 0.5) * pitch
            if house.door_s is None or abs(s - house.door_s) > wide / 2 + 0.85:
                _window(p, rng, s - wide / 2, s + wide / 2, 1.0, 2.5, d, frame, light, house)
    if house.door_s is not None:
        _door(p, rng, house.door_s, d, house, open_door=True)
    pipe = np.array([[[house.s0 + 0.12, d - 0.08, 0.0], [house.s0 + 0.12, d - 0.08, house.height - 0.4]]])
    p.lines(pipe, 0.1, shade(wall, 0.66))
    p.lines(pipe - np.array([0.03, 0, 0]), 0.025, shade(wall, 0.84))
