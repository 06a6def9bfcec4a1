"""A camera that moves: what it did from one frame to the next, applied to all that was known in the pixels of before.

Places, sizes and speeds are kept in the pixels of the newest frame. When the camera pans, shakes or zooms they are
moved along before anything is compared with them, so that the speed of an object is its own and not the camera's.
Lines and zones stay where they are in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np

from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy
from pipeline.records.state import AttributeState
from pipeline.tracking.observation import Observation
from pipeline.transport.messages import Camera


@dataclass(frozen=True, slots=True)
class CameraTransform:
    """A similarity: z -> `rotation` z + `translation`, where z = x + i y, from the pixels of one frame to
    those of another.

    Attributes:
        rotation: rotation and scale; 1 is neither.
        translation: pixels.
    """

    rotation: complex
    translation: complex

    @property
    def scale(self) -> float:
        return abs(self.rotation)

    def points(self, xy: Floats) -> Floats:
        """Moves points.

        Args:
            xy: (N, 2) x y, pixels of the frame before.

        Returns:
            (N, 2) x y, pixels of the frame after.
        """
        moved: Floats = self.vectors(xy) + np.array([self.translation.real, self.translation.imag])
        return moved

    def vectors(self, xy: Floats) -> Floats:
        """Moves differences of points, or velocities.

        Args:
            xy: (N, 2) x y.

        Returns:
            (N, 2).
        """
        a, b = self.rotation.real, self.rotation.imag
        return np.stack([a * xy[:, 0] - b * xy[:, 1], b * xy[:, 0] + a * xy[:, 1]], axis=1)

    def variances(self, xy: Floats) -> Floats:
        """Moves variances of points. The correlation of the axes under rotation is neglected.

        Args:
            xy: (N, 2), squared pixels.

        Returns:
            (N, 2).
        """
        a, b = self.rotation.real**2, self.rotation.imag**2
        return np.stack([a * xy[:, 0] + b * xy[:, 1], b * xy[:, 0] + a * xy[:, 1]], axis=1)

    def observation(self, seen: Observation) -> Observation:
        """Moves an observation; its `box_px`, which is of its own frame, stays.

        Args:
            seen: The observation.
        """
        x0, y0, x1, y1 = seen.place_px
        half = self.scale * (x1 - x0) / 2, self.scale * (y1 - y0) / 2
        x, y = self._point((x0 + x1) / 2, (y0 + y1) / 2)
        return replace(
            seen,
            place_px=(x - half[0], y - half[1], x + half[0], y + half[1]),
            foot=self._point(*seen.foot),
            center=self._point(*seen.center),
            height_px=self.scale * seen.height_px,
        )

    def speed(self, speed: Sequence[float]) -> tuple[float, float, float, float]:
        """Moves the rates of a box.

        Args:
            speed: Rates of centre x, centre y, width and height, pixels a second.

        Returns:
            The same in the frame after.
        """
        along = self.rotation * complex(speed[0], speed[1])
        return along.real, along.imag, self.scale * speed[2], self.scale * speed[3]

    def _point(self, x: float, y: float) -> Xy:
        after = self.rotation * complex(x, y) + self.translation
        return after.real, after.imag


class CameraPose(AttributeState):
    """Where the camera of one stream looked in the last frame."""

    STATE = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[int, Camera] | None = None

    def camera_transform(
        self, camera: Camera | None, epoch: int, scale: tuple[float, float] = (1.0, 1.0)
    ) -> CameraTransform | None:
        """What the camera did since the last frame: from that frame's pixels to those of this one.

        Args:
            camera: of this frame.
            epoch: of this frame.
            scale: by how much the pixels that are asked for are larger, on both axes.

        Returns:
            None if it did not move, or its motion is unknown.
        """
        last, self._last = self._last, None if camera is None else (epoch, camera)
        if last is None or camera is None or last[0] != epoch or last[1][0] != camera[0] or last[1] == camera:
            return None
        rotation, before = complex(camera[1], camera[2]), complex(last[1][1], last[1][2])
        if abs(rotation) < 1e-6 or not _sane(before / rotation):
            return None
        translation = (complex(*last[1][3:]) - complex(*camera[3:])) / rotation
        return CameraTransform(
            before / rotation, complex(translation.real * scale[0], translation.imag * scale[1])
        )


def _sane(rotation: complex) -> bool:
    """No camera zooms to twice or half of it between two frames: what comes from outside is not trusted."""
    return 1e-3 < abs(rotation) < 1e3 and abs(log(abs(rotation))) < log(2.0)
