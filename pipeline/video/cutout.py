"""One object cut out of a picture, with a smooth border."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def cut_out(part: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The pixels of an object, transparent black around it.

    Args:
        part: (h, w, 3) uint8 RGB, the region of the picture that holds the object.
        inside: (h, w) which pixels are the object's.

    Returns:
        (h, w, 4) uint8 RGBA.
    """
    alpha = cv2.GaussianBlur(inside.astype(np.uint8) * np.uint8(255), (3, 3), 0)
    whole = np.zeros((*inside.shape, 4), np.uint8)
    whole[..., :3] = part * (alpha > 0)[..., None]
    whole[..., 3] = alpha
    return whole
