"""What a worker does with the frames of a batch: the model, then the filters, and no model where nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.config import Config
from pipeline.counting.counter import STATIC
from pipeline.messages import OK, FrameRef
from pipeline.models.base import Found, Segmenter
from pipeline.models.filters import InstanceFilter
from pipeline.models.static import StaticGate, Verdict
from pipeline.planes import Planes
from pipeline.stages.found import is_finite


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame's instances. `skipped`: `static` where they are those of an earlier frame."""

    found: Found
    skipped: str = OK


class Inference:
    """The model of one worker with the filters of every stream.

    Attributes:
        runs: frames in each run of the model for the last batch; there are several where a frame could not be decided
            before the model had seen an earlier one, and none where nothing moved.
    """

    def __init__(self, model: Segmenter, config: Config) -> None:
        self._model = model
        self._by_ref: Callable[..., list[Found]] | None = getattr(model, "segment_refs", None)
        self._filters = {
            name: InstanceFilter(config.model, stream, model.classes)
            for name, stream in config.streams.items()
        }
        self._gates = {
            name: StaticGate(stream.skip_static)
            for name, stream in config.streams.items()
            if stream.skip_static.enabled
        }
        self.runs: list[int] = []

    def run(self, refs: Sequence[FrameRef], frames: Sequence[Planes]) -> list[Seen]:
        """What is in each frame, in order. Frames of one stream come in the order of their numbers."""
        self.runs = []
        seen: dict[int, Seen] = {}
        todo = list(range(len(refs)))
        while todo:
            look, todo = self._sorted_out(todo, refs, frames, seen)
            if look:
                self._look(look, refs, frames, seen)
        return [seen[number] for number in range(len(refs))]

    def _sorted_out(
        self, todo: list[int], refs: Sequence[FrameRef], frames: Sequence[Planes], seen: dict[int, Seen]
    ) -> tuple[list[int], list[int]]:
        """Frames for the model, and frames that have to wait for what it finds; the others are now in `seen`."""
        look: list[int] = []
        later: list[int] = []
        for number in todo:
            gate = self._gates.get(refs[number].stream)
            if gate is None:
                look.append(number)
            elif any(refs[other].stream == refs[number].stream for other in later):
                later.append(number)
            else:
                match gate.decide(frames[number].y, refs[number].pts_s):
                    case Verdict.LOOK:
                        look.append(number)
                    case Verdict.HOLD:
                        seen[number] = Seen(gate.held, STATIC)
                    case Verdict.WAIT:
                        later.append(number)
        return look, later

    def _look(
        self, look: list[int], refs: Sequence[FrameRef], frames: Sequence[Planes], seen: dict[int, Seen]
    ) -> None:
        """Runs the model on some of the frames."""
        self.runs.append(len(look))
        pictures = [frames[number] for number in look]
        found = (
            self._by_ref([refs[number] for number in look], pictures)
            if self._by_ref
            else self._model.segment(pictures)
        )
        for number, one in zip(look, found, strict=True):
            stream, picture = refs[number].stream, frames[number]
            usable = is_finite(one)  # else `instances_of` makes it a frame without instances
            used = self._filters[stream].apply(one, picture.width, picture.height) if usable else one
            seen[number] = Seen(used)
            if (gate := self._gates.get(stream)) is not None:
                gate.told(used if usable else None)
