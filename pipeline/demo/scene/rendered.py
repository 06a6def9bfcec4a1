"""A rendered frame with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene.sprite import Bytes


@dataclass(frozen=True)
class RenderedInstance:
    """One object in one frame.

    Attributes:
        label: value of its pixels in `Rendered.labels`.
        track_id, class_name: of the object.
        box_px: x0 y0 x1 y1 of the visible mask, x1 and y1 exclusive.
        area_px: number of visible pixels.
        visible: visible share of the silhouette, 0..1; parts outside of the picture count as hidden.
        foot_px: x y of where it stands on the ground.
        full_box_px: box of the whole silhouette, which may extend beyond the picture.
    """

    label: int
    track_id: int
    class_name: str
    box_px: tuple[float, float, float, float]
    area_px: int
    visible: float
    foot_px: tuple[float, float]
    full_box_px: tuple[float, float, float, float]


@dataclass(frozen=True)
class Rendered:
    """One frame and its truth.

    Attributes:
        index: of the frame.
        pts_s: its time.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W), 0 for the background, k for the pixels of `instances[k - 1]`.
        instances: the visible objects.
    """

    index: int
    pts_s: float
    image: Bytes
    labels: NDArray[np.int16]
    instances: tuple[RenderedInstance, ...]

    def mask(self, label: int) -> NDArray[np.bool_]:
        """The visible pixels of one instance, (H, W) bool.

        Args:
            label: Number of the instance.
        """
        found: NDArray[np.bool_] = self.labels == label
        return found
