"""Draws cars and buses: the extruded side outline, shaded face by face, then windows, lamps and wheels."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.sprite import Colour, Sprite, mix, shade
from pipeline.demo.scene.vehicle_looks import CARS, VehicleLook, outline


class _Placed:
    """Maps body coordinates (forward, left, up) of a vehicle to pixels."""

    def __init__(self, camera: PinholeCamera, look: VehicleLook, s: float, d: float, along: Floats) -> None:
        self.camera, self.look, self.s, self.d, self.along = camera, look, s, d, along
        side = float(np.dot(camera.toward_camera(s, d), np.array([-along[1], along[0]])))
        self.side = 1.0 if side >= 0 else -1.0  # the side that the camera sees: 1 left, -1 right

    def half_width(self, up: Floats) -> Floats:
        """Half of the width at each height; the sides lean inwards above the belt line."""
        half = self.look.width_m / 2
        if self.look.kind == "bus":
            return half - 0.05 * np.minimum(np.maximum((up - 1.2) / 1.8, 0), 1)
        belt = CARS[self.look.kind][1]
        lean = 0.2 * np.minimum(np.maximum((up - belt) / max(0.1, self.look.height_m - belt), 0), 1)
        return half - lean - 0.05 * np.minimum(np.maximum((0.5 - up) / 0.3, 0), 1)

    def world(self, body: Floats) -> Floats:
        """Body coordinates (N, 3) to world coordinates (N, 3)."""
        out = np.empty_like(body)
        out[:, 0] = self.s + body[:, 0] * self.along[0] - body[:, 1] * self.along[1]
        out[:, 1] = self.d + body[:, 0] * self.along[1] + body[:, 1] * self.along[0]
        out[:, 2] = body[:, 2]
        return out

    def pixels(self, body: Floats) -> Floats:
        """Body coordinates (N, 3) to pixels (N, 2)."""
        return self.camera.project(self.world(body))[0]

    def on_side(self, flat: Floats) -> Floats:
        """Points (N, 2) forward and up on the visible side to pixels (N, 2)."""
        lateral = self.half_width(flat[:, 1]) * self.side
        return self.pixels(np.column_stack([flat[:, 0], lateral, flat[:, 1]]))

    def across(self, x: float, up: float, x2: float, up2: float, inset: float) -> Floats:
        """A band across the width of the vehicle, between two points of the outline: (4, 2) pixels."""
        lows, highs = np.array([up, up2]), np.array([x, x2])
        half = self.half_width(lows) - inset
        body = np.array([[highs[0], half[0], up], [highs[1], half[1], up2], [highs[1], -half[1], up2],
                         [highs[0], -half[0], up]])  # fmt: skip
        return self.pixels(body)


def draw_vehicle(
    sprite: Sprite, camera: PinholeCamera, look: VehicleLook, s: float, d: float, along: Floats,
    travel_m: float, light: Light, lit: float = 1.0,
) -> None:  # fmt: skip
    """Draws a car or a bus.

    Args:
        sprite: drawn on.
        camera: of the scene.
        look: its appearance.
        s, d: position, metres.
        along: unit heading (s, d).
        travel_m: distance travelled, which turns the wheels.
        light: of the scene.
        lit: brightness, 1 is normal.
    """
    placed = _Placed(camera, look, s, d, along)
    rim = outline(look)
    normals2 = np.column_stack([-(rim[1:, 1] - rim[:-1, 1]), rim[1:, 0] - rim[:-1, 0]])
    normals2 /= np.maximum(1e-9, np.hypot(normals2[:, 0], normals2[:, 1]))[:, None]
    normals = np.column_stack([normals2[:, 0] * along[0], normals2[:, 0] * along[1], normals2[:, 1]])
    tone = light.facing(normals) * lit
    half = placed.half_width(rim[:, 1])
    left = placed.pixels(np.column_stack([rim[:, 0], half, rim[:, 1]]))
    right = placed.pixels(np.column_stack([rim[:, 0], -half, rim[:, 1]]))
    middle = placed.world(np.column_stack([rim[:, 0], half * 0, rim[:, 1]]))
    depth = camera.project(middle)[1]
    order = np.argsort(-(depth[1:] + depth[:-1]))
    for i in order:
        quad = np.array([left[i], left[i + 1], right[i + 1], right[i]])
        area = float(cv2.contourArea(quad.astype(np.float32), True))
        if area < 0:
            continue
        sprite.convex(quad, shade(look.paint, float(tone[i])))
    _ends(sprite, placed, light, lit)
    flank = np.array([[-along[1] * placed.side, along[0] * placed.side, 0.15]])
    flank_tone = float(light.facing(flank / np.linalg.norm(flank))[0]) * lit
    side = left if placed.side > 0 else right
    sprite.poly(side, shade(look.paint, flank_tone))
    if look.kind == "bus":
        _bus_side(sprite, placed, flank_tone)
    else:
        _car_side(sprite, placed, flank_tone)
    _wheels(sprite, placed, travel_m, lit)


def _glass(light: Light, lit: float) -> Colour:
    return shade(mix((44, 56, 68), light.sky_low, 0.16), lit)


def _ends(sprite: Sprite, placed: _Placed, light: Light, lit: float) -> None:
    """Draws windscreen, rear window, lamps, grille and number plate where they face the camera."""
    look, half_l = placed.look, placed.look.length_m / 2
    toward = placed.camera.toward_camera(placed.s, placed.d)
    ahead = float(toward @ placed.along)
    glass = _glass(light, lit)
    if look.kind == "bus":
        top = look.height_m
        if ahead > 0.02:
            sprite.convex(placed.across(half_l, 1.15, half_l - 0.1, top - 0.42, 0.1), glass)
            sprite.convex(
                placed.across(half_l - 0.09, top - 0.4, half_l - 0.2, top - 0.16, 0.25), (34, 32, 34)
            )
            sprite.convex(
                placed.across(half_l - 0.1, top - 0.34, half_l - 0.17, top - 0.22, 0.5), (250, 186, 70)
            )
            for side in (-1, 1):
                lamp = np.array([[half_l, side * 1.1, 0.62], [half_l, side * 0.8, 0.62], [half_l, side * 0.8, 0.82],
                                 [half_l, side * 1.1, 0.82]])  # fmt: skip
                sprite.convex(placed.pixels(lamp), (255, 246, 214))
        elif ahead < -0.02:
            sprite.convex(placed.across(-half_l, 1.5, -half_l + 0.06, top - 0.4, 0.25), glass)
            for side in (-1, 1):
                lamp = np.array([[-half_l, side * 1.12, 0.7], [-half_l, side * 0.95, 0.7],
                                 [-half_l, side * 0.95, 1.1], [-half_l, side * 1.12, 1.1]])  # fmt: skip
                sprite.convex(placed.pixels(lamp), (206, 36, 34))
        unit = np.array([[-1.6, 0.8], [1.4, 0.8], [1.4, -0.8], [-1.6, -0.8]])
        low = np.column_stack([unit, np.full(4, look.height_m)])
        high = np.column_stack([unit * 0.94, np.full(4, look.height_m + 0.2)])
        sprite.hull([placed.pixels(low), placed.pixels(high)], shade(look.paint, 0.72 * lit))
        sprite.convex(placed.pixels(high), shade(look.paint, 1.02 * lit))
        return
    _, belt, roof, (rb, rt, _, ft, fb), _ = CARS[look.kind]
    length = look.length_m
    sprite.convex(
        placed.across((fb + 0.015) * length, belt + 0.06, (ft + 0.025) * length, roof - 0.07, 0.05), glass
    )
    if look.kind != "van":
        sprite.convex(
            placed.across((rb - 0.01) * length, belt + 0.06, (rt - 0.01) * length, roof - 0.1, 0.07), glass
        )
    base = 0.36 if look.kind != "suv" else 0.45
    for end, colour in ((1.0, (252, 248, 224)), (-1.0, (204, 34, 34))):
        if ahead * end < 0.02:
            continue
        x = end * half_l * 0.995
        rise = 0.2 if end > 0 else 0.28
        for side in (-1, 1):
            w = look.width_m / 2
            lamp = np.array(
                [
                    [x, side * w * 0.95, base + 0.26],
                    [x, side * w * 0.58, base + 0.26],
                    [x, side * w * 0.58, base + 0.26 + rise],
                    [x, side * w * 0.95, base + 0.26 + rise],
                ]
            )
            sprite.convex(placed.pixels(lamp), colour)
        plate = np.array([[x, 0.26, base], [x, -0.26, base], [x, -0.26, base + 0.12], [x, 0.26, base + 0.12]])
        grille = np.array(
            [[x, 0.5, base + 0.24], [x, -0.5, base + 0.24], [x, -0.5, base + 0.4], [x, 0.5, base + 0.4]]
        )
        if end > 0:
            sprite.convex(placed.pixels(grille), (40, 42, 46))
        sprite.convex(placed.pixels(plate), (238, 238, 226))
    if look.taxi:
        box = np.array([[0.0, 0.22, roof], [0.0, -0.22, roof], [0.0, -0.2, roof + 0.15], [0.0, 0.2, roof + 0.15],
                        [0.22, 0.22, roof], [0.22, 0.2, roof + 0.15]])  # fmt: skip
        sprite.hull([placed.pixels(box)], (250, 214, 90))


def _rect(x0: float, x1: float, h0: float, h1: float) -> Floats:
    return np.array([[x0, h0], [x1, h0], [x1, h1], [x0, h1]])


def _car_side(sprite: Sprite, placed: _Placed, tone: float) -> None:
    look, length = placed.look, placed.look.length_m
    _, belt, roof, (rb, rt, mid, ft, fb), _ = CARS[look.kind]
    paint = shade(look.paint, tone)
    base = 0.28 if look.kind != "suv" else 0.34
    scale = placed.camera.focal_px / placed.camera.depth(placed.s, placed.d)
    sprite.convex(
        placed.on_side(_rect(-0.497 * length, 0.495 * length, base, base + 0.27)), shade(paint, 0.8)
    )
    sprite.convex(placed.on_side(_rect(-0.48 * length, 0.47 * length, base, base + 0.1)), (46, 47, 50))
    shoulder = np.array([[-0.49 * length, belt - 0.15], [0.42 * length, belt - 0.2], [0.26 * length, belt - 0.04],
                         [-0.48 * length, belt - 0.05]])  # fmt: skip
    sprite.convex(placed.on_side(shoulder), shade(mix(paint, (255, 255, 255), 0.12), 1.06))
    glass = shade((50, 62, 76), 0.75 + 0.25 * tone)
    glint = mix(glass, (190, 212, 228), 0.34)
    low, high = belt + 0.02, roof - 0.1
    front = np.array([[fb * length, low], [ft * length, high], [(mid + 0.012) * length, high + 0.01],
                      [(mid + 0.012) * length, low]])  # fmt: skip
    rear_low = max(rb, mid - 0.19) if look.kind == "van" else rb + 0.015
    rear_high = max(rt, mid - 0.18) if look.kind == "van" else rt + 0.015
    rear = np.array([[(mid - 0.012) * length, low], [(mid - 0.012) * length, high + 0.01],
                     [rear_high * length, high - 0.02], [rear_low * length, low]])  # fmt: skip
    for pane in (front, rear):
        sprite.convex(placed.on_side(pane), glass)
        a, b, c, e = pane
        streak = np.array(
            [a * 0.62 + e * 0.38, b * 0.62 + c * 0.38, b * 0.38 + c * 0.62, a * 0.38 + e * 0.62]
        )
        sprite.convex(placed.on_side(streak), glint)
    thin = max(0.5, 0.018 * scale)
    for x in (fb * length - 0.02, mid * length, (rb + 0.1) * length):
        line = placed.on_side(np.array([[x, base + 0.12], [x, belt - 0.02]]))
        sprite.stroke(line, thin, shade(paint, 0.66))
    for x in (mid * length + 0.12, (rb + 0.1) * length + 0.14):
        sprite.convex(placed.on_side(_rect(x, x + 0.17, belt - 0.17, belt - 0.13)), shade(paint, 0.6))
    lamp = np.array([[0.435 * length, belt - 0.2], [0.49 * length, belt - 0.26], [0.496 * length, belt - 0.36],
                     [0.44 * length, belt - 0.32]])  # fmt: skip
    sprite.convex(placed.on_side(lamp), (248, 244, 222))
    tail = np.array([[-0.498 * length, belt - 0.06], [-0.44 * length, belt - 0.08], [-0.455 * length, belt - 0.27],
                     [-0.503 * length, belt - 0.27]])  # fmt: skip
    sprite.convex(placed.on_side(tail), (196, 36, 36))
    mirror = placed.on_side(np.array([[fb * length - 0.16, belt + 0.1]]))[0]
    sprite.limb(
        mirror, mirror + np.array([0.04 * scale, 0.0]), 0.075 * scale, 0.075 * scale, shade(paint, 0.85)
    )


def _bus_side(sprite: Sprite, placed: _Placed, tone: float) -> None:
    look, half, top = placed.look, placed.look.length_m / 2, placed.look.height_m
    paint, second = shade(look.paint, tone), shade(look.second, tone)
    scale = placed.camera.focal_px / placed.camera.depth(placed.s, placed.d)
    sprite.convex(placed.on_side(_rect(-half + 0.02, half - 0.02, 0.3, 0.5)), shade(paint, 0.62))
    sprite.convex(placed.on_side(_rect(-half + 0.01, half - 0.02, 0.82, 1.06)), second)
    sprite.convex(placed.on_side(_rect(-half + 0.06, half - 0.12, top - 0.3, top - 0.16)), shade(paint, 1.1))
    glass = shade((44, 54, 66), 0.75 + 0.25 * tone)
    glint = mix(glass, (186, 208, 224), 0.3)
    band_low, band_high = 1.2, top - 0.42
    sprite.convex(placed.on_side(_rect(-half + 0.2, half - 0.1, band_low, band_high)), shade(glass, 0.62))
    count = max(5, round(look.length_m / 1.35))
    edges = np.linspace(-half + 0.26, half - 0.16, count + 1)
    doors = {count - 1, count // 2} if placed.side < 0 else set()
    thin = max(0.5, 0.02 * scale)
    for i in range(count):
        x0, x1 = float(edges[i]) + 0.05, float(edges[i + 1]) - 0.05
        low = 0.42 if i in doors else band_low + 0.06
        pane = _rect(x0, x1, low, band_high - 0.05)
        sprite.convex(placed.on_side(pane), glass)
        streak = np.array([[x0 + 0.25, low], [x0 + 0.5, low], [x0 + 0.85, band_high - 0.05],
                           [x0 + 0.6, band_high - 0.05]])  # fmt: skip
        sprite.convex(placed.on_side(streak), glint)
        if i in doors:
            mid = (x0 + x1) / 2
            sprite.stroke(
                placed.on_side(np.array([[mid, low], [mid, band_high]])), thin * 1.6, shade(paint, 0.5)
            )
            sprite.stroke(placed.on_side(pane), thin * 1.4, shade(paint, 0.55), closed=True)
        else:
            seat = _rect(x0 + 0.1, x0 + 0.42, low, low + 0.24)
            sprite.convex(placed.on_side(seat), shade(mix(glass, look.second, 0.35), 0.85))
            sprite.stroke(placed.on_side(np.array([[x0, band_high - 0.36], [x1, band_high - 0.36]])), thin,
                          shade(glass, 0.6))  # fmt: skip
    for x, colour in ((half - 0.2, (250, 244, 214)), (-half + 0.02, (200, 36, 36))):
        sprite.convex(placed.on_side(_rect(x, x + 0.16, 0.62, 0.8)), colour)
    sign = _rect(-half + 0.9, -half + 2.3, top - 0.36, top - 0.2)
    sprite.convex(placed.on_side(sign), (36, 34, 36))
    text = _rect(-half + 1.05, -half + 2.05, top - 0.31, top - 0.25)
    sprite.convex(placed.on_side(text), (250, 190, 76))


def _wheels(sprite: Sprite, placed: _Placed, travel_m: float, lit: float) -> None:
    look = placed.look
    radius = look.wheel_m
    spots = (-0.3, 0.29) if look.kind == "bus" else (-0.31, 0.32)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    for share in spots:
        centre = np.array([share * look.length_m, radius])
        arch = centre + circle * radius * 1.2
        arch[:, 1] = np.maximum(arch[:, 1], 0.24)
        sprite.convex(placed.on_side(arch), (30, 30, 32))
        sprite.convex(placed.on_side(centre + circle * radius), shade((46, 46, 49), lit))
        sprite.convex(placed.on_side(centre + circle * radius * 0.66), shade((176, 180, 184), lit))
        spin = -travel_m / radius
        if look.plain_rims:
            sprite.convex(placed.on_side(centre + circle * radius * 0.5), shade((142, 146, 150), lit))
            holes, size = 5, 0.1
        else:
            holes, size = 5, 0.17
        for k in range(holes):
            angle = spin + k * 2 * np.pi / holes
            hole = centre + np.array([np.cos(angle), np.sin(angle)]) * radius * 0.4
            sprite.convex(placed.on_side(hole + circle[::3] * radius * size), (56, 57, 60))
        sprite.convex(placed.on_side(centre + circle[::2] * radius * 0.16), shade((206, 208, 210), lit))
