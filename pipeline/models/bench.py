"""Latency and throughput of a model by batch size, measured from planes to detections as in a worker."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from pipeline.models.segmenter import Segmenter
from pipeline.transport.planes import Planes

WARM_UP_RUNS = 2
"""Runs of each batch size before timing: memory is allocated and kernels are chosen then."""
MIN_RUNS = 3


@dataclass(frozen=True, slots=True)
class BatchTiming:
    """Figures of one batch size.

    Attributes:
        batch: frames in one run of the model.
        runs: how many were timed.
        p50_ms: median latency of a run.
        p95_ms: its 95th percentile.
        frames_per_s: throughput over all runs.
        instances: mean number of instances in a frame.
        trouble: why this size could not be run; empty if it could.
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
) -> Iterator[BatchTiming]:
    """Times a model.

    Args:
        model: warmed up.
        frames: used in turn.
        batches: batch sizes.
        seconds: how long to time each size; at least `MIN_RUNS` runs are timed.
        clock: seconds from any origin.

    Yields:
        The figures of each batch size as soon as it is measured.
    """
    for batch in batches:
        groups = [[frames[(first + n) % len(frames)] for n in range(batch)] for first in range(len(frames))]
        try:
            yield _timing(model, groups, batch, seconds, clock)
        except (torch.OutOfMemoryError, MemoryError):
            yield BatchTiming(batch, trouble="not enough memory")


def _timing(
    model: Segmenter, groups: list[list[Planes]], batch: int, seconds: float, clock: Callable[[], float]
) -> BatchTiming:
    for group in groups[:WARM_UP_RUNS]:
        model.segment(group)
    times_s: list[float] = []
    instances = 0
    begun_s = clock()
    while len(times_s) < MIN_RUNS or clock() - begun_s < seconds:
        group = groups[len(times_s) % len(groups)]
        start_s = clock()
        found = model.segment(group)
        times_s.append(clock() - start_s)
        instances += sum(len(one.scores) for one in found)
    frames = batch * len(times_s)
    return BatchTiming(
        batch=batch,
        runs=len(times_s),
        p50_ms=1e3 * statistics.median(times_s),
        p95_ms=1e3 * sorted(times_s)[int(0.95 * (len(times_s) - 1) + 0.5)],
        frames_per_s=frames / sum(times_s),
        instances=instances / frames,
    )
