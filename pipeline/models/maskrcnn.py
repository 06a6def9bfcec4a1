"""Mask R-CNNs as a `Segmenter`: yuv420p planes in, boxes and box-aligned masks out.

The model that ships and torchvision's run through the same path: `rcnn_input`, `rcnn_network`, one copy back a batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.errors import ModelError
from pipeline.messages import MASK_SIZE
from pipeline.models.base import Found
from pipeline.models.maskrcnn_net import INPUT_SIZE
from pipeline.models.rcnn_build import built
from pipeline.models.rcnn_device import choose_device, choose_precision, is_out_of_memory, keep_memory
from pipeline.models.rcnn_file import Classes
from pipeline.models.rcnn_input import PADDING, Input, Letterbox, LumaInput, Upload, Uploader, lay
from pipeline.models.rcnn_network import Network
from pipeline.models.rcnn_regions import Regions
from pipeline.planes import Planes, chroma

__all__ = ["PADDING", "Letterbox", "MaskRcnn", "choose_device", "lay"]

USUAL_FRAME = (1920, 1080)
"""The size of frame that a model is warmed up with where its input depends on the frame's size."""

_Sent = list[tuple[list[int], Sequence[Planes], Upload]]
"""Rows of a batch, their frames, and these on their way."""


class MaskRcnn:
    """A Mask R-CNN as a `Segmenter`. Made by `load`.

    Attributes:
        classes: names; `class_ids` index them.
        device: where it runs, in words; says so when batches had to be cut for want of memory.
        warm_up_s: seconds that `warm_up` took; 0 before.
        most: frames in one run of the network; falls when there is not memory enough.
    """

    def __init__(
        self,
        model: MaskRCNN,
        classes: Classes,
        how: Input,
        device: torch.device,
        precision: torch.dtype = torch.float32,
        *,
        compiled: bool = False,
    ) -> None:
        if device.type == "cpu":
            keep_memory()
        usable = [number >= 0 for number in classes.of_label]
        self.classes = classes.names
        self.warm_up_s = 0.0
        self.most = 64
        self._how, self._place = how, device
        self._of_label = np.array(classes.of_label, np.int16)
        self._network = Network(model, device, precision, usable=usable, compiled=compiled)
        self._uploader = Uploader(how, device, precision)
        self.device = self._words = _words(device, precision)

    @classmethod
    def load(
        cls,
        weights: Path | None = None,
        *,
        device: str = "auto",
        score: float = 0.5,
        nms: float = 0.6,
        threads: int | None = None,
        precision: str = "auto",
        compiled: bool = False,
        names: Sequence[str] | None = None,
    ) -> MaskRcnn:
        """The model of a file, on its device.

        Args:
            weights: a file of `tallycam train`, or of torchvision's Mask R-CNN; None is the model that ships.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            score: instances below it are not returned.
            nms: box IoU within one class above which the weaker of two instances is dropped.
            threads: CPU threads of PyTorch, set for the whole process; None leaves them.
            precision: `auto`, `fp32`, `bf16` or `fp16`.
            compiled: lets PyTorch compile what sees every pixel, which takes a minute for each size of frame.
            names: class names where the file holds none.

        Raises:
            ModelError: the file is missing, broken or of another network; there is no such device.
        """
        chosen = choose_device(device)
        model, classes, how = built(weights, score=score, nms=nms, names=names)
        if threads is not None:
            torch.set_num_threads(threads)
        shipped = isinstance(how, LumaInput)
        return cls(
            model, classes, how, chosen, choose_precision(precision, chosen, shipped), compiled=compiled
        )

    def warm_up(self) -> None:
        """Runs the model once so that the first frame is not slow."""
        began_s = time.monotonic()
        width, height = INPUT_SIZE if isinstance(self._how, LumaInput) else USUAL_FRAME
        half = np.full((chroma(height), chroma(width)), 128, np.uint8)
        self.segment([Planes(np.full((height, width), 110, np.uint8), half, half)])
        self.warm_up_s = time.monotonic() - began_s

    def segment(self, frames: Sequence[Planes]) -> list[Found]:
        """One `Found` a frame, in order. Sizes may differ."""
        return next(iter(self.stream([frames])))

    def stream(self, batches: Iterable[Sequence[Planes]]) -> Iterator[list[Found]]:
        """`segment` for one batch after another; on CUDA a batch is copied while the one before is computed."""
        sent: _Sent | None = None
        count = 0
        for frames in batches:
            ahead: _Sent = [
                (rows, part, self._uploader.send(part))
                for rows, part in ((rows, [frames[i] for i in rows]) for rows in self._alike(frames))
            ]
            if sent is not None:
                yield self._finish(sent, count)
            sent, count = ahead, len(frames)
        if sent is not None:
            yield self._finish(sent, count)

    def _alike(self, frames: Sequence[Planes]) -> list[list[int]]:
        """Rows of frames of one size, at most `most` together."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for row, frame in enumerate(frames):
            by_size.setdefault((frame.width, frame.height), []).append(row)
        return [
            rows[first : first + self.most]
            for rows in by_size.values()
            for first in range(0, len(rows), self.most)
        ]

    def _finish(self, sent: _Sent, count: int) -> list[Found]:
        every = [Found.nothing()] * count
        for rows, frames, upload in sent:
            for row, found in zip(rows, self._infer(frames, upload), strict=True):
                every[row] = found
        return every

    def _infer(self, frames: Sequence[Planes], upload: Upload | None) -> list[Found]:
        """Runs the network; halves the batch for good when there is not memory enough for it.

        Raises:
            ModelError: there is not memory enough for one frame.
        """
        try:
            upload = upload or self._uploader.send(frames)
            images = self._uploader.take(upload)
            frame = (upload.box.width, upload.box.height)
            rows, masks, broken = _copied(*self._network(images, [frame] * len(frames)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(frames) == 1:
                raise ModelError(
                    f"model: {self._words} has not memory enough for one frame of {frames[0].width}x"
                    f"{frames[0].height} ({_first_line(error)}); take a smaller model or another model.device"
                ) from error
        else:
            return [
                _not_finite() if broken[number] else self._found(rows, masks, number, frame, upload)
                for number, frame in enumerate(frames)
            ]
        upload = None
        if self._place.type == "cuda":
            torch.cuda.empty_cache()
        half = (len(frames) + 1) // 2
        self.most = min(self.most, half)
        self.device = f"{self._words}, batch cut to {self.most} for want of memory"
        return self._infer(frames[:half], None) + self._infer(frames[half:], None)

    def _found(
        self, rows: NDArray[np.float32], masks: NDArray[np.uint8], number: int, frame: Planes, upload: Upload
    ) -> Found:
        of_frame = rows[:, 6] == number
        rows, masks = rows[of_frame], masks[of_frame]
        scale: NDArray[Any] = np.array([upload.box.scale_x, upload.box.scale_y] * 2, np.float32)
        limit: NDArray[Any] = np.array([frame.width, frame.height] * 2, np.float32)
        boxes_px = np.clip(rows[:, :4] / scale, 0, limit).astype(np.float32)
        kept = (boxes_px[:, 0] < boxes_px[:, 2]) & (boxes_px[:, 1] < boxes_px[:, 3])
        class_ids = self._of_label[rows[kept, 5].astype(np.int64)]
        return Found(boxes_px[kept], rows[kept, 4], class_ids, masks[kept])


def _copied(
    found: Regions, masks: Tensor, broken: Tensor
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
    """(N, 7) x0 y0 x1 y1 score label image, (N, 28, 28) uint8 masks and (B,) bool: one copy from the device for all."""
    numbers = torch.column_stack((found.boxes, found.scores, found.labels, found.images)).float()
    grids = (masks * 255).round().to(torch.uint8)
    count, side = len(grids), grids.shape[1]
    parts = (numbers.view(torch.uint8), grids.view(count, side * side))
    flat = torch.cat((*(part.flatten() for part in parts), (broken > 0).to(torch.uint8))).cpu().numpy()
    end = count * numbers.shape[1] * 4
    rows = flat[:end].view(np.float32).reshape(count, numbers.shape[1])
    grid = flat[end : end + count * side * side].reshape(count, side, side)
    return rows, grid, flat[end + count * side * side :] > 0


def _not_finite() -> Found:
    """What makes a frame quarantined and counted as such: an instance whose numbers are none."""
    nothing = np.full((1, 4), np.nan, np.float32)
    return Found(nothing, nothing[:, 0], np.zeros(1, np.int16), np.zeros((1, MASK_SIZE, MASK_SIZE), np.uint8))


def _words(device: torch.device, precision: torch.dtype) -> str:
    name = f" {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    short = {torch.float32: "", torch.bfloat16: ", bf16", torch.float16: ", fp16"}[precision]
    return f"{device}{name}{short}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
