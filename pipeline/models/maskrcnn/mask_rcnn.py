"""Mask R-CNN as a `Segmenter`: yuv420p planes in, boxes and box-aligned masks out.

The model that ships and torchvision's take the same path: `upload.py` with `preprocess.py`, `network.py`,
`copy_to_host.py`, `postprocess.py`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.detections import Detections
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE
from pipeline.models.maskrcnn.compile import batch_sizes
from pipeline.models.maskrcnn.copy_to_host import HostCopy, HostOutput
from pipeline.models.maskrcnn.device import choose_device, choose_precision, is_out_of_memory, prepare
from pipeline.models.maskrcnn.kernels.support import usable
from pipeline.models.maskrcnn.loader import load_network
from pipeline.models.maskrcnn.network import Network
from pipeline.models.maskrcnn.network_output import BegunBatch, NetworkOutput
from pipeline.models.maskrcnn.postprocess import to_detections
from pipeline.models.maskrcnn.preprocess import Preprocessor, YuvPreprocessor
from pipeline.models.maskrcnn.upload import Upload, Uploader
from pipeline.transport.planes import Planes, chroma

WARM_UP_FRAME = (1920, 1080)
"""Width and height of the frame that warms up a model whose input size depends on the frame's."""
MAX_BATCH = 64


@dataclass(slots=True)
class _SubBatch:
    """The frames of one size of a batch, and how far their processing has got.

    Attributes:
        rows: places of the frames in the batch.
        frames: the frames.
        upload: set while they are on their way to the device.
        begun: set while the device computes it.
    """

    rows: list[int]
    frames: Sequence[Planes]
    upload: Upload | None = None
    begun: BegunBatch | None = None


class MaskRcnn:
    """A Mask R-CNN as a `pipeline.models.segmenter.PipelinedSegmenter`. `load` creates one from a weight file.

    Args:
        model: with its weights; it is taken apart and must not be used afterwards.
        class_map: its classes by label.
        preprocessor: how frames become its input.
        device: where it runs.
        precision: of the convolutions.
        compiled: compile backbone and RPN with PyTorch.
        batch: largest batch that `warm_up` compiles for.

    Attributes:
        classes: class names; `Detections.class_ids` are indices into them.
        device: where it runs, for display; includes a note when batches had to be reduced for lack of memory.
        warm_up_s: seconds that `warm_up` took; 0 before.
        max_batch: frames in one run of the network; reduced when memory does not suffice.
        ahead: batches that may be pending besides the one to be finished next: 1 on CUDA, where one batch is copied
            while another is computed, else 0.
    """

    def __init__(
        self,
        model: MaskRCNN,
        class_map: ClassMap,
        preprocessor: Preprocessor,
        device: torch.device,
        precision: torch.dtype = torch.float32,
        *,
        compiled: bool = False,
        batch: int = 1,
    ) -> None:
        prepare(device)
        self.classes = class_map.names
        self.warm_up_s = 0.0
        self.max_batch = MAX_BATCH
        self.ahead = 1 if device.type == "cuda" else 0
        self._batch = batch
        self._pending: deque[tuple[int, list[_SubBatch]]] = deque()
        self._preprocessor, self._torch_device = preprocessor, device
        self._class_of_label = class_map.indices
        usable = [index >= 0 for index in class_map.indices]
        self._network = Network(model, device, precision, usable=usable, compiled=compiled)
        self._uploader = Uploader(preprocessor, device, precision)
        self.device = self._device_name = _device_name(device, precision)

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
        """The model of a weight file, on its device.

        Args:
            weights: a file of `tallycam train` or of torchvision's Mask R-CNN; None for the weights that ship.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            score: instances below it are not returned.
            nms: box IoU within one class above which the instance with the lower score is dropped.
            threads: CPU threads of PyTorch, set for the whole process; None leaves them unchanged.
            precision: `auto`, `fp32`, `bf16` or `fp16`.
            compiled: compile backbone and RPN with PyTorch, about a minute for each size of input and batch.
            batch: largest batch that `warm_up` compiles for.
            names: class names where the file has none.

        Raises:
            ModelError: the file is missing, damaged or of another network; there is no such device.
        """
        torch_device = choose_device(device)
        model, class_map, preprocessor = load_network(weights, score=score, nms=nms, names=names)
        if threads is not None:
            torch.set_num_threads(threads)
        small = isinstance(preprocessor, YuvPreprocessor)
        dtype = choose_precision(precision, torch_device, small)
        return cls(model, class_map, preprocessor, torch_device, dtype, compiled=compiled, batch=batch)

    def warm_up(self) -> None:
        """Runs the model once, so that the first frame is not slow; compiles it for each batch size if asked to."""
        began_s = time.monotonic()
        width, height = INPUT_SIZE if isinstance(self._preprocessor, YuvPreprocessor) else WARM_UP_FRAME
        half = np.full((chroma(height), chroma(width)), 128, np.uint8)
        grey = Planes(np.full((height, width), 110, np.uint8), half, half)
        every = self._network.compiled is not None or self._network.recorder is not None
        for size in batch_sizes(self._batch) if every else (1,):
            self.segment([grey] * size)
        self.warm_up_s = time.monotonic() - began_s

    def prepares(self, frames: Sequence[Planes]) -> bool:
        """Whether a batch takes long because the network has to be compiled or recorded for it first.

        Args:
            frames: The batch; sizes may differ.
        """
        for rows in self._rows_by_size(frames):
            letterbox, size = self._preprocessor.letterbox(frames[rows[0]].width, frames[rows[0]].height)
            inside = (letterbox.inner_width, letterbox.inner_height)
            if not self._network.is_prepared(len(rows), size, inside):
                return True
        return False

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """Finds the instances of a batch of frames.

        Args:
            frames: The batch; sizes may differ.

        Returns:
            One `Detections` per frame, in order.
        """
        return next(iter(self.stream([frames])))

    def stream(self, batches: Iterable[Sequence[Planes]]) -> Iterator[list[Detections]]:
        """`segment` for a sequence of batches; on CUDA one batch is copied while the one before is computed.

        Args:
            batches: Of frames, as for `segment`.
        """
        for frames in batches:
            self.begin(frames)
            while len(self._pending) > self.ahead:
                yield self.finish()
        while self._pending:
            yield self.finish()

    def begin(self, frames: Sequence[Planes]) -> None:
        """Submits a batch. On CUDA it is copied meanwhile, and computed as far as that needs no waiting.

        The planes must stay valid until `finish` has returned their results.

        Args:
            frames: The batch; sizes may differ.
        """
        parts = []
        for rows in self._rows_by_size(frames):
            part = _SubBatch(rows, [frames[row] for row in rows])
            with _ignore_out_of_memory():  # `finish` tries again with fewer frames
                part.upload = self._uploader.start(part.frames)
            parts.append(part)
        self._pending.append((len(frames), parts))
        self._start_oldest()

    @property
    def busy(self) -> bool:
        """Whether the device is still computing the oldest pending batch, so that `finish` would block."""
        begun = self._pending[0][1][0].begun if self._pending and self._pending[0][1] else None
        return begun is not None and self._network.busy(begun)

    def finish(self) -> list[Detections]:
        """Collects the oldest pending batch; the next one is started before this returns."""
        count, parts = self._pending.popleft()
        results = [Detections.empty()] * count
        done: list[_SubBatch] = []
        outputs: list[NetworkOutput] = []
        appearances: list[Tensor | None] = []
        too_large: list[tuple[_SubBatch, str]] = []
        for part in parts:
            upload = part.upload
            output = self._run(part)
            if isinstance(output, str):
                too_large.append((part, output))
            else:
                done.append(part)
                outputs.append(output if len(parts) == 1 else output.kept())
                appearances.append(self._describe(upload, output))
        copy = HostCopy(outputs, appearances)
        if not too_large:
            self._start_oldest()  # the device works on the next batch while this one is postprocessed
        for part, one in zip(done, copy.finish(), strict=True):
            for row, found in zip(part.rows, self._detections(part.frames, one), strict=True):
                results[row] = found
        for part, reason in too_large:
            for row, found in zip(part.rows, self._segment_halves(part.frames, reason), strict=True):
                results[row] = found
        if too_large:
            self._start_oldest()
        return results

    def _describe(self, upload: Upload | None, output: NetworkOutput) -> Tensor | None:
        """The appearance of each instance, where the frames are on the device; else `segment` describes them."""
        if upload is None or upload.raw is None or not usable(self._torch_device):
            return None
        from pipeline.models.maskrcnn.kernels.appearance import appearance

        scale, found = (upload.letterbox.scale_x, upload.letterbox.scale_y), output.regions
        return appearance(upload.raw, upload.frame_size, scale, found.boxes, found.images, output.masks)

    def _start_oldest(self) -> None:
        """Starts the oldest pending batch on an asynchronous device. One at a time, since they share memory."""
        if not self.ahead or not self._pending or not self._pending[0][1]:
            return
        part = self._pending[0][1][0]
        if part.begun is None and part.upload is not None:
            with _ignore_out_of_memory():
                part.begun = self._start(part.upload)

    def _start(self, upload: Upload) -> BegunBatch:
        inside = (upload.letterbox.inner_width, upload.letterbox.inner_height)
        return self._network.start(self._uploader.finish(upload), inside)

    def _rows_by_size(self, frames: Sequence[Planes]) -> list[list[int]]:
        """Rows of frames of one size, at most `max_batch` together."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for row, frame in enumerate(frames):
            by_size.setdefault((frame.width, frame.height), []).append(row)
        return [
            rows[first : first + self.max_batch]
            for rows in by_size.values()
            for first in range(0, len(rows), self.max_batch)
        ]

    def _run(self, part: _SubBatch) -> NetworkOutput | str:
        """The network's output, still on the device; the error's text if memory does not suffice."""
        upload, begun = part.upload, part.begun
        part.upload = part.begun = None  # so that their memory is free when this returns
        try:
            begun = begun or self._start(upload or self._uploader.start(part.frames))
            return self._network.finish(begun)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return _first_line(error)

    def _segment_halves(self, frames: Sequence[Planes], reason: str) -> list[Detections]:
        """Runs frames that did not fit into memory half at a time, and reduces `max_batch` for good.

        Raises:
            ModelError: memory does not even suffice for one frame.
        """
        if len(frames) == 1:
            raise ModelError(
                f"model: {self._device_name} has not enough memory for one frame of {frames[0].width}x"
                f"{frames[0].height} ({reason}); use a smaller model or another model.device"
            )
        if self._torch_device.type == "cuda":
            torch.cuda.empty_cache()
        half = (len(frames) + 1) // 2
        self.max_batch = min(self.max_batch, half)
        self.device = f"{self._device_name}, batch reduced to {self.max_batch} for lack of memory"
        results: list[Detections] = []
        for some in (frames[:half], frames[half:]):
            output = self._run(_SubBatch(list(range(len(some))), some))
            if isinstance(output, str):
                results += self._segment_halves(some, output)
            else:
                results += self._detections(some, *HostCopy([output]).finish())
        return results

    def _detections(self, frames: Sequence[Planes], output: HostOutput) -> list[Detections]:
        letterbox, _ = self._preprocessor.letterbox(frames[0].width, frames[0].height)
        return to_detections(output, frames, letterbox, self._class_of_label)


@contextmanager
def _ignore_out_of_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise


def _device_name(device: torch.device, precision: torch.dtype) -> str:
    name = f" {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    short = {torch.float32: "", torch.bfloat16: ", bf16", torch.float16: ", fp16"}[precision]
    return f"{device}{name}{short}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
