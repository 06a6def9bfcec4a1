"""Bicycles with their riders: one object of class `bicycle`; the rider is not counted as a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.scene.people import draw_head, place
from pipeline.demo.scene.person_looks import PersonLook, make_person
from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.sprite import Colour, Sprite, capsule, ring, shade

FRAMES: tuple[Colour, ...] = (
    (176, 42, 44), (40, 96, 150), (52, 120, 88), (232, 176, 52), (44, 44, 48), (226, 226, 222), (120, 170, 176),
    (210, 104, 60),
)  # fmt: skip
WHEEL_M = 0.345
BASE_M = 0.53  # half of the wheelbase


@dataclass(frozen=True)
class CycleLook:
    """Appearance of a bicycle and its rider."""

    rider: PersonLook
    frame: Colour
    helmet: Colour | None
    basket: bool
    step_through: bool
    lean: float  # metres the shoulders are ahead of an upright seat


def make_cycle(rng: np.random.Generator) -> CycleLook:
    """Draws a random bicycle with its rider.

    Args:
        rng: Source of randomness.
    """
    rider = make_person(rng)
    helmets: tuple[Colour, ...] = (
        (236, 236, 232),
        (200, 60, 52),
        (46, 48, 54),
        (70, 140, 190),
        (240, 200, 60),
    )
    helmet = helmets[int(rng.integers(5))] if rng.random() < 0.6 else None
    return CycleLook(
        rider=rider,
        frame=FRAMES[int(rng.integers(len(FRAMES)))],
        helmet=helmet,
        basket=bool(rng.random() < 0.4),
        step_through=bool(rng.random() < 0.4),
        lean=float(rng.uniform(0.05, 0.28)),
    )


def cycle_extent(look: CycleLook) -> tuple[float, float, float]:
    """Half length, half width and height in metres.

    Args:
        look: From `make_cycle`.
    """
    return 1.0, 0.42, 1.95


def _knee(
    hip: tuple[float, float], foot: tuple[float, float], thigh: float, shin: float
) -> tuple[float, float]:
    """Two-bone inverse kinematics by the law of cosines: position of the knee, bent forward."""
    dx, dy = foot[0] - hip[0], foot[1] - hip[1]
    reach = min(float(np.hypot(dx, dy)), thigh + shin - 1e-3)
    bend = float(np.arccos(np.clip((thigh**2 + reach**2 - shin**2) / (2 * thigh * reach), -1, 1)))
    angle = float(np.arctan2(dy, dx)) + bend
    return hip[0] + thigh * float(np.cos(angle)), hip[1] + thigh * float(np.sin(angle))


def draw_cycle(
    sprite: Sprite, camera: PinholeCamera, look: CycleLook, s: float, d: float, along: Floats,
    travel_m: float, lit: float = 1.0,
) -> None:  # fmt: skip
    """Draws a bicycle with its rider.

    Args:
        sprite: drawn on.
        camera: of the scene.
        look: its appearance.
        s, d: position, metres.
        along: unit heading (s, d).
        travel_m: distance travelled, which turns wheels and pedals.
        lit: brightness, 1 is normal.
    """
    unit_m = camera.focal_px / camera.depth(s, d)
    rider = look.rider
    crank = -travel_m / WHEEL_M * 0.42 + rider.phase
    hip, shoulder = (-0.2, 1.0), (-0.12 + 0.34 * look.lean / 0.2, 1.5 - 0.35 * look.lean)
    hand = (0.4, 1.04)
    joints: dict[str, tuple[float, float, float]] = {
        "rear": (-BASE_M, 0, WHEEL_M), "front": (BASE_M, 0, WHEEL_M), "crank": (-0.06, 0, 0.29),
        "saddle": (-0.22, 0, 0.93), "seat": (-0.18, 0, 0.74), "top": (0.36, 0, 0.82 if not look.step_through else 0.6),
        "stem": (0.37, 0, 0.98), "bar_l": (0.36, 0.26, 1.04), "bar_r": (0.36, -0.26, 1.04),
        "neck": (shoulder[0], 0, shoulder[1] + 0.06), "head": (shoulder[0] + 0.07, 0, shoulder[1] + 0.2),
        "belly": (-0.08, 0, 1.2), "basket": (0.56, 0, 0.86), "pack": (shoulder[0] - 0.22, 0, shoulder[1] - 0.16),
    }  # fmt: skip
    for name, side, turn in (("l", 1.0, crank), ("r", -1.0, crank + np.pi)):
        pedal = (-0.06 + 0.17 * float(np.cos(turn)), 0.29 + 0.17 * float(np.sin(turn)))
        ankle = (pedal[0] - 0.05, pedal[1] + 0.07)
        knee = _knee(hip, ankle, 0.43, 0.44)
        joints["hip_" + name] = (hip[0], side * 0.09, hip[1])
        joints["knee_" + name] = (knee[0], side * 0.12, knee[1])
        joints["ankle_" + name] = (ankle[0], side * 0.12, ankle[1])
        joints["toe_" + name] = (pedal[0] + 0.1, side * 0.12, pedal[1] + 0.02)
        joints["shoulder_" + name] = (shoulder[0], side * 0.18, shoulder[1])
        elbow = ((shoulder[0] + hand[0]) / 2 - 0.05, (shoulder[1] + hand[1]) / 2 - 0.07)
        joints["elbow_" + name] = (elbow[0], side * 0.27, elbow[1])
        joints["hand_" + name] = (hand[0], side * 0.24, hand[1] + 0.02)
    names = list(joints)
    pixels, depth = camera.project(place(joints, s, d, along))
    at = dict(zip(names, pixels, strict=True))
    near = "l" if depth[names.index("shoulder_l")] < depth[names.index("shoulder_r")] else "r"
    far = "r" if near == "l" else "l"
    m = unit_m
    top, bottom = shade(rider.top, lit), shade(rider.bottom, lit)
    skin, shoes, frame = shade(rider.skin, lit), shade(rider.shoes, lit), shade(look.frame, lit)

    def leg(name: str, dark: float) -> None:
        sprite.limb(at["ankle_" + name], at["toe_" + name], 0.045 * m, 0.035 * m, shade(shoes, dark))
        lower = skin if rider.wear in ("shorts", "skirt") else bottom
        sprite.limb(at["knee_" + name], at["ankle_" + name], 0.062 * m, 0.043 * m, shade(lower, dark))
        sprite.limb(
            at["hip_" + name], at["knee_" + name], 0.1 * m * rider.girth, 0.068 * m, shade(bottom, dark)
        )

    def arm(name: str, dark: float) -> None:
        lower = skin if rider.wear == "shorts" else top
        sprite.limb(at["shoulder_" + name], at["elbow_" + name], 0.06 * m, 0.047 * m, shade(top, dark))
        sprite.limb(at["elbow_" + name], at["hand_" + name], 0.045 * m, 0.035 * m, shade(lower, dark))
        sprite.disc(at["hand_" + name], 0.04 * m, shade(skin, dark))

    for name in ("rear", "front"):
        centre = np.array([s + along[0] * joints[name][0], d + along[1] * joints[name][0], WHEEL_M])
        rim = camera.project(ring(centre, WHEEL_M, along, 28))[0]
        hub = at[name]
        sprite.convex(rim, (120, 124, 128), 0.42)
        spokes = camera.project(ring(centre, WHEEL_M * 0.93, along, 10, -travel_m / WHEEL_M))[0]
        for end in spokes:
            sprite.stroke(np.array([hub, end]), 0.006 * m, (176, 178, 180))
        sprite.stroke(hub + (rim - hub) * 0.965, 0.042 * m, shade((44, 44, 46), lit), closed=True)
        sprite.stroke(hub + (rim - hub) * 0.86, 0.012 * m, shade((190, 192, 194), lit), closed=True)
        sprite.disc(hub, 0.03 * m, (70, 70, 74))
    leg(far, 0.74)
    arm(far, 0.74)
    tube = 0.036 * m
    for a, b in (("crank", "seat"), ("crank", "rear"), ("seat", "rear"), ("crank", "top"), ("top", "front"),
                 ("top", "stem")):  # fmt: skip
        sprite.limb(at[a], at[b], tube * 0.62, tube * 0.62, frame)
    if not look.step_through:
        sprite.limb(at["seat"], at["top"], tube * 0.62, tube * 0.62, shade(frame, 1.1))
    for a, b, colour in (("seat", "saddle", (160, 162, 166)), ("bar_l", "bar_r", (60, 60, 64)),
                         ("stem", "bar_" + near, (60, 60, 64))):  # fmt: skip
        sprite.limb(at[a], at[b], 0.017 * m, 0.017 * m, colour)
    sprite.disc(at["crank"], 0.075 * m, (84, 86, 90))
    fore = at["front"] - at["rear"]
    fore = fore / max(1e-6, float(np.hypot(*fore)))
    sprite.limb(
        at["saddle"] - fore * 0.1 * m, at["saddle"] + fore * 0.1 * m, 0.05 * m, 0.022 * m, (44, 38, 36)
    )
    if look.basket:
        centre = at["basket"]
        box = np.array([[-0.15, -0.1], [0.17, -0.1], [0.13, 0.12], [-0.11, 0.12]]) * m + centre
        sprite.convex(box, shade((150, 112, 70), lit))
        for row in (-0.05, 0.03):
            sprite.stroke(
                centre + np.array([[-0.13, row], [0.14, row]]) * m, 0.012 * m, shade((116, 84, 52), lit)
            )
    r_sh, r_hip = 0.085 * m, 0.11 * m * rider.girth
    torso = [capsule(at["shoulder_" + n], at["hip_" + n], r_sh, r_hip) for n in ("l", "r")]
    leg(near, 1.0)
    sprite.limb(at["neck"], at["head"], 0.055 * m, 0.05 * m, shade(skin, 0.88))
    sprite.hull(torso, shade(top, 0.92))
    lift = np.array([-0.02 * m, -0.012 * m])
    sprite.hull([capsule(at["shoulder_" + n] * 0.85 + at["belly"] * 0.15 + lift, at["hip_" + n] * 0.8 +
                         at["belly"] * 0.2 + lift, r_sh * 0.66, r_hip * 0.6) for n in ("l", "r")],
                shade(top, 1.05))  # fmt: skip
    if rider.bag == "backpack":
        sprite.limb(at["pack"], at["pack"] + np.array([0, 0.2 * m]) - fore * 0.06 * m, 0.1 * m, 0.1 * m,
                    shade(rider.bag_colour, lit * 0.9))  # fmt: skip
    facing = float(along @ camera.toward_camera(s, d))
    probe = camera.project(np.array([[s, d, 1.5], [s + 0.3 * along[0], d + 0.3 * along[1], 1.5]]))[0]
    forward = (probe[1] - probe[0]) / (0.3 * m)
    draw_head(sprite, at["head"], 1.75 * m, rider, forward, facing, lit)
    if look.helmet is not None:
        cover = shade(look.helmet, lit)
        up = at["head"] - np.array([0.0, 0.055 * m])
        sprite.limb(up - forward * 0.07 * m, up + forward * 0.06 * m, 0.088 * m, 0.08 * m, cover)
        sprite.limb(up - forward * 0.05 * m - np.array([0, 0.02 * m]), up + forward * 0.03 * m -
                    np.array([0, 0.03 * m]), 0.02 * m, 0.02 * m, shade(cover, 0.75))  # fmt: skip
    arm(near, 0.92)
