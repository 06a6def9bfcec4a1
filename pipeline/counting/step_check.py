"""Whether one observation is enough to believe that an object has moved.

A box that flickers for one frame moves its anchor without any movement of the object. So a new side of a line, and the
inside or outside of a zone, takes a second observation in a row, or one that the motion before it predicts: what is so
fast that it is seen once beyond a line counts at once.
"""

from __future__ import annotations

from math import dist, hypot

from pipeline.geometry.points import Xy
from pipeline.tracking.observation import Observation

PREDICTED = 0.5
"""A step is predicted if it ends within this part of its own length of where the step before it leads."""
FAST = 0.25
"""Shortest step that may be predicted, in heights of the object: what is slower is seen a second time."""
SAME_HEIGHT = 0.8
"""Ratio of heights above which two boxes have the same one."""


def is_predicted(before: Observation | None, last: Observation | None, now: Observation) -> bool:
    """Whether the step from `last` to `now` is a fast one that continues the one from `before` to `last`.

    Both the upper and the lower end of the box are compared: of a box that changes its shape, one of them stays.

    Args:
        before: The observation before `last`; None: there was none.
        last: The observation before `now`; None: there was none.
        now: The observation in question.
    """
    if before is None or last is None:
        return False
    if dist(last.foot, now.foot) < FAST * now.height_px:
        return False
    first_s = last.frame_time.pts_s - before.frame_time.pts_s
    second_s = now.frame_time.pts_s - last.frame_time.pts_s
    if first_s <= 0 or second_s <= 0:
        return False
    ratio = second_s / first_s
    return _continues(before.foot, last.foot, now.foot, ratio) and _continues(
        _head(before), _head(last), _head(now), ratio
    )


def kept_height(last: Observation | None, now: Observation) -> bool:
    """Whether two boxes of an object are about equally high, so that a step between them is one of the whole object.

    Args:
        last: The earlier observation; None: there was none.
        now: The later one.
    """
    if last is None:
        return False
    low, high = sorted((last.extent_px("b"), now.extent_px("b")))
    return low >= SAME_HEIGHT * high


def _head(observation: Observation) -> Xy:
    return observation.center[0], observation.place_px[1]


def _continues(before: Xy, last: Xy, now: Xy, ratio: float) -> bool:
    x, y = (now[axis] - last[axis] for axis in (0, 1))
    off_x, off_y = (step - ratio * (last[axis] - before[axis]) for axis, step in enumerate((x, y)))
    return hypot(off_x, off_y) <= PREDICTED * hypot(x, y)
