"""Pedestrians: a skeleton with a walking gait, drawn as capsules and convex hulls."""

from __future__ import annotations

import numpy as np

from pipeline.demo.scene.person_looks import PersonLook
from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.sprite import Sprite, capsule, shade


def _leg(hip_h: float, swing: float, knee: float, size: float) -> tuple[tuple[float, float], ...]:
    """Positions (forward, up) of knee, ankle and toe of one leg, relative to the hip, metres."""
    thigh, shin = 0.245 * size, 0.235 * size
    kx, ky = thigh * np.sin(swing), hip_h - thigh * np.cos(swing)
    low = swing - knee
    ax, ay = kx + shin * np.sin(low), ky - shin * np.cos(low)
    pitch = 0.25 * low - 0.05
    tx, ty = ax + 0.125 * size * np.cos(pitch), ay + 0.125 * size * np.sin(pitch) - 0.015 * size
    return (float(kx), float(ky)), (float(ax), float(ay)), (float(tx), float(ty))


def skeleton(look: PersonLook, stride_rad: float, pace: float) -> dict[str, tuple[float, float, float]]:
    """Joints of a walking person.

    Args:
        look: the person.
        stride_rad: phase of the gait; a full turn is two steps.
        pace: 0 standing to 1 walking.

    Returns:
        Name -> (forward, left, up) in body coordinates, metres, the lower foot on the ground.
    """
    size, phi = look.height_m, stride_rad + look.phase
    swing = 0.46 * pace
    legs = []
    for side_phase in (0.0, np.pi):
        knee = 0.08 + pace * 0.85 * max(0.0, float(np.cos(phi + side_phase))) ** 1.4
        legs.append(_leg(0.0, swing * float(np.sin(phi + side_phase)) + 0.04 * pace, knee, size))
    sole = 0.032 * size
    hip_h = sole - min(min(leg[1][1], leg[2][1]) for leg in legs)
    joints: dict[str, tuple[float, float, float]] = {}
    hip_w, shoulder_w = 0.048 * size * look.girth, 0.105 * size
    lean = 0.02 * size * pace
    for name, side, leg in (("l", 1.0, legs[0]), ("r", -1.0, legs[1])):
        joints["hip_" + name] = (0.0, side * hip_w, hip_h)
        for part, (fx, up) in zip(("knee_", "ankle_", "toe_"), leg, strict=True):
            joints[part + name] = (fx, side * hip_w * 0.9, hip_h + up)
        arm = -side * 0.5 * pace * float(np.sin(phi))
        bend = 0.18 + 0.35 * pace * max(0.0, float(np.sin(arm)) + 0.4)
        if look.bag in ("shopper", "suitcase", "handbag") and (side > 0) == (look.bag_side > 0):
            arm, bend = arm * 0.3 - (0.35 if look.bag == "suitcase" else 0.0), 0.05
        sh = hip_h + 0.305 * size
        ex, ey = lean + 0.165 * size * np.sin(arm), sh - 0.165 * size * np.cos(arm)
        hx, hy = ex + 0.15 * size * np.sin(arm + bend), ey - 0.15 * size * np.cos(arm + bend)
        joints["shoulder_" + name] = (lean, side * shoulder_w, sh)
        joints["elbow_" + name] = (float(ex), side * (shoulder_w + 0.022 * size), float(ey))
        joints["hand_" + name] = (float(hx), side * (shoulder_w + 0.012 * size), float(hy))
    joints["neck"] = (lean, 0.0, hip_h + 0.33 * size)
    joints["head"] = (lean + 0.02 * size, 0.0, hip_h + 0.425 * size)
    joints["belly"] = (0.01 * size, 0.0, hip_h + 0.1 * size)
    joints["back"] = (lean - 0.085 * size, 0.0, hip_h + 0.19 * size)
    joints["hem_f"] = (0.03 * size, 0.0, hip_h - 0.2 * size)
    joints["crown"] = (lean, 0.0, hip_h + 0.47 * size)
    return joints


def place(joints: dict[str, tuple[float, float, float]], s: float, d: float, along: Floats) -> Floats:
    """Transforms body coordinates to world coordinates.

    Args:
        joints: name -> (forward, left, up), metres.
        s, d: position of the body, metres.
        along: unit heading (s, d).

    Returns:
        (N, 3) s d h, metres, in the order of `joints`.
    """
    body = np.array(list(joints.values()))
    world = np.empty_like(body)
    world[:, 0] = s + body[:, 0] * along[0] - body[:, 1] * along[1]
    world[:, 1] = d + body[:, 0] * along[1] + body[:, 1] * along[0]
    world[:, 2] = body[:, 2]
    return world


def draw_head(
    sprite: Sprite, head: Floats, unit: float, look: PersonLook, forward: Floats, facing: float, lit: float
) -> None:
    """Draws head and hair.

    Args:
        sprite: drawn on.
        head: (2,) centre of the head, pixels.
        unit: height of the body, pixels.
        look: the person.
        forward: (2,) heading in the image, relative to its length on the ground.
        facing: 1 looks at the camera, -1 away from it.
        lit: brightness, 1 is normal.
    """
    hair, skin = shade(look.hair, lit), shade(look.skin, lit)
    style = look.hair_style
    back = -forward * unit
    radius = 0.061 * unit
    up = np.array([0.0, -unit])
    if style == "long":
        fall = head + back * 0.022 - up * 0.07
        sprite.limb(head + back * 0.012, fall, radius * 1.08, radius * 0.9, hair)
    if style == "bun":
        sprite.disc(head + back * 0.045 + up * 0.06, radius * 0.5, shade(hair, 0.92))
    if style == "bald":
        sprite.limb(head - up * 0.018, head + up * 0.012, radius * 0.84, radius * 0.95, skin)
        sprite.limb(head + forward * unit * 0.02 - up * 0.012, head + up * 0.02, radius * 0.5, radius * 0.5,
                    shade(skin, 1.07))  # fmt: skip
        return
    if facing < -0.45:
        sprite.limb(head - up * 0.022, head + up * 0.01, radius * 0.8, radius, skin)
        sprite.limb(head - up * 0.004, head + up * 0.014, radius * 0.96, radius * 1.06, hair)
    else:
        sprite.limb(head + back * 0.012, head + up * 0.014, radius * 0.98, radius * 1.05, hair)
        face = head + forward * unit * 0.018 - up * (0.014 if facing > 0 else 0.018)
        sprite.limb(face - up * 0.012, face + up * 0.006, radius * 0.66, radius * 0.8, skin)
    if style in ("cap", "hat"):
        cloth = shade(look.bag_colour, lit)
        top = head + up * 0.03
        sprite.limb(top - np.array([radius * 0.5, 0]), top + np.array([radius * 0.5, 0]), radius * 0.62,
                    radius * 0.62, cloth)  # fmt: skip
        brim = top - up * 0.008
        reach = 1.75 if style == "cap" else 1.5
        ahead = forward * unit * 0.061 * reach if style == "cap" else np.array([radius * reach, 0.0])
        behind = brim if style == "cap" else brim - ahead
        sprite.limb(behind, brim + ahead, radius * 0.2, radius * 0.16, shade(cloth, 0.8))


def draw_person(
    sprite: Sprite, camera: PinholeCamera, look: PersonLook, s: float, d: float, along: Floats,
    stride_rad: float, pace: float, lit: float = 1.0,
) -> None:  # fmt: skip
    """Draws a pedestrian.

    Args:
        sprite: drawn on.
        camera: of the scene.
        look: the person.
        s, d: position, metres.
        along: unit heading (s, d).
        stride_rad, pace: see `skeleton`.
        lit: brightness, 1 is normal.
    """
    joints = skeleton(look, stride_rad, pace)
    names = list(joints)
    world = place(joints, s, d, along)
    pixels, depth = camera.project(world)
    at = dict(zip(names, pixels, strict=True))
    unit = look.height_m * camera.focal_px / camera.depth(s, d)
    facing = float(along @ camera.toward_camera(s, d))
    nose = camera.project(np.array([[s, d, 1.5], [s + 0.3 * along[0], d + 0.3 * along[1], 1.5]]))[0]
    forward = (nose[1] - nose[0]) / (0.3 * camera.focal_px / camera.depth(s, d))
    near = "l" if depth[names.index("shoulder_l")] < depth[names.index("shoulder_r")] else "r"
    far = "r" if near == "l" else "l"
    top, bottom = shade(look.top, lit), shade(look.bottom, lit)
    skin, shoes, bag = shade(look.skin, lit), shade(look.shoes, lit), shade(look.bag_colour, lit * 0.92)
    girth = look.girth
    holds = "l" if look.bag_side > 0 else "r"

    def arm(name: str, dark: float) -> None:
        sleeve = shade(top, dark)
        sprite.limb(at["elbow_" + name], at["hand_" + name], 0.024 * unit, 0.019 * unit,
                    skin if look.wear == "shorts" else sleeve)  # fmt: skip
        sprite.limb(at["shoulder_" + name], at["elbow_" + name], 0.034 * unit, 0.026 * unit, sleeve)
        sprite.disc(at["hand_" + name], 0.021 * unit, shade(skin, dark))

    def leg(name: str, dark: float) -> None:
        cloth = shade(bottom, dark)
        bare = look.wear in ("skirt", "shorts")
        lower = shade(skin, dark * 0.97) if bare else cloth
        sprite.limb(at["ankle_" + name], at["toe_" + name], 0.026 * unit, 0.02 * unit, shade(shoes, dark))
        sprite.limb(at["knee_" + name], at["ankle_" + name], 0.036 * unit, 0.025 * unit, lower)
        sprite.limb(at["hip_" + name], at["knee_" + name], 0.056 * unit * girth, 0.039 * unit, cloth)

    def carried(name: str) -> None:
        hand = at["hand_" + name]
        down = np.array([0.0, unit])
        wide = np.array([unit * (0.035 + 0.05 * (1 - abs(facing))), 0.0])
        if look.bag == "shopper":
            box = np.array([hand - wide + down * 0.05, hand + wide + down * 0.05,
                            hand + wide * 1.15 + down * 0.19, hand - wide * 1.15 + down * 0.19])  # fmt: skip
            sprite.stroke(np.array([box[0], hand, box[1]]), 0.012 * unit, shade(bag, 0.7))
            sprite.convex(box, bag)
            sprite.convex(
                np.array([box[0], box[1], box[1] + down * 0.03, box[0] + down * 0.03]), shade(bag, 1.12)
            )
        elif look.bag == "handbag":
            sprite.stroke(
                np.array([at["shoulder_" + name], hand - down * 0.03]), 0.014 * unit, shade(bag, 0.7)
            )
            sprite.limb(hand - wide * 0.8 - down * 0.01, hand + wide * 0.8 - down * 0.01, 0.045 * unit,
                        0.045 * unit, bag)  # fmt: skip
        elif look.bag == "suitcase":
            behind = hand - forward * unit * 0.13
            foot = np.array([behind[0], at["belly"][1] + 0.58 * unit])
            base = np.array([behind[0], max(at["ankle_l"][1], at["ankle_r"][1]) - 0.0 * foot[1]])
            tall = np.array([0.0, 0.26 * unit])
            sprite.stroke(np.array([hand, base - tall]), 0.014 * unit, (70, 70, 74))
            half = np.array([0.065 * unit, 0.0])
            sprite.convex(np.array([base - tall - half, base - tall + half, base + half, base - half]), bag)
            for share in (0.3, 0.62):
                row = base - tall * share
                sprite.stroke(np.array([row - half, row + half]), 0.01 * unit, shade(bag, 0.8))
            sprite.disc(base - half * 0.7, 0.018 * unit, (40, 40, 42))
            sprite.disc(base + half * 0.7, 0.018 * unit, (40, 40, 42))

    arm(far, 0.74)
    if holds == far:
        carried(far)
    pack = capsule(at["back"] + np.array([0, 0.07 * unit]), at["back"] - np.array([0, 0.06 * unit]),
                   0.066 * unit, 0.058 * unit)  # fmt: skip
    if look.bag == "backpack" and facing > 0.1:
        sprite.convex(pack, bag)
    leg(far, 0.78)
    leg(near, 1.0)
    r_sh, r_hip = 0.046 * unit, 0.06 * unit * girth
    torso = [
        capsule(at["shoulder_l"], at["hip_l"] - np.array([0, 0.02 * unit]), r_sh, r_hip),
        capsule(at["shoulder_r"], at["hip_r"] - np.array([0, 0.02 * unit]), r_sh, r_hip),
    ]
    sprite.limb(at["neck"], at["head"], 0.033 * unit, 0.03 * unit, shade(skin, 0.88))
    if look.wear in ("coat", "skirt"):
        drop = 0.11 * unit if look.wear == "coat" else 0.0
        cloth = top if look.wear == "coat" else bottom
        hem = at["hip_" + near] * 0.5 + at["hip_" + far] * 0.5 + np.array([0, 0.19 * unit])
        stretch = abs(at["knee_l"][0] - at["knee_r"][0]) * 0.5
        spread = np.array([0.075 * unit + stretch, drop * 0.0])
        waist = [capsule(at["hip_l"], at["hip_r"], r_hip, r_hip)]
        sprite.hull([*waist, np.array([hem - spread, hem + spread])], shade(cloth, 0.92))
    sprite.hull(torso, shade(top, 0.93))
    sun_side = np.array([-0.018 * unit, -0.004 * unit])
    light = [capsule(at["shoulder_" + n] * 0.86 + at["belly"] * 0.14 + sun_side,
                     at["hip_" + n] * 0.86 + at["belly"] * 0.14 + sun_side, r_sh * 0.72, r_hip * 0.62)
             for n in ("l", "r")]  # fmt: skip
    sprite.hull(light, shade(top, 1.05))
    if look.wear == "coat" and facing > 0.2:
        sprite.stroke(
            np.array([at["neck"], at["belly"] + np.array([0, 0.1 * unit])]), 0.012 * unit, shade(top, 0.66)
        )
    if look.bag == "backpack" and facing <= 0.1:
        sprite.convex(pack, bag)
        inner = capsule(at["back"] + np.array([0, 0.06 * unit]), at["back"] + np.array([0, 0.02 * unit]),
                        0.04 * unit, 0.04 * unit)  # fmt: skip
        sprite.convex(inner, shade(bag, 0.84))
    if look.bag == "backpack" and facing > 0.1:
        for name in ("l", "r"):
            strap = np.array([at["shoulder_" + name] * 0.75 + at["neck"] * 0.25, at["belly"] * 0.6 +
                              at["shoulder_" + name] * 0.4])  # fmt: skip
            sprite.stroke(strap, 0.014 * unit, shade(bag, 0.8))
    draw_head(sprite, at["head"], unit, look, forward, facing, lit)
    arm(near, 0.9)
    if holds == near:
        carried(near)
