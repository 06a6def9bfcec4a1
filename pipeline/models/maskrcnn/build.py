"""From a file of weights to a filled torchvision Mask R-CNN, its classes and how frames go into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator

from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.maskrcnn import checkpoint as rcnn_file
from pipeline.models.maskrcnn import compact_net as maskrcnn_net
from pipeline.models.maskrcnn.checkpoint import Weights
from pipeline.models.maskrcnn.compact_weights import FORMAT, STREET, fill, load_weights
from pipeline.models.maskrcnn.preprocess import LumaPreprocessor, Preprocessor, RgbPreprocessor
from pipeline.models.maskrcnn.zoo import R50, V2

_BUILDERS = {R50: maskrcnn_resnet50_fpn, V2: maskrcnn_resnet50_fpn_v2}
_ANCHORS_PX = ((32,), (64,), (128,), (256,), (512,))
_RATIOS = (0.5, 1.0, 2.0)
_WITHOUT_EPSILON = "-bf2d0c1e"
"""torchvision runs this file's batch norms without the epsilon, since it was trained so."""


def built(
    path: Path | None, *, score: float, nms: float, names: Sequence[str] | None = None
) -> tuple[MaskRCNN, ClassMap, Preprocessor]:
    """The model of a file, on the CPU, in evaluation mode.

    Args:
        path: None is the model that ships.
        score: detections below it are dropped.
        nms: box IoU within one class above which the weaker of two detections is dropped.
        names: class names where the file holds none.

    Raises:
        ModelError: the file is missing, broken or of another network, or has other classes.
    """
    if path is None or _is_ours(path):
        path = path or STREET
        tensors, own = load_weights(path)
        model = maskrcnn_net.build(len(own), score=score, nms=nms)
        fill(model, tensors, path)
        return model.eval(), ClassMap.from_names(dict(enumerate(own, 1))), LumaPreprocessor()
    weights = rcnn_file.read(path)
    if weights.network not in _BUILDERS:
        raise ModelError(f"{path}: holds no format, expected {FORMAT}, as `tallycam train` writes")
    classes = rcnn_file.classes(path, weights.labels, weights.names, names)
    model = _published(weights, score, nms)
    transform = model.transform
    how = RgbPreprocessor(
        transform.min_size[0], transform.max_size, transform.image_mean, transform.image_std
    )
    return model, classes, how


def _is_ours(path: Path) -> bool:
    """Whether the file says that `tallycam train` made it, or is a broken one that says nothing."""
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return path.suffix.lower() == ".safetensors"
    try:
        with safe_open(str(path), framework="pt") as file:
            return "format" in (file.metadata() or {}) and file.metadata()["format"] != "pt"
    except (SafetensorError, OSError):
        return True


def _published(weights: Weights, score: float, nms: float) -> MaskRCNN:
    with torch.device("meta"):  # no time is lost on random weights
        model = _BUILDERS[weights.network](
            weights=None,
            weights_backbone=None,
            num_classes=weights.labels,
            box_score_thresh=score,
            box_nms_thresh=nms,
        )
    model.rpn.anchor_generator = AnchorGenerator(_ANCHORS_PX, (_RATIOS,) * len(_ANCHORS_PX))
    model.to_empty(device="cpu")
    fill(model, weights.tensors, weights.path)
    if _WITHOUT_EPSILON in weights.path.name:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
    return model.eval()
