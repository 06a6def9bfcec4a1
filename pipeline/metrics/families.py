"""The metric families that every stage has: names, help texts, labels and buckets, in one place.

Names follow the conventions of Prometheus: prefix `tallycam_`, base units, suffix `_total` for counters.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

SECONDS_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.04, 0.05, 0.066, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Fine around 33 and 40 ms, one frame at 30 and 25 fps, and around 100 ms, the delay that a viewer notices."""

BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

STAGE = ("stage", "stream")
"""Labels of what a stage observes of a stream."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` series for each counter has no use here


class StageFamilies:
    """The metrics that a process observes itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = STAGE) -> Counter:
            return Counter(f"tallycam_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = STAGE) -> Gauge:
            return Gauge(f"tallycam_{name}", text, labels, registry=registry)

        def seconds(name: str, text: str) -> Histogram:
            return Histogram(
                f"tallycam_{name}_seconds", text, STAGE, registry=registry, buckets=SECONDS_BUCKETS
            )

        self.frames_in = counter("frames_in", "Frames that the stage received.")
        self.frames_out = counter("frames_out", "Frames that the stage passed on.")
        self.dropped = counter("frames_dropped", "Frames dropped, by reason.", (*STAGE, "reason"))
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
