"""A Mask R-CNN as an ONNX file that was checked against PyTorch.

The file takes one RGB image of a fixed size, (1, 3, H, W) float32 0..1, and contains normalization, network and
non-maximum suppression. Its outputs are those that `onnx/maskrcnn_layout.py` reads: boxes (N, 4) in pixels of the
input, labels (N,) from 1, scores (N,) and masks (N, 28, 28). Detections below `SCORE` are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from pipeline.errors import ModelError
from pipeline.files import replacing
from pipeline.models.maskrcnn.compact_net import MEAN, STD
from pipeline.models.maskrcnn.export_check import Comparison, compare, fitted_image, noise_images
from pipeline.models.maskrcnn.loader import load_network
from pipeline.models.maskrcnn.preprocess import MULTIPLE, YuvPreprocessor
from pipeline.models.onnx.model_file import metadata_entry

OPSET = 17
SCORE = 0.05
FRAME = (1920, 1080)
"""Width and height of the frame whose input is the default size: 1344x768 for torchvision's published models."""
MAX_SIDE = 4096
RGB_TO_YUV = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
YUV_OFFSET = (16.0, 128.0, 128.0)
"""Limited range BT.601 (ITU-R BT.601-7, section 2.5): rows are Y U V, columns red green blue 0..1."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        path: the file.
        size: width and height of its input, pixels.
        classes: names in its metadata.
        comparison: differences from PyTorch.
    """

    path: Path
    size: tuple[int, int]
    classes: tuple[str, ...]
    comparison: Comparison


class _ExportedNetwork(nn.Module):
    """From an image to the outputs of the file."""

    def __init__(self, model: MaskRCNN, normalization: nn.Conv2d, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.normalization, self.size = model, normalization, size

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        width, height = self.size
        normalized = self.normalization(images)
        features = self.model.backbone(normalized)
        sizes = [(height, width)]
        proposals, _ = self.model.rpn(ImageList(normalized, sizes), features)
        (found,), _ = self.model.roi_heads(features, proposals, sizes)
        return found["boxes"], found["labels"], found["scores"], found["masks"][:, 0]


def export(
    weights: Path | None,
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    names: Sequence[str] | None = None,
    frames: Sequence[NDArray[np.uint8]] = (),
) -> ExportReport:
    """Writes a model as ONNX and compares it with PyTorch on noise and on `frames`.

    Args:
        weights: `.safetensors` or `.pth`; None for the model that ships.
        path: the ONNX file to write; it appears once it is complete and was compared.
        size: width and height of the input; default: what a 16:9 frame is resized to, 1344x768 for
            torchvision's.
        names: class names where the weight file has none.
        frames: (H, W, 3) uint8 RGB images to compare on.

    Raises:
        ModelError: no such weights, a size that the network cannot take, no ONNX Runtime to compare with, or the ONNX
            model finds other objects than PyTorch.
        OutputError: the file cannot be written.
    """
    model, class_map, preprocessor = load_network(weights, score=SCORE, nms=0.6, names=names)
    compact = isinstance(preprocessor, YuvPreprocessor)
    width, height = size or preprocessor.letterbox(*FRAME)[1]
    if (
        width % MULTIPLE
        or height % MULTIPLE
        or not MULTIPLE <= min(width, height) <= max(width, height) <= MAX_SIDE
    ):
        raise ModelError(f"--size: got {width}x{height}, expected multiples of {MULTIPLE} up to {MAX_SIDE}")
    normalization = _from_rgb_to_yuv() if compact else _from_rgb(model.transform)
    network = _ExportedNetwork(model, normalization, (width, height)).eval()
    names_of_labels = {
        label: class_map.names[index] for label, index in enumerate(class_map.indices.tolist()) if index >= 0
    }
    images = [*noise_images(width, height), *(fitted_image(frame, width, height) for frame in frames)]
    with replacing(path) as part:
        _write(network, part, (width, height))
        with part.open("ab") as file:
            file.write(metadata_entry("names", str(names_of_labels)))
            file.write(metadata_entry("producer", "tallycam"))
        comparison = compare(network, part, images)
    return ExportReport(path, (width, height), class_map.names, comparison)


def _write(model: nn.Module, path: Path, size: tuple[int, int]) -> None:
    """Exports through TorchScript, which supports torchvision's operators and sizes that are known only at run time."""
    names = ["boxes", "labels", "scores", "masks"]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # it warns of each value taken for a constant: that is what a fixed size means
        torch.onnx.export(
            model,
            (torch.full((1, 3, size[1], size[0]), 0.45),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "objects"} for name in names},
        )


def _from_rgb_to_yuv() -> nn.Conv2d:
    """From RGB 0..1 to the normalized YUV input of the compact network, as one 1x1 convolution."""
    weight = torch.tensor(RGB_TO_YUV) / torch.tensor(STD)[:, None]
    bias = (torch.tensor(YUV_OFFSET) - torch.tensor(MEAN)) / torch.tensor(STD)
    return _pointwise(weight, bias)


def _from_rgb(transform: GeneralizedRCNNTransform) -> nn.Conv2d:
    """From RGB 0..1 to the normalized input of torchvision's models, as one 1x1 convolution."""
    mean, std = torch.tensor(transform.image_mean), torch.tensor(transform.image_std)
    return _pointwise(torch.diag(1 / std), -mean / std)


def _pointwise(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    layer = nn.Conv2d(3, 3, 1)
    layer.weight = nn.Parameter(weight[:, :, None, None].float(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float(), requires_grad=False)
    return layer
