"""The losses of Faster R-CNN and Mask R-CNN, computed by torchvision's modules.

Only the mask target differs from torchvision's: it is sampled from the label map at the frame's own resolution, so
that neither half-pixel shifts nor the input's resolution blur it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss

from pipeline.geometry.masks import MASK_SIZE
from pipeline.models.maskrcnn.compact_net import MEAN, STD
from pipeline.models.maskrcnn.preprocess import normalize
from pipeline.models.training.augment import AugmentedExample, mask_targets

MASKS_PER_IMAGE = 16
"""Regions of an image that the mask head is trained on in a step; it is the most expensive part of a step."""


def losses(model: MaskRCNN, batch: Sequence[AugmentedExample], device: torch.device) -> dict[str, Tensor]:
    """The five losses of a Mask R-CNN.

    Args:
        model: in training mode.
        batch: examples.
        device: of the model.

    Returns:
        Scalars by name: `object` and `proposal` of the RPN, `class`, `box` and `mask` of the heads.
    """
    pixels = torch.from_numpy(np.stack([one.image for one in batch])).to(device)
    images = normalize(pixels, MEAN, STD)
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
    batch: Sequence[AugmentedExample],
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
        ids = one.ids[match[positive].cpu().numpy()] if len(one.ids) else np.zeros(0, np.int64)
        rois = region[positive].detach().cpu().numpy()
        targets.append(torch.from_numpy(mask_targets(one.labels, ids, rois, one.letterbox, MASK_SIZE)))
    label, target = torch.cat(wanted), torch.cat(targets).to(_device_of(features))
    if not len(label):
        return next(iter(features.values())).sum() * 0
    sizes = [(one.letterbox.inner_height, one.letterbox.inner_width) for one in batch]
    logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, chosen, sizes)))
    of_class = logits[torch.arange(len(label), device=label.device), label]
    return functional.binary_cross_entropy_with_logits(of_class, target)


def _device_of(features: dict[str, Tensor]) -> torch.device:
    return next(iter(features.values())).device
