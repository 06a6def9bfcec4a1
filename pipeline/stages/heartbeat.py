"""The heartbeat of a stage, and how it learns that it has to stop.

Every stage calls `Heartbeat.beat` once per iteration of its own loop. No side thread sends heartbeats, so a loop that
hangs falls silent and the supervisor notices.

SIGINT, SIGTERM and SIGHUP are left to the supervisor, which stops the stages in order. A service manager that signals
every process of the run therefore gets the same orderly end.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from pipeline.logs.sums import SumLog
from pipeline.metrics.rejected import rejected
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.stages.context import StageContext
from pipeline.transport.messages import Beat, Reload, Report, Stop
from pipeline.transport.sockets import DealerSocket, Endpoints

log = logging.getLogger(__name__)

BEAT_S = 0.2
IDLE_S = 1.5
"""A stage without a supervisor exits after it has been idle for this long."""
ORPHAN_S = 10.0
"""Time that a stage has to finish its work after its supervisor was killed."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run. The supervisor handles them; stages start with them blocked and then ignore them."""


class Heartbeat:
    """Reports the state of a stage to the supervisor and receives its `Stop`.

    Args:
        context: The process.
        endpoints: Sockets of the run.
        metrics: Served on `/metrics` from now on, unless the configuration disables that.
    """

    def __init__(self, context: StageContext, endpoints: Endpoints, metrics: StageMetrics) -> None:
        self._context = context
        self._socket = DealerSocket(endpoints.supervisor, context.identity)
        self._state = "starting"
        self._last_s = -BEAT_S
        self._parent = os.getppid()
        self._orphaned_s: float | None = None
        self._idle_since_s: float | None = None
        self._draining = False
        self._revision = self._asked_revision = context.revision
        self._port = 0
        self._rejected_log = SumLog("messages rejected", time.monotonic())
        if context.config.metrics.enabled:
            self._port = metrics.serve(context.config.metrics.host, context.metrics_port)
        threading.Thread(target=_exit_after, args=(self._parent,), daemon=True).start()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def preparing(self, report: Callable[[], Report]) -> None:
        """Announces work that may take minutes without a beat, such as compiling a model.

        The supervisor allows for it until `ready` is called.

        Args:
            report: Makes the report to send.
        """
        self._state = "preparing"
        self._send(self._state, report())

    def slow(self, report: Callable[[], Report]) -> None:
        """Announces work that takes seconds, and many more when the processor is contended.

        Args:
            report: Makes the report to send.
        """
        self._state = "slow"
        self._send(self._state, report())

    def ready(self) -> None:
        """Announces, with the next beat, that the stage can work."""
        if self._state != "ready":
            self._state = "ready"
            self._last_s = -BEAT_S

    def beat(self, report: Callable[[], Report], now_s: float) -> bool:
        """Sends a heartbeat if one is due.

        Args:
            report: Makes the report; called only when a heartbeat is sent.
            now_s: Monotonic time.

        Returns:
            False if the stage has to leave its loop at once.
        """
        for message in self._socket.receive_all():
            if isinstance(message, Stop):
                if not message.drain:
                    return False
                self._draining = True
            elif isinstance(message, Reload):
                self._asked_revision = max(self._asked_revision, message.revision)
        if self._orphaned_s is None and os.getppid() != self._parent:
            log.warning("the supervisor is gone: finishing what is under way")
            self._orphaned_s = now_s
            self._draining = True
        if self._orphaned_s is not None and now_s - self._orphaned_s > ORPHAN_S:
            return False
        if now_s - self._last_s >= BEAT_S:
            self._last_s = now_s
            if line := self._rejected_log.due(rejected(), now_s):
                log.warning("%s", line)
            self._send(self._state, report())
        return True

    def orphaned_and_idle(self, idle: bool, now_s: float) -> bool:
        """Whether to leave the loop because the supervisor is gone and no work has come for `IDLE_S`.

        Args:
            idle: The stage has nothing to do in this iteration.
            now_s: Monotonic time.
        """
        if self._orphaned_s is None or not idle:
            self._idle_since_s = None
            return False
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        return now_s - self._idle_since_s > IDLE_S

    @property
    def draining(self) -> bool:
        """Whether the stage must finish what is under way and start nothing new."""
        return self._draining

    @property
    def streams_changed(self) -> bool:
        """Whether the specification of the run has to be read again."""
        return self._asked_revision > self._revision

    def follows(self, revision: int) -> None:
        """Reports, with the next beat, that the stage serves the streams of a specification.

        Args:
            revision: Of the specification.
        """
        self._revision = revision
        self._last_s = -BEAT_S

    def done(self, report: Report) -> None:
        """Sends the last report: all work is finished.

        Args:
            report: With the final totals.
        """
        self._send("done", report)

    def _send(self, state: str, report: Report) -> None:
        report.values["revision"] = self._revision
        if self._port:  # the supervisor lists the ports for Prometheus
            report.values["metrics_port"] = self._port
        self._socket.send(
            Beat(
                process=self._context.name,
                incarnation=self._context.incarnation,
                state=state,
                report=report,
            )
        )


def _exit_after(parent: int) -> None:
    """Ends this process some time after its supervisor was killed, even if its loop hangs."""
    while os.getppid() == parent:
        time.sleep(1.0)
    time.sleep(2 * ORPHAN_S)
    os._exit(1)
