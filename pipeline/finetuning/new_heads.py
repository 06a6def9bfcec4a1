"""The network to be trained: pre-trained weights under new heads, with its first stages frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from pipeline.models.class_map import ClassMap
from pipeline.models.maskrcnn.loader import load_network
from pipeline.models.maskrcnn.preprocess import Preprocessor, RgbPreprocessor, YuvPreprocessor
from pipeline.models.training.losses import LossTarget, losses

SCORE, NMS = 0.05, 0.6
"""Of the evaluations: AP is defined over all scores."""

NORM_MOMENTUM = 0.03
"""Of batch norms that adapt: the statistics of small batches are noisy."""

REGIONS, POSITIVE_SHARE = 256, 0.25
"""Regions of an image that the classifier learns from, and the largest share of them with an object.

Nearly all proposals, since what looks like a new class and is none, such as a vehicle, is rare among them."""

LONGEST = 1333 / 800
"""Longer over shorter side of the largest input of torchvision's networks."""

_COMPACT_STAGES = ((0, 2), (2, 4), (4, 7), (7, 13), (13, 16))
"""Layers of the compact network's backbone that work at strides 2, 4, 8, 16 and 32."""
_RESNET_STAGES = ("conv1 bn1", "layer1", "layer2", "layer3", "layer4")
STAGES = 5


@dataclass(frozen=True, slots=True)
class StartNetwork:
    """A network with pre-trained weights and new heads.

    Attributes:
        model: on the CPU.
        preprocessor: how frames become its input, in training as in a run.
        compact: whether it is the network of the model that ships, else one of torchvision's.
        kept: classes that the weights knew already; their rows in the heads are kept.
    """

    model: MaskRCNN
    preprocessor: Preprocessor
    compact: bool
    kept: tuple[str, ...]


def start_network(weights: Path | None, classes: Sequence[str], seed: int, shortest: int = 0) -> StartNetwork:
    """Loads weights and gives them heads for other classes.

    Args:
        weights: a weight file of a Mask R-CNN; None for the one that ships.
        classes: names of the classes to learn.
        seed: of the weights that are new.
        shortest: shorter side of the input of torchvision's networks, pixels; 0: that of the weights.

    Raises:
        ModelError: the file is missing, damaged or of another network.
    """
    model, known, preprocessor = load_network(weights, score=SCORE, nms=NMS)
    compact = isinstance(preprocessor, YuvPreprocessor)
    if shortest and not compact:
        transform = model.transform
        transform.min_size, transform.max_size = (shortest,), round(shortest * LONGEST)
        preprocessor = RgbPreprocessor(
            shortest, transform.max_size, transform.image_mean, transform.image_std
        )
    if compact:
        model.roi_heads.fg_bg_sampler = BalancedPositiveNegativeSampler(REGIONS, POSITIVE_SHARE)
    torch.manual_seed(seed)
    _replace_heads(model, known, classes)
    kept = tuple(name for name in classes if name in known.names)
    return StartNetwork(model, preprocessor, compact, kept)


def _replace_heads(model: MaskRCNN, known: ClassMap, classes: Sequence[str]) -> None:
    """New last layers.

    Background and known classes keep their rows; boxes and masks of new classes begin at the mean of the known ones.
    """
    heads = model.roi_heads
    old_box, old_mask = heads.box_predictor, heads.mask_predictor.mask_fcn_logits
    of_class = {known.names[index]: label for label, index in enumerate(known.indices.tolist()) if index >= 0}
    usable = sorted(of_class.values())
    rows = [0, *(of_class.get(name, -1) for name in classes)]
    box = FastRCNNPredictor(old_box.cls_score.in_features, len(rows))
    mask = nn.Conv2d(old_mask.in_channels, len(rows), 1)
    nn.init.normal_(box.cls_score.weight, std=0.01)
    with torch.no_grad():
        for name in ("weight", "bias"):
            old = getattr(old_box.cls_score, name)
            new = getattr(box.cls_score, name)
            new.copy_(
                torch.stack([old[row] if row >= 0 else fresh for row, fresh in zip(rows, new, strict=True)])
            )
            old = getattr(old_box.bbox_pred, name)
            by_class = old.view(-1, 4, *old.shape[1:])
            getattr(box.bbox_pred, name).copy_(_rows(by_class, rows, usable).flatten(0, 1))
            getattr(mask, name).copy_(_rows(getattr(old_mask, name), rows, usable))
    heads.box_predictor, heads.mask_predictor.mask_fcn_logits = box, mask


def _rows(old: Tensor, rows: Sequence[int], usable: Sequence[int]) -> Tensor:
    """Rows of the old layer, for new classes the mean of those of all old classes."""
    mean = old[list(usable)].mean(0)
    return torch.stack([old[row] if row >= 0 else mean for row in rows])


def frozen_stages(model: MaskRCNN, compact: bool, count: int) -> list[nn.Module]:
    """The first stages of the backbone.

    Args:
        model: the network.
        compact: as in `StartNetwork`.
        count: how many, 0 to `STAGES`.
    """
    body = model.backbone.body
    if compact:
        last = _COMPACT_STAGES[count - 1][1] if count else 0
        return [module for name, module in body.named_children() if int(name) < last]
    return [body[name] for stage in _RESNET_STAGES[:count] for name in stage.split()]


class LossNetwork(nn.Module):
    """From a batch to its losses, as one module: that is what data-parallel training wraps.

    Args:
        start: the network.
        freeze: stages of the backbone that keep their weights.
        adapt_norms: batch norms outside them learn new statistics.
    """

    def __init__(self, start: StartNetwork, freeze: int, *, adapt_norms: bool) -> None:
        super().__init__()
        self.model = start.model
        self._frozen = frozen_stages(start.model, start.compact, freeze)
        self._adapt_norms = adapt_norms
        self.model.requires_grad_(True)
        for module in self._frozen:
            module.requires_grad_(False)
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = NORM_MOMENTUM

    def train(self, mode: bool = True) -> LossNetwork:
        """Training mode, in which frozen batch norms still use the statistics they have."""
        super().train(mode)
        if mode:
            still = self._frozen if self._adapt_norms else [self.model]
            for part in still:
                for module in part.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
        return self

    def forward(self, images: Tensor, batch: Sequence[LossTarget]) -> dict[str, Tensor]:
        """The losses; see `pipeline.models.training.losses`."""
        return losses(self.model, images, batch)
