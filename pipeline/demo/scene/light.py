"""Time of day and weather: colours of sun, sky and air, and how they drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.scene.camera import Floats
from pipeline.demo.scene.shapes import Colour


@dataclass(frozen=True)
class Light:
    """How a scene is lit. `sun` is a unit vector (s, d, h) pointing to the sun."""

    kind: str
    sun: tuple[float, float, float]
    sun_strength: float  # 0 (overcast) .. 1
    ambient: float
    sky_top: Colour
    sky_low: Colour
    tint: Colour  # multiplies the picture, about 1
    windows_lit: float  # share of windows with light behind
    shadow: float  # darkness of cast shadows 0..1
    clouds: float  # strength of the moving cloud shadow 0..1

    def facing(self, normals: Floats) -> Floats:
        """Brightness (N,) of surfaces with unit normals (N, 3)."""
        lit = np.clip(normals @ np.array(self.sun), 0.0, 1.0)
        up = 0.5 + 0.5 * normals[:, 2]
        shaded: Floats = self.ambient * (0.72 + 0.36 * up) + self.sun_strength * 0.52 * lit
        return shaded


def make_light(rng: np.random.Generator) -> Light:
    """Day (mostly), overcast, golden hour or dusk."""
    kind = str(rng.choice(["day", "day", "day", "overcast", "golden", "dusk"]))
    azimuth = float(rng.uniform(0.35, 0.95))  # from the side and in front of the house fronts: they are lit
    azimuth = -azimuth if rng.random() < 0.5 else azimuth - float(np.pi)
    height = {"day": rng.uniform(0.7, 1.1), "golden": rng.uniform(0.35, 0.5)}.get(kind, 0.9)
    sun = (
        float(np.cos(azimuth) * np.cos(height)),
        float(np.sin(azimuth) * np.cos(height)),
        float(np.sin(height)),
    )
    if kind == "day":
        return Light(
            kind, sun, 1.0, 0.72, (96, 150, 214), (205, 226, 240), (1.15, 1.14, 1.1), 0.03, 0.46, 0.16
        )
    if kind == "golden":
        return Light(
            kind, sun, 0.95, 0.68, (118, 150, 200), (250, 214, 168), (1.14, 1.03, 0.89), 0.12, 0.42, 0.08
        )
    if kind == "dusk":
        return Light(
            kind, sun, 0.12, 0.78, (52, 62, 104), (226, 150, 122), (0.84, 0.8, 0.95), 0.55, 0.16, 0.0
        )
    return Light(kind, sun, 0.12, 0.9, (176, 184, 192), (218, 222, 224), (1.02, 1.03, 1.05), 0.1, 0.15, 0.08)
