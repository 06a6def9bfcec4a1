"""The supervisor's state of each process, and the rules by which it counts as hung or beyond its restart budget."""

from __future__ import annotations

import signal
from collections import Counter, deque
from dataclasses import dataclass, field

from pipeline.config.schema import RestartConfig
from pipeline.runtime.local_engine import Handle
from pipeline.stages.topology import Process
from pipeline.transport.messages import Report

START_S = 180.0
"""Time until the first heartbeat of a process: it imports its libraries."""
PREPARE_S = 1800.0
"""Silence allowed to a process that announced long work: a model is compiled, an engine is built."""
SLOW_FACTOR = 10
"""A process that announced slow work may be silent for this many times `restarts.heartbeat_s`."""


class RestartBudget:
    """Allows `starts` restarts within any `within_s` seconds."""

    def __init__(self, config: RestartConfig) -> None:
        self._config = config
        self._restarts_s: deque[float] = deque()

    def allow(self, now_s: float) -> bool:
        """Whether one more restart is within the budget; it is then spent.

        Args:
            now_s: Monotonic time.
        """
        while self._restarts_s and now_s - self._restarts_s[0] > self._config.within_s:
            self._restarts_s.popleft()
        if len(self._restarts_s) >= self._config.starts:
            return False
        self._restarts_s.append(now_s)
        return True

    def __str__(self) -> str:
        return f"{len(self._restarts_s)} of {self._config.starts} restarts within {self._config.within_s:g} s"


def silence_limit_s(state: str, config: RestartConfig) -> float:
    """Longest silence, in seconds, before a process counts as hung.

    Args:
        state: As in `messages.Beat`.
        config: With the limit for ordinary work.
    """
    limits = {"starting": START_S, "preparing": PREPARE_S, "slow": SLOW_FACTOR * config.heartbeat_s}
    return max(config.heartbeat_s, limits.get(state, 0.0))


def exit_reason(status: int) -> str:
    """Text for an exit status: `exit status 1`, `signal 11 (SIGSEGV)`.

    Args:
        status: As `subprocess` has it: -N for signal N.
    """
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"


@dataclass(slots=True)
class ProcessState:
    """One row of the process table.

    Attributes:
        process: Its place in the topology.
        handle: The running, or ended, process.
        budget: Restarts that it has left.
        incarnation: Of the running process.
        started_s: Monotonic time of its start.
        heard_s: Monotonic time of the last heartbeat, or of the start.
        state: As in `Beat`.
        restarts: How often it was started again by this supervisor.
        report: The last one.
        carried: Reason -> frames dropped by earlier incarnations.
        was_ready: Whether any incarnation was ready.
        stuck: It was killed because it fell silent.
        ended: It has ended and is not started again.
    """

    process: Process
    handle: Handle
    budget: RestartBudget
    incarnation: int
    started_s: float
    heard_s: float
    state: str = "starting"
    restarts: int = 0
    report: Report = field(default_factory=Report)
    carried: Counter[str] = field(default_factory=Counter)
    was_ready: bool = False
    stuck: bool = False
    ended: bool = False

    @property
    def dropped(self) -> Counter[str]:
        """Reason -> frames, over all incarnations."""
        return self.carried + Counter(self.report.dropped)

    def restarted(self, handle: Handle, now_s: float) -> None:
        """Enters the next incarnation. Totals go on; each incarnation counts its drops from zero.

        Args:
            handle: Of the new process.
            now_s: Monotonic time.
        """
        self.carried.update(self.report.dropped)
        self.report = Report(
            frames_in=self.report.frames_in,
            frames_out=self.report.frames_out,
            values=self.report.values,
            texts=self.report.texts,
            streams=self.report.streams,
        )
        self.restarts += 1
        self.incarnation += 1
        self.state, self.stuck = "starting", False
        self.started_s = self.heard_s = now_s
        self.handle = handle
