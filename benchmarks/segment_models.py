"""The contenders of `benchmarks/segment.py`: torchvision's own forward and the worker's path, with the same weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.models.resnet import resnet50
from torchvision.ops.misc import FrozenBatchNorm2d

from pipeline.models.class_map import ClassMap
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE, MEAN, STD, build_compact_net
from pipeline.models.maskrcnn.compact_weights import load_weights, set_weights
from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn
from pipeline.models.maskrcnn.preprocess import RgbPreprocessor, YuvPreprocessor
from pipeline.models.maskrcnn.zoo import R50, STREET_FILE, V2
from pipeline.transport.planes import Planes

WIDTH, HEIGHT = 1920, 1080
INSTANCES = 50
LABELS = 91
SCORE = 0.05
"""Threshold for untrained weights: low enough for 50 instances."""
STREET_MODEL = "street"

Run = Callable[[int], int]
"""Runs a batch of that many frames; returns the number of instances in one."""


def frame(size: tuple[int, int] = (WIDTH, HEIGHT)) -> Planes:
    """A rendered street, enlarged to `size` (width, height); noise where what it needs is missing."""
    small = (HEIGHT // 3, WIDTH // 3)
    try:
        from pipeline.demo.scene.world import Scene
    except ImportError:
        image = np.random.default_rng(0).integers(0, 256, (*small, 3), np.uint8)
    else:
        image = Scene.from_seed(20_001, width=small[1], height=small[0]).frame(200).image
    return Planes.from_rgb(np.asarray(cv2.resize(image, size), np.uint8))


def network(name: str) -> MaskRCNN:
    """A torchvision model with the weights of the comparison: trained ones for `street`, else seeded random ones."""
    if name == STREET_MODEL:
        tensors, names = load_weights(STREET_FILE)
        model = build_compact_net(len(names), score=0.5, nms=0.6)
        set_weights(model, tensors, STREET_FILE)
        return model.eval()
    torch.manual_seed(0)
    builder = {R50: maskrcnn_resnet50_fpn, V2: maskrcnn_resnet50_fpn_v2}[name]
    model = builder(
        weights=None,
        weights_backbone=None,
        num_classes=LABELS,
        box_score_thresh=SCORE,
        box_detections_per_img=INSTANCES,
    )
    return model.eval()


def eager(name: str, device: torch.device, half: torch.dtype | None = None, *, pasted: bool = True) -> Run:
    """torchvision as it is commonly used: float image, transform, forward, every mask pasted into the frame.

    The image is uint8 RGB (YUV for `street`) at full size; the conversion from the decoder's planes is not measured.

    Args:
        name: of the model.
        device: where it runs.
        half: with this precision, by autocast, and channels last.
        pasted: whether masks are pasted; else they stay at 28x28.
    """
    model = network(name)
    planes = frame()
    if name == STREET_MODEL:
        scale = [value / 255 for value in MEAN], [value / 255 for value in STD]
        model.transform = GeneralizedRCNNTransform(INPUT_SIZE[1], INPUT_SIZE[0], *scale)
        wide = [cv2.resize(plane, (WIDTH, HEIGHT)) for plane in (planes.u, planes.v)]
        image = np.stack((planes.y, *wide))
    else:
        if name == R50:  # published and fine-tuned weights run with frozen norms
            backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), 3)
            backbone.load_state_dict(model.backbone.state_dict(), strict=False)
            model.backbone = backbone
        image = np.ascontiguousarray(planes.to_rgb().transpose(2, 0, 1))
    model.eval().to(device)
    if half is not None:
        model.to(memory_format=torch.channels_last)
    source = torch.from_numpy(image)
    if not pasted:
        model.transform.postprocess = lambda results, *_: results

    @torch.inference_mode()
    def run(count: int) -> int:
        images = [source.to(device).float() / 255 for _ in range(count)]
        with torch.autocast(device.type, half) if half else contextlib.nullcontext():
            results: list[dict[str, Tensor]] = model(images)
        found = [{key: value.cpu() for key, value in one.items()} for one in results]
        return len(found[0]["scores"])

    return run


def ours(name: str, device: torch.device, precision: torch.dtype, *, compiled: bool = False) -> MaskRcnn:
    """The worker's model."""
    return segmenter(network(name), name, device, precision, compiled=compiled)


def segmenter(
    model: MaskRCNN, name: str, device: torch.device, precision: torch.dtype, *, compiled: bool = False
) -> MaskRcnn:
    """The worker's model around one that `network` made, which must not be used afterwards."""
    if name == STREET_MODEL:
        how: YuvPreprocessor | RgbPreprocessor = YuvPreprocessor()
    else:
        transform = model.transform
        how = RgbPreprocessor(800, 1333, transform.image_mean, transform.image_std)
    labels = model.roi_heads.box_predictor.cls_score.out_features
    names = ClassMap.from_names({label: str(label - 1) for label in range(1, labels)})
    return MaskRcnn(model, names, how, device, precision, compiled=compiled)


def run_of(model: MaskRcnn) -> Run:
    """Batches from the decoder's planes, as in a worker."""
    planes = frame()
    return lambda count: len(model.segment([planes] * count)[0].scores)
