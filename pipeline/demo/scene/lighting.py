"""Light of a scene: time of day and weather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.scene.pinhole import Floats
from pipeline.demo.scene.sprite import Colour


@dataclass(frozen=True)
class Light:
    """How a scene is lit.

    Attributes:
        kind: `day`, `overcast`, `golden` (hour) or `dusk`.
        sun: unit vector (s, d, h) towards the sun.
        sun_strength: of the direct light, 0 (overcast) to 1.
        ambient: strength of the diffuse light.
        sky_top, sky_low: colours of the sky at the top and at the horizon.
        tint: factors for red, green and blue of the whole image, about 1.
        windows_lit: share of windows with light behind them.
        shadow: darkness of cast shadows, 0..1.
        clouds: strength of moving cloud shadows, 0..1.
    """

    kind: str
    sun: tuple[float, float, float]
    sun_strength: float
    ambient: float
    sky_top: Colour
    sky_low: Colour
    tint: Colour
    windows_lit: float
    shadow: float
    clouds: float

    def facing(self, normals: Floats) -> Floats:
        """Brightness of surfaces: direct light by Lambert's cosine law, and diffuse light from above.

        Args:
            normals: (N, 3) unit normals, s d h.

        Returns:
            (N,).
        """
        lit = np.clip(normals @ np.array(self.sun), 0.0, 1.0)
        up = 0.5 + 0.5 * normals[:, 2]
        shaded: Floats = self.ambient * (0.72 + 0.36 * up) + self.sun_strength * 0.52 * lit
        return shaded


def make_light(rng: np.random.Generator) -> Light:
    """Draws the light of a scene: mostly day, sometimes overcast, golden hour or dusk.

    Args:
        rng: Source of randomness.
    """
    kind = str(rng.choice(["day", "day", "day", "overcast", "golden", "dusk"]))
    azimuth = float(
        rng.uniform(0.35, 0.95)
    )  # from the side, and from in front of the facades, so that they are lit
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
