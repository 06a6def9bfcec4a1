"""The regions of `proposals.py` in tables of a fixed size, so that a GPU is never waited for.

Which regions there are is a mask beside them instead of their number: no operation needs to know it, and the host
queues one kernel after another. What cannot be exact at a fixed size says so, and `proposals.py` takes over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork

from pipeline.models.maskrcnn.kernels.support import LARGEST_GROUP, usable
from pipeline.models.maskrcnn.padded_nms import padded_nms
from pipeline.models.maskrcnn.proposals import MIN_SIDE_PX, Regions, best_anchors, clip_to_image, decode_boxes

CANDIDATES = 1000
"""The best boxes of each image, over all classes, among which detections are chosen."""


@dataclass(frozen=True, slots=True)
class RegionTable:
    """Boxes of a batch, K for each image, in descending order of scores.

    Attributes:
        boxes: (B, K, 4) float32, x0 y0 x1 y1, pixels of the input; 0 where there is none.
        scores: (B, K) float32.
        labels: (B, K) int64, 0 for proposals.
        valid: (B, K) bool, false for padding.
        exact: (B,) bool: whether these are the regions that `proposals.py` finds.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    valid: Tensor
    exact: Tensor

    def flat(self, rows: Tensor | None = None) -> Regions:
        """Its rows one after another, with padding.

        Args:
            rows: (R,) int64, which; None for all.
        """
        images, width = self.valid.shape
        image = torch.arange(images * width, device=self.boxes.device) // width
        every = Regions(self.boxes.view(-1, 4), self.scores.flatten(), self.labels.flatten(), image)
        return every if rows is None else every[rows]


def propose_fixed(
    rpn: RegionProposalNetwork, outputs: Sequence[Tensor], anchors: Sequence[Tensor], limits: Tensor
) -> tuple[RegionTable, Tensor]:
    """`proposals.propose`, with padding.

    Args:
        rpn: the network whose settings apply.
        outputs: for each level (B, n, 5): objectness logit and the four box offsets of every anchor.
        anchors: for each level (n, 4) float32.
        limits: (B, 2) float32, width and height of the frame inside each image.

    Returns:
        The proposals; and (B,) int64, how many anchors were left out because they are not finite.
    """
    best = best_anchors(rpn, outputs, anchors, limits)
    images, levels, most = len(limits), len(best.counts), max(best.counts)
    # One group for each level of each image, padded to the size of the largest.
    boxes, scores, good = (
        torch.stack([_padded(part, most) for part in torch.split(every, best.counts, dim=1)], 1)
        for every in (best.boxes, best.scores, best.good)
    )
    # Those of a level are in order already; bad ones among them suppress nothing.
    kept, settled = _suppressed(boxes.flatten(0, 1), good.flatten(0, 1), rpn.nms_thresh)
    kept = kept.view(images, levels * most)
    table = _strongest(boxes.flatten(1, 2), scores.flatten(1), kept, rpn.post_nms_top_n())
    exact = settled.view(images, levels).all(1)
    return RegionTable(*table[:2], torch.zeros_like(table[3]), table[2], exact), best.non_finite


def detect_fixed(
    heads: RoIHeads,
    proposals: RegionTable,
    logits: Tensor,
    offsets: Tensor,
    finite: Tensor,
    limits: Tensor,
    usable: Tensor,
) -> RegionTable:
    """`proposals.detect`, with padding.

    Args:
        heads: the network whose settings apply.
        proposals: B x P regions.
        logits: (B P, labels) float32, the background first.
        offsets: (B P, labels * 4) float32.
        finite: (B P,) bool, the regions whose logits and offsets are finite.
        limits: (B, 2) float32, width and height of the frame inside each image.
        usable: (labels,) bool, the labels that stand for a class.
    """
    images, width = proposals.valid.shape
    scores = logits.softmax(-1).view(images, width, -1)
    labels = scores.shape[2]
    there = (proposals.valid & finite.view(images, width))[..., None]
    likely = (scores > heads.score_thresh) & there
    likely[..., 0] = False
    best, index = scores.masked_fill(~likely, -1.0).flatten(1).topk(min(CANDIDATES, width * labels), dim=1)
    row, label = index // labels, index % labels
    chosen = offsets.view(images, width * labels, 4).gather(1, _four(index))
    boxes = decode_boxes(heads.box_coder, chosen, proposals.boxes.gather(1, _four(row)))
    boxes = clip_to_image(boxes, limits[:, None])
    valid = (best >= 0) & (boxes[..., 2:] - boxes[..., :2] >= MIN_SIDE_PX).all(-1)
    kept, settled = _suppressed(boxes, valid, heads.nms_thresh, label)
    # Suppression goes from strong to weak: more candidates would only add weaker detections than these.
    enough = (likely.flatten(1).sum(1) <= index.shape[1]) | (kept.sum(1) >= heads.detections_per_img)
    boxes, scores, valid, places = _strongest(boxes, best, kept, heads.detections_per_img)
    label = label.gather(1, places)
    exact = proposals.exact & settled & enough
    return RegionTable(boxes, scores, label, valid & usable[label], exact)


def _suppressed(
    boxes: Tensor, valid: Tensor, iou: float, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`padded_nms` by the fastest means."""
    if valid.shape[1] <= LARGEST_GROUP and usable(boxes.device):
        from pipeline.models.maskrcnn.kernels.suppression import suppress

        kept = suppress(boxes, valid, iou, labels)
        return kept, torch.ones_like(kept[:, 0])
    return padded_nms(boxes, valid, iou, labels)


def _four(index: Tensor) -> Tensor:
    """(B, K) indices of boxes for `gather`: (B, K, 4)."""
    return index[..., None].expand(-1, -1, 4)


def _padded(part: Tensor, length: int) -> Tensor:
    """(B, k, ...) to (B, length, ...)."""
    missing = length - part.shape[1]
    return F.pad(part, (0,) * (2 * (part.ndim - 2)) + (0, missing)) if missing else part


def _strongest(
    boxes: Tensor, scores: Tensor, kept: Tensor, most: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes, scores, validity and places of the `most` kept boxes of each image with the highest scores."""
    order = scores.masked_fill(~kept, -1.0).argsort(dim=1, descending=True, stable=True)[:, :most]
    valid = kept.gather(1, order)
    chosen = boxes.gather(1, _four(order)).masked_fill(~valid[..., None], 0)
    return chosen, scores.gather(1, order), valid, order
