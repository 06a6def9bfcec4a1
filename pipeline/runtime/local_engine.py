"""Runs stages as processes of this host."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Protocol

from pipeline.runtime.fork_server import ForkServer
from pipeline.runtime.log_collector import LogCollector
from pipeline.stages.topology import Process


class Handle(Protocol):
    """A started process."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Exit status, negative if a signal ended the process; None while it runs."""

    def kill(self) -> None:
        """Kills the process."""

    def wait(self) -> int:
        """Waits for the process to end.

        Returns:
            Exit status; -N: killed by signal N.
        """


class Engine(Protocol):
    """Where stages run."""

    @property
    def ended(self) -> int:
        """File descriptor that is readable while the end of a process has not been noticed (`Handle.poll`)."""

    def start(self, process: Process, incarnation: int, *, bare: bool = False) -> Handle:
        """Starts one process of the run.

        Args:
            process: entry of `topology.processes`.
            incarnation: higher than those of its predecessors.
            bare: as in `StageContext`.

        Raises:
            OSError: The system does not let another process start.
        """


class LocalEngine:
    """Starts each stage as a process of this host.

    Args:
        server: Forks them.
        spec: File with the `RunSpec`.
        logs: Takes what the processes write to standard output and standard error.
        lock: File descriptor of the lock of the run's folder, which every process keeps open.
    """

    def __init__(self, server: ForkServer, spec: Path, logs: LogCollector, lock: int) -> None:
        self._server, self._spec, self._logs, self._lock = server, spec, logs, lock
        self._running = select.epoll()

    @property
    def ended(self) -> int:
        """See `Engine.ended`."""
        return self._running.fileno()

    def start(self, process: Process, incarnation: int, *, bare: bool = False) -> Handle:
        """See `Engine.start`."""
        output = self._logs.pipe(process.name, process.stream)
        try:
            descriptors = output, self._lock
            pid = self._server.start(self._spec, process.name, incarnation, descriptors, bare=bare)
        finally:
            os.close(output)
        return _LocalProcess(pid, self._logs, self._watched(pid))

    def _watched(self, pid: int) -> int | None:
        """A descriptor of a process, whose end wakes the supervisor; None where the system has none."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        self._running.register(descriptor, select.EPOLLIN)
        return descriptor


class _LocalProcess:
    """A stage on this host, a child of this process. Its last output is logged before its end is reported."""

    def __init__(self, pid: int, logs: LogCollector, descriptor: int | None) -> None:
        self.pid = pid
        self._logs, self._descriptor = logs, descriptor
        self._status: int | None = None

    def poll(self) -> int | None:
        return self._wait(os.WNOHANG)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        status = self._wait(0)
        assert status is not None
        return status

    def _wait(self, options: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
                self._logs.drain()
                if self._descriptor is not None:
                    os.close(self._descriptor)
        return self._status
