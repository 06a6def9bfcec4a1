"""What counting knows of one object in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy
from pipeline.records.state import checkpointed


@checkpointed
@dataclass(frozen=True, slots=True)
class FrameTime:
    """Which frame, and when: the fields of the message of the same names."""

    seq: int
    epoch: int
    index: int
    pts_s: float
    wall_s: float


@checkpointed
@dataclass(frozen=True, slots=True)
class Observation:
    """One object seen in one frame.

    Attributes:
        frame_time: the frame.
        box_px: x0 y0 x1 y1, pixels of this frame.
        place_px: the same in the pixels of the stream's first frame, in which all counting is done (they
            differ after a camera has changed its resolution).
        foot: bottom centre of the mask, as `place_px`; while the lower part is hidden, where it would be.
        center: centre of the box, as `place_px`; likewise.
        height_px: the object's height, smoothed over its life, as `place_px`.
        score: 0..1.
        class_id: what the model took it for in this frame.
        edges: borders of the frame that the box touches, some of `l`, `t`, `r`, `b`.
        mask: (28, 28) uint8, 0..255, spread over the box.
    """

    frame_time: FrameTime
    box_px: tuple[float, float, float, float]
    place_px: tuple[float, float, float, float]
    foot: Xy
    center: Xy
    height_px: float
    score: float
    class_id: int
    edges: str
    mask: NDArray[np.uint8]

    @property
    def width_px(self) -> float:
        """Width of the box, as `place_px`."""
        return self.place_px[2] - self.place_px[0]

    def extent_px(self, edge: str) -> float:
        """How far the box reaches into the frame from a border.

        Args:
            edge: The border: `l`, `t`, `r` or `b`.

        Returns:
            Width of the box for `l` and `r`, height for `t` and `b`, pixels.
        """
        if edge in "lr":
            return self.place_px[2] - self.place_px[0]
        return self.place_px[3] - self.place_px[1]


def touches(boxes_px: Floats, frame: tuple[int, int]) -> NDArray[np.bool_]:
    """Which borders of the frame boxes touch: within 1 % of the frame's side, 2 pixels at least.

    Args:
        boxes_px: (N, 4) x0 y0 x1 y1.
        frame: Width and height, pixels.

    Returns:
        (N, 4) bool: left, top, right, bottom.
    """
    near = np.maximum(2.0, 0.01 * np.array(frame))
    result = np.empty(boxes_px.shape, np.bool_)
    np.less_equal(boxes_px[:, :2], near, out=result[:, :2])
    np.greater_equal(boxes_px[:, 2:], np.array(frame) - near, out=result[:, 2:])
    return result


def touched(place_px: Sequence[float], frame: tuple[int, int]) -> str:
    """Which borders of the frame a box touches: within 1 % of the frame's side, 2 pixels at least.

    Args:
        place_px: x0 y0 x1 y1.
        frame: Width and height, pixels.

    Returns:
        Letters out of `ltrb`.
    """
    near_x, near_y = max(2.0, 0.01 * frame[0]), max(2.0, 0.01 * frame[1])
    return (
        ("l" if place_px[0] <= near_x else "")
        + ("t" if place_px[1] <= near_y else "")
        + ("r" if place_px[2] >= frame[0] - near_x else "")
        + ("b" if place_px[3] >= frame[1] - near_y else "")
    )


def outside(
    place: Sequence[float],
    speed: Sequence[float],
    edges: str,
    frame: tuple[int, int],
    least_px_s: float = 0.0,
) -> bool:
    """Whether an object that was cut by `edges` of the frame has gone out over one of them.

    Args:
        place: where it should be: centre x, centre y, width, height, pixels.
        speed: change of these, pixels per second.
        edges: borders that its box touched when it was last seen.
        frame: width and height in pixels.
        least_px_s: who moves out more slowly has not gone by himself.
    """
    near_x, near_y = max(2.0, 0.01 * frame[0]), max(2.0, 0.01 * frame[1])
    x, y, width, height = place
    gone = {
        "l": x + width / 2 <= near_x,
        "r": x - width / 2 >= frame[0] - near_x,
        "t": y + height / 2 <= near_y,
        "b": y - height / 2 >= frame[1] - near_y,
    }
    return any(gone[edge] and outward(speed, edge) > least_px_s for edge in edges)


def outward(speed: Sequence[float], edge: str) -> float:
    """How fast the part of an object that `edge` of the frame does not cut moves out over it, pixels per second.

    Args:
        speed: change of centre x, centre y, width, height, pixels per second.
    """
    vx, vy, v_width, v_height = speed
    return {
        "l": -(vx + v_width / 2),
        "r": vx - v_width / 2,
        "t": -(vy + v_height / 2),
        "b": vy - v_height / 2,
    }[edge]
