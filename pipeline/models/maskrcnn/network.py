"""The inference path around the modules of a torchvision Mask R-CNN: the same results in a fraction of the time.

Differences from `MaskRCNN.forward`: batch norms, sums and activations are fused into the convolutions (`fuse.py`);
objectness and offsets of the anchors come from one convolution; boxes are decoded only where they are needed
(`proposals.py`); regions are pooled by `roi_align.py`; the mask head computes the mask of the detected class alone and
leaves it at 28x28.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList

from pipeline.models.maskrcnn.compile import CompiledImageStage, ImageStageFunction
from pipeline.models.maskrcnn.device import constant
from pipeline.models.maskrcnn.fixed_regions import detect_fixed, propose_fixed
from pipeline.models.maskrcnn.fuse import can_pack, fuse, pack
from pipeline.models.maskrcnn.heads import (
    BoxHead,
    ImageStage,
    level_assignment,
    pointwise,
    stacked_linear,
    upsampling_conv,
)
from pipeline.models.maskrcnn.proposals import Regions, detect, propose
from pipeline.models.maskrcnn.roi_align import FeaturePyramid

CHANNELS_LAST = torch.channels_last
MASKS_MULTIPLE = 64
"""With tables of a fixed size, masks are computed for a multiple of so many instances."""


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Output of the image stage (backbone, feature pyramid, RPN head) for one batch.

    Attributes:
        images: (B, 3, H, W), its input.
        features: for each pyramid level (B, C, h, w).
        rpn_outputs: for each level objectness and offsets of `a` anchors, (B, 5 a, h, w).
        done: on CUDA the event after which they are valid.
    """

    images: Tensor
    features: Sequence[Tensor]
    rpn_outputs: Sequence[Tensor]
    done: torch.cuda.Event | None


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """Detections of one batch, on the device.

    Attributes:
        regions: N detections.
            The score of one whose mask is not finite is NaN.
        masks: (N, 28, 28) float32, 0..1, spread over their boxes.
        non_finite: (B,) int64, anchors and proposals of each image that were left out because they are not finite.
        invalid: (B,) bool, images in which all were.
    """

    regions: Regions
    masks: Tensor
    non_finite: Tensor
    invalid: Tensor


class Network:
    """A Mask R-CNN on its device.

    Args:
        model: with its weights; it is taken apart and must not be used afterwards.
        device: where it runs.
        precision: of the convolutions; boxes and scores are always float32.
        usable: for each label whether it stands for a class.
        compiled: compile the image stage; takes a minute for each size of input and batch.
        strides: of the pyramid levels that regions are pooled from.

    Attributes:
        fixed_tables: regions are kept in tables of a fixed size (`fixed_regions.py`). On a CPU, where nothing waits for
            a device, that is slower.
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
        self._rpn, self._heads, self._anchor_generator = model.rpn, heads, model.rpn.anchor_generator
        self._box_size = heads.box_roi_pool.output_size[0]
        self._mask_size = heads.mask_roi_pool.output_size[0]
        self._box_levels = level_assignment(heads.box_roi_pool, strides)
        self._mask_levels = level_assignment(heads.mask_roi_pool, strides)
        self.fixed_tables = device.type == "cuda"
        self._anchors: dict[tuple[int, ...], list[Tensor]] = {}
        self._usable = torch.tensor(list(usable), device=device)

        predictor = heads.box_predictor
        image_stage = fuse(ImageStage(model))
        box_head = fuse(BoxHead(heads.box_head, self._box_size))
        upsampling = upsampling_conv(heads.mask_predictor.conv5_mask)
        mask_head = fuse(nn.Sequential(heads.mask_head, upsampling, nn.ReLU()))
        box_predictor = fuse(
            nn.Sequential(pointwise(stacked_linear(predictor.cls_score, predictor.bbox_pred)))
        )
        for part in (image_stage, box_head, mask_head, box_predictor):
            dtype = torch.float32 if part is box_predictor else precision
            part.to(device, dtype).to(memory_format=CHANNELS_LAST).requires_grad_(False)
            if device.type == "cpu" and can_pack() and not (compiled and part is image_stage):
                pack(part)
        self.compiled = CompiledImageStage(image_stage, device) if compiled else None
        self._image_stage: ImageStageFunction = self.compiled or image_stage
        self._box_head, self._mask_head, self._box_predictor = box_head, mask_head, box_predictor
        self._labels = predictor.cls_score.out_features
        mask_logits = heads.mask_predictor.mask_fcn_logits
        self._mask_weight = mask_logits.weight.detach()[:, :, 0, 0].to(device=device, dtype=precision)
        self._mask_bias = mask_logits.bias.detach().to(device=device, dtype=torch.float32)

    def is_compiled(self, count: int, size: tuple[int, int]) -> bool:
        """Whether `count` images of `size` (width, height) can be processed without compiling first.

        Args:
            count: images in a batch.
            size: width and height of the input, pixels.
        """
        return self.compiled is None or self.compiled.is_compiled(count, size)

    @torch.inference_mode()
    def start(self, images: Tensor) -> ImageFeatures:
        """Runs the image stage; on CUDA it returns before that is done.

        Args:
            images: (B, 3, H, W) on the device, normalized, in the network's precision, channels last.
        """
        features, rpn_outputs = self._image_stage(images)
        done = None
        if self.device.type == "cuda":
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(torch.cuda.current_stream(self.device))
        return ImageFeatures(images, features, rpn_outputs, done)

    def busy(self, features: ImageFeatures) -> bool:
        """Whether the device is still computing these features.

        Args:
            features: what `start` returned.
        """
        return features.done is not None and not features.done.query()  # type: ignore[no-untyped-call]

    def __call__(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> NetworkOutput:
        """`start` and `finish`."""
        return self.finish(self.start(images), sizes)

    @torch.inference_mode()
    def finish(self, features: ImageFeatures, sizes: Sequence[tuple[int, int]]) -> NetworkOutput:
        """Proposals, detections and their masks.

        Args:
            features: what `start` returned.
            sizes: width and height of the frame inside each image; the rest, right and below, is padding.
        """
        numbers = tuple(float(side) for size in sizes for side in size)
        limits = constant(numbers, torch.float32, self.device).view(-1, 2)
        images, levels = features.images, features.features
        anchors = self._anchors_of(images, levels)
        flat = [one.permute(0, 2, 3, 1).reshape(len(images), -1, 5) for one in features.rpn_outputs]
        pyramid = FeaturePyramid(levels[: len(self._box_levels.strides)])
        if self.fixed_tables and (output := self._finish_fixed(flat, anchors, pyramid, limits)) is not None:
            return output
        proposals, non_finite = propose(self._rpn, flat, anchors, limits)
        found, finite = self._detect(pyramid, proposals, limits)
        non_finite.index_add_(0, proposals.images, (~finite).long())
        usable = torch.zeros_like(non_finite).index_add_(0, proposals.images, finite.long())
        return self._output(pyramid, found, len(found.boxes), non_finite, usable)

    def _finish_fixed(
        self, outputs: Sequence[Tensor], anchors: Sequence[Tensor], pyramid: FeaturePyramid, limits: Tensor
    ) -> NetworkOutput | None:
        """`finish` that waits for the device once; None where tables of a fixed size do not suffice."""
        proposals, non_finite = propose_fixed(self._rpn, outputs, anchors, limits)
        logits, offsets, finite = self._classify(pyramid, proposals.flat())
        found = detect_fixed(self._heads, proposals, logits, offsets, finite, limits, self._usable)
        finite = finite.view(proposals.valid.shape)
        non_finite = non_finite + (proposals.valid & ~finite).sum(1)
        valid = found.valid.flatten()
        order = valid.int().argsort(dim=0, descending=True, stable=True)
        count, exact = torch.stack((valid.sum(), found.exact.long())).tolist()  # waits for the device
        if not exact:
            return None
        rows = order[: -(-count // MASKS_MULTIPLE) * MASKS_MULTIPLE]
        return self._output(pyramid, found.flat(rows), count, non_finite, (proposals.valid & finite).sum(1))

    def _output(
        self, pyramid: FeaturePyramid, found: Regions, count: int, non_finite: Tensor, usable: Tensor
    ) -> NetworkOutput:
        """The output for the first `count` rows of `found`; the rest is padding."""
        masks = self._masks(pyramid, found)[:count]
        found = Regions(found.boxes[:count], found.scores[:count], found.labels[:count], found.images[:count])
        with_mask = torch.isfinite(masks).flatten(1).all(1)
        found = replace(found, scores=found.scores.masked_fill(~with_mask, torch.nan))
        return NetworkOutput(found, masks, non_finite, (non_finite > 0) & (usable == 0))

    def _detect(self, pyramid: FeaturePyramid, proposals: Regions, limits: Tensor) -> tuple[Regions, Tensor]:
        """The detections, and (R,) bool, the proposals for which the box head gave finite numbers."""
        if not len(proposals.boxes):
            return proposals, torch.zeros(0, dtype=torch.bool, device=self.device)
        logits, offsets, finite = self._classify(pyramid, proposals)
        return detect(self._heads, proposals, logits, offsets, finite, limits, self._usable), finite

    def _classify(self, pyramid: FeaturePyramid, proposals: Regions) -> tuple[Tensor, Tensor, Tensor]:
        """(R, labels) logits, (R, labels * 4) offsets, and (R,) bool, whether all of them are finite."""
        pooled = pyramid.roi_align(proposals.boxes, proposals.images, self._box_levels, self._box_size)
        out = self._box_predictor(self._box_head(pooled).float())[0, :, :, 0].t()
        return out[:, : self._labels], out[:, self._labels :].contiguous(), torch.isfinite(out).all(1)

    def _masks(self, pyramid: FeaturePyramid, found: Regions) -> Tensor:
        """(N, 28, 28). Only the channel of the detected class: one dot product per pixel instead of one per class."""
        side, count = self._mask_size, len(found.boxes)
        if not count:
            return torch.zeros((0, 2 * side, 2 * side), device=self.device)
        hidden = self._mask_head(pyramid.roi_align(found.boxes, found.images, self._mask_levels, side))
        pixels = hidden.permute(0, 2, 3, 1).reshape(count, side * side * 4, -1)
        logits = torch.bmm(pixels, self._mask_weight[found.labels][:, :, None])[..., 0].float()
        logits = logits + self._mask_bias[found.labels][:, None]
        grids: Tensor = logits.sigmoid().view(count, side, side, 2, 2).permute(0, 1, 3, 2, 4)
        return grids.reshape(count, 2 * side, 2 * side)

    def _anchors_of(self, images: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """(n, 4) anchors for each level, cached by the size of the input."""
        key = tuple(images.shape[2:])
        if key not in self._anchors:
            if len(self._anchors) > 32:
                self._anchors.clear()
            like = images[:1].float()
            every = self._anchor_generator(ImageList(like, [key]), [one[:1].float() for one in features])[0]
            per_cell = self._anchor_generator.num_anchors_per_location()
            counts = [one.shape[2] * one.shape[3] * n for one, n in zip(features, per_cell, strict=True)]
            self._anchors[key] = list(every.to(self.device).split(counts))
        return self._anchors[key]
