"""Which process of which run this is, for the code of a stage.

A stage is a plain class: it is constructed with a `StageContext` and has `run(endpoints)`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config.schema import Config, StreamConfig
from pipeline.stages.placement import Placement
from pipeline.stages.run_spec import RunSpec

HELLO_S = 0.25
"""How often `track` and `sink` report their position, and how soon an unanswered message is repeated."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """One process of one run.

    Attributes:
        name: Name in the process table, e.g. `decode/gate`.
        index: Number of the stream, worker or tracking process.
        incarnation: How many times the process was started before.
        config: Configuration of the whole run.
        out: Folder of the results.
        run: Identifier of the run; events carry it.
        classes: Class names of the model; `class_ids` index them.
        tracks: File for MOTChallenge rows, if they are wanted.
        placement: Of the streams; None: as at the start of a run.
        revision: Of the specification that this process has read.
        metrics_port: Port of `/metrics`; 0 takes any free one.
        bare: Of a `sink`: it opens no sinks and only gives the frames back, since it died again and again with them.
    """

    name: str
    index: int
    incarnation: int
    config: Config
    out: Path
    run: str
    classes: tuple[str, ...]
    tracks: Path | None = None
    metrics_port: int = 0
    placement: Placement | None = None
    revision: int = 0
    bare: bool = False

    @property
    def identity(self) -> str:
        """Identity on the sockets; it tells one incarnation of a process from the next."""
        return f"{self.name}#{self.incarnation}"

    def stream(self) -> tuple[str, StreamConfig]:
        """Name and configuration of the stream, for a process that serves a single one."""
        name = self.name.partition("/")[2]
        return name, self.config.streams[name]

    @property
    def places(self) -> Placement:
        """The placement of the streams."""
        return self.placement or Placement.of(self.config)

    def following(self, spec: RunSpec) -> StageContext:
        """The same process after a change of the streams.

        Args:
            spec: Of the run from now on.
        """
        return replace(self, config=spec.config, placement=spec.places, revision=spec.revision)


def now() -> float:
    """Seconds on the monotonic clock."""
    return time.monotonic()
