"""Regions of a Mask R-CNN: from anchors to proposals, from proposals to detections (Ren et al., Faster R-CNN, 2015).

As in torchvision, except that boxes are decoded only where they are needed: for the best anchors of each level, and
for the classes of a proposal that reach the score threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import nms

MIN_SIDE_PX = 1e-2
"""Detections with a shorter side are dropped, as in torchvision."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Boxes of a batch. Row i of every tensor is the same region.

    Attributes:
        boxes: (R, 4) float32, x0 y0 x1 y1, pixels of the input.
        scores: (R,) float32, in descending order within each image.
        labels: (R,) int64, 0 for proposals.
        images: (R,) int64, ascending: the image of the batch.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    images: Tensor

    def __getitem__(self, rows: Tensor) -> Regions:
        return Regions(self.boxes[rows], self.scores[rows], self.labels[rows], self.images[rows])


@dataclass(frozen=True, slots=True)
class BestAnchors:
    """The anchors of each level with the highest objectness, decoded, for a batch.

    Attributes:
        boxes: (B, A, 4) float32, x0 y0 x1 y1, level by level, each in descending order of objectness.
        scores: (B, A) float32, 0..1.
        good: (B, A) bool, those that may become proposals.
        counts: anchors of each level.
        non_finite: (B,) int64, anchors left out because their objectness, or the offsets of a good one, are not finite.
    """

    boxes: Tensor
    scores: Tensor
    good: Tensor
    counts: list[int]
    non_finite: Tensor


def best_anchors(
    rpn: RegionProposalNetwork, outputs: Sequence[Tensor], anchors: Sequence[Tensor], limits: Tensor
) -> BestAnchors:
    """The anchors among which proposals are chosen.

    Args:
        rpn: the network whose settings apply.
        outputs: for each level (B, n, 5): objectness logit and the four box offsets of every anchor.
        anchors: for each level (n, 4) float32.
        limits: (B, 2) float32, width and height of the frame inside each image.
    """
    rows, corners, counts = [], [], []
    non_finite = torch.zeros(len(limits), dtype=torch.int64, device=limits.device)
    for output, of_level in zip(outputs, anchors, strict=True):
        objectness = output[..., 0].float()
        finite = torch.isfinite(objectness)
        non_finite += (~finite).sum(1)
        objectness = objectness.masked_fill(~finite, -torch.inf)  # NaN would be the best of all for topk
        top, index = objectness.topk(min(rpn.pre_nms_top_n(), objectness.shape[1]), dim=1)
        offsets = output[..., 1:].gather(1, index[..., None].expand(-1, -1, 4)).float()
        rows.append(top)
        corners.append(decode_boxes(rpn.box_coder, offsets, of_level[index]))
        counts.append(index.shape[1])
    boxes = clip_to_image(torch.cat(corners, 1), limits[:, None])
    objectness = torch.cat(rows, 1)
    scores = objectness.sigmoid()
    sides = boxes[..., 2:] - boxes[..., :2]
    finite = torch.isfinite(boxes).all(-1)
    non_finite += (torch.isfinite(objectness) & ~finite).sum(1)
    good = (
        (sides >= rpn.min_size).all(-1) & (scores >= rpn.score_thresh) & torch.isfinite(objectness) & finite
    )
    return BestAnchors(boxes, scores, good, counts, non_finite)


def propose(
    rpn: RegionProposalNetwork, outputs: Sequence[Tensor], anchors: Sequence[Tensor], limits: Tensor
) -> tuple[Regions, Tensor]:
    """The proposals of a batch.

    Args:
        rpn: the network whose settings apply.
        outputs: for each level (B, n, 5): objectness logit and the four box offsets of every anchor.
        anchors: for each level (n, 4) float32.
        limits: (B, 2) float32, width and height of the frame inside each image.

    Returns:
        The proposals after non-maximum suppression, image by image; and (B,) int64, how many anchors were left out
        because they are not finite.
    """
    best = best_anchors(rpn, outputs, anchors, limits)
    images, columns = best.good.nonzero(as_tuple=True)
    ends = torch.tensor(best.counts, device=limits.device).cumsum(0)
    level = torch.searchsorted(ends, columns, right=True)
    found = Regions(
        best.boxes[images, columns], best.scores[images, columns], torch.zeros_like(images), images
    )
    kept = nms_by_group(found, level, rpn.nms_thresh, rpn.post_nms_top_n(), len(limits))
    return found[kept], best.non_finite


def detect(
    heads: RoIHeads,
    proposals: Regions,
    logits: Tensor,
    offsets: Tensor,
    finite: Tensor,
    limits: Tensor,
    usable: Tensor,
) -> Regions:
    """The detections of a batch.

    Args:
        heads: the network whose settings apply.
        proposals: R regions.
        logits: (R, labels) float32, the background first.
        offsets: (R, labels * 4) float32.
        finite: (R,) bool, the regions whose logits and offsets are finite; the others are left out.
        limits: (B, 2) float32, width and height of the frame inside each image.
        usable: (labels,) bool, the labels that stand for a class. Detections of other labels are dropped after
            non-maximum suppression, where they still count.

    Returns:
        The detections after non-maximum suppression, image by image.
    """
    scores = logits.softmax(-1)
    likely = (scores > heads.score_thresh) & finite[:, None]
    likely[:, 0] = False
    rows, labels = likely.nonzero(as_tuple=True)
    images = proposals.images[rows]
    chosen = offsets.view(len(logits), -1, 4)[rows, labels]
    boxes = clip_to_image(decode_boxes(heads.box_coder, chosen, proposals.boxes[rows]), limits[images])
    found = Regions(boxes, scores[rows, labels], labels, images)
    sides = boxes[:, 2:] - boxes[:, :2]
    found = found[(sides >= MIN_SIDE_PX).all(-1)]
    kept = nms_by_group(found, found.labels, heads.nms_thresh, heads.detections_per_img, len(limits))
    found = found[kept]
    return found[usable[found.labels]]


def decode_boxes(coder: BoxCoder, offsets: Tensor, references: Tensor) -> Tensor:
    """Boxes from their offsets to reference boxes: `BoxCoder.decode_single` without constants on the device.

    Args:
        coder: whose weights and limit apply.
        offsets: (..., 4) float32, dx dy dw dh.
        references: (..., 4) float32, x0 y0 x1 y1.

    Returns:
        (..., 4) float32, x0 y0 x1 y1.
    """
    sides = references[..., 2:] - references[..., :2]
    center = references[..., :2] + 0.5 * sides
    corners = []
    for axis in (0, 1):
        side = sides[..., axis]
        middle = offsets[..., axis] / coder.weights[axis] * side + center[..., axis]
        log_ratio = (offsets[..., axis + 2] / coder.weights[axis + 2]).clamp(max=coder.bbox_xform_clip)
        half = 0.5 * (log_ratio.exp() * side)
        corners.append((middle - half, middle + half))
    (left, right), (top, bottom) = corners
    return torch.stack((left, top, right, bottom), -1)


def clip_to_image(boxes: Tensor, limits: Tensor) -> Tensor:
    """Clips (..., 4) boxes to frames of (..., 2) width and height.

    Args:
        boxes: (..., 4) float32, x0 y0 x1 y1.
        limits: (..., 2) float32, width and height.
    """
    return torch.minimum(boxes.clamp(min=0), torch.cat((limits, limits), -1))


def nms_by_group(found: Regions, groups: Tensor, iou: float, limit: int, images: int) -> Tensor:
    """Non-maximum suppression within each group of each image.

    Args:
        found: R boxes with scores.
        groups: (R,) int64; boxes of different groups do not suppress each other.
        iou: of two boxes that overlap more than this the one with the lower score is dropped.
        limit: boxes that are kept in each image at most, those with the highest scores.
        images: images in the batch.

    Returns:
        (K,) int64 rows that are kept: image by image, in descending order of scores.
    """
    kept = _nms(found, groups + found.images * (1 << 32), iou)
    order = kept[torch.argsort(found.images[kept], stable=True)]
    if images == 1:
        return order[:limit]
    of_image = found.images[order]
    starts = torch.searchsorted(of_image, torch.arange(images, device=order.device))
    rank = torch.arange(len(order), device=order.device) - starts[of_image]
    return order[rank < limit]


def _nms(found: Regions, groups: Tensor, iou: float) -> Tensor:
    """Rows that are kept, in descending order of scores.

    One group at a time, since the time of `nms` grows with the square of the number of boxes, and since `batched_nms`
    rounds the coordinates.
    """
    by_group = torch.argsort(groups, stable=True)
    _, counts = torch.unique_consecutive(groups[by_group], return_counts=True)
    kept = [
        rows[nms(found.boxes[rows], found.scores[rows], iou)]
        for rows in torch.split(by_group, counts.tolist())
    ]
    if not kept:
        return by_group
    every = torch.cat(kept)
    return every[torch.argsort(found.scores[every], descending=True, stable=True)]
