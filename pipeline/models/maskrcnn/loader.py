"""From a weight file to a torchvision Mask R-CNN with its classes and its preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator

from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.maskrcnn.compact_net import build_compact_net
from pipeline.models.maskrcnn.compact_weights import FORMAT, load_weights, set_weights
from pipeline.models.maskrcnn.preprocess import Preprocessor, RgbPreprocessor, YuvPreprocessor
from pipeline.models.maskrcnn.weight_file import WeightFile, class_map, read_weight_file
from pipeline.models.maskrcnn.zoo import R50, STREET_FILE, V2

_BUILDERS = {R50: maskrcnn_resnet50_fpn, V2: maskrcnn_resnet50_fpn_v2}
_ANCHOR_SIZES_PX = ((32,), (64,), (128,), (256,), (512,))
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_WITHOUT_EPSILON = "-bf2d0c1e"
"""Part of the name of the one published file whose batch norms torchvision runs without epsilon, as it was trained."""


def load_network(
    path: Path | None, *, score: float, nms: float, names: Sequence[str] | None = None
) -> tuple[MaskRCNN, ClassMap, Preprocessor]:
    """The model of a weight file, on the CPU, in evaluation mode.

    Args:
        path: None for the weights that ship.
        score: detections below it are dropped.
        nms: box IoU within one class above which the detection with the lower score is dropped.
        names: class names where the file has none.

    Returns:
        The model, its classes by label, and how frames become its input.

    Raises:
        ModelError: the file is missing, damaged or of another network, or has other classes.
    """
    if path is None or is_compact(path):
        path = path or STREET_FILE
        tensors, own_names = load_weights(path)
        model = build_compact_net(len(own_names), score=score, nms=nms)
        set_weights(model, tensors, path)
        return model.eval(), ClassMap.from_names(dict(enumerate(own_names, 1))), YuvPreprocessor()
    weights = read_weight_file(path)
    if weights.network not in _BUILDERS:
        raise ModelError(f"{path}: holds no format, expected {FORMAT}, as `tallycam train` writes")
    classes = class_map(path, weights.labels, weights.names, names)
    model = _torchvision_model(weights, score, nms)
    transform = model.transform
    preprocessor = RgbPreprocessor(
        transform.min_size[0], transform.max_size, transform.image_mean, transform.image_std
    )
    return model, classes, preprocessor


def is_compact(path: Path) -> bool:
    """Whether a file holds the compact network. A damaged or missing safetensors file counts as such.

    Args:
        path: a weight file.
    """
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return path.suffix.lower() == ".safetensors"
    try:
        with safe_open(str(path), framework="pt") as file:
            return "format" in (file.metadata() or {}) and file.metadata()["format"] != "pt"
    except (SafetensorError, OSError):
        return True


def _torchvision_model(weights: WeightFile, score: float, nms: float) -> MaskRCNN:
    with torch.device("meta"):  # no time is spent on initialising weights that are overwritten
        model = _BUILDERS[weights.network](
            weights=None,
            weights_backbone=None,
            num_classes=weights.labels,
            box_score_thresh=score,
            box_nms_thresh=nms,
            **({"min_size": weights.sides[0], "max_size": weights.sides[1]} if weights.sides else {}),
        )
    # Its anchors were created on the meta device: they are no weights, so the checkpoint does not fill them.
    model.rpn.anchor_generator = AnchorGenerator(_ANCHOR_SIZES_PX, (_ASPECT_RATIOS,) * len(_ANCHOR_SIZES_PX))
    model.to_empty(device="cpu")
    set_weights(model, weights.tensors, weights.path)
    if _WITHOUT_EPSILON in weights.path.name:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
    return model.eval()
