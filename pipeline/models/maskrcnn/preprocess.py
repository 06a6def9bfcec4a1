"""From yuv420p frames to what a Mask R-CNN sees, on a CPU or on a CUDA device.

On a CPU OpenCV scales the planes, which is fastest there. On a CUDA device the uint8 planes are uploaded once, from
pinned memory on a stream of their own, and everything else is done there: the copy of one batch overlaps the
computation of the one before. Frames of one size always give inputs of one shape, so nothing is tuned again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.letterbox import BLACK_YUV, Letterbox
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE, NEUTRAL, SPREAD
from pipeline.transport.planes import Planes, chroma, planes_bytes

MULTIPLE = 32
"""Sides of an input are multiples of the largest stride."""


class Preprocessor(Protocol):
    """How the frames of a model are laid into its input."""

    def place(self, width: int, height: int) -> tuple[Letterbox, tuple[int, int]]:
        """Where a frame of this size lies, and width and height of the input."""

    def preprocess_cpu(self, frames: Sequence[Planes], box: Letterbox, size: tuple[int, int]) -> Tensor:
        """(B, 3, H, W) float32, normalised, channels last, on the CPU. The frames have one size."""

    def preprocess_cuda(
        self, frames: Tensor, width: int, height: int, box: Letterbox, size: tuple[int, int]
    ) -> Tensor:
        """The same on the device of `frames`, (B, bytes) uint8: the planes y u v of each, one after another."""


class LumaPreprocessor:
    """Input of the model that ships: y u v as they are, at one size."""

    def place(self, width: int, height: int) -> tuple[Letterbox, tuple[int, int]]:
        return Letterbox.top_left(width, height, *INPUT_SIZE, multiple=1), INPUT_SIZE

    def preprocess_cpu(self, frames: Sequence[Planes], box: Letterbox, size: tuple[int, int]) -> Tensor:
        images = np.empty((len(frames), 3, size[1], size[0]), np.uint8)
        for frame, image in zip(frames, images, strict=True):
            box.write_yuv444(frame, image)
        return _scaled(torch.from_numpy(images), NEUTRAL, SPREAD)

    def preprocess_cuda(
        self, frames: Tensor, width: int, height: int, box: Letterbox, size: tuple[int, int]
    ) -> Tensor:
        images = torch.tensor(BLACK_YUV, dtype=torch.float32, device=frames.device).view(1, 3, 1, 1)
        images = images.repeat(len(frames), 1, size[1], size[0])
        shrinks = box.scale_x < 1
        for number, plane in enumerate(_planes(frames, width, height)):
            area = shrinks and plane.shape[2] > box.inner_width
            down = _weights(plane.shape[1], box.inner_height, area, frames.device)
            across = _weights(plane.shape[2], box.inner_width, area, frames.device)
            scaled = down @ plane.float() @ across.t()
            images[:, number, : box.inner_height, : box.inner_width] = scaled.round().clamp(0, 255)
        return _scaled(images, NEUTRAL, SPREAD)


class RgbPreprocessor:
    """Input of torchvision's models: RGB, scaled and normalised as `GeneralizedRCNNTransform` does.

    Args:
        shortest: pixels that the shorter side is scaled to, unless
        longest: the longer one would be longer than this.
        mean: of the channels, 0..1.
        spread: the input is (pixel - mean) / spread.
    """

    def __init__(self, shortest: int, longest: int, mean: Sequence[float], spread: Sequence[float]) -> None:
        self._shortest, self._longest = shortest, longest
        self._mean = [255 * value for value in mean]
        self._spread = [255 * value for value in spread]

    def place(self, width: int, height: int) -> tuple[Letterbox, tuple[int, int]]:
        box = Letterbox.shortest_side(width, height, self._shortest, self._longest)
        size = (-(-box.inner_width // MULTIPLE) * MULTIPLE, -(-box.inner_height // MULTIPLE) * MULTIPLE)
        return box, size

    def preprocess_cpu(self, frames: Sequence[Planes], box: Letterbox, size: tuple[int, int]) -> Tensor:
        images = np.empty((len(frames), size[1], size[0], 3), np.float32)
        for frame, image in zip(frames, images, strict=True):
            rgb = frame.to_rgb().astype(np.float32)
            image[: box.inner_height, : box.inner_width] = cv2.resize(
                rgb, (box.inner_width, box.inner_height)
            )
            image[box.inner_height :] = self._mean
            image[: box.inner_height, box.inner_width :] = self._mean
        return _scaled(torch.from_numpy(images).permute(0, 3, 1, 2), self._mean, self._spread)

    def preprocess_cuda(
        self, frames: Tensor, width: int, height: int, box: Letterbox, size: tuple[int, int]
    ) -> Tensor:
        rgb = _to_rgb(*_planes(frames, width, height))
        scaled = F.interpolate(rgb, (box.inner_height, box.inner_width), mode="bilinear", align_corners=False)
        padded = (0, size[0] - box.inner_width, 0, size[1] - box.inner_height)
        return F.pad(_scaled(scaled, self._mean, self._spread), padded).contiguous(
            memory_format=torch.channels_last
        )


@dataclass(frozen=True, slots=True)
class Upload:
    """Frames of one size on their way to the model.

    Attributes:
        images: (B, 3, H, W) in the network's precision, or None while they are `raw`.
        raw: (B, bytes) uint8 on the CUDA device, once `arrived`.
        arrived: event of the stream that copies.
        box: where each frame lies in the input.
        size: width and height of the input.
        frame: width and height of each frame.
    """

    images: Tensor | None
    raw: Tensor | None
    arrived: torch.cuda.Event | None
    box: Letterbox
    size: tuple[int, int]
    frame: tuple[int, int]


class Uploader:
    """Brings frames to the device."""

    def __init__(self, how: Preprocessor, device: torch.device, precision: torch.dtype) -> None:
        self._how, self._device, self._precision = how, device, precision
        self._stream = (
            torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        )

    def send(self, frames: Sequence[Planes]) -> Upload:
        """Begins to bring frames of one size; on CUDA it returns before they are there. They are not needed longer."""
        width, height = frames[0].width, frames[0].height
        box, size = self._how.place(width, height)
        if self._stream is None:
            images = self._how.preprocess_cpu(frames, box, size).to(self._precision)
            return Upload(images, None, None, box, size, (width, height))
        pinned = torch.empty((len(frames), planes_bytes(width, height)), dtype=torch.uint8, pin_memory=True)
        flatten(frames, pinned.numpy())
        with torch.cuda.stream(self._stream):
            raw = pinned.to(self._device, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self._stream)
        return Upload(None, raw, arrived, box, size, (width, height))

    @torch.inference_mode()
    def take(self, sent: Upload) -> Tensor:
        """(B, 3, H, W) on the device, in the network's precision, channels last."""
        if sent.images is not None:
            return sent.images
        assert sent.raw is not None and sent.arrived is not None
        current = torch.cuda.current_stream(self._device)
        current.wait_event(sent.arrived)
        sent.raw.record_stream(current)
        images = self._how.preprocess_cuda(sent.raw, *sent.frame, sent.box, sent.size)
        return images.to(self._precision)


def flatten(frames: Sequence[Planes], out: NDArray[np.uint8]) -> None:
    """Copies the planes y u v of each frame into a row of `out`, (B, bytes) uint8."""
    for frame, row in zip(frames, out, strict=True):
        whole = Planes.view(row, frame.width, frame.height)
        for source, target in ((frame.y, whole.y), (frame.u, whole.u), (frame.v, whole.v)):
            target[:] = source


def _planes(frames: Tensor, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, H, W) luma and both (B, ceil(H/2), ceil(W/2)) chroma planes of (B, bytes)."""
    luma, part = width * height, chroma(width) * chroma(height)
    y, u, v = torch.split(frames, [luma, part, part], dim=1)
    small = (len(frames), chroma(height), chroma(width))
    return y.view(-1, height, width), u.view(small), v.view(small)


def _to_rgb(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """(B, 3, H, W) float32 0..255, whole numbers: BT.601, limited range, chroma repeated, as OpenCV converts."""
    height, width = y.shape[1:]
    wide = [
        plane.float().sub_(128).repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
        for plane in (u, v)
    ]
    luma = (y.float() - 16).clamp_(min=0) * 1.1643836
    red = luma + 1.5960268 * wide[1]
    green = luma - 0.3917623 * wide[0] - 0.8129676 * wide[1]
    blue = luma + 2.0172321 * wide[0]
    return torch.stack((red, green, blue), 1).round_().clamp_(0, 255)


def _scaled(images: Tensor, mean: Sequence[float], spread: Sequence[float]) -> Tensor:
    """(images - mean) / spread by channel, float32, channels last."""
    centre = torch.tensor(list(mean), device=images.device).view(1, 3, 1, 1)
    width = torch.tensor(list(spread), device=images.device).view(1, 3, 1, 1)
    scaled = (images.float() - centre) / width
    return scaled.contiguous(memory_format=torch.channels_last)


def _weights(length: int, wanted: int, area: bool, device: torch.device) -> Tensor:
    """(wanted, length) float32: how much of each pixel goes into each pixel of the scaled line, as OpenCV does.

    Args:
        length: pixels before.
        wanted: pixels after.
        area: the mean of what a new pixel covers; else linear between two pixels.
        device: where the result lies.
    """
    ratio = length / wanted
    new = torch.arange(wanted, dtype=torch.float64)[:, None]
    old = torch.arange(length, dtype=torch.float64)[None]
    if area:
        covered = torch.minimum((new + 1) * ratio, old + 1) - torch.maximum(new * ratio, old)
        weights = covered.clamp(min=0) / ratio
    else:
        at = ((new + 0.5) * ratio - 0.5).clamp(0, length - 1)
        weights = (1 - (at - old).abs()).clamp(min=0)
    return weights.float().to(device)
