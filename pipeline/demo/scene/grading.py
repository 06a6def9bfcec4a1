"""Effects on the finished image: exposure drift, passing clouds, lens blur, sensor noise."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo.scene.lighting import Light
from pipeline.demo.scene.painter import wrapped_blur
from pipeline.demo.scene.sprite import Bytes


class Grading:
    """Applies the effects of one scene. Their state depends only on the frame's index.

    Args:
        rng: determines strength and periods of the effects.
        light: of the scene.
        width, height: of the frames, pixels.
    """

    def __init__(self, rng: np.random.Generator, light: Light, width: int, height: int) -> None:
        self.light, self.size = light, (width, height)
        self._waves = rng.uniform(0, 6.28, 4)
        self._periods = rng.uniform(11.0, 37.0, 4)
        self._drift = float(rng.uniform(0.02, 0.05))
        self.sigma = float(rng.uniform(1.2, 2.4)) * (1.5 if light.kind == "dusk" else 1.0)
        self._blur = float(rng.uniform(0.35, 0.6))
        noise = rng.standard_normal((height + 64, width + 64, 3), np.float32) * np.float32(self.sigma)
        noise += rng.standard_normal((height + 64, width + 64, 1), np.float32) * np.float32(self.sigma * 0.5)
        self._noise = np.round(noise).astype(np.int8)
        self._speed = float(rng.uniform(0.25, 0.6)) * (1 if rng.random() < 0.5 else -1)
        tile = rng.normal(0.0, 1.0, (16, 16)).astype(np.float32)
        tile = np.tile(wrapped_blur(tile, 1.6), (1, 3))
        tile = (tile - tile.mean()) / tile.std()
        self._clouds = tile
        self._seed = int(rng.integers(1 << 31))

    def _exposure(self, time_s: float) -> tuple[float, float]:
        w = [
            float(np.sin(2 * np.pi * time_s / p + a)) for p, a in zip(self._periods, self._waves, strict=True)
        ]
        return 1.0 + self._drift * (0.7 * w[0] + 0.3 * w[1]), 0.018 * (w[2] + 0.4 * w[3])

    def apply(self, image: Bytes, index: int, time_s: float) -> Bytes:
        """Applies the effects to one frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            index: of the frame; selects the noise.
            time_s: of the frame.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        gain, warm = self._exposure(time_s)
        ramp = np.arange(256, dtype=np.float32)
        table = np.empty((1, 256, 3), np.uint8)
        for channel, shift in ((0, warm), (1, 0.0), (2, -warm)):
            curve = ramp * gain * self.light.tint[channel] * (1 + shift)
            table[0, :, channel] = np.clip(curve + 0.5, 0, 255)
        out = cv2.LUT(image, table)
        if self.light.clouds > 0:
            at = (time_s * self._speed) % 16.0
            x = np.linspace(at, at + 9.0, 24, dtype=np.float32)[None, :].repeat(12, 0)
            y = np.linspace(1.0, 9.0, 12, dtype=np.float32)[:, None].repeat(24, 1)
            cloud = cv2.remap(self._clouds, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            shade = np.clip(1.0 - self.light.clouds * np.clip(0.5 + 0.7 * cloud, 0, 1.3), 0.5, 1.0)
            small = np.round(shade * 255).astype(np.uint8)
            veil = cv2.resize(small, self.size, interpolation=cv2.INTER_CUBIC)
            out = cv2.multiply(out, cv2.merge([veil, veil, veil]), scale=1.0 / 255.0)
        out = cv2.GaussianBlur(out, (3, 3), self._blur)
        spot = (index * 2654435761 + self._seed) & 0xFFFFFFFF
        dx, dy = spot % 64, (spot >> 8) % 64
        grain = self._noise[dy : dy + self.size[1], dx : dx + self.size[0]]
        noisy: Bytes = cv2.add(out, grain, dtype=cv2.CV_8U).astype(np.uint8, copy=False)
        return noisy
