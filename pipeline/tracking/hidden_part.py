"""Where the foot of an object is while its lower part is hidden.

Behind a bench the box of a standing person ends at the bench: its lower edge jumps up although nothing has moved, and
jumps down again behind it. The upper edge tells the two apart: where it stays while the box becomes lower, and not
narrower, the foot is taken to be where the height that the object had before puts it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.records.state import checkpointed
from pipeline.tracking.camera import CameraTransform
from pipeline.tracking.observation import Observation

OTHER_SHAPE = 1.22
"""Ratio of heights, and of heights in relation to widths, above which two boxes have different shapes."""
HEAD_STAYS = 0.5
"""Part of the change of height by which the upper edge may have moved if the lower part is hidden."""
CERTAIN = 3
"""Observations of one shape in a row after which it is known."""
HIDDEN_S = 30.0
"""Longest time for which the earlier height is kept; what is seen for longer is the shape of the object."""


@checkpointed
@dataclass(slots=True)
class Shape:
    """Size of one object while it was seen in full.

    Attributes:
        full: the last observation of the known shape.
        last: the last observation of all.
        agreed: how many observations in a row had the known shape, up to `CERTAIN`.
        hidden_s: media time since which the lower part is hidden; None: it is not.
    """

    full: Observation
    last: Observation
    agreed: int = 0
    hidden_s: float | None = None

    def whole(self, observation: Observation) -> Observation:
        """Takes the next observation.

        Args:
            observation: Later than the one before.

        Returns:
            The observation, with foot and centre moved to where they would be if the lower part was not hidden.
        """
        if "t" in observation.edges or "b" in observation.edges:
            return observation
        last, self.last, other = self.last, observation, _change(self.full, observation)
        if other == 0 or self.agreed < CERTAIN:
            self.agreed = 1 if other else min(CERTAIN, self.agreed + 1)
            self.full, self.hidden_s = observation, None
            return observation
        again, now_s = _change(last, observation) == 0, observation.frame_time.pts_s
        if other < 0 and self.hidden_s is None and not again and self._head_stays(observation):
            self.hidden_s = now_s
        if other < 0 and self.hidden_s is not None and now_s - self.hidden_s <= HIDDEN_S:
            down_px = _size(self.full, 1) - _size(observation, 1)
            (x, y), (center_x, center_y) = observation.foot, observation.center
            return replace(observation, foot=(x, y + down_px), center=(center_x, center_y + down_px / 2))
        if again:
            self.full, self.agreed, self.hidden_s = observation, 1, None
        return observation

    def transform(self, camera: CameraTransform) -> None:
        """Converts all places to the pixels of the next frame.

        Args:
            camera: Motion of the camera between the two frames.
        """
        self.full, self.last = camera.observation(self.full), camera.observation(self.last)

    def _head_stays(self, observation: Observation) -> bool:
        lost_px = _size(self.full, 1) - _size(observation, 1)
        return abs(observation.place_px[1] - self.full.place_px[1]) <= HEAD_STAYS * lost_px


def _size(observation: Observation, axis: int) -> float:
    return max(1.0, observation.place_px[2 + axis] - observation.place_px[axis])


def _change(one: Observation, other: Observation) -> int:
    """1 if a box is higher than another one and not wider, -1 if lower and not narrower, 0 if of about its shape."""
    higher = _size(other, 1) / _size(one, 1)
    if 1 / OTHER_SHAPE <= higher <= OTHER_SHAPE:
        return 0  # most often
    in_proportion = higher * _size(one, 0) / _size(other, 0)
    if 1 / OTHER_SHAPE <= in_proportion <= OTHER_SHAPE:
        return 0
    return 1 if higher > 1 else -1
