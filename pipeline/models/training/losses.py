"""The losses of Faster R-CNN and Mask R-CNN, computed by torchvision's modules.

Only the mask target differs from torchvision's: it is sampled from the masks at the image's own resolution, so that
neither half-pixel shifts nor the input's resolution blur it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.letterbox import Letterbox

MASKS_PER_IMAGE = 16
"""Regions of an image that the mask head is trained on in a step; it is the most expensive part of a step."""


class LossTarget(Protocol):
    """What is to be learnt from one image."""

    @property
    def letterbox(self) -> Letterbox:
        """Where the image lies in the input."""

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) float32 x0 y0 x1 y1, pixels of the input."""

    @property
    def class_ids(self) -> NDArray[np.int64]:
        """(N,) int64, indices into the classes."""

    def mask_targets(
        self, objects: NDArray[np.int64], rois: NDArray[np.float32], side: int
    ) -> NDArray[np.float32]:
        """The share of each grid cell of a region that its object covers.

        Args:
            objects: (R,) the object of each region, a row of `boxes`.
            rois: (R, 4) x0 y0 x1 y1, pixels of the input.
            side: cells along one edge.

        Returns:
            (R, side, side) float32, 0..1.
        """


def losses(model: MaskRCNN, images: Tensor, batch: Sequence[LossTarget]) -> dict[str, Tensor]:
    """The five losses of a Mask R-CNN.

    Args:
        model: in training mode.
        images: (B, 3, H, W) float32, normalized, on the device of the model.
        batch: B targets.

    Returns:
        Scalars by name: `object` and `proposal` of the RPN, `class`, `box` and `mask` of the heads.
    """
    device = images.device
    sizes = [(one.letterbox.inner_height, one.letterbox.inner_width) for one in batch]
    targets = [
        {
            "boxes": torch.from_numpy(one.boxes).to(device),
            "labels": torch.from_numpy(one.class_ids + 1).to(device),
            "masks": torch.empty(0),  # torchvision only checks that it is there; see _mask_loss
        }
        for one in batch
    ]
    features = model.backbone(images)
    proposals, rpn_losses = model.rpn(ImageList(images, sizes), features, targets)
    heads = model.roi_heads
    regions, matched, labels, regression = heads.select_training_samples(proposals, targets)
    pooled = heads.box_head(heads.box_roi_pool(features, regions, sizes))
    class_loss, box_loss = fastrcnn_loss(*heads.box_predictor(pooled), labels, regression)
    return {
        "object": rpn_losses["loss_objectness"],
        "proposal": rpn_losses["loss_rpn_box_reg"],
        "class": class_loss,
        "box": box_loss,
        "mask": _mask_loss(model, features, regions, matched, labels, batch),
    }


def _mask_loss(
    model: MaskRCNN,
    features: dict[str, Tensor],
    regions: list[Tensor],
    matched: list[Tensor],
    labels: list[Tensor],
    batch: Sequence[LossTarget],
) -> Tensor:
    """Binary cross entropy of the mask of the true class, over some of the regions that contain an object.

    Args:
        model: the model.
        features: pyramid level -> (B, C, h, w).
        regions: for each image (R, 4), pixels of the input.
        matched: for each image (R,), the object of each region.
        labels: for each image (R,), 0 for background.
        batch: the examples.
    """
    heads = model.roi_heads
    chosen, wanted, targets = [], [], []
    for region, match, label, one in zip(regions, matched, labels, batch, strict=True):
        positive = torch.where(label > 0)[0]
        positive = positive[torch.randperm(len(positive))[:MASKS_PER_IMAGE].to(positive.device)]
        chosen.append(region[positive])
        wanted.append(label[positive])
        rois = region[positive].detach().float().cpu().numpy()
        targets.append(torch.from_numpy(one.mask_targets(match[positive].cpu().numpy(), rois, MASK_SIZE)))
    label, target = torch.cat(wanted), torch.cat(targets).to(_device_of(features))
    if not len(
        label
    ):  # every parameter takes part, since data-parallel training waits for all their gradients
        parts = (*heads.mask_head.parameters(), *heads.mask_predictor.parameters())
        return torch.stack([value.sum() * 0 for value in parts]).sum()
    sizes = [(one.letterbox.inner_height, one.letterbox.inner_width) for one in batch]
    logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, chosen, sizes)))
    of_class = logits[torch.arange(len(label), device=label.device), label]
    return functional.binary_cross_entropy_with_logits(of_class, target)


def _device_of(features: dict[str, Tensor]) -> torch.device:
    return next(iter(features.values())).device
