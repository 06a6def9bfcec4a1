"""The static background of a street: sky, houses, pavements, road, markings. Painted once per scene."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo.scene.facade import draw_house, make_row
from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.painter import Painter, smooth_noise, wrapped_blur
from pipeline.demo.scene.pinhole import PinholeCamera
from pipeline.demo.scene.sprite import Bytes, Colour, mix, shade
from pipeline.demo.scene.street import Street

PAVEMENTS: tuple[Colour, ...] = (
    (186, 180, 170),
    (172, 166, 160),
    (196, 184, 164),
    (178, 172, 176),
    (184, 160, 142),
)
ASPHALTS: tuple[Colour, ...] = ((96, 98, 102), (84, 84, 90), (108, 106, 104), (92, 96, 96))
CYCLE_LANES: tuple[Colour, ...] = (
    (160, 82, 68), (88, 132, 98), (98, 99, 103), (96, 122, 148), (112, 110, 110), (150, 118, 84), (104, 140, 120),
)  # fmt: skip


def _sky(p: Painter, rng: np.random.Generator, light: Light) -> None:
    height, width = p.canvas.shape[:2]
    low = max(2, round((p.camera.horizon_px + 20) * p.k))
    share = (np.clip(np.arange(height) / low, 0, 1) ** 1.2)[:, None, None]
    sky = np.array(light.sky_top) * (1 - share) + np.array(light.sky_low) * share
    band = min(height, low + 8 * p.k)
    clouds = smooth_noise(rng, band // 4 + 1, width // 4 + 1, 9) + 0.6 * smooth_noise(
        rng, band // 4 + 1, width // 4 + 1, 23
    )
    soft = np.clip(clouds * 0.55 + 0.1, 0, 0.85)[:, :, None]
    soft = cv2.resize(soft.astype(np.float32), (width, band), interpolation=cv2.INTER_LINEAR)[:, :, None]
    white = np.array(mix(light.sky_low, (255, 252, 246), 0.6))
    p.canvas[:band] = np.clip(sky[:band] * (1 - soft) + white * soft, 0, 255).astype(np.uint8)
    p.canvas[band:] = np.array(light.sky_low, np.uint8)


def _skyline(p: Painter, rng: np.random.Generator, low: float, high: float, d: float, light: Light) -> None:
    """Distant houses behind the row, fading into the sky's colour (aerial perspective)."""
    for layer, pale in ((40.0, 0.72), (17.0, 0.5)):
        s = low - 20
        while s < high + 20:
            wide, tall = float(rng.uniform(6, 14)), float(rng.uniform(5.5, 10.5))
            tone = mix(
                (134, 130, 150) if rng.random() < 0.6 else (164, 132, 120),
                light.sky_low,
                pale + float(rng.uniform(-0.06, 0.06)),
            )
            p.wall(s, s + wide, 0.0, tall, d + layer, tone)
            for column in np.arange(s + 0.8, s + wide - 1.2, 2.0):
                for h in np.arange(1.5, tall - 1.5, 2.8):
                    p.wall(
                        float(column),
                        float(column) + 1.0,
                        float(h),
                        float(h) + 1.4,
                        d + layer,
                        shade(tone, 0.9),
                    )
            s += wide + float(rng.uniform(0, 2))


def _slabs(
    p: Painter, rng: np.random.Generator, low: float, high: float, d0: float, d1: float, colour: Colour
) -> None:
    size = float(rng.choice([0.5, 0.6, 0.75, 0.9]))
    p.flat(low, high, d0, d1, colour)
    rows = np.arange(d0, d1, size)
    columns = np.arange(low, high, size)
    for row in rows:
        for s in rng.choice(columns, size=max(1, len(columns) // 5), replace=False):
            p.flat(float(s), float(s) + size, float(row), min(float(row) + size, d1),
                   shade(colour, float(rng.uniform(0.94, 1.05))))  # fmt: skip
    dark = shade(colour, 0.86)
    along = np.array([[[low, r, 0], [high, r, 0]] for r in rows])
    p.lines(along, 0.02, dark)
    shift = size / 2 if rng.random() < 0.6 else 0.0
    across = np.array([[[s + shift * (i % 2), r, 0], [s + shift * (i % 2), min(r + size, d1), 0]]
                       for i, r in enumerate(rows) for s in columns])  # fmt: skip
    p.lines(across, 0.018, dark)


def _dashes(
    p: Painter, low: float, high: float, d: float, dash: float, gap: float, wide: float, colour: Colour
) -> None:
    s = low
    while s < high:
        p.flat(s, s + dash, d - wide / 2, d + wide / 2, colour)
        s += dash + gap


def _road(p: Painter, rng: np.random.Generator, street: Street, low: float, high: float) -> None:
    road = street.road_m
    asphalt = ASPHALTS[int(rng.integers(len(ASPHALTS)))]
    p.flat(low, high, 0.0, road, asphalt)
    for _ in range(6):  # repaired patches
        s, d = float(rng.uniform(low / 2, high / 2)), float(rng.uniform(0.5, road - 1.5))
        p.flat(
            s,
            s + float(rng.uniform(1.0, 4.0)),
            d,
            d + float(rng.uniform(0.5, 1.3)),
            shade(asphalt, float(rng.uniform(0.9, 1.06))),
        )
    for lane in (0, 1):
        centre = street.bike_lane_m + (lane + 0.5) * street.lane_m
        for off in (-0.75, 0.75):
            p.flat(low, high, centre + off - 0.22, centre + off + 0.22, shade(asphalt, 0.955))
    lane_colour = CYCLE_LANES[int(rng.integers(len(CYCLE_LANES)))]
    for d0, d1 in ((0.0, street.bike_lane_m), (road - street.bike_lane_m, road)):
        p.flat(low, high, d0, d1, lane_colour)
    white = (226, 226, 220)
    p.flat(low, high, 0.0, 0.28, shade(asphalt, 0.84))  # gutters
    p.flat(low, high, road - 0.28, road, shade(asphalt, 0.84))
    for d in (street.bike_lane_m, road - street.bike_lane_m):
        if rng.random() < 0.5:
            _dashes(p, low, high, d, 1.0, 1.0, 0.12, white)
        else:
            p.flat(low, high, d - 0.06, d + 0.06, white)
    _dashes(p, low + float(rng.uniform(0, 2)), high, road / 2, 2.2, 2.0, 0.13, white)
    z0, z1 = street.zebra_s - street.zebra_half_m, street.zebra_s + street.zebra_half_m
    p.flat(z0 - 0.9, z1 + 0.9, 0.28, road - 0.28, asphalt)
    for d in np.arange(0.45, road - 0.5, 0.98):
        p.flat(z0, z1, float(d), float(d) + 0.52, (232, 231, 224))
        p.flat(z0 + 0.4, z0 + 1.1, float(d) + 0.1, float(d) + 0.3, (220, 219, 213))
    near = street.near_sign
    for sign, d0 in ((near, street.bike_lane_m), (-near, road / 2)):
        stop = z0 - 1.1 if sign > 0 else z1 + 0.8
        p.flat(stop, stop + 0.3, d0 + 0.12, d0 + street.lane_m - 0.12, white)
    for sign, d in ((near, street.bike_lane_m / 2), (-near, road - street.bike_lane_m / 2)):
        for s in (-6.0, -0.6, 6.5):
            if abs(s - street.zebra_s) > 3.0:
                _bike_mark(p, s, d, sign, white)
    s, d = float(rng.uniform(-6, 6)), street.bike_lane_m + 0.5 * street.lane_m
    turn = np.linspace(0, 2 * np.pi, 24)
    if abs(s - street.zebra_s) > 2.5:  # a manhole
        lid = np.column_stack([s + 0.34 * np.cos(turn), d + 0.34 * np.sin(turn), turn * 0])
        p.poly(lid, shade(asphalt, 0.7))
        lid[:, :2] = (lid[:, :2] - [s, d]) * 0.8 + [s, d]
        p.poly(lid, shade(asphalt, 0.85))


def _bike_mark(p: Painter, s: float, d: float, sign: int, white: Colour) -> None:
    turn = np.linspace(0, 2 * np.pi, 17)
    for x in (-0.42, 0.42):
        rim = np.column_stack([s + x + 0.24 * np.cos(turn), d + 0.24 * np.sin(turn), turn * 0])
        p.lines(np.stack([rim[:-1], rim[1:]], axis=1), 0.05, white)
    bars = np.array([[[-0.42, 0], [-0.15, 0.3]], [[-0.15, 0.3], [0.28, 0.3]], [[0.28, 0.3], [0.0, 0.0]],
                     [[0.0, 0.0], [-0.15, 0.3]], [[0.42, 0], [0.24, 0.42]], [[0.24, 0.42], [0.1, 0.42]]])  # fmt: skip
    flat = np.zeros((len(bars), 2, 3))
    flat[:, :, 0], flat[:, :, 1] = s + sign * bars[:, :, 0], d + bars[:, :, 1] - 0.1
    p.lines(flat, 0.05, white)


def _kerb(p: Painter, low: float, high: float, d: float, toward: float, stone: Colour) -> None:
    """A row of kerb stones; `toward` is +1 if the pavement is beyond `d`, -1 if it is on the near side."""
    p.flat(low, high, d, d + toward * 0.24, shade(stone, 1.1))
    joints = np.arange(low, high, 1.0)
    p.lines(np.array([[[s, d, 0], [s, d + toward * 0.24, 0]] for s in joints]), 0.02, shade(stone, 0.8))
    if toward > 0:
        p.flat(low, high, d - 0.1, d, shade(stone, 0.66))


def _texture(image: Bytes, camera: PinholeCamera, rng: np.random.Generator) -> Bytes:
    """Adds grain and stains in the perspective of the ground, and vignetting."""
    height, width = image.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None]
    drop = np.maximum(rows - camera.horizon_px, 8.0)
    z = camera.focal_px * camera.elevation_m / drop
    x = (np.arange(width, dtype=np.float32)[None, :] - width / 2) * z / camera.focal_px
    grain = rng.normal(0.0, 1.0, (256, 256)).astype(np.float32)
    blobs = wrapped_blur(grain, 9) * 16
    stains = wrapped_blur(grain.T.copy(), 26) * 46
    zz = np.broadcast_to(z, x.shape)
    field = np.zeros((height, width), np.float32)
    for tile, scale, gain in ((grain, 34.0, 0.016), (blobs, 30.0, 0.012), (stains, 22.0, 0.018)):
        u = np.mod(x * scale, 255).astype(np.float32)
        v = np.mod(zz * scale, 255).astype(np.float32)
        field += gain * cv2.remap(tile, u, v, cv2.INTER_LINEAR)
    ground = (rows > camera.point(0, 0, 0)[1] * 0 + camera.horizon_px).astype(np.float32)
    field *= ground
    yy = (rows / height - 0.5) ** 2
    xx = ((np.arange(width, dtype=np.float32) / width - 0.5) ** 2)[None, :]
    factor = (1.0 + field) * (1.02 - 0.22 * (xx + yy))
    out = image.astype(np.float32) * factor[:, :, None]
    result: Bytes = np.clip(out, 0, 255).astype(np.uint8)
    return result


def paint_backdrop(camera: PinholeCamera, street: Street, light: Light, rng: np.random.Generator) -> Bytes:
    """Paints the empty street without its furniture: (H, W, 3) uint8 RGB.

    Args:
        camera: Camera of the scene.
        street: Ground plan of the scene.
        light: Light of the scene.
        rng: Source of randomness.
    """
    p = Painter(camera)
    far = street.facade_d
    low, high = camera.s_at(-30, far + 1) - 2, camera.s_at(camera.width + 30, far + 1) + 2
    low, high = min(low, -14.0), max(high, 14.0)
    _sky(p, rng, light)
    _skyline(p, rng, low, high, far, light)
    pavement = PAVEMENTS[int(rng.integers(len(PAVEMENTS)))]
    _slabs(p, rng, low, high, street.road_m, far, shade(pavement, 0.97))
    _road(p, rng, street, low, high)
    near_low, near_high = camera.s_at(-40, 0.0), camera.s_at(camera.width + 40, 0.0)
    _slabs(p, rng, near_low, near_high, -street.near_walk_m - 2.5, 0.0, pavement)
    stone = mix(pavement, (176, 174, 172), 0.5)
    _kerb(p, low, high, street.road_m, 1.0, stone)
    _kerb(p, low, high, 0.0, -1.0, stone)
    for d0, d1 in ((-0.95, -0.3), (street.road_m + 0.3, street.road_m + 0.95)):  # tactile paving at the zebra
        p.flat(street.zebra_s - 1.5, street.zebra_s + 1.5, d0, d1, mix(pavement, (224, 196, 120), 0.5))
        columns = np.arange(street.zebra_s - 1.4, street.zebra_s + 1.4, 0.2)
        dots = np.array([[[s, d, 0], [s + 0.07, d, 0]] for s in columns
                         for d in np.arange(d0 + 0.1, d1, 0.15)])  # fmt: skip
        p.lines(dots, 0.05, mix(pavement, (186, 156, 90), 0.5))
    row = make_row(rng, low - 2, high, street.doors_s)
    for house in sorted(
        row, key=lambda house: not house.garden
    ):  # gardens first: the walls beside them stand in front
        draw_house(p, rng, house, far, light)
    p.flat(low, high, far - 0.5, far, shade(pavement, 0.84))
    for house in row:
        if house.door_s is not None:
            p.flat(house.door_s - 0.8, house.door_s + 0.8, far - 0.35, far, shade(pavement, 1.02), 0.0)
    return _texture(p.finish(), camera, rng)
