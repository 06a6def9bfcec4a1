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
        whole: the last observation that touched no border.
        full_extent_px: border -> extent perpendicular to it, when the object last did not touch that border, where
            that was later than `whole`.
        arriving: as in `CrossingDetector.observe`.
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
    whole: Observation | None = None
    full_extent_px: dict[str, float] = field(default_factory=dict)
    arriving: bool = False
    first_side: int = 0
    first_path: list[Xy] = field(default_factory=list)
    before: Observation | None = None
    last: Observation | None = None
    hand: int = 0
    pending: int = 0

    def full_extent(self, border: str) -> float:
        """Extent perpendicular to a border when the object last did not touch it, pixels; 0: it always did.

        Args:
            border: One of `l`, `t`, `r`, `b`.
        """
        if border in self.full_extent_px or self.whole is None:
            return self.full_extent_px.get(border, 0.0)
        return self.whole.extent_px(border)

    def see(self, observation: Observation) -> None:
        """Keeps the next observation, and what it tells of the extent of the object.

        Args:
            observation: Later than the one before.
        """
        self.before, self.last = self.last, observation
        if not observation.edges:
            self.whole = observation
            if self.full_extent_px:
                self.full_extent_px = {}
            return
        for border in "ltrb":
            if border not in observation.edges:
                self.full_extent_px[border] = observation.extent_px(border)

    @property
    def settled_side(self) -> int:
        """The side of an object to which nothing can happen while it stays there beyond the dead band; 0: none such."""
        at_rest = (
            self.first_side
            and not self.border
            and not self.pending
            and self.hand == self.side
            and len(self.path) == 1
            and (self.before is not None or not self.arriving)
        )
        return self.side if at_rest else 0

    def take(self, other: Crosser) -> None:
        """Takes over what does not depend on the line.

        Args:
            other: State of the same object.
        """
        self.before, self.last = other.before, other.last
        self.whole, self.full_extent_px = other.whole, other.full_extent_px

    def without_line(self) -> Crosser:
        """A copy of what does not depend on the line."""
        result = Crosser(arriving=self.arriving)
        result.take(self)
        return result

    def inherit_extent(self, older: Crosser) -> None:
        """Takes over the extent of the object that this one continues, where its own is not known.

        Args:
            older: State of that object.
        """
        if self.whole is None:
            self.whole, self.full_extent_px = older.whole, older.full_extent_px | self.full_extent_px

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
