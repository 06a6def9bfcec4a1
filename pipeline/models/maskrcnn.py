"""The model that ships: a compact torchvision Mask R-CNN (He et al. 2017) that reads yuv420p planes.

Backbone MobileNetV3-Large with reduced tail, feature pyramid of 64 channels at strides 4 to 32, small heads:
2.9 M parameters. The input has one fixed size; frames are scaled on their uint8 planes and laid into its top
left corner, and the network sees luma and chroma as they are (a conversion to RGB is linear, so the
first convolution can do it). Masks stay box-aligned grids; nothing is pasted into frames here.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from pipeline.errors import ModelError
from pipeline.models.base import Found
from pipeline.planes import Planes

FORMAT = "tallycam-maskrcnn"
VERSION = "1"
"""Rises when `build` changes so that older weights do not fit."""

STREET = Path(__file__).parent / "weights" / "street.safetensors"
STREET_CLASSES = ("person", "bicycle", "car", "bus")
INPUT_SIZE = (512, 288)
"""Width and height of the network's input, pixels, multiples of 32."""

CHANNELS = 64
ANCHOR_SIZES_PX = (16, 32, 64, 128)
"""Side of the square anchor at strides 4, 8, 16 and 32, pixels of the input."""

ASPECT_RATIOS = (0.5, 1.0, 2.2)
"""Height over width: cars and buses, bicycles, people."""

PADDING = (16, 128, 128)
"""Black in yuv420p of limited range: what lies beside the frame in the input."""

NEUTRAL = (110.0, 128.0, 128.0)
SPREAD = (50.0, 20.0, 20.0)
"""The input is (plane - NEUTRAL) / SPREAD."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a frame lies in the network's input: scaled, in the top left corner.

    Attributes:
        width: pixels of the input that the frame covers.
        height: as `width`.
        scale_x: pixels of the input per pixel of the frame.
        scale_y: as `scale_x`; differs from it by rounding alone.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float

    @classmethod
    def fit(cls, width: int, height: int, into: tuple[int, int]) -> Letterbox:
        """The largest that keeps the frame's aspect inside `into` (width, height)."""
        scale = min(into[0] / width, into[1] / height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        return cls(*inner, inner[0] / width, inner[1] / height)


def lay(planes: Planes, box: Letterbox, out: NDArray[np.uint8]) -> None:
    """Scales the planes into `out`, (3, H, W) uint8: y u v, all at the same size, padded with black."""
    size = (box.width, box.height)
    shrinks = box.scale_x < 1
    for plane, source in enumerate((planes.y, planes.u, planes.v)):
        area = shrinks and source.shape[1] > box.width
        out[plane, : box.height, : box.width] = cv2.resize(
            source, size, interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR
        )
        out[plane, box.height :] = PADDING[plane]
        out[plane, : box.height, box.width :] = PADDING[plane]


def normalise(images: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 y u v to float32 in channels-last order, on the same device."""
    neutral = torch.tensor(NEUTRAL, device=images.device).view(1, 3, 1, 1)
    spread = torch.tensor(SPREAD, device=images.device).view(1, 3, 1, 1)
    return ((images.float() - neutral) / spread).contiguous(memory_format=torch.channels_last)


def build(classes: int, *, score: float = 0.05, nms: float = 0.5, detections: int = 50) -> MaskRCNN:
    """The network with random weights.

    Args:
        classes: how many, without background.
        score: detections below it are dropped.
        nms: box IoU within one class above which the weaker of two detections is dropped.
        detections: at most so many a frame.
    """
    body = mobilenet_v3_large(weights=None, reduced_tail=True).features[:16]
    backbone = BackboneWithFPN(
        body,
        return_layers={"3": "0", "6": "1", "12": "2", "15": "3"},
        in_channels_list=[24, 40, 112, 80],
        out_channels=CHANNELS,
        extra_blocks=_NoExtra(),
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


class _NoExtra(ExtraFPNBlock):  # type: ignore[misc]
    """Keeps torchvision from adding its pooled fifth level: no object is that large."""

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        return results, names


def _kept(name: str) -> bool:
    """Batch norm's count of its updates is of no use to anyone."""
    return not name.endswith("num_batches_tracked")


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_weights(path: Path, model: MaskRCNN, classes: Sequence[str]) -> None:
    """Writes safetensors: convolutions and linear layers as float16; replaces `path` at once."""
    tensors = {
        name: (value.half() if value.dim() > 1 else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if _kept(name)
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "classes": json.dumps(list(classes)),
        "input": f"{INPUT_SIZE[0]}x{INPUT_SIZE[1]}",
        "sha256": _digest(tensors),
    }
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata=metadata)
    part.chmod(0o644)
    part.replace(path)


def load_weights(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Weights as float32 and class names of a file of `save_weights`.

    Raises:
        ModelError: no such file, not a file of this kind and version, or damaged.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file, or cut short ({_line(error)})") from error
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        came = f"{metadata.get('format', 'no format')} {metadata.get('version', '')}".strip()
        raise ModelError(f"{path}: holds {came}, expected {FORMAT} {VERSION}, as `tallycam train` writes")
    expected = f"{INPUT_SIZE[0]}x{INPUT_SIZE[1]}"
    if metadata.get("input") != expected:
        raise ModelError(f"{path}: made for input {metadata.get('input')}, expected {expected}")
    if metadata.get("sha256") != _digest(tensors):
        raise ModelError(f"{path}: damaged (its checksum does not fit); fetch or train it again")
    return {name: value.float() for name, value in tensors.items()}, _class_names(path, metadata)


def _class_names(path: Path, metadata: Mapping[str, str]) -> tuple[str, ...]:
    try:
        names = json.loads(metadata.get("classes", ""))
    except json.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{path}: names no classes")
    return tuple(names)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def fill(model: MaskRCNN, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copies weights into the model.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """
    own = {name: value for name, value in model.state_dict().items() if _kept(name)}
    for name in sorted(own.keys() ^ tensors.keys()):
        raise ModelError(f"{path}: tensor {name} is {'missing' if name in own else 'unknown'}")
    for name, value in own.items():
        if value.shape != tensors[name].shape:
            came, want = tuple(tensors[name].shape), tuple(value.shape)
            raise ModelError(f"{path}: tensor {name} has shape {came}, expected {want}")
    model.load_state_dict(dict(tensors), strict=False)


def fold_batch_norm(module: nn.Module) -> None:
    """Folds every batch norm that follows a convolution into it, in place; for inference only."""
    for child in module.children():
        fold_batch_norm(child)
    if not isinstance(module, nn.Sequential):
        return
    names = list(module._modules)
    for first, second in pairwise(names):
        convolution, norm = module._modules[first], module._modules[second]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module._modules[first] = fuse_conv_bn_eval(convolution, norm)
            module._modules[second] = nn.Identity()


def choose_device(wanted: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU.

    Raises:
        ModelError: no such device.
    """
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"model.device: got {wanted!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"model.device: got {wanted!r}, expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"model.device: got {wanted!r}, PyTorch sees {torch.cuda.device_count()} CUDA devices"
        )
    return device


class MaskRcnn:
    """The shipped model as a `Segmenter`. Made by `load`."""

    def __init__(self, model: MaskRCNN, classes: tuple[str, ...], device: torch.device) -> None:
        model.eval()
        fold_batch_norm(model)
        self.classes = classes
        self._device = device
        self._model = model.to(device=device, memory_format=torch.channels_last)
        name = f" {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
        self.device = f"{device}{name}"

    @classmethod
    def load(
        cls,
        weights: Path | None = None,
        *,
        device: str = "auto",
        score: float = 0.5,
        nms: float = 0.6,
        threads: int | None = None,
    ) -> MaskRcnn:
        """The model of a file, on its device.

        Args:
            weights: a file of `save_weights`; None is the one that ships.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            score: instances below it are not returned.
            nms: box IoU within one class above which the weaker of two instances is dropped.
            threads: CPU threads of PyTorch, set for the whole process; None leaves them.

        Raises:
            ModelError: the file is missing, broken or of another network; there is no such device.
        """
        path = weights or STREET
        chosen = choose_device(device)
        tensors, classes = load_weights(path)
        if threads is not None:
            torch.set_num_threads(threads)
        model = build(len(classes), score=score, nms=nms)
        fill(model, tensors, path)
        return cls(model, classes, chosen)

    def warm_up(self) -> None:
        """Runs the model once so that the first frame is not slow."""
        width, height = INPUT_SIZE
        half = np.full((height // 2, width // 2), 128, np.uint8)
        self.segment([Planes(np.full((height, width), 110, np.uint8), half, half)])

    def segment(self, frames: Sequence[Planes]) -> list[Found]:
        """One `Found` a frame, in order. Sizes may differ."""
        if not frames:
            return []
        boxes = [Letterbox.fit(frame.width, frame.height, INPUT_SIZE) for frame in frames]
        images = np.empty((len(frames), 3, INPUT_SIZE[1], INPUT_SIZE[0]), np.uint8)
        for frame, box, image in zip(frames, boxes, images, strict=True):
            lay(frame, box, image)
        with torch.inference_mode():
            tensor = normalise(torch.from_numpy(images).to(self._device))
            detections = detect(self._model, tensor, [(box.height, box.width) for box in boxes])
        return [_found(*one) for one in zip(detections, frames, boxes, strict=True)]


def detect(model: MaskRCNN, images: Tensor, sizes: list[tuple[int, int]]) -> list[dict[str, Tensor]]:
    """Runs the parts of a model in evaluation mode on images that are already laid into its input.

    Args:
        model: of `build`.
        images: (B, 3, H, W) float32.
        sizes: height and width of each frame inside its image.

    Returns:
        For each image `boxes` (N, 4) in pixels of the input, `scores` (N,), `labels` (N,) from 1 and `masks`
        (N, 1, 28, 28), 0..1.
    """
    features: OrderedDict[str, Tensor] = model.backbone(images)
    proposals, _ = model.rpn(ImageList(images, sizes), features)
    detections, _ = model.roi_heads(features, proposals, sizes)
    found: list[dict[str, Tensor]] = detections
    return found


def _found(detection: Mapping[str, Tensor], frame: Planes, box: Letterbox) -> Found:
    scale: NDArray[Any] = np.array([box.scale_x, box.scale_y] * 2, np.float32)
    limit: NDArray[Any] = np.array([frame.width, frame.height] * 2, np.float32)
    boxes_px = np.clip(detection["boxes"].cpu().numpy() / scale, 0, limit).astype(np.float32)
    masks = (detection["masks"][:, 0] * 255).round().to(torch.uint8).cpu().numpy()
    kept = (boxes_px[:, 0] < boxes_px[:, 2]) & (boxes_px[:, 1] < boxes_px[:, 3])
    return Found(
        boxes_px[kept],
        detection["scores"].cpu().numpy().astype(np.float32)[kept],
        (detection["labels"].cpu().numpy() - 1).astype(np.int16)[kept],
        masks[kept],
    )
