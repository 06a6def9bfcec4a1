"""Mask R-CNNs as a `Segmenter`: yuv420p planes in, boxes and box-aligned masks out.

The model that ships and torchvision's run through the same path: `rcnn_input`, `rcnn_network`, one copy back a batch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models.detection import MaskRCNN

from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.models.maskrcnn.build import built
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE
from pipeline.models.maskrcnn.compile import batch_sizes
from pipeline.models.maskrcnn.device import choose_device, choose_precision, is_out_of_memory, keep_memory
from pipeline.models.maskrcnn.download import Answer, copied
from pipeline.models.maskrcnn.network import Dense, Network
from pipeline.models.maskrcnn.preprocess import LumaPreprocessor, Preprocessor, Upload, Uploader
from pipeline.transport.planes import Planes, chroma

USUAL_FRAME = (1920, 1080)
"""The size of frame that a model is warmed up with where its input depends on the frame's size."""


@dataclass(slots=True)
class _Part:
    """Frames of one size of a batch: their rows in it, and how far they have come."""

    rows: list[int]
    frames: Sequence[Planes]
    upload: Upload | None = None
    dense: Dense | None = None


class MaskRcnn:
    """A Mask R-CNN as a `Segmenter`. Made by `load`.

    Attributes:
        classes: names; `class_ids` index them.
        device: where it runs, in words; says so when batches had to be cut for want of memory.
        warm_up_s: seconds that `warm_up` took; 0 before.
        most: frames in one run of the network; falls when there is not memory enough.
        ahead: batches that may be begun before the first of them is finished: on CUDA one is copied while
            another is computed.
    """

    def __init__(
        self,
        model: MaskRCNN,
        classes: ClassMap,
        how: Preprocessor,
        device: torch.device,
        precision: torch.dtype = torch.float32,
        *,
        compiled: bool = False,
        batch: int = 1,
    ) -> None:
        if device.type == "cpu":
            keep_memory()
        usable = [index >= 0 for index in classes.indices]
        self.classes = classes.names
        self.warm_up_s = 0.0
        self.most = 64
        self.ahead = 1 if device.type == "cuda" else 0
        self._batch = batch
        self._begun: deque[tuple[int, list[_Part]]] = deque()
        self._how, self._place = how, device
        self._of_label = classes.indices
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
        batch: int = 1,
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
            compiled: lets PyTorch compile what sees every pixel, which takes a minute for each size of input and batch.
            batch: frames in one batch at most, which `warm_up` compiles for.
            names: class names where the file holds none.

        Raises:
            ModelError: the file is missing, broken or of another network; there is no such device.
        """
        chosen = choose_device(device)
        model, classes, how = built(weights, score=score, nms=nms, names=names)
        if threads is not None:
            torch.set_num_threads(threads)
        shipped = isinstance(how, LumaPreprocessor)
        return cls(
            model,
            classes,
            how,
            chosen,
            choose_precision(precision, chosen, shipped),
            compiled=compiled,
            batch=batch,
        )

    def warm_up(self) -> None:
        """Runs the model once so that the first frame is not slow; compiles it for each size of batch where asked."""
        began_s = time.monotonic()
        width, height = INPUT_SIZE if isinstance(self._how, LumaPreprocessor) else USUAL_FRAME
        half = np.full((chroma(height), chroma(width)), 128, np.uint8)
        grey = Planes(np.full((height, width), 110, np.uint8), half, half)
        for size in batch_sizes(self._batch) if self._network.compiled else (1,):
            self.segment([grey] * size)
        self.warm_up_s = time.monotonic() - began_s

    def prepares(self, frames: Sequence[Planes]) -> bool:
        """Whether a run with these frames takes long: something has to be compiled for them first."""
        return any(
            not self._network.knows(
                len(rows), self._how.place(frames[rows[0]].width, frames[rows[0]].height)[1]
            )
            for rows in self._alike(frames)
        )

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """One `Detections` a frame, in order. Sizes may differ."""
        return next(iter(self.stream([frames])))

    def stream(self, batches: Iterable[Sequence[Planes]]) -> Iterator[list[Detections]]:
        """`segment` for one batch after another; on CUDA a batch is copied while the one before is computed."""
        for frames in batches:
            self.begin(frames)
            while len(self._begun) > self.ahead:
                yield self.finish()
        while self._begun:
            yield self.finish()

    def begin(self, frames: Sequence[Planes]) -> None:
        """Sends a batch on its way. On CUDA it is copied meanwhile, and computed as far as that needs no waiting.

        The frames are needed until `finish` has answered for them.
        """
        parts = []
        for rows in self._alike(frames):
            part = _Part(rows, [frames[row] for row in rows])
            with _forgiven():  # `finish` tries again, with fewer
                part.upload = self._uploader.send(part.frames)
            parts.append(part)
        self._begun.append((len(frames), parts))
        self._start()

    @property
    def busy(self) -> bool:
        """Whether the device still computes what was begun first, so that `finish` would have to wait for it."""
        dense = self._begun[0][1][0].dense if self._begun and self._begun[0][1] else None
        return dense is not None and self._network.busy(dense)

    def finish(self) -> list[Detections]:
        """What is in the batch that was begun first; the next one is started before this returns."""
        count, parts = self._begun.popleft()
        every = [Detections.empty()] * count
        answered: list[_Part] = []
        answers: list[Answer] = []
        too_large: list[tuple[_Part, str]] = []
        for part in parts:
            answer = self._run(part)
            if isinstance(answer, str):
                too_large.append((part, answer))
            else:
                answered.append(part)
                answers.append(answer)
        here = copied(answers)
        if not too_large:
            self._start()
        for part, one in zip(answered, here, strict=True):
            for row, found in zip(part.rows, self._found_in(part.frames, *one), strict=True):
                every[row] = found
        for part, why in too_large:
            for row, found in zip(part.rows, self._halved(part.frames, why), strict=True):
                every[row] = found
        if too_large:
            self._start()
        return every

    def _start(self) -> None:
        """Lets a device that works beside us begin with the oldest batch. One at a time: they share their memory."""
        if not self.ahead or not self._begun or not self._begun[0][1]:
            return
        part = self._begun[0][1][0]
        if part.dense is None and part.upload is not None:
            with _forgiven():
                part.dense = self._network.start(self._uploader.take(part.upload))

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

    def _run(self, part: _Part) -> Answer | str:
        """The network's answer, still on the device; or the words of the error when there is not memory enough."""
        upload, dense = part.upload, part.dense
        part.upload = part.dense = None  # memory that is free again when this ends
        try:
            upload = upload or self._uploader.send(part.frames)
            sizes = [(upload.box.inner_width, upload.box.inner_height)] * len(part.frames)
            if dense is not None:
                return self._network.regions(dense, sizes)
            return self._network(self._uploader.take(upload), sizes)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return _first_line(error)

    def _halved(self, frames: Sequence[Planes], why: str) -> list[Detections]:
        """After there was not memory enough: half of the frames at a time, from now on.

        Raises:
            ModelError: there is not memory enough for one frame.
        """
        if len(frames) == 1:
            raise ModelError(
                f"model: {self._words} has not memory enough for one frame of {frames[0].width}x"
                f"{frames[0].height} ({why}); take a smaller model or another model.device"
            )
        if self._place.type == "cuda":
            torch.cuda.empty_cache()
        half = (len(frames) + 1) // 2
        self.most = min(self.most, half)
        self.device = f"{self._words}, batch cut to {self.most} for want of memory"
        found: list[Detections] = []
        for some in (frames[:half], frames[half:]):
            answer = self._run(_Part(list(range(len(some))), some))
            found += (
                self._halved(some, answer)
                if isinstance(answer, str)
                else self._found_in(some, *copied([answer])[0])
            )
        return found

    def _found_in(
        self,
        frames: Sequence[Planes],
        rows: NDArray[np.float32],
        masks: NDArray[np.uint8],
        broken: NDArray[np.bool_],
    ) -> list[Detections]:
        box, _ = self._how.place(frames[0].width, frames[0].height)
        return [
            Detections.invalid() if broken[number] else self._found(rows, masks, number, frame, box)
            for number, frame in enumerate(frames)
        ]

    def _found(
        self, rows: NDArray[np.float32], masks: NDArray[np.uint8], number: int, frame: Planes, box: Letterbox
    ) -> Detections:
        of_frame = rows[:, 6] == number
        rows, masks = rows[of_frame], masks[of_frame]
        scale: NDArray[Any] = np.array([box.scale_x, box.scale_y] * 2, np.float32)
        limit: NDArray[Any] = np.array([frame.width, frame.height] * 2, np.float32)
        boxes_px = np.clip(rows[:, :4] / scale, 0, limit).astype(np.float32)
        kept = (boxes_px[:, 0] < boxes_px[:, 2]) & (boxes_px[:, 1] < boxes_px[:, 3])
        class_ids = self._of_label[rows[kept, 5].astype(np.int64)]
        return Detections(boxes_px[kept], rows[kept, 4], class_ids, masks[kept])


@contextmanager
def _forgiven() -> Iterator[None]:
    """Want of memory is no error here."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise


def _words(device: torch.device, precision: torch.dtype) -> str:
    name = f" {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    short = {torch.float32: "", torch.bfloat16: ", bf16", torch.float16: ", fp16"}[precision]
    return f"{device}{name}{short}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
