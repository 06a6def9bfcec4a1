"""Modules of a torchvision Mask R-CNN, rearranged for inference: equal functions out of fewer, larger convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.ops import MultiScaleRoIAlign

from pipeline.models.maskrcnn.roi_align import SAMPLES, LevelAssignment


class ImageStage(nn.Module):
    """Backbone, feature pyramid and RPN head: the part that runs over whole images.

    Args:
        model: whose modules are used.
        multiple: the RPN outputs are padded with channels of zeros to a multiple of this.
    """

    def __init__(self, model: MaskRCNN, multiple: int = 1) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.conv = model.rpn.head.conv
        self.outputs = _interleaved(model.rpn.head.cls_logits, model.rpn.head.bbox_pred, multiple)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = list(self.backbone(images).values())
        return features, [self.outputs(self.conv(one)) for one in features]


class BoxHead(nn.Module):
    """(R, C, size, size) to (1, hidden, R, 1): linear layers as convolutions, which are faster on CPUs.

    Args:
        head: torchvision's `TwoMLPHead` or `FastRCNNConvFCHead`.
        size: cells along each side of a pooled region.
    """

    def __init__(self, head: nn.Module, size: int) -> None:
        super().__init__()
        self.blocks, weight, first, rest = _box_layers(head, size)
        self.first = nn.Sequential(_conv(weight, first.bias), nn.ReLU())
        self.rest = nn.Sequential(*(part for one in rest for part in (pointwise(one), nn.ReLU())))

    def forward(self, regions: Tensor) -> Tensor:
        hidden = self.first(self.blocks(regions))
        return self.rest(hidden.permute(3, 1, 0, 2))  # type: ignore[no-any-return]


class LinearBoxHead(nn.Module):
    """(R, C, size, size), channels last, to (R, hidden): `BoxHead` for GPUs, where products of matrices are faster.

    Args:
        head: torchvision's `TwoMLPHead` or `FastRCNNConvFCHead`.
        size: cells along each side of a pooled region.
    """

    def __init__(self, head: nn.Module, size: int) -> None:
        super().__init__()
        self.blocks, weight, first, rest = _box_layers(head, size)
        channels_last = nn.Linear(first.in_features, first.out_features, device="meta")
        channels_last.weight = nn.Parameter(weight.permute(0, 2, 3, 1).flatten(1).contiguous())
        channels_last.bias = first.bias
        self.layers = nn.ModuleList([channels_last, *rest])

    def forward(self, regions: Tensor) -> Tensor:
        hidden = self.blocks(regions).permute(0, 2, 3, 1).flatten(1)
        for layer in self.layers:
            hidden = layer(hidden).relu_()
        return hidden  # type: ignore[no-any-return]


def _box_layers(head: nn.Module, size: int) -> tuple[nn.Sequential, Tensor, nn.Linear, Sequence[nn.Linear]]:
    """The convolutions of a box head, if any; the weight of its first linear layer, (hidden, C, size, size); that
    layer; and the others."""
    parts = list(head.children()) if isinstance(head, FastRCNNConvFCHead) else []
    blocks = [one for one in parts if not isinstance(one, nn.Linear | nn.Flatten | nn.ReLU)]
    first, *rest = [one for one in (parts or head.children()) if isinstance(one, nn.Linear)]
    weight = first.weight.detach().view(first.out_features, -1, size, size)
    return nn.Sequential(*blocks), weight, first, rest


def level_assignment(pool: MultiScaleRoIAlign, strides: tuple[int, ...]) -> LevelAssignment:
    """The pyramid levels of a `MultiScaleRoIAlign`.

    Args:
        pool: the module.
        strides: of the levels it pools from.

    Raises:
        ValueError: it samples in another way than `roi_align.py`.
    """
    if pool.sampling_ratio != SAMPLES:
        raise ValueError(f"sampling_ratio is {pool.sampling_ratio}, expected {SAMPLES}")
    return LevelAssignment(strides, float(pool.canonical_scale), int(pool.canonical_level))


def stacked_linear(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """Two linear layers of one input as one, their outputs one after the other.

    Args:
        first: N outputs.
        second: M outputs.
    """
    merged = nn.Linear(1, 1)
    merged.weight = nn.Parameter(torch.cat((first.weight, second.weight)))
    merged.bias = nn.Parameter(torch.cat((first.bias, second.bias)))
    return merged


def pointwise(linear: nn.Linear) -> nn.Conv2d:
    """A linear layer as a 1x1 convolution.

    Args:
        linear: The layer.
    """
    return _conv(linear.weight.detach()[:, :, None, None], linear.bias)


def upsampling_conv(conv: nn.ConvTranspose2d) -> nn.Conv2d:
    """A transposed 2x2 convolution of stride 2 as four 1x1 convolutions, one for each of the four output pixels.

    The output pixels of a transposed convolution with kernel = stride do not overlap, so they are independent.

    Args:
        conv: 2x2, stride 2.
    """
    assert conv.bias is not None
    weight = conv.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)
    return _conv(weight[:, :, None, None], conv.bias.detach().repeat(4))


def _interleaved(logits: nn.Conv2d, offsets: nn.Conv2d, multiple: int) -> nn.Conv2d:
    """Objectness and offsets of each anchor side by side: channel 5 a is the objectness of anchor a."""
    anchors = logits.out_channels
    assert logits.bias is not None and offsets.bias is not None
    weight = torch.cat(
        (
            logits.weight.view(anchors, 1, *logits.weight.shape[1:]),
            offsets.weight.view(anchors, 4, *logits.weight.shape[1:]),
        ),
        1,
    ).flatten(0, 1)
    bias = torch.cat((logits.bias.view(anchors, 1), offsets.bias.view(anchors, 4)), 1).flatten()
    missing = -len(bias) % multiple
    return _conv(F.pad(weight, (0, 0, 0, 0, 0, 0, 0, missing)), F.pad(bias, (0, missing)))


def _conv(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """An unpadded convolution with the given weights, (out, in, h, w)."""
    out_channels, in_channels, height, width = weight.shape
    conv = nn.Conv2d(in_channels, out_channels, (height, width), bias=bias is not None, device="meta")
    conv.weight = nn.Parameter(weight.detach().contiguous())
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach())
    return conv
