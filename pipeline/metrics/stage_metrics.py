"""Prometheus metrics of one process: each stage has its own registry and its own `/metrics`."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, start_http_server

from pipeline import __version__
from pipeline.errors import ConfigError
from pipeline.metrics.count_metrics import CountCollector
from pipeline.metrics.families import StageFamilies
from pipeline.metrics.rejected import RejectedCollector
from pipeline.metrics.series import Series
from pipeline.metrics.source_metrics import SourceFamilies, SourceMetrics
from pipeline.metrics.stream_metrics import SinkMetrics, StreamMetrics


class StageMetrics:
    """All metrics of one process.

    Args:
        stage: `decode`, `segment`, `track`, `sink` or `supervisor`; the label `stage`.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.registry = CollectorRegistry()
        self._families = StageFamilies(self.registry)
        self._counts = CountCollector()
        self._streams: dict[str, StreamMetrics] = {}
        self._sources: SourceFamilies | None = None
        self._server: tuple[WSGIServer, threading.Thread] | None = None
        self.registry.register(self._counts)
        self.registry.register(RejectedCollector(stage))
        ProcessCollector(registry=self.registry)
        self._families.build.labels(stage, __version__).set(1)

    def stream(self, name: str, reasons: Iterable[str] = ()) -> StreamMetrics:
        """The metrics of one stream in this stage, to be looked up once, outside of the loop.

        Args:
            name: of the stream.
            reasons: for which frames may be dropped. They are exported as 0 from the start: without an earlier value
                Prometheus would not see the first drop as an increase.
        """
        if name not in self._streams:
            self._streams[name] = StreamMetrics(self._families, self.stage, name)
        for reason in reasons:
            self._streams[name].dropped(reason, 0)
        return self._streams[name]

    def source(self, name: str) -> SourceMetrics:
        """The metrics of the source of one stream.

        Args:
            name: Of the stream.
        """
        if self._sources is None:
            self._sources = SourceFamilies(self.registry)
        return SourceMetrics(self._sources, self.stage, name)

    def batch(self, frames: int) -> None:
        """Records one run of the model.

        Args:
            frames: Number of frames in the batch.
        """
        self._families.batch.labels(self.stage).observe(frames)

    def sink(self, name: str) -> SinkMetrics:
        """The metrics of a sink of another package.

        Args:
            name: Its name in the configuration.
        """
        return SinkMetrics(self._families, self.stage, name)

    def log_line(self, stage: str, level: str) -> None:
        """Counts a line that the supervisor has logged.

        Args:
            stage: The stage that wrote it, e.g. `decode`.
            level: In lower case, e.g. `warning`.
        """
        self._families.log_lines.labels(stage, level).inc()

    def process(self, name: str, *, up: bool, restarts: int) -> None:
        """State of one process, from the supervisor.

        Args:
            name: e.g. `decode/gate`.
            up: whether it runs.
            restarts: since the start of the run.
        """
        self._families.up.labels(name).set(up)
        self._counts.restarts = {**self._counts.restarts, name: restarts}

    def counts(self, stream: str, series: Iterable[Series]) -> None:
        """Exports the counts of a stream as they stand.

        Call it only once everything that was counted before a restart has been counted again. Until then nothing is
        exported: a total that falls looks to Prometheus like a counter that began at 0 again, and would count twice.

        Args:
            stream: name of the stream, the first label of every sample.
            series: metric families of its counting rules (`StreamTotals.series`).

        Raises:
            ValueError: as `CountCollector.show`.
        """
        self._counts.show(stream, series)

    def text(self) -> str:
        """The text that `/metrics` answers with."""
        return generate_latest(self.registry).decode()

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Starts a thread that answers `/metrics`.

        Args:
            host: address to listen on.
            port: 0 for any free one.

        Returns:
            The port.

        Raises:
            ConfigError: the port is in use, or the host is not one of this machine's.
        """
        try:
            self._server = start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise ConfigError(
                f"metrics: cannot listen on {host} port {port}: {error.strerror or error}; "
                "give another metrics.port, or 0 for any free one, and metrics.host of this machine"
            ) from None
        return int(self._server[0].server_port)

    def close(self) -> None:
        """Stops answering and frees the port."""
        if self._server is not None:
            server, thread = self._server
            self._server = None
            server.shutdown()
            server.server_close()
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
