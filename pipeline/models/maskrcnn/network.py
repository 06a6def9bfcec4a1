"""The inference path around the modules of a torchvision Mask R-CNN: the same results in a fraction of the time.

Differences from `MaskRCNN.forward`: batch norms, sums and activations are fused into the convolutions (`fuse.py`);
objectness and offsets of the anchors come from one convolution; boxes are decoded only where they are needed
(`proposals.py`); regions are pooled by `roi_align.py`; the mask head computes the mask of the detected class alone and
leaves it at 28x28.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList

from pipeline.models.maskrcnn.compile import CompiledImageStage, ImageStageFunction, batch_sizes
from pipeline.models.maskrcnn.device import constant, is_gpu, record_event, start_copy
from pipeline.models.maskrcnn.fixed_regions import detect_fixed, propose_fixed
from pipeline.models.maskrcnn.fuse import can_pack, fuse, pack, use_kernels
from pipeline.models.maskrcnn.heads import (
    BoxHead,
    ImageStage,
    LinearBoxHead,
    level_assignment,
    pointwise,
    stacked_linear,
    upsampling_conv,
)
from pipeline.models.maskrcnn.kernels.support import usable
from pipeline.models.maskrcnn.network_output import (
    BegunBatch,
    FixedOutput,
    ImageFeatures,
    NetworkOutput,
    first_of,
)
from pipeline.models.maskrcnn.proposals import Regions, detect, propose
from pipeline.models.maskrcnn.recorded import Recorder
from pipeline.models.maskrcnn.roi_align import FeaturePyramid

CHANNELS_LAST = torch.channels_last
MASKS_MULTIPLE = 64
"""With tables of a fixed size, masks are computed for a multiple of so many instances."""
TENSOR_CORE_CHANNELS = 8
"""Convolutions with a multiple of so many channels run on a GPU's tensor cores."""


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
        recorder: on CUDA, runs what needs no waiting as CUDA graphs; None runs it kernel by kernel.
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
        self._anchors: dict[tuple[int, ...], list[Tensor]] = {}
        self._usable = torch.tensor(list(usable), device=device)

        predictor = heads.box_predictor
        on_gpu = is_gpu(device)
        multiple = TENSOR_CORE_CHANNELS if on_gpu else 1
        self._linear = stacked_linear(predictor.cls_score, predictor.bbox_pred) if on_gpu else None
        box_head = LinearBoxHead if on_gpu else BoxHead
        upsampling = upsampling_conv(heads.mask_predictor.conv5_mask)
        image_stage = fuse(ImageStage(model, multiple), for_gpu=on_gpu)
        self._box_head = fuse(box_head(heads.box_head, self._box_size))
        self._mask_head = fuse(nn.Sequential(heads.mask_head, upsampling, nn.ReLU()))
        for part in (image_stage, self._box_head, self._mask_head):
            self._place(part, precision, packed=not (compiled and part is image_stage))
        if self._linear is not None:
            self._linear.to(device).requires_grad_(False)
        else:
            linear = stacked_linear(predictor.cls_score, predictor.bbox_pred)
            self._box_predictor = fuse(nn.Sequential(pointwise(linear)))
            self._place(self._box_predictor, torch.float32)
        self.compiled = CompiledImageStage(image_stage, device) if compiled else None
        self._image_stage: ImageStageFunction = self.compiled or image_stage
        self._labels = predictor.cls_score.out_features
        mask_logits = heads.mask_predictor.mask_fcn_logits
        self._mask_weight = mask_logits.weight.detach()[:, :, 0, 0].to(device=device, dtype=precision)
        self._mask_bias = mask_logits.bias.detach().to(device=device, dtype=torch.float32)
        self.fixed_tables = on_gpu
        self._used = torch.zeros((), dtype=torch.int64, device=device)
        self.recorder = Recorder() if device.type == "cuda" else None

    def _place(self, part: nn.Module, dtype: torch.dtype, *, packed: bool = True) -> None:
        """Moves a fused part to the device, and makes it use the fastest convolutions there."""
        part.to(self.device, dtype).to(memory_format=CHANNELS_LAST).requires_grad_(False)
        if packed and usable(self.device):
            use_kernels(part)
        elif packed and not is_gpu(self.device) and can_pack():
            pack(part)

    def is_prepared(self, count: int, input_size: tuple[int, int], size: tuple[int, int]) -> bool:
        """Whether a batch can be processed without compiling or recording first, which takes long.

        Args:
            count: images in the batch.
            input_size: width and height of the input, pixels.
            size: width and height of the frame inside each image.
        """
        if self.recorder is not None:
            return self.recorder.is_recorded((batch_sizes(count)[-1], input_size, size))
        return self.compiled is None or self.compiled.is_compiled(count, input_size)

    @torch.inference_mode()
    def start(self, images: Tensor, size: tuple[int, int]) -> BegunBatch:
        """Submits a batch: the image stage, and with tables of a fixed size the detections; CUDA does not wait for it.

        With a recorder, the outcome is overwritten by the next call.

        Args:
            images: (B, 3, H, W) on the device, normalized, in the network's precision, channels last.
            size: width and height of the frame inside each image; the rest, right and below, is padding.
        """
        count = len(images)
        if not self.fixed_tables:
            return BegunBatch(count, size, self._run_images(images))
        self._used.fill_(count)
        if self.recorder is None:
            fixed = self._run_fixed(images, size)
        else:
            fixed = self._replay_fixed(self.recorder, images, size)
        done = record_event(self.device) if self.device.type == "cuda" else None
        return BegunBatch(count, size, fixed.image, fixed, start_copy(fixed.summary), done)

    def _replay_fixed(self, recorder: Recorder, images: Tensor, size: tuple[int, int]) -> FixedOutput:
        """`_run_fixed` as a CUDA graph. With it the graphs are recorded that may follow it."""
        filled = batch_sizes(len(images))[-1]
        shape = (filled, (images.shape[3], images.shape[2]), size)
        new = not recorder.is_recorded(shape)
        fixed = recorder.run(shape, "fixed", lambda one: self._run_fixed(one, size), images, rows=filled)
        if new:
            for rows in range(0, len(fixed.order) + MASKS_MULTIPLE, MASKS_MULTIPLE):
                self._replay_output(recorder, size, fixed, min(rows, len(fixed.order)))
        return fixed

    def _replay_output(
        self, recorder: Recorder, size: tuple[int, int], fixed: FixedOutput, rows: int
    ) -> NetworkOutput:
        """`_fixed_output` as a CUDA graph."""
        height, width = fixed.image.input_size
        shape = (len(fixed.non_finite), (width, height), size)
        return recorder.run(shape, rows, lambda: self._fixed_output(fixed, rows))

    def busy(self, batch: BegunBatch) -> bool:
        """Whether the device is still computing a batch.

        Args:
            batch: what `start` returned.
        """
        return batch.done is not None and not batch.done.query()  # type: ignore[no-untyped-call]

    def __call__(self, images: Tensor, size: tuple[int, int]) -> NetworkOutput:
        """`start` and `finish`."""
        return self.finish(self.start(images, size))

    @torch.inference_mode()
    def finish(self, batch: BegunBatch) -> NetworkOutput:
        """Detections and their masks. With tables of a fixed size this waits for the device once.

        Args:
            batch: what `start` returned.
        """
        fixed, count = batch.fixed, batch.images
        if fixed is not None and batch.summary is not None:
            found, exact = batch.summary().tolist()
            if exact:
                rows = min(-(-found // MASKS_MULTIPLE) * MASKS_MULTIPLE, len(fixed.order))
                if self.recorder is None:
                    output = self._fixed_output(fixed, rows)
                else:
                    output = self._replay_output(self.recorder, batch.size, fixed, rows)
                return first_of(output, found, count)
        pyramid = self._pyramid(batch.image)
        limits = self._limits(count, batch.size)
        anchors = self._anchors_of(batch.image)
        proposals, non_finite = propose(
            self._rpn, self._by_anchor(batch.image, anchors, count), anchors, limits
        )
        found_regions, finite = self._detect(pyramid, proposals, limits)
        non_finite.index_add_(0, proposals.images, (~finite).long())
        finite_proposals = torch.zeros_like(non_finite).index_add_(0, proposals.images, finite.long())
        return self._output(pyramid, found_regions, non_finite, finite_proposals)

    def _run_images(self, images: Tensor) -> ImageFeatures:
        features, rpn_outputs = self._image_stage(images)
        return ImageFeatures((images.shape[2], images.shape[3]), features, rpn_outputs)

    def _run_fixed(self, images: Tensor, size: tuple[int, int]) -> FixedOutput:
        """All that needs no waiting for the device."""
        image, limits = self._run_images(images), self._limits(len(images), size)
        anchors = self._anchors_of(image)
        outputs = self._by_anchor(image, anchors, len(images))
        proposals, non_finite = propose_fixed(self._rpn, outputs, anchors, limits)
        logits, offsets, finite = self._classify(self._pyramid(image), proposals.flat())
        found = detect_fixed(self._heads, proposals, logits, offsets, finite, limits, self._usable)
        finite = finite.view(proposals.valid.shape)
        non_finite = non_finite + (proposals.valid & ~finite).sum(1)
        padding = torch.arange(len(images), device=self.device) >= self._used
        valid = (found.valid & ~padding[:, None]).flatten()
        order = valid.int().argsort(dim=0, descending=True, stable=True)
        summary = torch.stack((valid.sum(), (found.exact | padding).all().long()))
        return FixedOutput(image, found, non_finite, (proposals.valid & finite).sum(1), order, summary)

    def _fixed_output(self, fixed: FixedOutput, rows: int) -> NetworkOutput:
        """The output with the first `rows` detections, and as bytes."""
        found = fixed.found.flat(fixed.order[:rows])
        output = self._output(self._pyramid(fixed.image), found, fixed.non_finite, fixed.usable)
        return replace(output, packed=output.pack(), packed_rows=rows, packed_images=len(fixed.non_finite))

    def _pyramid(self, image: ImageFeatures) -> FeaturePyramid:
        return FeaturePyramid(image.features[: len(self._box_levels.strides)])

    def _limits(self, count: int, size: tuple[int, int]) -> Tensor:
        """(B, 2) float32: width and height of the frame inside each image."""
        numbers = tuple(float(side) for side in size) * count
        return constant(numbers, torch.float32, self.device).view(-1, 2)

    def _by_anchor(self, image: ImageFeatures, anchors: Sequence[Tensor], count: int) -> list[Tensor]:
        """For each level (B, n, 5): objectness and offsets of every anchor."""
        outputs = []
        for one, of_level in zip(image.rpn_outputs, anchors, strict=True):
            channels = 5 * len(of_level) // (one.shape[2] * one.shape[3])
            outputs.append(one[:count, :channels].permute(0, 2, 3, 1).reshape(count, -1, 5))
        return outputs

    def _output(
        self, pyramid: FeaturePyramid, found: Regions, non_finite: Tensor, usable: Tensor
    ) -> NetworkOutput:
        masks = self._masks(pyramid, found)
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
        hidden = self._box_head(pooled).float()
        out = self._linear(hidden) if self._linear else self._box_predictor(hidden)[0, :, :, 0].t()
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

    def _anchors_of(self, image: ImageFeatures) -> list[Tensor]:
        """(n, 4) anchors for each level, kept for each size of the input: recorded kernels read them."""
        key = image.input_size
        if key not in self._anchors:
            like = torch.empty((1, 3, *key), device=self.device)
            maps = [one[:1].float() for one in image.features]
            every = self._anchor_generator(ImageList(like, [key]), maps)[0]
            per_cell = self._anchor_generator.num_anchors_per_location()
            counts = [one.shape[2] * one.shape[3] * n for one, n in zip(maps, per_cell, strict=True)]
            self._anchors[key] = list(every.to(self.device).split(counts))
        return self._anchors[key]
