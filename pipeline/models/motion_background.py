"""What of a picture is not background: one fixed camera's background model, its shadows, ghosts, light and jumps.

The background is a mixture of Gaussians in each pixel (Zivkovic, ICPR 2004, OpenCV's MOG2), whose own test tells
shadows: darker than the background, of its colour (Prati et al., PAMI 2003). On top of it:

- light that changes over parts of the picture is taken out first (`motion_light.py`);
- a blob whose edges are those of the background is light on the background, not an object;
- a blob whose outline is an edge of the background, but none of the picture, is a ghost: what had been taken for
  background has gone. Both are remembered as they look now, and are background from then on;
- when most of the picture differs, the camera was moved or the light switched: all is learnt anew.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config import MotionConfig
from pipeline.models.motion_blobs import Blob
from pipeline.models.motion_light import Light

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8 BGR."""
Mask = NDArray[np.uint8]
"""(H, W) uint8, 255 inside, 0 outside."""

JUMP = 0.6
"""Part of the picture that differs from the background, from which on it is the background that changed."""
SHADE = 0.5
"""How dark a shadow may be: part of the background's brightness. Darker is an object."""
MAIN = 0.7
"""Part of the time that a pixel's background modes stand for: a mode seen less than the rest is an object that
stopped for a while, or passes often."""
SAME_EDGES = 0.6
"""Agreement of gradients with the background's, from which on a blob is light."""
GHOST = 0.5
"""Strength of a blob's outline in the picture, in that of the background, below which it is a ghost."""
ALIKE = 24
"""Levels by which a remembered patch may differ from how it looked."""
FRESH = 5
"""Frames between two looks at the mean background: it changes slowly, and to ask for it costs as much as a frame."""


class Background:
    """One camera's background. Frames come in order.

    Args:
        config: contrast, shadows, and how fast it learns.
    """

    def __init__(self, config: MotionConfig) -> None:
        self._config = config
        self._last_s: float | None = None
        self._restart(0.0)

    def _restart(self, pts_s: float) -> None:
        self._mixture = cv2.createBackgroundSubtractorMOG2(500, self._config.contrast, self._config.shadows)
        self._mixture.setShadowThreshold(SHADE)
        self._mixture.setBackgroundRatio(MAIN)
        self._began_s, self._frames = pts_s, 0
        self._light = Light()
        self._mean: Picture | None = None
        self._picture: Picture | None = None
        self._patches: Picture | None = None
        self._patched: NDArray[np.bool_] | None = None
        self._gradients: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def foreground(self, picture: Picture, pts_s: float) -> Mask | None:
        """Where `picture` shows something that is not background; None while the background is learnt."""
        if self._last_s is None or self._picture is None or self._picture.shape != picture.shape:
            self._restart(pts_s)
            self._last_s = pts_s
        dt_s, self._last_s = max(0.0, pts_s - self._last_s), pts_s
        self._frames += 1
        # After `absorb_s` of standing still a new mode makes up what the old ones leave over.
        rate = 1.0 - MAIN ** (dt_s / self._config.absorb_s)
        learning = self._frames < 2 or pts_s - self._began_s < self._config.learn_s
        if learning:
            rate = max(rate, 1.0 / (self._frames + 1))  # all frames count the same
        self._picture = self._in_its_light(np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8))
        differs = self._mixture.apply(self._picture, learningRate=rate)
        if learning:
            return None
        if np.count_nonzero(differs) > JUMP * differs.size:
            self._restart(pts_s)
            return None
        mask = np.where(differs == 255, np.uint8(255), np.uint8(0))  # 127 is a shadow
        if self._patched is not None and self._patches is not None:
            alike = cv2.absdiff(self._picture, self._patches).max(axis=2) < ALIKE
            mask[self._patched & alike] = 0
        self._gradients = None
        return mask

    def _in_its_light(self, picture: Picture) -> Picture:
        if self._frames <= FRESH:
            return picture
        if self._mean is None or self._frames % FRESH == 0:
            self._mean = np.asarray(self._mixture.getBackgroundImage(), np.uint8)
        return self._light.correct(picture, self._mean)

    def belongs(self, blob: Blob) -> bool:
        """Whether a blob of the frame that came last is background after all: light, or a ghost.

        Its patch of the picture is remembered: it is background from the next frame on.
        """
        if self._picture is None or self._mean is None:
            return False
        if self._gradients is None:
            self._gradients = _gradients(self._picture), _gradients(self._mean)
        rows, columns = slice(blob.y, blob.foot), slice(blob.x, blob.x + blob.width)
        now, then = (one[:, rows, columns] for one in self._gradients)
        if not (
            agreement(now, then, blob.mask > 0) > SAME_EDGES
            or _strength(now, blob.outline) < GHOST * _strength(then, blob.outline)
        ):
            return False
        if self._patches is None or self._patched is None:
            self._patches = np.zeros_like(self._picture)
            self._patched = np.zeros(self._picture.shape[:2], np.bool_)
        wide = cv2.dilate(blob.mask, np.ones((3, 3), np.uint8)) > 0
        self._patched[rows, columns][wide] = True
        self._patches[rows, columns][wide] = self._picture[rows, columns][wide]
        return True


def agreement(now: NDArray[np.float32], then: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """How far two fields of gradients, (2, h, w), agree where `inside`: 1 the same, 0 nothing in common."""
    a, b = now[:, inside], then[:, inside]
    energy = float((a * a).sum() + (b * b).sum())
    return 2.0 * float((a * b).sum()) / energy if energy > 0 else 0.0


def _strength(field: NDArray[np.float32], outline: NDArray[np.bool_]) -> float:
    return float(np.sqrt((field[:, outline] ** 2).sum(axis=0)).mean())


def _gradients(picture: Picture) -> NDArray[np.float32]:
    luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.stack([cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)])
