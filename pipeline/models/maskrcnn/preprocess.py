"""From yuv420p frames to the input of a Mask R-CNN, on the CPU or on a CUDA device.

On the CPU OpenCV scales the planes, which is fastest there. On a CUDA device the same is computed from the uint8
planes (`upload.py`). Frames of one size always give inputs of one shape, so kernels are tuned once per size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.models.letterbox import BLACK_YUV, Letterbox
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE, MEAN, STD
from pipeline.models.maskrcnn.device import constant
from pipeline.models.maskrcnn.kernels.support import usable
from pipeline.transport.planes import Planes, chroma

MULTIPLE = 32
"""Sides of an input are multiples of the largest stride."""


class Preprocessor(Protocol):
    """How frames become the input of a model."""

    def letterbox(self, width: int, height: int) -> tuple[Letterbox, tuple[int, int]]:
        """Where a frame of this size lies in the input, and width and height of the input.

        Args:
            width: of the frame, pixels.
            height: of the frame, pixels.
        """

    def preprocess_cpu(self, frames: Sequence[Planes], letterbox: Letterbox, size: tuple[int, int]) -> Tensor:
        """The input for frames of one size, computed on the CPU.

        Args:
            frames: B frames of one size.
            letterbox: where each lies in the input.
            size: width and height of the input.

        Returns:
            (B, 3, H, W) float32, normalized, channels last.
        """

    def preprocess_cuda(
        self,
        frames: Tensor,
        width: int,
        height: int,
        letterbox: Letterbox,
        size: tuple[int, int],
        dtype: torch.dtype,
    ) -> Tensor:
        """The input for frames of one size, computed on their device.

        Args:
            frames: (B, bytes) uint8, the planes y u v of each frame one after another.
            width: of the frames, pixels.
            height: of the frames, pixels.
            letterbox: where each lies in the input.
            size: width and height of the input.
            dtype: of the input.

        Returns:
            (B, 3, H, W), normalized, channels last.
        """


class YuvPreprocessor:
    """Input of the compact network: YUV with full-resolution chroma, at one size (a `Preprocessor`)."""

    def letterbox(self, width: int, height: int) -> tuple[Letterbox, tuple[int, int]]:
        return Letterbox.top_left(width, height, *INPUT_SIZE, multiple=1), INPUT_SIZE

    def preprocess_cpu(self, frames: Sequence[Planes], letterbox: Letterbox, size: tuple[int, int]) -> Tensor:
        images = np.empty((len(frames), 3, size[1], size[0]), np.uint8)
        for frame, image in zip(frames, images, strict=True):
            letterbox.write_yuv444(frame, image)
        return normalize(torch.from_numpy(images), MEAN, STD)

    def preprocess_cuda(
        self,
        frames: Tensor,
        width: int,
        height: int,
        letterbox: Letterbox,
        size: tuple[int, int],
        dtype: torch.dtype,
    ) -> Tensor:
        images = constant(tuple(BLACK_YUV), torch.float32, frames.device).view(1, 3, 1, 1)
        images = images.repeat(len(frames), 1, size[1], size[0])
        shrinks = letterbox.scale_x < 1
        for channel, plane in enumerate(split_planes(frames, width, height)):
            area = shrinks and plane.shape[2] > letterbox.inner_width
            down = resize_weights(plane.shape[1], letterbox.inner_height, area, frames.device)
            across = resize_weights(plane.shape[2], letterbox.inner_width, area, frames.device)
            scaled = down @ plane.float() @ across.t()
            images[:, channel, : letterbox.inner_height, : letterbox.inner_width] = scaled.round().clamp(
                0, 255
            )
        return normalize(images, MEAN, STD).to(dtype)


class RgbPreprocessor:
    """Input of torchvision's models: RGB, resized and normalized as by `GeneralizedRCNNTransform` (a `Preprocessor`).

    Args:
        shortest: pixels that the shorter side is scaled to, unless
        longest: the longer side would exceed this.
        mean: of the channels, 0..1.
        std: of the channels, 0..1.
    """

    def __init__(self, shortest: int, longest: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self._shortest, self._longest = shortest, longest
        self._mean = [255 * value for value in mean]
        self._std = [255 * value for value in std]

    def letterbox(self, width: int, height: int) -> tuple[Letterbox, tuple[int, int]]:
        box = Letterbox.shortest_side(width, height, self._shortest, self._longest)
        size = (-(-box.inner_width // MULTIPLE) * MULTIPLE, -(-box.inner_height // MULTIPLE) * MULTIPLE)
        return box, size

    def preprocess_cpu(self, frames: Sequence[Planes], letterbox: Letterbox, size: tuple[int, int]) -> Tensor:
        width, height = letterbox.inner_width, letterbox.inner_height
        images = np.empty((len(frames), size[1], size[0], 3), np.float32)
        for frame, image in zip(frames, images, strict=True):
            image[:height, :width] = cv2.resize(frame.to_rgb().astype(np.float32), (width, height))
            # torchvision pads after normalizing, with zeros: the mean before it.
            image[height:] = self._mean
            image[:height, width:] = self._mean
        return normalize(torch.from_numpy(images).permute(0, 3, 1, 2), self._mean, self._std)

    def preprocess_cuda(
        self,
        frames: Tensor,
        width: int,
        height: int,
        letterbox: Letterbox,
        size: tuple[int, int],
        dtype: torch.dtype,
    ) -> Tensor:
        if usable(frames.device):
            from pipeline.models.maskrcnn.kernels.rgb_input import rgb_input

            inside = (letterbox.inner_width, letterbox.inner_height)
            return rgb_input(frames, width, height, inside, size, self._mean, self._std, dtype)
        rgb = yuv420_to_rgb(*split_planes(frames, width, height))
        inner = (letterbox.inner_height, letterbox.inner_width)
        scaled = F.interpolate(rgb, inner, mode="bilinear", align_corners=False)
        padding = (0, size[0] - letterbox.inner_width, 0, size[1] - letterbox.inner_height)
        padded = F.pad(normalize(scaled, self._mean, self._std), padding).to(dtype)
        return padded.contiguous(memory_format=torch.channels_last)


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(images - mean) / std by channel.

    Args:
        images: (B, 3, H, W), any type.
        mean: of the channels.
        std: of the channels.

    Returns:
        (B, 3, H, W) float32 on the same device, channels last.
    """
    center = constant(tuple(mean), torch.float32, images.device).view(1, 3, 1, 1)
    spread = constant(tuple(std), torch.float32, images.device).view(1, 3, 1, 1)
    normalized = (images.float() - center) / spread
    return normalized.contiguous(memory_format=torch.channels_last)


def split_planes(frames: Tensor, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """The planes of frames: (B, bytes) to (B, H, W) luma and twice (B, ceil(H/2), ceil(W/2)) chroma.

    Args:
        frames: (B, bytes) uint8.
        width: of the frames, pixels.
        height: of the frames, pixels.
    """
    luma, part = width * height, chroma(width) * chroma(height)
    y, u, v = torch.split(frames, [luma, part, part], dim=1)
    small = (len(frames), chroma(height), chroma(width))
    return y.view(-1, height, width), u.view(small), v.view(small)


def yuv420_to_rgb(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Limited-range BT.601 with repeated chroma samples, in OpenCV's fixed-point numbers: the same bytes.

    Args:
        y: (B, H, W) uint8.
        u: (B, ceil(H/2), ceil(W/2)) uint8.
        v: likewise.

    Returns:
        (B, 3, H, W) float32, whole numbers 0..255.
    """
    height, width = y.shape[1:]
    blue, red = (
        plane.int().sub_(128).repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
        for plane in (u, v)
    )
    light = (y.int() - 16).clamp_(min=0) * 1220542 + (1 << 19)
    channels = (light + 1673527 * red, light - 852492 * red - 409993 * blue, light + 2116026 * blue)
    return (torch.stack(channels, 1) >> 20).clamp_(0, 255).float()


@functools.lru_cache(maxsize=64)
def resize_weights(length: int, wanted: int, area: bool, device: torch.device) -> Tensor:
    """The matrix that resizes a line of pixels as OpenCV does, made once for each size and device.

    Args:
        length: pixels before.
        wanted: pixels after.
        area: average over the area that a new pixel covers; else linear interpolation between two pixels.
        device: where the result lies.

    Returns:
        (wanted, length) float32: the weight of each pixel in each pixel of the resized line.
    """
    with torch.inference_mode(mode=False):
        return _resize_weights(length, wanted, area).to(device)


def _resize_weights(length: int, wanted: int, area: bool) -> Tensor:
    ratio = length / wanted
    new = torch.arange(wanted, dtype=torch.float64)[:, None]
    old = torch.arange(length, dtype=torch.float64)[None]
    if area:
        covered = torch.minimum((new + 1) * ratio, old + 1) - torch.maximum(new * ratio, old)
        weights = covered.clamp(min=0) / ratio
    else:
        at = ((new + 0.5) * ratio - 0.5).clamp(0, length - 1)
        weights = (1 - (at - old).abs()).clamp(min=0)
    return weights.float()
