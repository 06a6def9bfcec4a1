"""Whether the kernels run on a device. Where they do not, their plain counterparts are used."""

from __future__ import annotations

import functools
import logging

import torch

log = logging.getLogger(__name__)

MOST_LEVELS = 4
"""Levels of a feature pyramid that `roi_align.py` takes at most."""
LARGEST_GROUP = 2048
"""Boxes of a group that `suppression.py` takes at most: it keeps a whole group in registers."""


@functools.cache
def usable(device: torch.device) -> bool:
    """Tries the smallest kernel once. Triton compiles for each GPU and needs a C compiler to do so.

    Args:
        device: where the model runs.
    """
    if device.type != "cuda":
        return False
    try:
        from pipeline.models.maskrcnn.kernels.convolution import add_bias

        images = torch.zeros((1, 8, 2, 2), device=device, dtype=torch.float16)
        images = images.contiguous(memory_format=torch.channels_last)
        right = bool((add_bias(images, torch.ones(8, device=device)) == 1).all())
    except (
        Exception
    ) as error:  # Triton and the compilers that it calls raise errors without a common base class
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        log.warning(
            "the GPU kernels cannot be compiled here (%s): segmentation goes on without them, slower; they need "
            "Triton, a C compiler and the headers of Python",
            why,
        )
        return False
    if not right:
        log.warning("the GPU kernels compute wrong numbers here: segmentation goes on without them, slower")
    return right
