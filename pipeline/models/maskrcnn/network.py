"""The inference path around the modules of a torchvision Mask R-CNN: the same results in a fraction of the time.

What differs from `MaskRCNN.forward`: batch norm, sums and activations are part of the convolutions; objectness and
offsets of the anchors come from one convolution; boxes are decoded for what is kept alone; regions are pooled by
`rcnn_pool`; the mask head computes the mask of the detected class alone and leaves it at 28x28.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign

from pipeline.models.maskrcnn.compile import Compiled
from pipeline.models.maskrcnn.fuse import can_pack, fuse, pack
from pipeline.models.maskrcnn.regions import Regions, detect, propose
from pipeline.models.maskrcnn.roi_align import Levels, Pyramid

CHANNELS_LAST = torch.channels_last


class _Dense(nn.Module):
    """Backbone, feature pyramid and the head of the region proposals: what sees every pixel."""

    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.conv = model.rpn.head.conv
        self.outputs = _merged(model.rpn.head.cls_logits, model.rpn.head.bbox_pred)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = list(self.backbone(images).values())
        return features, [self.outputs(self.conv(one)) for one in features]


class _BoxHead(nn.Module):
    """(R, C, 7, 7) to (1, hidden, R, 1): linear layers as convolutions, which are faster on CPUs."""

    def __init__(self, head: nn.Module, size: int) -> None:
        super().__init__()
        parts = list(head.children()) if isinstance(head, FastRCNNConvFCHead) else []
        blocks = [one for one in parts if not isinstance(one, nn.Linear | nn.Flatten | nn.ReLU)]
        linears = [one for one in (parts or head.children()) if isinstance(one, nn.Linear)]
        self.blocks = nn.Sequential(*blocks)
        first = linears[0]
        channels = first.in_features // (size * size)
        weight = first.weight.detach().view(first.out_features, channels, size, size)
        self.first = nn.Sequential(_conv(weight, first.bias), nn.ReLU())
        self.rest = nn.Sequential(
            *(part for one in linears[1:] for part in (_pointwise(one), nn.ReLU())),
        )

    def forward(self, regions: Tensor) -> Tensor:
        hidden = self.first(self.blocks(regions))
        return self.rest(hidden.permute(3, 1, 0, 2))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Dense:
    """What sees every pixel, for one batch.

    Attributes:
        images: (B, 3, H, W).
        features: of each level (B, C, h, w).
        outputs: for each level objectness and offsets, (B, 5 a, h, w).
        done: event after which they are there, on CUDA.
    """

    images: Tensor
    features: Sequence[Tensor]
    outputs: Sequence[Tensor]
    done: torch.cuda.Event | None


class Network:
    """A Mask R-CNN on its device.

    Args:
        model: filled; it is taken apart and must not be used any more.
        device: where it runs.
        precision: of the convolutions; boxes and scores are float32 always.
        compiled: lets PyTorch compile what sees every pixel; takes a minute for each size of input and batch.
        strides: of the levels that regions are taken from.
        usable: for each label whether it stands for a class.
    """

    def __init__(
        self,
        model: MaskRCNN,
        device: torch.device,
        precision: torch.dtype,
        *,
        usable: Sequence[bool],
        compiled: bool = False,
        strides: tuple[int, ...] = (4, 8, 16, 32),
    ) -> None:
        model.eval()
        heads = model.roi_heads
        self.device, self.precision = device, precision
        self._rpn, self._heads, self._anchors_of = model.rpn, heads, model.rpn.anchor_generator
        self._size, self._mask_size = heads.box_roi_pool.output_size[0], heads.mask_roi_pool.output_size[0]
        self._levels = _levels(heads.box_roi_pool, strides)
        self._mask_levels = _levels(heads.mask_roi_pool, strides)
        self._anchors: dict[tuple[int, ...], list[Tensor]] = {}
        self._usable = torch.tensor(list(usable), device=device)

        dense = fuse(_Dense(model))
        box = fuse(_BoxHead(heads.box_head, self._size))
        mask = fuse(
            nn.Sequential(heads.mask_head, _deconvolution(heads.mask_predictor.conv5_mask), nn.ReLU())
        )
        predictor = heads.box_predictor
        merged = nn.Linear(1, 1)
        merged.weight = nn.Parameter(torch.cat((predictor.cls_score.weight, predictor.bbox_pred.weight)))
        merged.bias = nn.Parameter(torch.cat((predictor.cls_score.bias, predictor.bbox_pred.bias)))
        predict = fuse(nn.Sequential(_pointwise(merged)))
        for part in (dense, box, mask, predict):
            dtype = torch.float32 if part is predict else precision
            part.to(device, dtype).to(memory_format=CHANNELS_LAST).requires_grad_(False)
            if device.type == "cpu" and can_pack() and not (compiled and part is dense):
                pack(part)
        self.compiled = Compiled(dense, device) if compiled else None
        self._dense: Callable[[Tensor], tuple[list[Tensor], list[Tensor]]] = self.compiled or dense
        self._box, self._mask, self._predict = box, mask, predict
        self._labels = predictor.cls_score.out_features
        last = heads.mask_predictor.mask_fcn_logits
        self._mask_weight = last.weight.detach()[:, :, 0, 0].to(device=device, dtype=precision)
        self._mask_bias = last.bias.detach().to(device=device, dtype=torch.float32)

    def knows(self, count: int, size: tuple[int, int]) -> bool:
        """Whether inputs of this size (width, height) can be computed at once: nothing is to be compiled first."""
        return self.compiled is None or self.compiled.knows(count, size)

    @torch.inference_mode()
    def start(self, images: Tensor) -> Dense:
        """Begins with what sees every pixel; on CUDA it returns before that is done.

        Args:
            images: (B, 3, H, W) on the device, ready for the network, in its precision and channels last.
        """
        features, outputs = self._dense(images)
        done = None
        if self.device.type == "cuda":
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(torch.cuda.current_stream(self.device))
        return Dense(images, features, outputs, done)

    def busy(self, dense: Dense) -> bool:
        """Whether the device is not done yet."""
        return dense.done is not None and not dense.done.query()  # type: ignore[no-untyped-call]

    def __call__(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> tuple[Regions, Tensor, Tensor]:
        """`start` and `regions`."""
        return self.regions(self.start(images), sizes)

    @torch.inference_mode()
    def regions(self, dense: Dense, sizes: Sequence[tuple[int, int]]) -> tuple[Regions, Tensor, Tensor]:
        """Detections and their masks.

        Args:
            dense: what `start` began.
            sizes: width and height of the frame inside each image; right and below is padding.

        Returns:
            The detections, (N, 28, 28) float32 masks, 0..1, spread over their boxes, and (B,) int64, more than 0 for
            images that gave numbers which are not finite; all on the device.
        """
        limits = torch.tensor(sizes, dtype=torch.float32, device=self.device)
        images, features, outputs = dense.images, dense.features, dense.outputs
        anchors = self._anchors_for(images, features)
        flat = [one.permute(0, 2, 3, 1).reshape(len(images), -1, 5) for one in outputs]
        broken = torch.stack([(~torch.isfinite(one)).flatten(1).any(1) for one in flat]).sum(0)
        proposals = propose(self._rpn, flat, anchors, limits)
        pyramid = Pyramid(features[: len(self._levels.strides)])
        found = self._detect(pyramid, proposals, limits, broken)
        masks = self._masks(pyramid, found)
        broken.index_add_(0, found.images, (~torch.isfinite(masks)).flatten(1).any(1).long())
        return found, masks, broken

    def _detect(self, pyramid: Pyramid, proposals: Regions, limits: Tensor, broken: Tensor) -> Regions:
        if not len(proposals.boxes):
            return proposals
        regions = pyramid.pool(proposals.boxes, proposals.images, self._levels, self._size)
        out = self._predict(self._box(regions).float())[0, :, :, 0].t()
        broken.index_add_(0, proposals.images, (~torch.isfinite(out)).any(1).long())
        logits, offsets = out[:, : self._labels], out[:, self._labels :].contiguous()
        return detect(self._heads, proposals, logits, offsets, limits, self._usable)

    def _masks(self, pyramid: Pyramid, found: Regions) -> Tensor:
        """Only the channel of the detected class: a dot product for each pixel instead of one for each class."""
        side, count = self._mask_size, len(found.boxes)
        if not count:
            return torch.zeros((0, 2 * side, 2 * side), device=self.device)
        hidden = self._mask(pyramid.pool(found.boxes, found.images, self._mask_levels, side))
        pixels = hidden.permute(0, 2, 3, 1).reshape(count, side * side * 4, -1)
        logits = torch.bmm(pixels, self._mask_weight[found.labels][:, :, None])[..., 0].float()
        logits = logits + self._mask_bias[found.labels][:, None]
        grids: Tensor = logits.sigmoid().view(count, side, side, 2, 2).permute(0, 1, 3, 2, 4)
        return grids.reshape(count, 2 * side, 2 * side)

    def _anchors_for(self, images: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        key = tuple(images.shape[2:])
        if key not in self._anchors:
            if len(self._anchors) > 32:
                self._anchors.clear()
            like = images[:1].float()
            every = self._anchors_of(ImageList(like, [key]), [one[:1].float() for one in features])[0]
            per_cell = self._anchors_of.num_anchors_per_location()
            counts = [one.shape[2] * one.shape[3] * n for one, n in zip(features, per_cell, strict=True)]
            self._anchors[key] = list(every.to(self.device).split(counts))
        return self._anchors[key]


def _levels(pool: MultiScaleRoIAlign, strides: tuple[int, ...]) -> Levels:
    if pool.sampling_ratio != 2:
        raise ValueError(f"sampling_ratio is {pool.sampling_ratio}, expected 2")
    return Levels(strides, float(pool.canonical_scale), int(pool.canonical_level))


def _conv(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution without padding of these weights (out, in, h, w)."""
    out, into, height, width = weight.shape
    conv = nn.Conv2d(into, out, (height, width), bias=bias is not None, device="meta")
    conv.weight = nn.Parameter(weight.detach().contiguous())
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach())
    return conv


def _pointwise(linear: nn.Linear) -> nn.Conv2d:
    return _conv(linear.weight.detach()[:, :, None, None], linear.bias)


def _merged(logits: nn.Conv2d, offsets: nn.Conv2d) -> nn.Conv2d:
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
    return _conv(weight, bias)


def _deconvolution(conv: nn.ConvTranspose2d) -> nn.Conv2d:
    """A transposed convolution of 2x2 at stride 2 has no overlaps: four convolutions of 1x1, one for each place."""
    assert conv.bias is not None
    weight = conv.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)
    return _conv(weight[:, :, None, None], conv.bias.detach().repeat(4))
