"""The model that ships as a `Segmenter`: yuv420p planes in, boxes and box-aligned masks out.

The input has one fixed size. Frames are scaled on their uint8 planes and laid into its top left corner; masks
stay the 28x28 grids of the mask head, nothing is pasted into frames here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.errors import ModelError
from pipeline.models.base import Found
from pipeline.models.maskrcnn_file import STREET, fill, load_weights
from pipeline.models.maskrcnn_net import INPUT_SIZE, build, detect, fold_batch_norm, normalise
from pipeline.planes import Planes

PADDING = (16, 128, 128)
"""Black in yuv420p of limited range: what lies beside the frame in the input."""


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
