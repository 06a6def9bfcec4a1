"""Shadows on the ground: those cast by the sun, and contact shadows where objects touch the street."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo.scene.actors import Actor, Pose
from pipeline.demo.scene.furniture import Fixture
from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.pinhole import Floats, PinholeCamera
from pipeline.demo.scene.sprite import Bytes

_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_TURN), np.sin(_TURN)])


class ShadowLayer:
    """A half-resolution canvas of darkness, blurred and multiplied into the image.

    Args:
        camera: of the scene.
        light: its sun determines direction and strength of the shadows.
        facade_d: distance of the facades; shadows end there.
    """

    def __init__(self, camera: PinholeCamera, light: Light, facade_d: float) -> None:
        self.camera, self.light, self.facade_d = camera, light, facade_d
        self.size = ((camera.width + 1) // 2, (camera.height + 1) // 2)
        self.canvas: Bytes = np.zeros((self.size[1], self.size[0]), np.uint8)
        self.cast = 255.0 * light.shadow
        self.touch = 255.0 * (0.5 if light.shadow > 0.3 else 0.42)
        sun = light.sun
        reach = 1.0 / max(0.35, sun[2])
        self.slope = np.array([-sun[0] * reach, -sun[1] * reach])  # metres of shadow for a metre of height

    def clear(self) -> None:
        """Removes all shadows, for the next frame."""
        self.canvas[:] = 0

    def _fill(self, ground: Floats, value: float) -> None:
        ground[:, 1] = np.minimum(ground[:, 1], self.facade_d)
        world = np.column_stack([ground, np.zeros(len(ground))])
        px = self.camera.project(world)[0] * 0.5
        hull = cv2.convexHull(np.round(px * 16).astype(np.int32))
        x, y, w, h = cv2.boundingRect((hull // 16).astype(np.int32))
        x0, y0, x1, y1 = (
            max(0, x - 1),
            max(0, y - 1),
            min(self.size[0], x + w + 2),
            min(self.size[1], y + h + 2),
        )
        if x0 >= x1 or y0 >= y1:
            return
        layer = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillConvexPoly(layer, hull - np.array([x0 * 16, y0 * 16], np.int32), (value,), cv2.LINE_AA, 4)
        view = self.canvas[y0:y1, x0:x1]
        np.maximum(view, layer, out=view)

    def _slab(self, base: Floats, low: float, high: float) -> None:
        """Casts the shadow of a prism: base (N, 2) in metres, between two heights."""
        self._fill(np.concatenate([base + self.slope * low, base + self.slope * high]), self.cast)

    def actor(self, actor: Actor, pose: Pose) -> None:
        """Adds the shadow of one actor.

        Args:
            actor: The actor.
            pose: Its state at the time of the frame.
        """
        long, wide, tall = actor.extent_m
        n, a = pose.along, np.array([-pose.along[1], pose.along[0]])
        place = np.array([pose.s, pose.d])
        if actor.class_name == "person":
            height = tall / 1.06
            self._slab(place + _CIRCLE * 0.13, 0.0, height * 0.5)
            self._slab(place + _CIRCLE * 0.21, height * 0.45, height * 0.82)
            self._slab(place + _CIRCLE * 0.11, height * 0.82, height)
            self._fill(place + _CIRCLE * np.array([0.3, 0.24]), self.touch)
            return
        if actor.class_name == "bicycle":
            rim = np.array([place + n * x for x in (-0.85, 0.85)])
            self._slab(np.concatenate([rim + a * 0.04, rim - a * 0.04]), 0.0, 0.6)
            self._slab(place + _CIRCLE * 0.22, 0.7, 1.5)
            self._slab(place + n * 0.1 + _CIRCLE * 0.12, 1.5, 1.75)
            self._fill(np.concatenate([rim + a * 0.14, rim - a * 0.14]), self.touch)
            return
        body = np.array(
            [place + i * n * (long - 0.1) + j * a * (wide - 0.06) for i in (-1, 1) for j in (-1, 1)]
        )
        top = np.array([place + i * n * long * (0.97 if actor.class_name == "bus" else 0.62) + j * a * (wide - 0.2)
                        for i in (-1, 1) for j in (-1, 1)])  # fmt: skip
        self._fill(
            np.concatenate([body, body + self.slope * tall * 0.55, top + self.slope * (tall - 0.2)]),
            self.cast,
        )
        self._fill(body * 1.0, min(255.0, self.touch * 1.25))

    def fixture(self, fixture: Fixture) -> None:
        """Adds the shadow of a piece of furniture.

        Args:
            fixture: The piece.
        """
        place = np.array([fixture.s, fixture.d])
        kind = fixture.kind
        if kind == "tree":
            self._slab(place + _CIRCLE * 0.13, 0.0, 3.0)
            for x, up, r in ((0.0, 3.4, 1.0), (-0.7, 3.9, 0.8), (0.7, 3.8, 0.85), (0.1, 4.6, 0.9)):
                self._slab(place + np.array([x, 0]) + _CIRCLE * r, up, up + 0.8)
        elif kind in ("lamp", "sign", "bollard"):
            self._slab(place + _CIRCLE * 0.06, 0.0, {"lamp": 4.6, "sign": 2.9, "bollard": 0.8}[kind])
        else:
            half = {"planter": (0.8, 0.28, 0.6), "bench": (0.85, 0.25, 0.7), "bin": (0.2, 0.2, 0.85)}.get(
                kind
            )
            if kind == "shelter":
                roof = place + np.array([[i * 1.7, j * 0.75] for i in (-1, 1) for j in (-1, 1)])
                self._slab(roof, 2.4, 2.5)
            if half is not None:
                base = place + np.array([[i * half[0], j * half[1]] for i in (-1, 1) for j in (-1, 1)])
                self._slab(base, 0.0, half[2])
                self._fill(base * 1.0, self.touch)
        self._fill(place + _CIRCLE * 0.2, self.touch)

    def apply(self, image: Bytes) -> Bytes:
        """A copy of the image (H, W, 3), darkened by the shadows.

        Args:
            image: uint8 RGB.
        """
        soft = cv2.GaussianBlur(self.canvas, (5, 5), 0)
        full = cv2.resize(soft, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        rest = cv2.merge([255 - full, 255 - full, 255 - cv2.convertScaleAbs(full, alpha=0.86)])
        darker: Bytes = cv2.multiply(image, rest, scale=1.0 / 255.0).astype(np.uint8, copy=False)
        return darker


def glow(image: Bytes, fixtures: list[Fixture], camera: PinholeCamera) -> None:
    """Adds the light of street lamps at dusk, in place: halos around them, and pools of light below them.

    Args:
        image: (H, W, 3) uint8 RGB.
        fixtures: Furniture, lamps among it.
        camera: Camera of the scene.
    """
    rows = np.arange(image.shape[0], dtype=np.float32)[:, None]
    columns = np.arange(image.shape[1], dtype=np.float32)[None, :]
    light = np.zeros(image.shape[:2], np.float32)
    for fixture in fixtures:
        if fixture.lamp_px is None:
            continue
        x, y = fixture.lamp_px
        m = camera.focal_px / fixture.depth_m
        light += 0.5 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (0.4 * m) ** 2))
        light += 0.16 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (1.5 * m) ** 2))
        _, foot = camera.point(fixture.s, fixture.d)
        light += 0.3 * np.exp(
            -((columns - x) ** 2) / (2 * (2.2 * m) ** 2) - (rows - foot) ** 2 / (2 * (0.55 * m) ** 2)
        )
    warm = np.array([150.0, 112.0, 56.0], np.float32)
    image[:] = np.clip(image + light[:, :, None] * (warm + 0.3 * image), 0, 255).astype(np.uint8)
