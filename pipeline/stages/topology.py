"""The table of stages, the only place that defines what runs, what it reads and writes, and how many of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.config.schema import Config

Per = Literal["stream", "worker", "tracker"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of process.

    Attributes:
        reads: what it takes from other stages.
        writes: what it hands to other stages.
        per: one process for each stream, segmentation worker or tracking process.
        runs: `module:Class`; the class has `run(endpoints)`.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    per: Per
    runs: str


STAGES = (
    Stage("decode", (), ("frames",), per="stream", runs="pipeline.stages.decode:DecodeStage"),
    Stage("segment", ("frames",), ("instances",), per="worker", runs="pipeline.stages.segment:SegmentStage"),
    Stage(
        "track", ("instances",), ("tracks", "events"), per="tracker", runs="pipeline.stages.track:TrackStage"
    ),
    Stage("sink", ("frames", "tracks"), ("video",), per="stream", runs="pipeline.stages.sink:SinkStage"),
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


def processes(config: Config) -> tuple[Process, ...]:
    """All processes of a run, in the order in which they stop: upstream first.

    Args:
        config: Of the run.
    """
    labels: dict[Per, tuple[str, ...]] = {
        "stream": tuple(config.streams),
        "worker": tuple(str(i) for i in range(config.model.workers)),
        "tracker": tuple(str(i) for i in range(trackers(config))),
    }
    return tuple(
        Process(stage, index, label) for stage in STAGES for index, label in enumerate(labels[stage.per])
    )


def trackers(config: Config) -> int:
    """Number of tracking processes, at most one for each stream.

    Args:
        config: Of the run.
    """
    return min(config.tracker.workers, len(config.streams))


def tracker_of(stream_index: int, config: Config) -> int:
    """Number of the tracking process of a stream; fixed within a run.

    Args:
        stream_index: Place of the stream in the configuration, from 0.
        config: Of the run.
    """
    return stream_index % trackers(config)


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
