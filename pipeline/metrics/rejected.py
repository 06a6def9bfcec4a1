"""Messages that a process received and did not believe: counted by reason, for its log and its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric

UNDECODABLE = "undecodable"
"""Not a message of this version: wrong kind, length, type or shape."""
UNKNOWN_SENDER = "unknown_sender"
"""The sender is no process of the run, or not the one whose message it is."""
UNKNOWN_STREAM = "unknown_stream"
"""Of a stream that the process does not serve."""
IMPOSSIBLE = "impossible"
"""Its numbers cannot be: a frame that was never leased, a picture without pixels."""

_counts: Counter[str] = Counter()


def reject(reason: str) -> None:
    """Counts a message that is dropped.

    Args:
        reason: one of this module.
    """
    _counts[reason] += 1


def rejected() -> dict[str, int]:
    """Reason -> messages dropped by this process."""
    return dict(_counts)


class RejectedCollector:
    """The counts as a metric.

    Args:
        stage: the label `stage`.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def collect(self) -> Iterable[Metric]:
        """For Prometheus."""
        family = CounterMetricFamily(
            "tallycam_messages_rejected",
            "Messages dropped because they cannot be right.",
            labels=("stage", "reason"),
        )
        for reason in (UNDECODABLE, UNKNOWN_SENDER, UNKNOWN_STREAM, IMPOSSIBLE):
            family.add_metric((self._stage, reason), _counts[reason])
        yield family
