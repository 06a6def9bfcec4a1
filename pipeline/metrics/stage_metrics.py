"""Prometheus metrics of one process: each stage has its own registry and its own `/metrics`.

Names follow the conventions of Prometheus: prefix `tallycam_`, base units, suffix `_total` for counters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from types import TracebackType
from typing import Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)

from pipeline import __version__
from pipeline.errors import ConfigError
from pipeline.metrics.count_metrics import CountCollector
from pipeline.metrics.rejected import RejectedCollector
from pipeline.metrics.series import Series
from pipeline.metrics.source_metrics import SourceFamilies, SourceMetrics

SECONDS_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.04, 0.05, 0.066, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Fine around 33 and 40 ms, one frame at 30 and 25 fps, and around 100 ms, the delay that a viewer notices."""

BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

_STAGE = ("stage", "stream")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` series for each counter has no use here


class StageMetrics:
    """All metrics of one process.

    Args:
        stage: `decode`, `segment`, `track`, `sink` or `supervisor`; the label `stage`.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.registry = CollectorRegistry()
        self._families = _Families(self.registry)
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


class SinkMetrics:
    """What goes wrong with one sink of another package."""

    def __init__(self, families: _Families, stage: str, name: str) -> None:
        self._errors = families.sink_errors.labels(stage, name)
        self._lost = families.sink_lost.labels(stage, name)

    def failed(self) -> None:
        """A call has failed."""
        self._errors.inc()

    def lost(self, number: int) -> None:
        """Counts frames or events that did not reach the sink.

        Args:
            number: How many.
        """
        self._lost.inc(number)


class StreamMetrics:
    """Metrics of one stream in one stage. Every method is cheap enough to be called for each frame.

    Args:
        families: of the process.
        stage, stream: values of the labels.

    Attributes:
        processing: takes the seconds that this stage worked on a frame.
        end_to_end: takes the seconds since a frame was decoded.
    """

    def __init__(self, families: _Families, stage: str, stream: str) -> None:
        labels = (stage, stream)
        self._families = families
        self._labels = labels
        self._dropped: dict[str, Counter] = {}
        self._frames_in = families.frames_in.labels(*labels)
        self._frames_out = families.frames_out.labels(*labels)
        self.processing: Callable[[float], None] = families.processing.labels(*labels).observe
        self.end_to_end: Callable[[float], None] = families.end_to_end.labels(*labels).observe

    def frames_in(self, frames: int = 1) -> None:
        """Counts frames that the stage received.

        Args:
            frames: How many.
        """
        self._frames_in.inc(frames)

    def frames_out(self, frames: int = 1) -> None:
        """Counts frames that the stage handed on.

        Args:
            frames: How many.
        """
        self._frames_out.inc(frames)

    def dropped(self, reason: str, frames: int = 1) -> None:
        """Counts dropped frames.

        Args:
            reason: Why; a label.
            frames: How many.
        """
        counter = self._dropped.get(reason)
        if counter is None:
            counter = self._dropped[reason] = self._families.dropped.labels(*self._labels, reason)
        counter.inc(frames)

    def static(self, frames: int = 1) -> None:
        """Counts frames without motion, which needed no inference; they are in `frames_out` as well.

        Args:
            frames: How many.
        """
        self._static.inc(frames)

    def rows_not_finite(self, rows: int) -> None:
        """Counts rows of the model's output (anchors, queries, boxes) left out because they contain NaN or infinity.

        Args:
            rows: How many.
        """
        self._rows_not_finite.inc(rows)

    def slots(self, used: int, total: int) -> None:
        """Sets the occupancy of the stream's frame ring.

        Args:
            used: Slots in use.
            total: All slots.
        """
        self._slots_used.set(used)
        self._slots.set(total)

    def queue(self, frames: int) -> None:
        """Sets the number of frames that wait for this stage.

        Args:
            frames: How many.
        """
        self._queue.set(frames)

    def credits(self, frames: int) -> None:
        """Sets the number of frames that this stage may still send, or has requested.

        Args:
            frames: How many.
        """
        self._credits.set(frames)

    # Created at first use, so that a stage exports only what it has.

    @cached_property
    def _static(self) -> Counter:
        return self._families.static.labels(*self._labels)

    @cached_property
    def _rows_not_finite(self) -> Counter:
        return self._families.rows_not_finite.labels(*self._labels)

    @cached_property
    def _slots_used(self) -> Gauge:
        return self._families.slots_used.labels(*self._labels)

    @cached_property
    def _slots(self) -> Gauge:
        return self._families.slots.labels(*self._labels)

    @cached_property
    def _queue(self) -> Gauge:
        return self._families.queue.labels(*self._labels)

    @cached_property
    def _credits(self) -> Gauge:
        return self._families.credits.labels(*self._labels)


class _Families:
    """The metrics that a process observes itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = _STAGE) -> Counter:
            return Counter(f"tallycam_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = _STAGE) -> Gauge:
            return Gauge(f"tallycam_{name}", text, labels, registry=registry)

        def seconds(name: str, text: str) -> Histogram:
            return Histogram(
                f"tallycam_{name}_seconds", text, _STAGE, registry=registry, buckets=SECONDS_BUCKETS
            )

        self.frames_in = counter("frames_in", "Frames that the stage received.")
        self.frames_out = counter("frames_out", "Frames that the stage passed on.")
        self.dropped = counter("frames_dropped", "Frames dropped, by reason.", (*_STAGE, "reason"))
        self.static = counter("frames_static", "Frames that needed no inference because nothing moved.")
        self.rows_not_finite = counter(
            "model_rows_not_finite", "Rows of the model's output left out because of NaN or infinity."
        )
        self.processing = seconds("processing", "Time that the stage worked on one frame.")
        self.end_to_end = seconds("end_to_end", "Time from decoding a frame to the end of this stage.")
        self.slots = gauge("ring_slots", "Slots of the stream's frame ring.")
        self.slots_used = gauge("ring_slots_used", "Slots of the frame ring that hold a frame under way.")
        self.queue = gauge("queue_frames", "Frames that wait for the stage.")
        self.credits = gauge("credits", "Frames that the stage may still send, or has asked for.")
        self.up = gauge("process_up", "1 while the process runs.", ("process",))
        self.build = gauge("build_info", "Version of Tallycam.", ("stage", "version"))
        self.sink_errors = counter("sink_errors", "Calls of a sink that failed.", ("stage", "sink"))
        self.sink_lost = counter(
            "sink_lost", "Frames and events that did not reach a sink.", ("stage", "sink")
        )
        self.log_lines = counter("log_lines", "Lines in the log of the run.", ("stage", "level"))
        self.batch = Histogram(
            "tallycam_batch_size",
            "Frames in one run of the model.",
            ("stage",),
            registry=registry,
            buckets=BATCH_BUCKETS,
        )
