"""A worker's processing of one batch: static gate, model, filters.

Where the device computes asynchronously, a batch is begun before the previous one is finished (`ahead`), so that its
frames are copied meanwhile. The static gate decides from the latest detections, so streams with `skip_static` need
each batch finished before the next; so do models that take frame references (`segment_refs`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from pipeline.config.schema import Config
from pipeline.models.detections import Detections
from pipeline.models.filters import InstanceFilter
from pipeline.models.segmenter import PipelinedSegmenter, Segmenter
from pipeline.models.static import Decision, StaticGate
from pipeline.transport.messages import OK, STATIC, FrameRef
from pipeline.transport.planes import Planes


@dataclass(frozen=True, slots=True)
class InferredFrame:
    """What was found in one frame.

    Attributes:
        detections: That pass the filters of the stream.
        skipped: `static` if they are those of an earlier frame.
    """

    detections: Detections
    skipped: str = OK


class Inference:
    """The model of one worker with the filters of every stream.

    Args:
        model: Segmenter, with any of the optional methods of `models/segmenter.py`.
        config: Filters and `skip_static` of every stream that may send frames.
        former: What has served the streams so far; those that have not changed keep their state.

    Attributes:
        runs: Frames in each run of the model for the last batch; several where a frame could not be decided before the
            model had inferred an earlier one, none where nothing moved.
        ahead: Batches that may be begun before the first of them is finished; 0: finish each before the next.
    """

    def __init__(self, model: Segmenter, config: Config, former: Inference | None = None) -> None:
        self._model = model
        self._config = config
        self._by_ref: Callable[..., list[Detections]] | None = getattr(model, "segment_refs", None)
        self._filters = {
            name: InstanceFilter(config.model, stream, model.classes)
            for name, stream in config.streams.items()
        }
        self._gates = {
            name: StaticGate(stream.skip_static)
            for name, stream in config.streams.items()
            if stream.skip_static.enabled
        }
        if former is not None:
            for name in self._gates.keys() & former._gates:
                if config.streams[name] == former._config.streams[name]:
                    self._gates[name] = former._gates[name]
        self.runs: list[int] = []
        overlaps = getattr(model, "ahead", 0) > 0 and not self._gates and self._by_ref is None
        self._overlapping = cast(PipelinedSegmenter, model) if overlaps else None
        self.ahead = self._overlapping.ahead if self._overlapping else 0
        self._prepares: Callable[[Sequence[Planes]], bool] | None = getattr(model, "prepares", None)
        self._begun: deque[tuple[Sequence[FrameRef], Sequence[Planes]]] = deque()

    @property
    def begun(self) -> int:
        """Batches that are begun and not finished."""
        return len(self._begun)

    @property
    def full(self) -> bool:
        """Whether the oldest batch has to be finished before anything else."""
        return len(self._begun) > self.ahead

    @property
    def busy(self) -> bool:
        """Whether there is time to begin another batch while the device computes."""
        return self._overlapping is not None and self._overlapping.busy

    def prepares(self, frames: Sequence[Planes]) -> bool:
        """Whether the model has to prepare for these frames first, which takes long (compilation for a new shape).

        Args:
            frames: Frames of the next batch.
        """
        return self._prepares is not None and bool(frames) and self._prepares(frames)

    def begin(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> None:
        """Submits a batch; `finish` returns its instances.

        Args:
            refs: References, row i belongs to `frames[i]`; those of one stream ascend in `seq`.
            frames: Pixels, which must stay valid until `finish`.
        """
        if self._overlapping is not None:
            self._overlapping.begin(frames)
        self._begun.append((refs, frames))

    def finish(self) -> list[InferredFrame]:
        """Instances of the batch begun first, one entry for each frame, in order."""
        refs, frames = self._begun.popleft()
        if self._overlapping is None:
            return self.run(refs, frames)
        self.runs = [len(refs)]
        return [
            InferredFrame(self._filtered(ref.stream, found, frame))
            for ref, frame, found in zip(refs, frames, self._overlapping.finish(), strict=True)
        ]

    def run(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[InferredFrame]:
        """Processes a batch synchronously.

        Args:
            refs: See `begin`.
            frames: See `begin`.

        Returns:
            One entry for each frame, in order.
        """
        self.runs = []
        results: dict[int, InferredFrame] = {}
        undecided = list(range(len(refs)))
        while undecided:
            infer, undecided = self._triage(undecided, refs, frames, results)
            if infer:
                self._infer(infer, refs, frames, results)
        return [results[number] for number in range(len(refs))]

    def _triage(
        self,
        undecided: list[int],
        refs: Sequence[FrameRef],
        frames: Sequence[Planes],
        results: dict[int, InferredFrame],
    ) -> tuple[list[int], list[int]]:
        """Decides what to do with each frame of a batch.

        Args:
            undecided: Positions in the batch.
            refs: All frames of the batch.
            frames: Their pixels.
            results: Position -> result; frames that need no inference are added.

        Returns:
            Positions of frames for the model, and of those that cannot be decided before it has run.
        """
        infer: list[int] = []
        later: list[int] = []
        for number in undecided:
            gate = self._gates.get(refs[number].stream)
            if gate is None:
                infer.append(number)
            elif any(refs[other].stream == refs[number].stream for other in later):
                later.append(number)
            else:
                match gate.decide(frames[number].y, refs[number].pts_s):
                    case Decision.INFER:
                        infer.append(number)
                    case Decision.REUSE:
                        results[number] = InferredFrame(gate.detections, STATIC)
                    case Decision.DEFER:
                        later.append(number)
        return infer, later

    def _infer(
        self,
        infer: list[int],
        refs: Sequence[FrameRef],
        frames: Sequence[Planes],
        results: dict[int, InferredFrame],
    ) -> None:
        """Runs the model on the frames at the positions `infer`, and adds their results."""
        self.runs.append(len(infer))
        pictures = [frames[number] for number in infer]
        found = (
            self._by_ref([refs[number] for number in infer], pictures)
            if self._by_ref
            else self._model.segment(pictures)
        )
        for number, one in zip(infer, found, strict=True):
            stream = refs[number].stream
            used = self._filtered(stream, one, frames[number])
            results[number] = InferredFrame(used)
            if (gate := self._gates.get(stream)) is not None:
                gate.update(None if used.invalid else used)

    def _filtered(self, stream: str, found: Detections, frame: Planes) -> Detections:
        """The instances that are finite and that the stream's filter keeps."""
        return self._filters[stream].apply(found.without_non_finite(), frame.width, frame.height)
