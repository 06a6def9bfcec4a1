"""CUDA graphs: some hundred kernels that are started with one call.

A graph is recorded for each shape of its input, and works in memory of its own: the input is copied in, and the output
lies at the same place each time, overwritten by the next run. So the caller must be done with one result before it
asks for the next. All graphs share their memory, since only one of them is in use at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from pipeline.models.maskrcnn.compile import batch_sizes

T = TypeVar("T")

MOST = 64
"""Recordings that are kept: one for each batch size and input size."""
WARM_UP_RUNS = 2
"""Runs before the recording, in which libraries choose their kernels and load them."""


@dataclass(frozen=True, slots=True)
class _Recording(Generic[T]):
    images: Tensor
    replay: Callable[[], None]
    output: T


class Recorder(Generic[T]):
    """Records a function of images when a shape is seen for the first time, and replays it.

    Batches are padded to a power of two with what the batch before left there.

    Args:
        run: from (B, C, H, W) images, channels last, and width and height of the frame inside each image to the
            output. It must neither wait for the device nor depend on values.
        capture: replaces `capture_on_cuda` in tests.
    """

    def __init__(
        self,
        run: Callable[[Tensor, tuple[int, int]], T],
        capture: Callable[[Callable[[], T], Any], tuple[Callable[[], None], T]] | None = None,
    ) -> None:
        self._run = run
        self._capture = capture or capture_on_cuda
        self._pool: Any = None
        self._recordings: dict[tuple[int, ...], _Recording[T]] = {}

    def is_recorded(self, count: int, input_size: tuple[int, int], size: tuple[int, int]) -> bool:
        """Whether a batch can be run without recording first.

        Args:
            count: images in the batch.
            input_size: width and height of the input, pixels.
            size: width and height of the frame inside each image.
        """
        return _key(count, input_size, size) in self._recordings

    def __call__(self, images: Tensor, size: tuple[int, int]) -> T:
        """The output of the function; for a padded batch.

        Args:
            images: (B, C, H, W), channels last.
            size: width and height of the frame inside each image.
        """
        key = _key(len(images), (images.shape[3], images.shape[2]), size)
        recording = self._recordings.get(key)
        if recording is None:
            recording = self._record(key[0], images, size)
            self._recordings[key] = recording
        recording.images[: len(images)].copy_(images)
        recording.replay()
        return recording.output

    def _record(self, count: int, images: Tensor, size: tuple[int, int]) -> _Recording[T]:
        if len(self._recordings) >= MOST:
            self._recordings.clear()
        padded = images.new_zeros((count, *images.shape[1:])).contiguous(memory_format=torch.channels_last)
        padded[: len(images)] = images
        if self._pool is None and images.is_cuda:
            self._pool = torch.cuda.graph_pool_handle()
        replay, output = self._capture(lambda: self._run(padded, size), self._pool)
        return _Recording(padded, replay, output)


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


def _key(count: int, input_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, ...]:
    return (batch_sizes(count)[-1], *input_size, *size)
