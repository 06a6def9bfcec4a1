"""How often objects begin by themselves, by place: what a stitch has to be likelier than.

Where people come out of a door every second, an appearance half a second after a loss is no evidence; in
an empty yard it is. Births are a Poisson process (as in the clutter and birth models of Bar-Shalom, Estimation with
Applications to Tracking and Navigation) with one density for the border of the frame and one for the inside, both
learnt from the stream: each start counts with the probability that it was a birth, not the rest of a lost object.
"""

from __future__ import annotations

from math import exp

from pipeline.records.state import AttributeState
from pipeline.tracking.observation import Observation

PRIOR_BIRTHS = 1.0
PRIOR_S = 20.0
"""Before anything is known: so many births in so many seconds, both at the border and inside."""
BORDER_BIRTHS = 4.0
"""How many times as many of them there are at the border."""
MEMORY_S = 300.0
"""Time constant with which births are forgotten."""
NEAR_BORDER = 0.35
"""Distance to the border of the frame, in sizes of the object, up to which a start is one at the border."""
WARM_UP_S = 0.5
"""What is there when a stream begins was not born then."""


PRIOR_LOSSES = 6.0
PRIOR_HIDDEN = 0.5
"""Before anything is known: so many objects were lost inside the frame, and that share of them was hidden."""


class BirthRate(AttributeState):
    """Births of one stream. Weights decay, as does the time over which they were collected."""

    STATE = ("_size", "_age_s", "_time_s", "_births", "_lost", "_back")

    def __init__(self) -> None:
        self._size = (1, 1)
        self._age_s = 0.0
        self._time_s = 0.0
        self._births = {True: 0.0, False: 0.0}
        self._lost = 0.0
        self._back = 0.0

    def advance(self, dt_s: float, size: tuple[int, int]) -> None:
        """Notes that time has passed; older births weigh less.

        Args:
            dt_s: Media seconds.
            size: Width and height of the frame, pixels.
        """
        keep = exp(-dt_s / MEMORY_S)
        self._size = size
        self._age_s += dt_s
        self._time_s = self._time_s * keep + dt_s
        for border in self._births:
            self._births[border] *= keep
        self._lost *= keep
        self._back *= keep

    def add(self, first: Observation, began_s: float, weight: float) -> None:
        """Notes a new object.

        Args:
            first: Its first observation.
            began_s: Media seconds from the beginning of the stream to that observation.
            weight: Probability that the object was born there; a negative weight takes it back.
        """
        if began_s > WARM_UP_S:
            self._births[self.at_border(first)] += weight

    def lost(self, last: Observation, back: bool) -> None:
        """Notes that an object was lost. Losses at the border do not count.

        Args:
            last: Its last observation.
            back: Whether it was found again.
        """
        if not self.at_border(last):
            self._lost += 1
            self._back += back

    @property
    def hidden(self) -> float:
        """Probability that an object that is lost inside the frame is hidden, not gone."""
        return (PRIOR_LOSSES * PRIOR_HIDDEN + self._back) / (PRIOR_LOSSES + self._lost)

    def at_border(self, first: Observation) -> bool:
        """Whether an object may have entered over the border of the frame.

        Args:
            first: Its first observation.
        """
        x0, y0, x1, y1 = first.place_px
        near = NEAR_BORDER * size_px(first)
        return bool(first.edges) or min(x0, y0, self._size[0] - x1, self._size[1] - y1) < near

    def density(self, first: Observation) -> float:
        """Rate of births at a place.

        Args:
            first: First observation of an object there.

        Returns:
            Births per second and per squared object size.
        """
        size = size_px(first)
        width, height = self._size[0] / size, self._size[1] / size
        border = self.at_border(first)
        prior = PRIOR_BIRTHS * (BORDER_BIRTHS if border else 1.0)
        rate = (prior + max(0.0, self._births[border])) / (PRIOR_S + self._time_s)
        strip = min(2 * (width + height), width * height)
        return rate / max(1.0, strip if border else width * height)


def size_px(observation: Observation) -> float:
    """Size of an object of any shape as one length: about the height of a person, or the length of a car.

    Args:
        observation: An observation of it.

    Returns:
        Pixels.
    """
    width, height = max(1.0, observation.width_px), max(1.0, observation.extent_px("t"))
    return float(1.5 * (width * height) ** 0.5)
