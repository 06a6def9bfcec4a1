"""Metrics of the delivery of count events, from `track`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge


class EventMetrics:
    """Backlog of the events of one tracking process.

    Args:
        registry: of the process.
        process: number of the tracking process, a label.
    """

    def __init__(self, registry: CollectorRegistry, process: int) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"tallycam_events_{name}", text, ("tracker",), registry=registry)

        label = str(process)
        self._waiting = gauge("waiting", "Events that are not in the database yet.").labels(label)
        self._oldest = gauge("oldest_seconds", "Age of the oldest event that waits.").labels(label)
        self._failing = gauge("failing", "1 while events cannot be delivered.").labels(label)
        self._rejected = gauge("rejected", "Events that the database refused for what they hold.").labels(
            label
        )

    def show(self, waiting: int, oldest_s: float, *, failing: bool, rejected: int) -> None:
        """Exports the state of delivery.

        Args:
            waiting: events not delivered.
            oldest_s: age of the oldest of them, seconds; 0 where there are none.
            failing: whether the last attempt failed.
            rejected: events refused since the process started.
        """
        self._waiting.set(waiting)
        self._oldest.set(oldest_s)
        self._failing.set(failing)
        self._rejected.set(rejected)
