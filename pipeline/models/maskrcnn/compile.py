"""`model.compile`: what sees every pixel of a Mask R-CNN, compiled by PyTorch for a few shapes of input.

On CUDA the compiled network is captured as a CUDA graph (mode `reduce-overhead`): one call instead of some hundred. A
graph writes its answer where it wrote the last one, so the caller must be done with an answer before it asks for the
next. Each shape is compiled by itself, for a minute, so batches are filled up to a power of two.
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

SHAPES = 64
"""Shapes that are compiled at most; PyTorch would stop at 8 and go on uncompiled."""

Dense = Callable[[Tensor], tuple[list[Tensor], list[Tensor]]]


def batch_sizes(most: int) -> list[int]:
    """The sizes of batches that there are when at most `most` frames come together: 1, 2, 4, 8 and so on."""
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(2 * sizes[-1])
    return sizes


class Compiled:
    """A network that is compiled when a shape is seen for the first time.

    Args:
        dense: (B, C, H, W) to two lists of (B, ...) tensors.
        device: where it runs.
        compiler: stands in for `torch.compile` in tests.
    """

    def __init__(
        self, dense: nn.Module, device: torch.device, compiler: Callable[..., Any] = torch.compile
    ) -> None:
        self._graphs = device.type == "cuda"
        how: dict[str, Any] = {"mode": "reduce-overhead"} if self._graphs else {}
        self._run: Dense = compiler(dense, dynamic=False, **how)
        self._shapes: set[tuple[int, ...]] = set()
        settings = torch._dynamo.config
        settings.recompile_limit = max(settings.recompile_limit, SHAPES)

    def knows(self, count: int, size: tuple[int, int]) -> bool:
        """Whether batches of `count` pictures of `size` (width, height) are compiled."""
        return (batch_sizes(count)[-1], size[1], size[0]) in self._shapes

    def __call__(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The network's answer; on CUDA it is overwritten by the next one.

        Raises:
            ModelError: it cannot be compiled here.
        """
        count, shape = len(images), (batch_sizes(len(images))[-1], *images.shape[2:])
        if shape[0] > count:
            filled = images.new_zeros((shape[0], *images.shape[1:])).to(memory_format=torch.channels_last)
            filled[:count] = images
            images = filled
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        try:
            features, outputs = self._run(images) if self._graphs else self._packed(images, shape)
        except Exception as error:  # PyTorch's compiler and what it calls raise errors without a common base
            if shape in self._shapes or is_out_of_memory(error):
                raise
            what = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise ModelError(
                f"model.compile: PyTorch cannot compile the model here ({what}); it needs a C++ compiler, and on CUDA "
                "Triton: install them or set model.compile to false"
            ) from error
        self._shapes.add(shape)
        return [one[:count] for one in features], [one[:count] for one in outputs]

    def _packed(self, images: Tensor, shape: tuple[int, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """On a CPU: the compiler packs weights for oneDNN when it may take them for constants (`freezing`), which it
        does where there are no gradients, but not in inference mode."""
        with torch.inference_mode(mode=False), torch.no_grad(), contextlib.ExitStack() as stack:
            if shape not in self._shapes:
                stack.enter_context(torch._inductor.config.patch(freezing=True))
            return self._run(images.clone() if images.is_inference() else images)
