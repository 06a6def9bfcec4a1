"""What a tracker is, and what every tracker shares: the lifetime of tracks and when an object has left the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats
from pipeline.records.state import AttributeState, Stateful
from pipeline.tracking.appearance_memory import Appearance
from pipeline.tracking.association import Rows
from pipeline.tracking.camera import CameraTransform
from pipeline.transport.messages import Instances

ESTABLISHED_OBSERVATIONS = 3
"""Sightings after which a track is served in the first round."""
STEADY_OBSERVATIONS = 5
"""Observations needed for an estimate of an object's speed."""
TENTATIVE_HOLD_S = 1.1
"""How long a track that is not established is looked for, at the most."""


@dataclass(frozen=True, slots=True)
class TrackMatches:
    """The tracks seen in one frame, by track number.

    Attributes:
        tracks: (K,) int64, number of each track in this stream, from 1, never used again.
        rows: (K,) int64, row of its instance in the message.
        speed_px_s: (K, 4) float64, change of centre x, centre y, width, height, pixels per second.
        appearances: K, that of each track.
    """

    tracks: Rows
    rows: Rows
    speed_px_s: Floats
    appearances: list[Appearance]


class TrackingEngine(Stateful, Protocol):
    """Links instances over the frames of one stream. Deterministic; knows no clock but `dt_s`."""

    def update(self, instances: Instances, dt_s: float) -> TrackMatches:
        """Links the instances of the next frame to tracks.

        Args:
            instances: Detections of the frame.
            dt_s: Media seconds since the last frame given; 0 or more.
        """

    def expected(self, dt_s: float) -> Floats:
        """Predicts where the established tracks are; nothing changes.

        Args:
            dt_s: Media seconds since the last frame given.

        Returns:
            (M, 4) float64 x0 y0 x1 y1, pixels.
        """

    def forget(self, track: int) -> None:
        """Ends a track at once: its object goes on under another track.

        Args:
            track: Number of the track; one that is not known is ignored.
        """

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """Compensates the motion of the camera since the last frame given. Called before `update`.

        Args:
            camera_transform: Maps pixels of the last frame to pixels of the next one.
        """


class TrackLifetime(AttributeState):
    """How long a track that is not seen is looked for; at low frame rates at least twice."""

    STATE = ("_step_s",)

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._step_s = 0.0

    def limits_s(self, dt_s: float) -> tuple[float, float]:
        """For how long tracks are kept without an observation.

        Args:
            dt_s: Media seconds since the last frame.

        Returns:
            Seconds for established tracks, and for new ones.
        """
        least_s = 2.5 * (self._step_s or min(dt_s, 1.0))
        if dt_s > 0:
            self._step_s = min(0.9 * self._step_s + 0.1 * dt_s if self._step_s else dt_s, 1.0)
        return max(self._hold_s, least_s), max(min(self._hold_s, TENTATIVE_HOLD_S), least_s)


def outside_now(
    mean: Floats, velocity: Floats, edges: NDArray[np.bool_], frame: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which objects that were cut by the border of the frame have left it over that border by now, as
    `observation.outside` for many. Their tracks end, so that the next object that enters there is not taken for them.

    Args:
        mean: (N, 4) centre x y, width and height, pixels.
        velocity: (N, 4) their rates, pixels a second.
        edges: (N, 4) bool: the left, top, right and bottom borders that cut them.
        frame: Width and height, pixels.

    Returns:
        (N,) bool.
    """
    near = np.maximum(2.0, 0.01 * np.array(frame))
    half, swell = mean[:, 2:] / 2, velocity[:, 2:] / 2
    low = (mean[:, :2] + half <= near) & (velocity[:, :2] + swell < 0)
    high = (mean[:, :2] - half >= np.array(frame) - near) & (velocity[:, :2] - swell > 0)
    gone: NDArray[np.bool_] = ((edges[:, :2] & low) | (edges[:, 2:] & high)).any(axis=1)
    return gone
