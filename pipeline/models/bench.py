"""How fast a model is here: latency and frames a second by batch size, through the way that a worker goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from pipeline.models.segmenter import Segmenter
from pipeline.transport.planes import Planes


@dataclass(frozen=True, slots=True)
class Row:
    """One batch size.

    Attributes:
        batch: frames in one run of the model.
        runs: how many were timed.
        p50_ms: median time of one run, from planes to instances.
        p95_ms: 95 of 100 runs were faster.
        frames_per_s: of all runs together.
        instances: found in a frame, on average.
        trouble: why this size could not be run, or empty.
    """

    batch: int
    runs: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    frames_per_s: float = 0.0
    instances: float = 0.0
    trouble: str = ""


def bench(
    model: Segmenter,
    frames: Sequence[Planes],
    batches: Sequence[int],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Row]:
    """One row for each batch size, as soon as it is measured.

    The frames are taken in turn. Each size is run twice before its time counts: memory is taken and kernels are
    chosen then.

    Args:
        seconds: how long to time each size; at least three runs are.
    """
    for batch in batches:
        groups = [[frames[(at + n) % len(frames)] for n in range(batch)] for at in range(len(frames))]
        try:
            yield _row(model, groups, batch, seconds, clock)
        except (torch.OutOfMemoryError, MemoryError):
            yield Row(batch, trouble="not enough memory")


def _row(
    model: Segmenter, groups: list[list[Planes]], batch: int, seconds: float, clock: Callable[[], float]
) -> Row:
    for group in groups[:2]:
        model.segment(group)
    times_s: list[float] = []
    found = 0
    begun_s = clock()
    while len(times_s) < 3 or clock() - begun_s < seconds:
        group = groups[len(times_s) % len(groups)]
        start_s = clock()
        answers = model.segment(group)
        times_s.append(clock() - start_s)
        found += sum(len(one.scores) for one in answers)
    frames = batch * len(times_s)
    return Row(
        batch=batch,
        runs=len(times_s),
        p50_ms=1e3 * statistics.median(times_s),
        p95_ms=1e3 * sorted(times_s)[int(0.95 * (len(times_s) - 1) + 0.5)],
        frames_per_s=frames / sum(times_s),
        instances=found / frames,
    )
