"""How a camera moves: from one frame to the next, by corners of the scene that both show.

The luma plane is scaled down, the best corner of each cell of a grid is looked for (Shi and Tomasi 1994) and found
again in the next frame (pyramidal Lucas-Kanade, Bouguet 2001), and the similarity that most of the pairs agree on is
the motion of the camera (RANSAC, Fischler and Bolles 1981): people who walk are in the minority, and do not agree.

The earlier frame is kept until the view has changed noticeably, so that a camera which stands still does not drift away
in many small steps, and one that pans very slowly is not taken for one that stands still.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.messages import Camera
from pipeline.transport.planes import Plane

WIDTH = 320
"""Pixels of the picture on which corners are followed."""
CELLS = (16, 9)
"""One corner each, across and down."""
LEAST_CORNER = 1e-4
"""Smaller eigenvalue of the gradients of a corner worth to follow, of a picture of 0..1."""
WINDOW = (11, 11)
LEVELS = 3
STILL = 0.1
"""Pixels of that picture by which a corner of it has to move before the camera has."""
OFF = 1.0
"""Pixels by which a point may be off that agrees with the others."""
LEAST_AGREE = (10, 0.25)
"""So many points, and such a part of all, have to agree; else the view is lost."""
REFRESH_FRAMES = 50
"""A frame is compared with for so long: light changes."""
FARTHEST = 8.0
"""The view begins anew when it has moved by so many frames' widths, or was zoomed by so much."""


class CameraMotion:
    """Follows the camera of one stream; frames come in order."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._epoch = -1
        self._origin = 0
        self._picture: Plane | None = None
        """The one that is compared with."""
        self._points: NDArray[np.float32] = np.zeros((0, 1, 2), np.float32)
        self._age = 0
        self._turn, self._move = 1 + 0j, 0j
        """From the pixels of that one to those of the origin."""

    def follow(self, luma: Plane, epoch: int, index: int) -> Camera:
        """Where the camera looks in the next frame.

        Args:
            luma: (H, W) uint8.
            epoch, index: of the frame. A new epoch begins anew.
        """
        height, width = luma.shape
        picture = _small(luma)
        if self._picture is None or epoch != self._epoch or (width, height) != self._size:
            self._epoch, self._size = epoch, (width, height)
            return self._begin(picture, index)
        found = self._compared(picture)
        if found is None:
            return self._begin(picture, index)
        turn, move = found
        self._age += 1
        if _most(turn, move, width, height) < STILL * width / picture.shape[1]:
            if self._age >= REFRESH_FRAMES:
                self._keep(picture)
            return self._camera()
        self._turn, self._move = self._turn / turn, self._move - self._turn / turn * move
        far = abs(self._move) > FARTHEST * width or not 1 / FARTHEST < abs(self._turn) < FARTHEST
        if far:
            return self._begin(picture, index)
        self._keep(picture)
        return self._camera()

    def _begin(self, picture: Plane, index: int) -> Camera:
        self._origin = index
        self._turn, self._move = 1 + 0j, 0j
        self._keep(picture)
        return self._camera()

    def _keep(self, picture: Plane) -> None:
        self._picture, self._points, self._age = picture, _corners(picture), 0

    def _camera(self) -> Camera:
        return self._origin, self._turn.real, self._turn.imag, self._move.real, self._move.imag

    def _compared(self, picture: Plane) -> tuple[complex, complex] | None:
        """The similarity from the frame that is kept to this one, in pixels of the frame; None: nothing agrees."""
        if len(self._points) < LEAST_AGREE[0]:
            return None
        assert self._picture is not None
        after, status, _ = cv2.calcOpticalFlowPyrLK(
            self._picture,
            picture,
            self._points,
            np.empty_like(self._points),
            winSize=WINDOW,
            maxLevel=LEVELS,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03),
        )
        good = status[:, 0] == 1
        if good.sum() < LEAST_AGREE[0]:
            return None
        per = np.array(self._size) / (picture.shape[1], picture.shape[0])
        first, second = ((points[good, 0] + 0.5) * per - 0.5 for points in (self._points, after))
        matrix, agree = cv2.estimateAffinePartial2D(
            first, second, method=cv2.RANSAC, ransacReprojThreshold=OFF * per[0], maxIters=200
        )
        if matrix is None or not np.isfinite(matrix).all():
            return None
        if agree.sum() < max(LEAST_AGREE[0], LEAST_AGREE[1] * len(self._points)):
            return None
        (a, _, x), (b, _, y) = matrix.tolist()
        return complex(a, b), complex(x, y)


def _small(luma: Plane) -> Plane:
    """The picture at `WIDTH` pixels or less. Every second row is enough for large ones, and half the work."""
    height, width = luma.shape
    if width <= WIDTH:
        return np.ascontiguousarray(luma)
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    rows = luma[::2] if width >= 4 * WIDTH else luma
    return np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.uint8)


def _corners(picture: Plane) -> NDArray[np.float32]:
    """(N, 1, 2) x y of the best corner in each cell, where there is one."""
    across, down = CELLS
    tall, wide = picture.shape[0] // down, picture.shape[1] // across
    if not tall or not wide:
        return np.zeros((0, 1, 2), np.float32)
    quality = cv2.cornerMinEigenVal(picture, 3)[: tall * down, : wide * across]
    cells = (
        quality.reshape(down, tall, across, wide).transpose(0, 2, 1, 3).reshape(down * across, tall * wide)
    )
    best = cells.argmax(axis=1)
    cell = np.arange(len(cells))
    good = cells[cell, best] > LEAST_CORNER
    x, y = cell % across * wide + best % wide, cell // across * tall + best // wide
    corners: NDArray[np.float32] = np.stack([x, y], axis=1)[good].astype(np.float32)[:, None]
    return corners


def _most(turn: complex, move: complex, width: int, height: int) -> float:
    """How far a corner of the frame moves at the most, pixels."""
    return max(abs((turn - 1) * complex(x, y) + move) for x in (0, width) for y in (0, height))
