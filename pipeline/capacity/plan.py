"""What a number of streams needs, from what one costs, and which resource runs out first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, inf

from pipeline.capacity.unit_costs import UnitCosts
from pipeline.records.deletion import DAY_S

MAX_SHARE = 0.8
"""Part of each resource that may be planned with: cameras do not send evenly, and a process that was started again has
to catch up."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Streams that are planned.

    Attributes:
        streams: Number of them.
        fps: Frames a second of each that are counted.
        camera_fps: Frames a second of each that are sent, all of which are decoded.
        days: For how long logs and videos are kept.
    """

    streams: int
    fps: float
    camera_fps: float
    days: float


@dataclass(frozen=True, slots=True)
class ModelCosts:
    """Of one frame.

    Attributes:
        cpu_ms: Milliseconds of a core.
        gpu_ms: Milliseconds of a GPU, in batches.
        memory_mb: Memory of the worker.
    """

    cpu_ms: float = 0.0
    gpu_ms: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is; infinite where that is not known.

    Attributes:
        cores: Processors that may be used.
        gpus: Graphics processors.
        memory_mb: Memory that is free.
        disk_gb: Space on the disk that is free.
        network_mbit: Megabits a second.
    """

    cores: float
    gpus: float
    memory_mb: float
    disk_gb: float
    network_mbit: float = inf


@dataclass(frozen=True, slots=True)
class Need:
    """Of one resource.

    Attributes:
        resource: Name of it.
        unit: In which it is counted.
        once: Needed whatever the number of streams.
        each: Needed for each stream.
        available: What there is.
    """

    resource: str
    unit: str
    once: float
    each: float
    available: float

    def needed(self, streams: int) -> float:
        """What so many streams need.

        Args:
            streams: Number of them.
        """
        return self.once + streams * self.each

    @property
    def most(self) -> float:
        """Streams for which it lasts, within `MAX_SHARE`; infinite where it does not limit them."""
        if self.each <= 0 or self.available == inf:
            return inf
        return max(0.0, floor((MAX_SHARE * self.available - self.once) / self.each + 1e-9))


def needs(units: UnitCosts, model: ModelCosts, demand: Demand, machine: Machine) -> list[Need]:
    """What the streams of a demand need.

    Args:
        units: Costs of frames and streams.
        model: Costs of the model.
        demand: The streams.
        machine: What there is.
    """
    fps = demand.fps
    busy_ms = units.decode_ms * demand.camera_fps + (units.count_ms + units.video_ms + model.cpu_ms) * fps
    kept_gb = (units.log_bytes + units.video_bytes) * fps * DAY_S * demand.days / 1e9
    sent_mbit = units.stream_bytes * 8 * demand.camera_fps / 1e6
    found = [
        Need("processor", "cores", 0.0, max(0.0, units.idle + 1e-3 * busy_ms), machine.cores),
        Need(
            "memory",
            "GB",
            (units.base_mb + model.memory_mb) / 1024,
            units.stream_mb / 1024,
            machine.memory_mb / 1024,
        ),
        Need(f"disk, {demand.days:g} days", "GB", 0.0, kept_gb, machine.disk_gb),
        Need("network", "Mbit/s", 0.0, sent_mbit, machine.network_mbit),
    ]
    if model.gpu_ms:
        found.insert(1, Need("GPU", "GPUs", 0.0, 1e-3 * model.gpu_ms * fps, machine.gpus))
    return found


def first_to_break(found: Iterable[Need]) -> Need:
    """The resource that lasts for the fewest streams.

    Args:
        found: From `needs`.
    """
    return min(found, key=lambda need: need.most)
