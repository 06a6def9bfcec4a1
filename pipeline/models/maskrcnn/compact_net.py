"""The network of the model that ships: a compact torchvision Mask R-CNN (He et al., Mask R-CNN, 2017).

Backbone MobileNetV3-Large with reduced tail (Howard et al., Searching for MobileNetV3, 2019), a feature pyramid of
64 channels at strides 4 to 32, small heads: 2.8 M parameters. Its input is YUV, not RGB: the conversion is linear, so
the first convolution can learn it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

INPUT_SIZE = (512, 288)
"""Width and height of the input, pixels, multiples of 32."""

CHANNELS = 64
ANCHOR_SIZES_PX = (16, 32, 64, 128)
"""Side of the square anchor at strides 4, 8, 16 and 32, pixels of the input."""

ASPECT_RATIOS = (0.5, 1.0, 2.2)
"""Height over width: cars and buses, bicycles, people."""

MEAN = (110.0, 128.0, 128.0)
STD = (50.0, 20.0, 20.0)
"""Of Y, U and V, 0..255. The input is (plane - MEAN) / STD."""


def build_compact_net(
    classes: int, *, score: float = 0.05, nms: float = 0.5, detections: int = 50
) -> MaskRCNN:
    """The network with random weights.

    Args:
        classes: number of classes, without the background.
        score: detections below it are dropped.
        nms: box IoU within one class above which the detection with the lower score is dropped.
        detections: limit per frame.
    """
    body = mobilenet_v3_large(weights=None, reduced_tail=True).features[:16]
    backbone = BackboneWithFPN(
        body,
        return_layers={"3": "0", "6": "1", "12": "2", "15": "3"},
        in_channels_list=[24, 40, 112, 80],
        out_channels=CHANNELS,
        extra_blocks=_NoExtraLevel(),
        norm_layer=nn.BatchNorm2d,
    )
    levels = ["0", "1", "2", "3"]
    return MaskRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in ANCHOR_SIZES_PX), (ASPECT_RATIOS,) * len(ANCHOR_SIZES_PX)
        ),
        rpn_pre_nms_top_n_train=400,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_train=300,
        rpn_post_nms_top_n_test=100,
        rpn_fg_iou_thresh=0.6,
        rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(levels, 7, 2, canonical_scale=150),
        box_head=TwoMLPHead(CHANNELS * 7 * 7, 256),
        box_predictor=FastRCNNPredictor(256, classes + 1),
        box_score_thresh=score,
        box_nms_thresh=nms,
        box_detections_per_img=detections,
        box_batch_size_per_image=64,
        box_positive_fraction=0.4,
        mask_roi_pool=MultiScaleRoIAlign(levels, 14, 2, canonical_scale=300),
        mask_head=MaskRCNNHeads(CHANNELS, (CHANNELS,) * 3, 1, norm_layer=nn.BatchNorm2d),
        mask_predictor=MaskRCNNPredictor(CHANNELS, CHANNELS, classes + 1),
    )


class _NoExtraLevel(ExtraFPNBlock):  # type: ignore[misc]
    """Omits the pooled fifth level that torchvision adds by default: no object is that large."""

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        return results, names
