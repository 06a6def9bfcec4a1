"""`model.compile`: backbone, feature pyramid and RPN head of a Mask R-CNN, compiled by PyTorch for a few input shapes.

Each shape takes about a minute to compile, so batches are padded to a power of two. On CUDA the result is recorded as
part of a CUDA graph (`recorded.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch._inductor.config
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.maskrcnn.device import is_out_of_memory

MAX_SHAPES = 64
"""Shapes that are compiled at most; PyTorch's default is 8, beyond which it runs uncompiled."""

ImageStageFunction = Callable[[Tensor], tuple[list[Tensor], list[Tensor]]]
"""From (B, 3, H, W) images to the feature maps and the RPN outputs of each pyramid level, (B, C, h, w) each."""


def batch_sizes(most: int) -> list[int]:
    """The padded batch sizes for batches of at most `most` frames: 1, 2, 4, 8 and so on.

    Args:
        most: frames in a batch at most.
    """
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(2 * sizes[-1])
    return sizes


class CompiledImageStage:
    """An image stage that is compiled when a shape is seen for the first time.

    Args:
        stage: from (B, C, H, W) to two lists of (B, ...) tensors.
        device: where it runs.
        compiler: replaces `torch.compile` in tests.
    """

    def __init__(
        self, stage: nn.Module, device: torch.device, compiler: Callable[..., Any] = torch.compile
    ) -> None:
        self._on_cuda = device.type == "cuda"
        self._run: ImageStageFunction = compiler(stage, dynamic=False)
        self._shapes: set[tuple[int, ...]] = set()
        settings = torch._dynamo.config
        settings.recompile_limit = max(settings.recompile_limit, MAX_SHAPES)

    def is_compiled(self, count: int, size: tuple[int, int]) -> bool:
        """Whether batches of `count` images of `size` (width, height) are compiled already.

        Args:
            count: images in a batch.
            size: width and height of the input, pixels.
        """
        return (batch_sizes(count)[-1], size[1], size[0]) in self._shapes

    def __call__(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Runs the stage.

        Args:
            images: (B, C, H, W).

        Raises:
            ModelError: it cannot be compiled here.
        """
        count, shape = len(images), (batch_sizes(len(images))[-1], *images.shape[2:])
        if shape[0] > count:
            padded = images.new_zeros((shape[0], *images.shape[1:])).to(memory_format=torch.channels_last)
            padded[:count] = images
            images = padded
        try:
            features, outputs = self._run(images) if self._on_cuda else self._run_frozen(images, shape)
        except Exception as error:  # the compiler and its back ends raise errors without a common base class
            if shape in self._shapes or is_out_of_memory(error):
                raise
            what = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise ModelError(
                f"model.compile: PyTorch cannot compile the model here ({what}); it needs a C++ compiler, and on CUDA "
                "Triton: install them or set model.compile to false"
            ) from error
        self._shapes.add(shape)
        return [one[:count] for one in features], [one[:count] for one in outputs]

    def _run_frozen(self, images: Tensor, shape: tuple[int, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Runs it on a CPU. The compiler packs weights for oneDNN only if it may treat them as constants
        (`freezing`), which requires that there are no gradients, but does not work in inference mode."""
        with torch.inference_mode(mode=False), torch.no_grad(), contextlib.ExitStack() as stack:
            if shape not in self._shapes:
                stack.enter_context(torch._inductor.config.patch(freezing=True))
            return self._run(images.clone() if images.is_inference() else images)
