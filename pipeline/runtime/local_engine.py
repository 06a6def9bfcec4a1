"""Stages as processes of this host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol

from pipeline.stages.topology import Process

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP's threads would spin while they wait for each other, on cores that the other stages need."""


class Handle(Protocol):
    """A started process."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its exit status, negative where a signal ended it; None while it runs."""

    def kill(self) -> None:
        """Ends it at once."""

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end."""


class Engine(Protocol):
    """Where stages run."""

    def start(self, process: Process, incarnation: int) -> Handle:
        """Starts one process of the run."""


class LocalEngine:
    """Starts each stage as `python -m pipeline.stages` on this host.

    Args:
        spec: the file that holds the run.
        notes: where the processes' own words (tracebacks) go.
    """

    def __init__(self, spec: Path, notes: IO[bytes]) -> None:
        self._spec, self._notes = spec, notes

    def start(self, process: Process, incarnation: int) -> Handle:
        command = [sys.executable, "-m", "pipeline.stages", str(self._spec), process.name, str(incarnation)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._notes,
            stderr=self._notes,
            env=QUIET_THREADS | os.environ,
        )
