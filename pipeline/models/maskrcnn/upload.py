"""Bringing frames to the device. On CUDA the copy of one batch overlaps the computation of the one before.

The uint8 planes are copied once, from pinned memory on a CUDA stream of their own; preprocessing is done there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.letterbox import Letterbox
from pipeline.models.maskrcnn.device import record_event
from pipeline.models.maskrcnn.preprocess import Preprocessor
from pipeline.transport.planes import Planes, planes_bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """Frames of one size on their way to the model.

    Attributes:
        images: (B, 3, H, W) in the network's precision; None on CUDA, where they are still `raw`.
        raw: (B, bytes) uint8 on the CUDA device, valid once `copied` has happened.
        copied: event of the copying stream.
        letterbox: where each frame lies in the input.
        input_size: width and height of the input.
        frame_size: width and height of each frame.
    """

    images: Tensor | None
    raw: Tensor | None
    copied: torch.cuda.Event | None
    letterbox: Letterbox
    input_size: tuple[int, int]
    frame_size: tuple[int, int]


class Uploader:
    """Brings frames to the device of a model.

    Args:
        preprocessor: how frames become the input.
        device: of the model.
        precision: of the network's input.
    """

    def __init__(self, preprocessor: Preprocessor, device: torch.device, precision: torch.dtype) -> None:
        self._preprocessor, self._device, self._precision = preprocessor, device, precision
        self._stream = (
            torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        )

    def start(self, frames: Sequence[Planes]) -> Upload:
        """Starts to bring frames of one size to the device.

        On CUDA it returns before they have arrived. The planes are not needed any more after the call.

        Args:
            frames: of one size.
        """
        width, height = frames[0].width, frames[0].height
        letterbox, size = self._preprocessor.letterbox(width, height)
        if self._stream is None:
            images = self._preprocessor.preprocess_cpu(frames, letterbox, size).to(self._precision)
            return Upload(images, None, None, letterbox, size, (width, height))
        pinned = torch.empty((len(frames), planes_bytes(width, height)), dtype=torch.uint8, pin_memory=True)
        flatten(frames, pinned.numpy())
        with torch.cuda.stream(self._stream):
            raw = pinned.to(self._device, non_blocking=True)
            copied = record_event(self._device)
        return Upload(None, raw, copied, letterbox, size, (width, height))

    @torch.inference_mode()
    def finish(self, upload: Upload) -> Tensor:
        """The network's input: (B, 3, H, W) on the device, in its precision, channels last.

        Args:
            upload: what `start` returned.
        """
        if upload.images is not None:
            return upload.images
        assert upload.raw is not None and upload.copied is not None
        current = torch.cuda.current_stream(self._device)
        current.wait_event(upload.copied)
        upload.raw.record_stream(current)  # the allocator must not reuse it while this stream reads it
        return self._preprocessor.preprocess_cuda(
            upload.raw, *upload.frame_size, upload.letterbox, upload.input_size, self._precision
        )


def flatten(frames: Sequence[Planes], out: NDArray[np.uint8]) -> None:
    """Copies the planes y u v of each frame into a row of `out`, (B, bytes) uint8.

    Args:
        frames: B frames of one size.
        out: (B, bytes) uint8, overwritten.
    """
    for frame, row in zip(frames, out, strict=True):
        whole = Planes.view(row, frame.width, frame.height)
        for source, target in ((frame.y, whole.y), (frame.u, whole.u), (frame.v, whole.v)):
            target[:] = source
