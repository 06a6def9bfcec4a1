"""What a network gives for a batch, and how far it has got with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.models.maskrcnn.fixed_regions import RegionTable
from pipeline.models.maskrcnn.proposals import Regions


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Output of the image stage (backbone, feature pyramid, RPN head) for one batch.

    Attributes:
        input_size: height and width of its input.
        features: for each pyramid level (B, C, h, w).
        rpn_outputs: for each level objectness and offsets of `a` anchors, (B, 5 a, h, w), perhaps more channels.
    """

    input_size: tuple[int, int]
    features: Sequence[Tensor]
    rpn_outputs: Sequence[Tensor]


@dataclass(frozen=True, slots=True)
class FixedOutput:
    """What needs no waiting for the device: the image stage and the detections, in tables of a fixed size.

    Attributes:
        image: of the image stage.
        found: the detections.
        non_finite: (B,) int64, as in `NetworkOutput`.
        usable: (B,) int64, proposals for which the box head gave finite numbers.
        order: (B K,) int64, rows of `found`, detections first.
        summary: (2,) int64, the number of detections, and whether they are exact.
    """

    image: ImageFeatures
    found: RegionTable
    non_finite: Tensor
    usable: Tensor
    order: Tensor
    summary: Tensor


@dataclass(frozen=True, slots=True)
class BegunBatch:
    """A batch that was submitted to the device, as far as that needs no waiting.

    Attributes:
        images: how many; the tensors may have more rows, which are padding.
        size: width and height of the frame inside each image.
        image: of the image stage.
        fixed: with tables of a fixed size, all that they give.
        summary: with those, what waits for `fixed.summary`.
        done: on CUDA the event after which all of them are valid.
    """

    images: int
    size: tuple[int, int]
    image: ImageFeatures
    fixed: FixedOutput | None = None
    summary: Callable[[], Tensor] | None = None
    done: torch.cuda.Event | None = None


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """Detections of one batch, on the device.

    Attributes:
        regions: N detections.
            The score of one whose mask is not finite is NaN.
        masks: (N, 28, 28) float32, 0..1, spread over their boxes.
        non_finite: (B,) int64, anchors and proposals of each image that were left out because they are not finite.
        invalid: (B,) bool, images in which all were.
        packed: the bytes of a `NetworkOutput` with more rows and images, of which these are the first; None where they
            are not there yet.
        packed_rows: its rows.
        packed_images: its images.
    """

    regions: Regions
    masks: Tensor
    non_finite: Tensor
    invalid: Tensor
    packed: Tensor | None = None
    packed_rows: int = 0
    packed_images: int = 0

    def kept(self) -> NetworkOutput:
        """The same, with bytes that the next run of the network does not overwrite."""
        return self if self.packed is None else replace(self, packed=self.packed.clone())

    def pack(self) -> Tensor:
        """All of it as bytes: rows of x0 y0 x1 y1 score label image, float32; masks, 0..255; `non_finite`, int32;
        `invalid`."""
        found = self.regions
        numbers = torch.column_stack((found.boxes, found.scores, found.labels, found.images)).float()
        parts = (
            numbers.view(torch.uint8),
            (self.masks.nan_to_num() * 255).round().to(torch.uint8),
            self.non_finite.int().view(torch.uint8),
            self.invalid.to(torch.uint8),
        )
        return torch.cat([part.flatten() for part in parts])


def first_of(output: NetworkOutput, rows: int, images: int) -> NetworkOutput:
    """The first detections and images of an output; the rest is padding."""
    every = output.regions
    found = Regions(every.boxes[:rows], every.scores[:rows], every.labels[:rows], every.images[:rows])
    return replace(
        output,
        regions=found,
        masks=output.masks[:rows],
        non_finite=output.non_finite[:images],
        invalid=output.invalid[:images],
    )
