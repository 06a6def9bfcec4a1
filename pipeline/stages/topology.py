"""The table of stages, the only place that defines what runs, what it reads and writes, and how many of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.config.schema import Config
from pipeline.stages.placement import Placement

Per = Literal["stream", "worker", "tracker"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of process.

    Attributes:
        reads: what it takes from other stages.
        writes: what it hands to other stages.
        per: one process for each stream, segmentation worker or tracking process.
        runs: `module:Class`; the class has `run(endpoints)`.
        optional: It is left out where no sink takes frames.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    per: Per
    runs: str
    optional: bool = False


STAGES = (
    Stage("decode", (), ("frames",), per="stream", runs="pipeline.stages.decode:DecodeStage"),
    Stage("segment", ("frames",), ("instances",), per="worker", runs="pipeline.stages.segment:SegmentStage"),
    Stage(
        "track", ("instances",), ("tracks", "events"), per="tracker", runs="pipeline.stages.track:TrackStage"
    ),
    Stage(
        "sink",
        ("frames", "tracks"),
        ("video",),
        per="stream",
        runs="pipeline.stages.sink:SinkStage",
        optional=True,
    ),
)
"""Name, what it reads, what it writes, how many, where its class is."""
OUTPUTS = ("video", "events")
"""What leaves the pipeline."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a run, e.g. `decode/gate` or `segment/0`."""

    stage: Stage
    index: int
    """Number of the stream, worker or tracking process."""
    label: str

    @property
    def name(self) -> str:
        return f"{self.stage.name}/{self.label}"

    @property
    def stream(self) -> str:
        """The stream that the process serves; empty if it serves several."""
        return self.label if self.stage.per == "stream" else ""


def processes(config: Config, placement: Placement) -> tuple[Process, ...]:
    """All processes of a run, in the order in which they stop: upstream first.

    Args:
        config: Of the run.
        placement: Of its streams.
    """
    streams = [(placement.numbers[name], name) for name in config.streams]
    labels: dict[Per, list[tuple[int, str]]] = {
        "stream": streams,
        "worker": [(i, str(i)) for i in range(config.model.workers)],
        "tracker": [(i, str(i)) for i in range(placement.trackers)],
    }
    stages = [stage for stage in STAGES if placement.sinks or not stage.optional]
    return tuple(Process(stage, index, label) for stage in stages for index, label in labels[stage.per])


def _check() -> None:
    written = [what for stage in STAGES for what in stage.writes]
    if len(set(written)) != len(written):
        raise AssertionError(f"topology: something is written by two stages: {written}")
    seen: set[str] = set()
    for stage in STAGES:
        if missing := set(stage.reads) - seen:
            raise AssertionError(f"topology: {stage.name} reads {missing}, which no stage before it writes")
        seen.update(stage.writes)
    if unread := seen - {what for stage in STAGES for what in stage.reads} - set(OUTPUTS):
        raise AssertionError(f"topology: no stage reads {unread}")


_check()
