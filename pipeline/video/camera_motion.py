"""Estimates the motion of a camera from sparse feature correspondences between frames.

In the downscaled luma plane, the best corner of each cell of a grid is detected (Shi and Tomasi 1994) and tracked into
the next frame (pyramidal Lucas-Kanade, Bouguet 2001). A similarity transform is fitted to the correspondences with
RANSAC (Fischler and Bolles 1981): moving objects are in the minority, and do not agree with each other.

Frames are compared with a reference frame, which is replaced only when the view has changed noticeably. So the estimate
for a still camera does not drift in many small steps, and a very slow pan is not mistaken for no motion.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.messages import Camera
from pipeline.transport.planes import Plane

WIDTH = 320
"""Width in pixels of the downscaled picture on which corners are tracked."""
GRID = (16, 9)
"""Columns and rows of the grid; one corner is tracked in each cell."""
MIN_CORNER_QUALITY = 1e-4
"""Smaller eigenvalue of the structure tensor, for levels 0..1, from which on a corner is tracked."""
WINDOW = (11, 11)
LEVELS = 3
STILL_PX = 0.1
"""The camera counts as still while no corner of the downscaled picture moves by more than this."""
INLIER_PX = 1.0
"""Largest reprojection error of an inlier, in pixels of the downscaled picture."""
MIN_INLIERS = 10
MIN_INLIER_SHARE = 0.25
"""Of all tracked corners. With fewer inliers the estimate is rejected and the reference starts anew."""
REFRESH_FRAMES = 50
"""Number of frames compared with one reference at most: the light changes."""
MAX_TRAVEL = 8.0
"""The origin is reset after a translation by this many frame widths, or a zoom by this factor."""


class CameraMotion:
    """Estimates the camera's motion in one stream. Frames must come in order."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._epoch = -1
        self._origin = 0
        self._reference: Plane | None = None
        self._points: NDArray[np.float32] = np.zeros((0, 1, 2), np.float32)
        self._age = 0
        self._scale_rotation, self._translation = 1 + 0j, 0j
        """Similarity z -> a z + b on complex pixel coordinates, from the reference frame to the origin's frame."""

    def update(self, luma: Plane, epoch: int, index: int) -> Camera:
        """Estimates the camera's pose in the next frame.

        Args:
            luma: (H, W) uint8.
            epoch: of the frame; a new epoch resets the origin.
            index: of the frame.

        Returns:
            Index of the frame that is the origin, and the similarity transform from this frame's pixels to the
            origin's.
        """
        height, width = luma.shape
        picture = _downscale(luma)
        if self._reference is None or epoch != self._epoch or (width, height) != self._size:
            self._epoch, self._size = epoch, (width, height)
            return self._reset_origin(picture, index)
        similarity = self._from_reference(picture)
        if similarity is None:
            return self._reset_origin(picture, index)
        a, b = similarity
        self._age += 1
        if _max_displacement(a, b, width, height) < STILL_PX * width / picture.shape[1]:
            if self._age >= REFRESH_FRAMES:
                self._set_reference(picture)
            return self._camera()
        # This frame becomes the reference: the map to the origin is composed with the inverse of z -> a z + b.
        self._scale_rotation, self._translation = (
            self._scale_rotation / a,
            self._translation - self._scale_rotation / a * b,
        )
        zoom = abs(self._scale_rotation)
        if abs(self._translation) > MAX_TRAVEL * width or not 1 / MAX_TRAVEL < zoom < MAX_TRAVEL:
            return self._reset_origin(picture, index)
        self._set_reference(picture)
        return self._camera()

    def _reset_origin(self, picture: Plane, index: int) -> Camera:
        self._origin = index
        self._scale_rotation, self._translation = 1 + 0j, 0j
        self._set_reference(picture)
        return self._camera()

    def _set_reference(self, picture: Plane) -> None:
        self._reference, self._points, self._age = picture, _corners(picture), 0

    def _camera(self) -> Camera:
        a, b = self._scale_rotation, self._translation
        return self._origin, a.real, a.imag, b.real, b.imag

    def _from_reference(self, picture: Plane) -> tuple[complex, complex] | None:
        """The similarity z -> a z + b from the reference to this frame, in pixels of the frame.

        Returns:
            a and b; None if too few correspondences agree.
        """
        if len(self._points) < MIN_INLIERS:
            return None
        assert self._reference is not None
        after, status, _ = cv2.calcOpticalFlowPyrLK(
            self._reference,
            picture,
            self._points,
            np.empty_like(self._points),
            winSize=WINDOW,
            maxLevel=LEVELS,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03),
        )
        good = status[:, 0] == 1
        if good.sum() < MIN_INLIERS:
            return None
        per = np.array(self._size) / (picture.shape[1], picture.shape[0])
        first, second = ((points[good, 0] + 0.5) * per - 0.5 for points in (self._points, after))
        matrix, inliers = cv2.estimateAffinePartial2D(
            first, second, method=cv2.RANSAC, ransacReprojThreshold=INLIER_PX * per[0], maxIters=200
        )
        if matrix is None or not np.isfinite(matrix).all():
            return None
        if inliers.sum() < max(MIN_INLIERS, MIN_INLIER_SHARE * len(self._points)):
            return None
        (real, _, x), (imaginary, _, y) = matrix.tolist()
        return complex(real, imaginary), complex(x, y)


def _downscale(luma: Plane) -> Plane:
    """Scales to a width of `WIDTH` at most. Every second row is enough for large pictures, at half the cost."""
    height, width = luma.shape
    if width <= WIDTH:
        return np.ascontiguousarray(luma)
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    rows = luma[::2] if width >= 4 * WIDTH else luma
    return np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.uint8)


def _corners(picture: Plane) -> NDArray[np.float32]:
    """Detects the best corner in each cell of the grid, where there is one.

    Returns:
        (N, 1, 2) float32, x y in pixels of the picture.
    """
    columns, rows = GRID
    tall, wide = picture.shape[0] // rows, picture.shape[1] // columns
    if not tall or not wide:
        return np.zeros((0, 1, 2), np.float32)
    quality = cv2.cornerMinEigenVal(picture, 3)[: tall * rows, : wide * columns]
    cells = quality.reshape(rows, tall, columns, wide).transpose(0, 2, 1, 3).reshape(-1, tall * wide)
    best = cells.argmax(axis=1)
    cell = np.arange(len(cells))
    good = cells[cell, best] > MIN_CORNER_QUALITY
    x, y = cell % columns * wide + best % wide, cell // columns * tall + best // wide
    corners: NDArray[np.float32] = np.stack([x, y], axis=1)[good].astype(np.float32)[:, None]
    return corners


def _max_displacement(a: complex, b: complex, width: int, height: int) -> float:
    """The largest displacement of the frame's four corners under z -> a z + b, in pixels."""
    return max(abs((a - 1) * complex(x, y) + b) for x in (0, width) for y in (0, height))
