"""Runs stages as processes of this host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pipeline
from pipeline.runtime.log_collector import LogCollector
from pipeline.stages.heartbeat import STOP_SIGNALS
from pipeline.stages.topology import Process

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP threads would otherwise spin while they wait for each other, on cores that the other stages need."""


class Handle(Protocol):
    """A started process."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Exit status, negative if a signal ended the process; None while it runs."""

    def kill(self) -> None:
        """Kills the process."""

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the process to end.

        Args:
            timeout: seconds; None: without limit.

        Returns:
            Exit status; -N: killed by signal N.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """


class Engine(Protocol):
    """Where stages run."""

    def start(self, process: Process, incarnation: int) -> Handle:
        """Starts one process of the run.

        Args:
            process: entry of `topology.processes`.
            incarnation: higher than those of its predecessors.
        """


class LocalEngine:
    """Starts each stage as `python -m pipeline.stages` on this host.

    Args:
        spec: File with the `RunSpec`.
        logs: Takes what the processes write to standard output and standard error.
        lock: File descriptor of the lock of the run's folder, which every process keeps open.
    """

    def __init__(self, spec: Path, logs: LogCollector, lock: int) -> None:
        self._spec, self._logs, self._lock = spec, logs, lock

    def start(self, process: Process, incarnation: int) -> Handle:
        """See `Engine.start`."""
        # -P: without it `python -m` looks in the working folder first, and a file there that is called `av.py` or
        # `pipeline.py` would be executed in place of the module that a stage wants.
        words = ["-P", "-m", "pipeline.stages", str(self._spec), process.name, str(incarnation)]
        output = self._logs.pipe(process.name, process.stream)
        try:
            with _stop_signals_blocked():
                popen = subprocess.Popen(
                    [sys.executable, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(self._lock,),
                    env=QUIET_THREADS | os.environ | _path_of_the_package(),
                )
        finally:
            os.close(output)
        return _LocalProcess(popen, self._logs)


class _LocalProcess:
    """A stage on this host. Its last output is logged before its end is reported."""

    def __init__(self, popen: subprocess.Popen[bytes], logs: LogCollector) -> None:
        self._popen, self._logs = popen, logs

    @property
    def pid(self) -> int:
        return self._popen.pid

    def poll(self) -> int | None:
        status = self._popen.poll()
        if status is not None:
            self._logs.drain()
        return status

    def kill(self) -> None:
        self._popen.kill()

    def wait(self, timeout: float | None = None) -> int:
        return self._popen.wait(timeout)


@contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """A process started within inherits the mask: Ctrl-C cannot interrupt its imports."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _path_of_the_package() -> dict[str, str]:
    """Lets a stage find the package where this process found it in the folder that `-P` leaves out: a checkout."""
    folder = str(Path(pipeline.__file__).parents[1])
    if sys.path[0] not in ("", folder):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))}
