"""`segment`: one worker a device. Takes frames from every stream, runs the model, says what it found."""

from __future__ import annotations

import time

import cv2

from pipeline.counting.counter import STATIC
from pipeline.links import Endpoints, Peer, Waiter
from pipeline.messages import Ask, FrameRef, Leases, Report
from pipeline.metrics import StageMetrics
from pipeline.models import registry
from pipeline.models.base import Segmenter
from pipeline.models.filters import wide_open
from pipeline.stages.batch import Batch
from pipeline.stages.found import instances_of
from pipeline.stages.inference import Inference
from pipeline.stages.loop import Heart, Place, now
from pipeline.topology import tracker_of, trackers
from pipeline.video.ring import Ring, RingError


class Rings:
    """The rings of all streams, mapped when first needed."""

    def __init__(self) -> None:
        self._rings: dict[str, Ring] = {}

    def get(self, ref: FrameRef) -> Ring | None:
        """The ring that holds `ref`; None where it, or the frame in it, is gone."""
        ring = self._rings.get(ref.stream)
        if ring is None or ring.path != ref.ring:
            if ring is not None:
                ring.close()
                del self._rings[ref.stream]
            try:
                ring = self._rings[ref.stream] = Ring.attach(ref.ring)
            except RingError:
                return None
        return ring if ring.holds(ref.slot, ref.epoch, ref.seq) else None


class Segment:
    """Runs the model over the frames that it is leased, until it is told to stop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._config = place.config
        self._streams = {name: index for index, name in enumerate(place.config.streams)}
        self._rings = Rings()
        self._frames = 0
        self._busy_s = 0.0
        self._dropped: dict[str, int] = {}
        self._model: Segmenter | None = None
        self._warm_up_s = 0.0

    def run(self, endpoints: Endpoints) -> None:
        cv2.setNumThreads(1)
        metrics = StageMetrics("segment")
        heart = Heart(self._place, endpoints, metrics)
        heart.beat(self._report, now())
        model = registry.load(wide_open(self._config.model, list(self._config.streams.values())))
        self._model = model
        began_s = now()
        model.warm_up()
        self._warm_up_s = now() - began_s
        inference = Inference(model, self._config)
        identity = self._place.identity
        decoders = [Peer(endpoints.stream(i), identity) for i in self._streams.values()]
        tracks = [Peer(endpoints.track(i), identity) for i in range(trackers(self._config))]
        waiter = Waiter(decoders)
        batch = Batch(len(decoders), self._config.model.batch, self._config.model.max_wait_ms / 1e3)
        heart.ready()
        worked_s = now()
        while heart.beat(self._report, now()) and not heart.left_alone(now() - worked_s > 0.5, now()):
            for index, frames in batch.to_ask(now()):
                ask = Ask(worker=self._place.name, incarnation=self._place.incarnation, frames=frames)
                decoders[index].send(ask)
            if (wait_s := batch.wait_s(now())) > 0:
                waiter.wait(wait_s)
                for index, decoder in enumerate(decoders):
                    for message in decoder.receive_all():
                        if isinstance(message, Leases):
                            batch.add(index, message.frames, now())
                continue
            self._work(inference, batch.take(), tracks, metrics)
            worked_s = now()
        heart.done(self._report())

    def _work(
        self, inference: Inference, refs: list[FrameRef], tracks: list[Peer], metrics: StageMetrics
    ) -> None:
        held = [(ref, ring) for ref in refs if (ring := self._rings.get(ref)) is not None]
        if not held:
            return
        start_s = now()
        seen = inference.run([ref for ref, _ in held], [ring.planes(ref.slot) for ref, ring in held])
        spent_s = now() - start_s
        self._busy_s += spent_s
        for frames in inference.runs:
            metrics.batch(frames)
        for (ref, ring), one in zip(held, seen, strict=True):
            stream = metrics.stream(ref.stream)
            stream.frames_in()
            if not ring.holds(ref.slot, ref.epoch, ref.seq):
                stream.dropped("lease_lost")
                continue  # the lease had ended meanwhile: another worker has this frame
            instances = instances_of(ref, one.found, one.skipped)
            if instances.skipped == STATIC:
                stream.static()
            elif instances.skipped:
                self._dropped[instances.skipped] = self._dropped.get(instances.skipped, 0) + 1
                stream.dropped(instances.skipped)
            tracks[tracker_of(self._streams[ref.stream], self._config)].send(instances)
            self._frames += 1
            stream.frames_out()
            stream.processing(spent_s / len(held))
            stream.end_to_end(max(0.0, time.time() - ref.wall_s))

    def _report(self) -> Report:
        values = {
            "busy_s": self._busy_s,
            "ms_per_frame": 1e3 * self._busy_s / max(1, self._frames),
            "warm_up_s": self._warm_up_s,
        }
        return Report(
            frames_in=self._frames,
            frames_out=self._frames,
            dropped=dict(self._dropped),
            values=values,
            texts={"device": self._model.device if self._model is not None else ""},
        )
