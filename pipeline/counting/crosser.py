"""The state of one object relative to one line."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.geometry.points import Xy
from pipeline.records.state import checkpointed
from pipeline.tracking.observation import Observation

PATH_POINTS = 64
"""Maximum length of a path. A longer one is decimated by two, which bounds memory."""


@checkpointed
@dataclass(slots=True)
class Crosser:
    """State of one object relative to the line.

    Attributes:
        side: confirmed side: 1 on the left-hand side of the line, -1 on the right, 0 before one is confirmed.
        path: positions of the anchor since the last one on the confirmed side, that one included.
        counted_s: media time of the last crossing.
        border: border of the frame at which the object appeared, for as long as it is not known whether it came from
            outside; empty once that is decided.
        extent_at_border_px: its extent, perpendicular to that border, when it appeared.
        full_extent_px: border -> extent perpendicular to it, when the object last did not touch that border.
        arriving: as in `LineCounter.observe`.
        first_side, first_path: the side that was confirmed first, and the path up to there. `stitch` needs them to tell
            whether the line was crossed between two objects that are one.
        before, last: the last two observations.
        hand: side of the last observation, within the dead band as well.
        pending: side that the last observation was the first one to be beyond the dead band on; 0: none.
    """

    side: int = 0
    path: list[Xy] = field(default_factory=list)
    counted_s: float = -np.inf
    border: str = ""
    extent_at_border_px: float = 0.0
    full_extent_px: dict[str, float] = field(default_factory=dict)
    arriving: bool = False
    first_side: int = 0
    first_path: list[Xy] = field(default_factory=list)
    before: Observation | None = None
    last: Observation | None = None
    hand: int = 0
    pending: int = 0

    def append(self, place: Xy) -> None:
        """Adds a position to the path. Of one that gets too long the first and last positions stay: they matter most.

        Args:
            place: x y in pixels.
        """
        self.path.append(place)
        if len(self.path) > PATH_POINTS:
            del self.path[1:-1:2]


def thinned(path: list[Xy]) -> list[Xy]:
    """The path with at most `PATH_POINTS` positions, the first and the last one included.

    Args:
        path: x y of consecutive positions, pixels.
    """
    while len(path) > PATH_POINTS:
        path = [path[0], *path[1:-1:2], path[-1]]
    return path
