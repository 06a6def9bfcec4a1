"""`segment`: one worker per device. Takes frames from every stream, runs the model, sends the instances to `track`."""

from __future__ import annotations

import logging
import time
from collections import deque

import cv2

from pipeline.logs.sums import SumLog
from pipeline.metrics.rejected import UNKNOWN_STREAM, reject
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.models import registry
from pipeline.models.filters import with_lowest_score
from pipeline.models.segmenter import Segmenter
from pipeline.stages.batch import Batcher
from pipeline.stages.context import StageContext, now
from pipeline.stages.heartbeat import Heartbeat
from pipeline.stages.inference import Inference
from pipeline.stages.instances import instances_of
from pipeline.stages.rings import Rings
from pipeline.stages.run_spec import RunSpec
from pipeline.stages.running_batch import RunningBatch
from pipeline.transport.messages import STATIC, Ask, FrameRef, Instances, Leases, Report
from pipeline.transport.ring import Ring
from pipeline.transport.sockets import DealerSocket, Endpoints, Poller

log = logging.getLogger(__name__)

SLOW_S = 2.0
"""A run expected to take longer is announced to the supervisor: under contention it may take ten times as long."""
DEVICE_POLL_S = 0.0005
"""Interval at which the device is polled while frames for the next batch may arrive."""


class SegmentStage:
    """Runs the model over the frames leased to it, until it is stopped."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._config = context.config
        self._names: dict[int, str] = {}
        """Number of a stream -> its name."""
        self._decoders: dict[int, DealerSocket] = {}
        self._running: RunningBatch | None = None
        self._rings = Rings()
        self._frames = 0
        self._busy_s = 0.0
        self._dropped: dict[str, int] = {}
        self._drop_log = SumLog("frames without instances", now())
        self._non_finite: dict[str, int] = {}
        """Stream -> rows of the model's output that were left out because they are not finite."""
        self._non_finite_log = SumLog("rows of the model's output left out for NaN or infinity", now())
        self._model: Segmenter | None = None
        self._warm_up_s = 0.0
        self._warming_up = False
        self._begun: deque[tuple[float, list[tuple[FrameRef, Ring]]]] = deque()
        """Batches that are begun: monotonic time, and the frames with their rings."""
        self._finished_s = 0.0
        self._expected_s = 0.0
        """Seconds that the batch begun last should take."""
        self._frame_s = 0.0
        """Seconds of the model for each frame of the last batch."""

    def run(self, endpoints: Endpoints) -> None:
        """Runs the stage until the supervisor stops it.

        Args:
            endpoints: Sockets of the run.
        """
        cv2.setNumThreads(1)
        metrics = StageMetrics("segment")
        heartbeat = Heartbeat(self._context, endpoints, metrics)
        heartbeat.beat(self._report, now())
        heartbeat.preparing(self._report)  # loading may build an engine, warming up may compile
        own = self._config.model.of_worker(self._context.index)
        model = registry.load(with_lowest_score(own, list(self._config.streams.values())))
        self._model = model
        self._warming_up = True
        heartbeat.preparing(self._report)  # reports the device as well
        began_s = now()
        model.warm_up()
        self._warm_up_s, self._warming_up = now() - began_s, False
        name = self._config.model.path or self._config.model.name or registry.DEFAULT_MODEL
        words = "model %s on %s, %d classes; warmed up in %.1f s"
        log.info(words, name, model.device, len(model.classes), self._warm_up_s)
        inference = Inference(model, self._config)
        identity = self._context.identity
        self._running = RunningBatch(endpoints.folder / f"segment-{self._context.index}.running")
        tracks = [DealerSocket(endpoints.track(i), identity) for i in range(self._context.places.trackers)]
        batch = Batcher(0, self._config.model.batch, self._config.model.max_wait_ms / 1e3)
        poller = self._serve_streams(endpoints, batch)
        self._frame_s = self._warm_up_s  # an upper bound
        batch.measured(1, self._frame_s)
        heartbeat.ready()
        worked_s = now()
        while heartbeat.beat(self._report, now()) and not heartbeat.orphaned_and_idle(
            now() - worked_s > 0.5, now()
        ):
            if heartbeat.streams_changed:
                while inference.begun:
                    batch.measured(*self._finish(inference, tracks, metrics))
                self._context = self._context.following(RunSpec.read(endpoints.spec))
                self._config = self._context.config
                poller = self._serve_streams(endpoints, batch)
                inference = Inference(model, self._config, inference)
                heartbeat.follows(self._context.revision)
            for number, frames in batch.requests(now()):
                self._decoders[number].send(self._ask(number, frames))
            if (wait_s := batch.wait_s(now())) > 0:
                if inference.begun and not inference.busy:
                    batch.measured(*self._finish(inference, tracks, metrics))
                    heartbeat.ready()
                    worked_s = now()
                    continue
                poller.wait(min(wait_s, DEVICE_POLL_S) if inference.begun else wait_s)
                for number, decoder in self._decoders.items():
                    for message in decoder.receive_all():
                        if isinstance(message, Leases) and self._believed(number, message):
                            batch.add(number, message.frames, now())
                continue
            self._begin(inference, batch.take(), heartbeat)
            while inference.full:
                batch.measured(*self._finish(inference, tracks, metrics))
                heartbeat.ready()  # if it had announced a long run
            worked_s = now()
            self._log_drops()
        self._log_drops(at_once=True)
        self._running.close()
        heartbeat.done(self._report())

    def _serve_streams(self, endpoints: Endpoints, batch: Batcher) -> Poller:
        """Connects to the decoders of new streams, and leaves those of streams that were removed."""
        places = self._context.places
        self._names = {places.numbers[name]: name for name in self._config.streams}
        for number in self._decoders.keys() - self._names:
            self._decoders.pop(number).close()
        for number in self._names.keys() - self._decoders:
            self._decoders[number] = DealerSocket(endpoints.stream(number), self._context.identity)
        batch.serve(self._names)
        self._rings.keep_only(self._config.streams)
        if not self._begun:
            self._rings.close_replaced()
        return Poller(list(self._decoders.values()))

    def _ask(self, stream: int, frames: int) -> Ask:
        killers = None
        if self._running is not None and self._running.killers is not None:
            killers = self._running.killers.get(self._names[stream], ())
        return Ask(
            worker=self._context.name,
            incarnation=self._context.incarnation,
            frames=frames,
            killers=killers,
        )

    def _believed(self, stream: int, leases: Leases) -> bool:
        """Whether leases are of the stream whose decoder sent them."""
        if all(ref.stream == self._names[stream] for ref in leases.frames):
            return True
        reject(UNKNOWN_STREAM)
        return False

    def _begin(self, inference: Inference, refs: list[FrameRef], heartbeat: Heartbeat) -> None:
        held = [(ref, ring) for ref in refs if (ring := self._rings.get(ref)) is not None]
        if not held:
            return
        start_s = now()
        planes = [ring.planes(ref.slot) for ref, ring in held]
        self._expected_s = self._frame_s * len(planes)
        if inference.prepares(planes):
            heartbeat.preparing(self._report)
        elif self._expected_s > SLOW_S:
            heartbeat.slow(self._report)
        if self._running is not None:
            self._running.begin(ref for ref, _ in held)
        inference.begin([ref for ref, _ in held], planes)
        self._begun.append((start_s, held))

    def _finish(
        self, inference: Inference, tracks: list[DealerSocket], metrics: StageMetrics
    ) -> tuple[int, float]:
        """Sends the instances of the batch that was begun first.

        Returns:
            Number of frames that the model processed, and the seconds that it took.
        """
        began_s, held = self._begun.popleft()
        inferred = inference.finish()
        if self._running is not None:
            self._running.finish()
        # A batch that was begun while the previous one was computed took the time since the end of that one.
        spent_s, self._finished_s = now() - max(began_s, self._finished_s), now()
        self._busy_s += spent_s
        for frames in inference.runs:
            metrics.batch(frames)
        outgoing: dict[int, list[Instances]] = {}
        for (ref, ring), one in zip(held, inferred, strict=True):
            stream = metrics.stream(ref.stream)
            stream.frames_in()
            instances = instances_of(ref, one.detections, one.skipped, ring.planes(ref.slot))
            if not ring.holds(ref.slot, ref.epoch, ref.seq):
                stream.dropped("lease_lost")
                continue  # the lease has ended meanwhile, and another worker has the frame
            if instances.skipped == STATIC:
                stream.static()
            elif instances.skipped:
                self._dropped[instances.skipped] = self._dropped.get(instances.skipped, 0) + 1
                stream.dropped(instances.skipped)
            elif one.detections.non_finite:
                self._non_finite[ref.stream] = self._non_finite.get(ref.stream, 0) + one.detections.non_finite
                stream.rows_not_finite(one.detections.non_finite)
            outgoing.setdefault(self._context.places.tracker_of(ref.stream), []).append(instances)
            self._frames += 1
            stream.frames_out()
            stream.processing(spent_s / len(held))
            stream.end_to_end(max(0.0, time.time() - ref.wall_s))
        for index, messages in outgoing.items():
            tracks[index].send(*messages)
        if not self._begun:
            self._rings.close_replaced()
        if inference.runs:
            self._frame_s = spent_s / sum(inference.runs)
        return sum(inference.runs), spent_s

    def _log_drops(self, *, at_once: bool = False) -> None:
        if line := self._drop_log.due(self._dropped, now(), at_once=at_once):
            log.info(line)
        if line := self._non_finite_log.due(self._non_finite, now(), at_once=at_once):
            log.warning(line)

    def _report(self) -> Report:
        values = {
            "busy_s": self._busy_s,
            "ms_per_frame": 1e3 * self._busy_s / max(1, self._frames),
            "warm_up_s": self._warm_up_s,
            "batch_s": max(1.0, self._expected_s),
            "rows_not_finite": sum(self._non_finite.values()),
        }
        return Report(
            frames_in=self._frames,
            frames_out=self._frames,
            dropped=dict(self._dropped),
            values=values,
            texts={"device": self._device()},
        )

    def _device(self) -> str:
        """Where the model runs, for people."""
        if self._model is None:
            return ""
        return self._model.device + (", warming up" if self._warming_up else "")
