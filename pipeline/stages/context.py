"""What every stage shares: its place in the run, its heartbeat, and when to stop.

A stage is a plain class with `run(endpoints)`. Its loop calls `Heartbeat.beat` each time round; there is no side
thread that beats, so a stage that is stuck looks stuck. SIGINT and SIGTERM are left to the supervisor, which
stops the stages in order, also when a service manager signals every process at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config, StreamConfig
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.transport.messages import Beat, Report, Stop
from pipeline.transport.sockets import DealerSocket, Endpoints

BEAT_S = 0.2
HELLO_S = 0.25
"""How often `track` and `sink` tell where they stand, and how soon a lost message is said again."""
IDLE_S = 1.5
"""A stage without a supervisor ends when it has had nothing to do for so long."""
ORPHAN_S = 10.0
"""How long a stage whose supervisor was killed may take to finish in order."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """Which process this is, and of which run.

    Attributes:
        name: as in the supervisor's table, e.g. `decode/gate`.
        index: number of the stream, worker or tracking process.
        incarnation: how often the process was started before.
        out: folder of the results.
        run: name of the run; events carry it.
        tracks: where MOTChallenge rows go, if wanted.
        metrics_port: 0 for any free one.
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

    @property
    def identity(self) -> str:
        """On the sockets: tells one life of a process from the next."""
        return f"{self.name}#{self.incarnation}"

    def stream(self) -> tuple[str, StreamConfig]:
        """Name and configuration of the stream, for a process that serves one."""
        return list(self.config.streams.items())[self.index]


class Heartbeat:
    """Beats to the supervisor from the stage's loop, and hears when to stop."""

    def __init__(self, context: StageContext, endpoints: Endpoints, metrics: StageMetrics) -> None:
        self._context = context
        self._peer = DealerSocket(endpoints.supervisor, context.identity)
        self._state = "starting"
        self._last_s = -BEAT_S
        self._parent = os.getppid()
        self._orphaned_s: float | None = None
        self._idle_since_s: float | None = None
        self._draining = False
        self._port = 0
        if context.config.metrics.enabled:
            self._port = metrics.serve(context.config.metrics.host, context.metrics_port)
        threading.Thread(target=_follow, args=(self._parent,), daemon=True).start()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def preparing(self, report: Callable[[], Report]) -> None:
        """Something begins that may take minutes without a beat: a model that is compiled, an engine that is built.

        The supervisor is told at once, and waits longer until `ready` is said.
        """
        self._state = "preparing"
        self._say(self._state, report())

    def slow(self, report: Callable[[], Report]) -> None:
        """What begins was seen to take seconds, and takes many more when others want the processor. As `preparing`."""
        self._state = "slow"
        self._say(self._state, report())

    def ready(self) -> None:
        """The stage can work."""
        if self._state != "ready":
            self._state = "ready"
            self._last_s = -BEAT_S

    def beat(self, report: Callable[[], Report], now_s: float) -> bool:
        """Beats if it is time. False: leave the loop at once."""
        for message in self._peer.receive_all():
            if isinstance(message, Stop):
                if not message.drain:
                    return False
                self._draining = True
        if self._orphaned_s is None and os.getppid() != self._parent:
            self._orphaned_s = now_s
            self._draining = True
        if self._orphaned_s is not None and now_s - self._orphaned_s > ORPHAN_S:
            return False
        if now_s - self._last_s >= BEAT_S:
            self._last_s = now_s
            self._say(self._state, report())
        return True

    def left_alone(self, idle: bool, now_s: float) -> bool:
        """Whether to leave the loop because the supervisor is gone and there has been nothing to do for a while."""
        if self._orphaned_s is None or not idle:
            self._idle_since_s = None
            return False
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        return now_s - self._idle_since_s > IDLE_S

    @property
    def draining(self) -> bool:
        """No new work is to be begun; what is under way is to be finished."""
        return self._draining

    def done(self, report: Report) -> None:
        """All work is finished: the last word."""
        self._say("done", report)

    def close(self) -> None:
        self._peer.close()

    def _say(self, state: str, report: Report) -> None:
        if self._port:  # the supervisor tells Prometheus where to look
            report.values["metrics_port"] = self._port
        self._peer.send(
            Beat(
                process=self._context.name,
                incarnation=self._context.incarnation,
                state=state,
                report=report,
            )
        )


def _follow(parent: int) -> None:
    """Ends this process some time after its supervisor was killed, even when its loop is stuck."""
    while os.getppid() == parent:
        time.sleep(1.0)
    time.sleep(2 * ORPHAN_S)
    os._exit(1)


def now() -> float:
    """Seconds of the monotonic clock."""
    return time.monotonic()
