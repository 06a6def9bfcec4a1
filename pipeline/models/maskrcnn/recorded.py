"""CUDA graphs: some hundred kernels that are started with one call.

A graph is recorded for each shape of its input, and works in memory of its own: the input is copied in, and the output
lies at the same place each time, overwritten by the next run. So the caller must be done with one result before it
asks for the next. All graphs share their memory, since only one of them runs at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

Capture = Callable[[Callable[[], Any], Any], tuple[Callable[[], None], Any]]

MOST_SHAPES = 64
"""Shapes whose recordings are kept; the oldest ones go."""
WARM_UP_RUNS = 2
"""Runs before the recording, in which libraries choose their kernels and load them."""


@dataclass(frozen=True, slots=True)
class _Recording:
    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    output: Any


class Recorder:
    """Records functions when they are run for the first time, and replays them.

    Args:
        capture: replaces `capture_on_cuda` in tests.
    """

    def __init__(self, capture: Capture | None = None) -> None:
        self._capture = capture or capture_on_cuda
        self._pool: Any = None
        self._recordings: dict[Hashable, dict[Hashable, _Recording]] = {}

    def is_recorded(self, shape: Hashable) -> bool:
        """Whether there are recordings of a shape.

        Args:
            shape: as for `run`.
        """
        return shape in self._recordings

    def run(
        self,
        shape: Hashable,
        part: Hashable,
        function: Callable[..., T],
        *inputs: Tensor,
        rows: int = 0,
    ) -> T:
        """The output of a function, at the same place each time.

        Args:
            shape: what functions depend on that belong together: one may take the output of another one of the same
                shape where it lies.
            part: which of them it is.
            function: of `inputs`. It must neither wait for the device nor depend on values.
            inputs: tensors.
            rows: to which the inputs are filled up: with 0 when it is recorded, later with what the run before left.
        """
        parts = self._recordings.get(shape, {})
        if part not in parts:
            parts[part] = self._record(function, inputs, rows)
            while shape not in self._recordings and len(self._recordings) >= MOST_SHAPES:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[shape] = parts
        recording = parts[part]
        for place, given in zip(recording.inputs, inputs, strict=True):
            place[: len(given)].copy_(given)
        recording.replay()
        output: T = recording.output
        return output

    def _record(self, function: Callable[..., T], inputs: tuple[Tensor, ...], rows: int) -> _Recording:
        places = tuple(_filled_up(one, rows) for one in inputs)
        if self._pool is None and torch.cuda.is_available():
            self._pool = torch.cuda.graph_pool_handle()
        replay, output = self._capture(lambda: function(*places), self._pool)
        return _Recording(places, replay, output)


def capture_on_cuda(run: Callable[[], T], pool: Any) -> tuple[Callable[[], None], T]:
    """Records a function as a CUDA graph.

    Args:
        run: the function.
        pool: the memory that it works in, of `torch.cuda.graph_pool_handle`.

    Returns:
        What runs it again, and its output, which is valid after that.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        output = run()
    return graph.replay, output


def _filled_up(one: Tensor, rows: int) -> Tensor:
    """A copy with at least so many rows, in the same memory format."""
    copy = one.new_zeros((max(rows, len(one)), *one.shape[1:]))
    if one.ndim == 4 and one.is_contiguous(memory_format=torch.channels_last):
        copy = copy.contiguous(memory_format=torch.channels_last)
    copy[: len(one)] = one
    return copy
