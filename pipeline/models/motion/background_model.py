"""The foreground of a fixed camera's pictures: background model, shadows, ghosts, illumination, sudden changes.

The background is a mixture of Gaussians in each pixel (Zivkovic, Improved Adaptive Gaussian Mixture Model for
Background Subtraction, ICPR 2004; OpenCV's MOG2) with its shadow test: darker than the background, of its colour
(Prati et al., Detecting Moving Shadows, PAMI 2003). In addition:

- Gradual changes of illumination over parts of the picture are removed first (`illumination.py`).
- A blob whose edges are those of the background is light on the background, not an object. So is a blob without
  sharp edges: lamps and the sky are extended light sources, so shadows and reflections have soft edges.
- A blob whose outline is an edge of the background, but not of the picture, is a ghost: something that had been
  learnt as background has left. Such regions are remembered as they look now, as patches, and are background from
  then on.
- Nothing is learnt where there are objects, so that people who often stand in one place do not become background;
  what stands still for `absorb_s` becomes a patch, and the patch is dropped when it leaves.
- When most of the picture differs, the camera was moved or the light was switched: everything is learnt anew.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import MotionConfig
from pipeline.models.motion.blobs import Blob
from pipeline.models.motion.illumination import IlluminationCorrection

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8 BGR."""
Mask = NDArray[np.uint8]
"""(H, W) uint8, 255 inside, 0 outside."""

RESTART_SHARE = 0.6
"""Share of the picture that differs from the background from which on the background itself has changed."""
SHADOW_MIN_BRIGHTNESS = 0.5
"""Darkest shadow, relative to the background's brightness. What is darker is an object."""
BACKGROUND_RATIO = 0.7
"""Share of the time that a pixel's background modes account for (MOG2). A mode beyond it is an object that stopped
for a while, or passes often."""
SAME_GRADIENTS = 0.6
"""Agreement of a blob's gradients with the background's from which on the blob is light."""
SOFT_EDGE = 1.5
"""Gradient (Sobel) of the difference from the background on the sharpest tenth of a blob's outline, relative to that
difference inside, below which the blob has no edge. A step gives about 3, a ramp over 16 pixels 0.5."""
GHOST_EDGE = 0.5
"""Edge strength of a blob's outline in the picture, relative to that in the background, below which it is a ghost."""
PATCH_TOLERANCE = 24
"""Levels by which a pixel may differ from a remembered patch."""
MEAN_EVERY = 5
"""Frames between two updates of the mean background. It changes slowly, and computing it costs as much as a frame."""
LEARN_EVERY = 3
"""Frames between two updates of the mixture, once the background is known."""
ADAPTATION_S = 10.0
"""Seconds after which a new appearance of the background weighs as much as the old one."""


class BackgroundModel:
    """The background of one camera. Frames come in order.

    Args:
        config: contrast, shadows, and how fast it adapts.
    """

    def __init__(self, config: MotionConfig) -> None:
        self._config = config
        self._last_s: float | None = None
        self._restart(0.0)

    def _restart(self, pts_s: float) -> None:
        self._mixture = cv2.createBackgroundSubtractorMOG2(500, self._config.contrast, self._config.shadows)
        self._mixture.setShadowThreshold(SHADOW_MIN_BRIGHTNESS)
        self._mixture.setBackgroundRatio(BACKGROUND_RATIO)
        self._began_s, self._frames = pts_s, 0
        self._illumination = IlluminationCorrection()
        self._mean: Picture | None = None
        self._picture: Picture | None = None
        self._patches: Picture | None = None
        self._patched: NDArray[np.bool_] | None = None
        self._still_s: NDArray[np.float32] | None = None
        """(H, W): how long each pixel has been part of an object."""
        self._dt_s = self._unlearnt_s = 0.0
        self._gradients: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        """Of the picture and of the mean background, (2, H, W) each."""
        self._luma_difference: NDArray[np.float32] | None = None
        """(H, W): luma of the picture minus luma of the background."""

    def foreground(self, picture: Picture, pts_s: float) -> Mask | None:
        """Where the next picture shows something that is not background.

        Args:
            picture: (H, W, 3) uint8 BGR.
            pts_s: its media time.

        Returns:
            (H, W) uint8, 255 in the foreground; None while the background is being learnt.
        """
        if self._last_s is None or self._picture is None or self._picture.shape != picture.shape:
            self._restart(pts_s)
            self._last_s = pts_s
        self._dt_s, self._last_s = max(0.0, pts_s - self._last_s), pts_s
        self._frames += 1
        self._picture = self._corrected(np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8))
        if self._frames < 2 or pts_s - self._began_s < self._config.learn_s:
            self._mixture.apply(self._picture, learningRate=1.0 / (self._frames + 1))  # all count the same
            return None
        differs = self._mixture.apply(self._picture, learningRate=0.0)
        if np.count_nonzero(differs) > RESTART_SHARE * differs.size:
            self._restart(pts_s)
            return None
        mask = np.where(differs == 255, np.uint8(255), np.uint8(0))  # 127 is a shadow
        if self._patches is not None and self._patched is not None:
            self._patched &= differs > 0
            alike = cv2.absdiff(self._picture, self._patches).max(axis=2) < PATCH_TOLERANCE
            mask[self._patched & alike] = 0
        self._gradients = None
        return mask

    def learn(self, objects: NDArray[np.bool_]) -> None:
        """Learns from the last picture, except where there are objects.

        Args:
            objects: (H, W) bool.
        """
        assert self._picture is not None and self._mean is not None
        if self._still_s is None:
            self._still_s = np.zeros(objects.shape, np.float32)
        self._still_s = np.where(objects, self._still_s + self._dt_s, 0.0).astype(np.float32)
        absorbed = self._still_s > self._config.absorb_s
        if absorbed.any():
            self._remember(absorbed)
            self._still_s[absorbed] = 0.0
        self._unlearnt_s += self._dt_s
        if self._frames % LEARN_EVERY == 0:
            around = cv2.dilate(objects.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            example = np.where((around & ~absorbed)[:, :, None], self._mean, self._picture)
            rate = 1.0 - BACKGROUND_RATIO ** (self._unlearnt_s / ADAPTATION_S)
            self._mixture.apply(example, learningRate=rate)
            self._unlearnt_s = 0.0

    def is_background(self, blob: Blob) -> bool:
        """Whether a blob is a false foreground: a change of illumination, or a ghost.

        Its part of the frame is stored as a patch, which is background from the next frame on. Blobs without sharp
        edges are not stored, since they keep changing.

        Args:
            blob: From the foreground mask of the last frame.
        """
        assert self._picture is not None and self._mean is not None
        if self._gradients is None:
            lumas = [cv2.cvtColor(one, cv2.COLOR_BGR2GRAY) for one in (self._picture, self._mean)]
            self._gradients = _gradients(lumas[0]), _gradients(lumas[1])
            self._luma_difference = lumas[0].astype(np.float32) - lumas[1]
        rows, columns = slice(blob.y, blob.foot), slice(blob.x, blob.x + blob.width)
        picture, background = (one[:, rows, columns] for one in self._gradients)
        if self._is_soft(blob, picture - background):
            return True
        if not (
            gradient_agreement(picture, background, blob.mask > 0) > SAME_GRADIENTS
            or _edge_strength(picture, blob.outline) < GHOST_EDGE * _edge_strength(background, blob.outline)
        ):
            return False
        where = np.zeros(self._picture.shape[:2], np.bool_)
        where[rows, columns] = cv2.dilate(blob.mask, np.ones((3, 3), np.uint8)) > 0
        self._remember(where)
        return True

    def _is_soft(self, blob: Blob, gradient_change: NDArray[np.float32]) -> bool:
        """Whether a blob has a sharp edge nowhere. `gradient_change`: (2, h, w), picture minus background."""
        assert self._luma_difference is not None
        rows, columns = slice(blob.y, blob.foot), slice(blob.x, blob.x + blob.width)
        contrast = float(np.abs(self._luma_difference[rows, columns][blob.mask > 0]).mean())
        steps = np.sqrt((gradient_change[:, blob.outline] ** 2).sum(axis=0))
        return float(np.percentile(steps, 90)) < SOFT_EDGE * contrast

    def _remember(self, where: NDArray[np.bool_]) -> None:
        """Takes the picture for background within (H, W) `where`."""
        assert self._picture is not None
        if self._patches is None or self._patched is None:
            self._patches = np.zeros_like(self._picture)
            self._patched = np.zeros(where.shape, np.bool_)
        self._patched |= where
        self._patches[where] = self._picture[where]

    def _corrected(self, picture: Picture) -> Picture:
        """The picture in the illumination of the background."""
        if self._frames < 2:
            return picture
        if self._mean is None or self._frames % MEAN_EVERY == 0:
            self._mean = np.asarray(self._mixture.getBackgroundImage(), np.uint8)
        return self._illumination.correct(picture, self._mean)


def gradient_agreement(
    first: NDArray[np.float32], second: NDArray[np.float32], inside: NDArray[np.bool_]
) -> float:
    """How far two gradient fields agree: twice their inner product over the sum of their energies.

    Args:
        first: (2, h, w).
        second: (2, h, w).
        inside: (h, w) bool, the pixels that count.

    Returns:
        1 where they are equal, 0 where they have nothing in common, -1 where they are opposite.
    """
    a, b = first[:, inside], second[:, inside]
    energy = float((a * a).sum() + (b * b).sum())
    return 2.0 * float((a * b).sum()) / energy if energy > 0 else 0.0


def _edge_strength(field: NDArray[np.float32], outline: NDArray[np.bool_]) -> float:
    """Mean magnitude of a gradient field, (2, h, w), on an outline."""
    return float(np.sqrt((field[:, outline] ** 2).sum(axis=0)).mean())


def _gradients(luma: NDArray[Any]) -> NDArray[np.float32]:
    """(2, H, W) Sobel gradients."""
    return np.stack([cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)])
