"""What of a picture is not background: one fixed camera's background model, its shadows, ghosts, light and jumps.

The background is a mixture of Gaussians in each pixel (Zivkovic, ICPR 2004, OpenCV's MOG2), whose own test tells
shadows: darker than the background, of its colour (Prati et al., PAMI 2003). On top of it:

- light that changes over parts of the picture is taken out first (`motion_light.py`);
- a blob whose edges are those of the background is light on the background, not an object; so is one that fades out:
  lamps and the sky are wide, so shadows and reflections have soft edges, objects have not;
- a blob whose outline is an edge of the background, but none of the picture, is a ghost: what had been taken for
  background has gone. Both are remembered as they look now, as patches, and are background from then on;
- where there are objects nothing is learnt, so that who often stands in one place does not become a part of it; what
  stands still for `absorb_s` becomes a patch, and is forgotten when it leaves;
- when most of the picture differs, the camera was moved or the light switched: all is learnt anew.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import MotionConfig
from pipeline.models.motion.blobs import Blob
from pipeline.models.motion.light import Light

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
SOFT = 1.5
"""Gradient (Sobel) of the difference from the background on the sharpest tenth of a blob's outline, in parts of that
difference inside, below which the blob fades out. A step gives about 3, a ramp over 16 pixels 0.5."""
GHOST = 0.5
"""Strength of a blob's outline in the picture, in that of the background, below which it is a ghost."""
ALIKE = 24
"""Levels by which a remembered patch may differ from how it looked."""
FRESH = 5
"""Frames between two looks at the mean background: it changes slowly, and to ask for it costs as much as a frame."""
LEARN_EACH = 3
"""Frames between two lessons, once the background is known."""
MEMORY_S = 10.0
"""Seconds after which a new look of the background is as good as the old one."""


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
        self._stood_s: NDArray[np.float32] | None = None
        self._dt_s = self._unlearnt_s = 0.0
        self._gradients: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._luma: NDArray[np.float32] | None = None
        """By how much the picture is brighter than the background."""

    def foreground(self, picture: Picture, pts_s: float) -> Mask | None:
        """Where `picture` shows something that is not background; None while the background is learnt."""
        if self._last_s is None or self._picture is None or self._picture.shape != picture.shape:
            self._restart(pts_s)
            self._last_s = pts_s
        self._dt_s, self._last_s = max(0.0, pts_s - self._last_s), pts_s
        self._frames += 1
        self._picture = self._in_its_light(np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8))
        if self._frames < 2 or pts_s - self._began_s < self._config.learn_s:
            self._mixture.apply(self._picture, learningRate=1.0 / (self._frames + 1))  # all count the same
            return None
        differs = self._mixture.apply(self._picture, learningRate=0.0)
        if np.count_nonzero(differs) > JUMP * differs.size:
            self._restart(pts_s)
            return None
        mask = np.where(differs == 255, np.uint8(255), np.uint8(0))  # 127 is a shadow
        if self._patches is not None and self._patched is not None:
            self._patched &= differs > 0
            alike = cv2.absdiff(self._picture, self._patches).max(axis=2) < ALIKE
            mask[self._patched & alike] = 0
        self._gradients = None
        return mask

    def learn(self, objects: NDArray[np.bool_]) -> None:
        """Learns the frame that came last, except where there are `objects`, (H, W)."""
        assert self._picture is not None and self._mean is not None
        if self._stood_s is None:
            self._stood_s = np.zeros(objects.shape, np.float32)
        self._stood_s = np.where(objects, self._stood_s + self._dt_s, 0.0).astype(np.float32)
        stood = self._stood_s > self._config.absorb_s
        if stood.any():
            self._remember(stood)
            self._stood_s[stood] = 0.0
        self._unlearnt_s += self._dt_s
        if self._frames % LEARN_EACH == 0:
            around = cv2.dilate(objects.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            lesson = np.where((around & ~stood)[:, :, None], self._mean, self._picture)
            self._mixture.apply(lesson, learningRate=1.0 - MAIN ** (self._unlearnt_s / MEMORY_S))
            self._unlearnt_s = 0.0

    def _remember(self, where: NDArray[np.bool_]) -> None:
        """What is seen there now is background."""
        assert self._picture is not None
        if self._patches is None or self._patched is None:
            self._patches = np.zeros_like(self._picture)
            self._patched = np.zeros(where.shape, np.bool_)
        self._patched |= where
        self._patches[where] = self._picture[where]

    def _in_its_light(self, picture: Picture) -> Picture:
        if self._frames < 2:
            return picture
        if self._mean is None or self._frames % FRESH == 0:
            self._mean = np.asarray(self._mixture.getBackgroundImage(), np.uint8)
        return self._light.correct(picture, self._mean)

    def _fades_out(self, blob: Blob, change: NDArray[np.float32]) -> bool:
        """Whether a blob has an edge nowhere. `change`: (2, h, w), gradients less those of the background."""
        assert self._luma is not None
        rows, columns = slice(blob.y, blob.foot), slice(blob.x, blob.x + blob.width)
        apart = float(np.abs(self._luma[rows, columns][blob.mask > 0]).mean())
        steps = np.sqrt((change[:, blob.outline] ** 2).sum(axis=0))
        return float(np.percentile(steps, 90)) < SOFT * apart

    def belongs(self, blob: Blob) -> bool:
        """Whether a blob of the frame that came last is background after all: light, or a ghost.

        Its patch of the picture is remembered: it is background from the next frame on. One that fades out is not
        remembered, since it goes on changing.
        """
        assert self._picture is not None and self._mean is not None
        if self._gradients is None:
            lumas = [cv2.cvtColor(one, cv2.COLOR_BGR2GRAY) for one in (self._picture, self._mean)]
            self._gradients = _gradients(lumas[0]), _gradients(lumas[1])
            self._luma = lumas[0].astype(np.float32) - lumas[1]
        rows, columns = slice(blob.y, blob.foot), slice(blob.x, blob.x + blob.width)
        now, then = (one[:, rows, columns] for one in self._gradients)
        if self._fades_out(blob, now - then):
            return True
        if not (
            agreement(now, then, blob.mask > 0) > SAME_EDGES
            or _strength(now, blob.outline) < GHOST * _strength(then, blob.outline)
        ):
            return False
        where = np.zeros(self._picture.shape[:2], np.bool_)
        where[rows, columns] = cv2.dilate(blob.mask, np.ones((3, 3), np.uint8)) > 0
        self._remember(where)
        return True


def agreement(now: NDArray[np.float32], then: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """How far two fields of gradients, (2, h, w), agree where `inside`: 1 the same, 0 nothing in common."""
    a, b = now[:, inside], then[:, inside]
    energy = float((a * a).sum() + (b * b).sum())
    return 2.0 * float((a * b).sum()) / energy if energy > 0 else 0.0


def _strength(field: NDArray[np.float32], outline: NDArray[np.bool_]) -> float:
    return float(np.sqrt((field[:, outline] ** 2).sum(axis=0)).mean())


def _gradients(luma: NDArray[Any]) -> NDArray[np.float32]:
    return np.stack([cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)])
