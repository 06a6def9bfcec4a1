"""Metrics of the disk with the results, from the supervisor."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class DiskMetrics:
    """Room on the disk, and what was deleted for it.

    Args:
        registry: of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._free = Gauge("tallycam_disk_free_bytes", "Free space for results.", registry=registry)
        self._full_in = Gauge(
            "tallycam_disk_full_in_seconds",
            "Time until the disk is full if it fills up as in the last hours; +Inf if it does not.",
            registry=registry,
        )
        self._deleted = Counter(
            "tallycam_retention_deleted_bytes",
            "Logs, videos and pictures deleted after their time or to make room.",
            registry=registry,
        )

    def show(self, free_bytes: int, full_in_s: float) -> None:
        """Exports the state of the disk.

        Args:
            free_bytes: free space for an unprivileged process.
            full_in_s: seconds until there is none; `inf`: it does not shrink.
        """
        self._free.set(free_bytes)
        self._full_in.set(full_in_s)

    def deleted(self, size_bytes: int) -> None:
        """Counts what was deleted.

        Args:
            size_bytes: freed on the disk.
        """
        self._deleted.inc(size_bytes)
