"""Augmentation of images with their boxes and masks, by torchvision's transforms v2."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import masks_to_boxes
from torchvision.transforms import v2

MIN_VISIBLE_PX = 16
"""Objects of which fewer pixels are left count as background."""
MIN_VISIBLE_SHARE = 0.08
"""And so do those of which a smaller share is left."""


class Jpeg(v2.Transform):  # type: ignore[misc]
    """Compresses the image as JPEG at a random quality; torchvision's own is going to be removed.

    Args:
        low: of the quality, 1..100.
        high: of the quality.
    """

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self._low, self._high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quality": int(torch.randint(self._low, self._high + 1, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        pixels = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy()[..., ::-1])
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, params["quality"]])
        decoded = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
        return tv_tensors.Image(torch.from_numpy(decoded).permute(2, 0, 1))


def augmentation() -> v2.Transform:
    """Mirrored, cropped, shrunk, recoloured, blurred and compressed, each at random."""
    return v2.Compose([
        v2.RandomHorizontalFlip(0.5),
        v2.RandomApply([v2.RandomIoUCrop(min_scale=0.4, max_scale=1.0)], 0.5),
        v2.RandomZoomOut(fill={tv_tensors.Image: 114, tv_tensors.Mask: 0}, side_range=(1.0, 1.8), p=0.2),
        v2.RandomPhotometricDistort(p=0.5),
        v2.RandomApply([v2.GaussianBlur(3, (0.3, 1.2))], 0.15),
        v2.RandomApply([Jpeg(30, 90)], 0.25),
    ])  # fmt: skip


def transformed(
    image: NDArray[np.uint8], masks: NDArray[np.uint8], class_ids: NDArray[np.int64], transform: Any | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    """An image and its objects after a transform; boxes are those around what is left of the masks.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: (N, H, W) uint8, 0 or 1.
        class_ids: (N,) int64.
        transform: of transforms v2; None leaves all as it is.

    Returns:
        (h, w, 3) uint8, (n, h, w) uint8, (n,) int64 and (n, 4) float32 x0 y0 x1 y1 in pixels of the new image.
    """
    pixels: Tensor = tv_tensors.Image(torch.tensor(image).permute(2, 0, 1))
    shapes: Tensor = tv_tensors.Mask(torch.from_numpy(masks))
    whole = shapes.flatten(1).sum(1)
    if transform is not None:
        boxes = tv_tensors.BoundingBoxes(
            _boxes(shapes), format=tv_tensors.BoundingBoxFormat.XYXY, canvas_size=image.shape[:2]
        )  # RandomIoUCrop asks for them
        pixels, shapes, _ = transform(pixels, shapes, boxes)
    left = shapes.flatten(1).sum(1)
    kept = torch.where((left >= MIN_VISIBLE_PX) & (left >= whole * MIN_VISIBLE_SHARE))[0]
    shapes = shapes[kept]
    boxes_px = _boxes(shapes)
    wide = ((boxes_px[:, 2:] - boxes_px[:, :2]) > 2).all(1)
    new_image = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    return (
        new_image,
        np.ascontiguousarray(shapes[wide].numpy()),
        class_ids[kept[wide].numpy()],
        boxes_px[wide].numpy().astype(np.float32),
    )


def _boxes(masks: Tensor) -> Tensor:
    """(N, 4) float32 x0 y0 x1 y1 around masks, the last row and column inside; zeros around empty ones."""
    boxes = torch.zeros((len(masks), 4))
    filled = masks.flatten(1).sum(1) > 0
    if bool(filled.any()):
        plain = masks.as_subclass(Tensor)[filled]
        boxes[filled] = masks_to_boxes(plain).float() + torch.tensor([0.0, 0.0, 1.0, 1.0])
    return boxes
