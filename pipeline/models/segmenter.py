"""The interface between models and the rest of Tallycam: planes of frames in, `Detections` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.models.detections import Detections
from pipeline.transport.messages import FrameRef
from pipeline.transport.planes import Planes


class Segmenter(Protocol):
    """An instance segmentation model.

    Attributes:
        classes: class names; `Detections.class_ids` are indices into them.
        device: where the model runs, for display (`cpu`, `cuda:0 NVIDIA H200`).
    """

    classes: tuple[str, ...]
    device: str

    def warm_up(self) -> None:
        """Runs the model once, so that the first frame does not pay for lazy initialisation."""

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """Finds the instances of a batch of frames.

        Args:
            frames: the batch. Sizes may differ. Planes are read-only and valid only during the call.

        Returns:
            One `Detections` per frame, in order.
        """


class StreamSegmenter(Segmenter, Protocol):
    """A model that keeps state for each stream, so it is told which frame of which stream it sees."""

    def segment_refs(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Detections]:
        """As `segment`, with stream, epoch, sequence number and media time of each frame in `refs`.

        Args:
            refs: of the frames: stream, epoch, sequence number, media time.
            frames: the batch, as for `segment`.
        """


class PipelinedSegmenter(Segmenter, Protocol):
    """A model on a device that works asynchronously: batches can be submitted before earlier ones are collected.

    `finish` returns results in the order of `begin`. `segment` must not be called while a batch is pending.

    Attributes:
        ahead: how many batches may be pending besides the one to be finished next; 0 disables pipelining.
        busy: whether the device is still computing the oldest batch, so that `finish` would block.
    """

    ahead: int

    @property
    def busy(self) -> bool: ...

    def begin(self, frames: Sequence[Planes]) -> None:
        """Submits a batch. Its planes must stay valid until `finish` has returned its results.

        Args:
            frames: the batch, as for `segment`.
        """

    def finish(self) -> list[Detections]:
        """Collects the oldest pending batch: one `Detections` per frame, in order."""
