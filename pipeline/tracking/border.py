"""What goes out over the border of the frame does not come in again at once: another object does.

A bus that enters where another one leaves touches the same border, and has about the same size there. The edge away
from the border tells the two apart: it moves outwards with the one and inwards with the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats

LEAVING_SD = 3.0
"""Outward velocity from which on an object goes out, in standard deviations of that velocity."""
REVERSAL_SD = 4.0
"""How far the free edge of an object that goes out may be to the inside of where it was last, in standard deviations
that the filter has learnt."""


def outward_steps(velocity: Floats, variance: Floats, edges: NDArray[np.bool_], dt_s: float) -> Floats:
    """How far objects go out over the border within `dt_s`.

    Args:
        velocity: (M, 2) x and y, pixels per second.
        variance: (M, 2) of `velocity`.
        edges: (M, 4) whether the border cuts each at the left, top, right, bottom.

    Returns:
        (M, 4) pixels; 0 where an object does not go out over that border, or not beyond doubt.
    """
    limit = LEAVING_SD * np.sqrt(variance)
    outward = np.concatenate([-velocity - limit, velocity - limit], axis=1)
    speed = np.concatenate([-velocity, velocity], axis=1)
    result: Floats = np.where(edges & (outward > 0), speed * dt_s, 0.0)
    return result


def came_in(off: Floats, steps: Floats, edges: NDArray[np.bool_], sd: Floats) -> NDArray[np.bool_]:
    """Whether detections are of something that comes in where objects go out.

    Args:
        off: (K, 4) centre and size of detections, less what is expected of the objects, pixels.
        steps: (K, 4) as of `outward_steps`.
        edges: (K, 4) whether the detections touch these borders.
        sd: (K, 2) standard deviation of `off`, of the centre.

    Returns:
        (K,).
    """
    half = off[:, 2:] / 2
    inward = np.concatenate([half + off[:, :2], half - off[:, :2]], axis=1) - steps
    result: NDArray[np.bool_] = (
        (inward > REVERSAL_SD * np.concatenate([sd, sd], axis=1)) & edges & (steps > 0)
    ).any(axis=1)
    return result
