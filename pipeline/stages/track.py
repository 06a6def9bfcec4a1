"""`track`: puts the instances of each stream back into sequence, logs, links and counts them."""

from __future__ import annotations

import time

from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.records.events import EventStore
from pipeline.stages.context import HELLO_S, StageContext, now
from pipeline.stages.heartbeat import Heartbeat
from pipeline.stages.stream_state import StreamState
from pipeline.stages.topology import tracker_of
from pipeline.transport.messages import Accepted, EndOfStream, Hello, Instances, Report, Want
from pipeline.transport.sockets import DealerSocket, Endpoints, Poller, RouterSocket

WRITE_EVENTS_S = 0.25
SHOW_COUNTS_S = 1.0
"""Interval at which counts are exported as metrics."""
HEAT_S = 30.0
"""Interval at which the heat is stored, besides once at the end of a stream."""


class _Sink:
    """Open request of a stream's sink."""

    def __init__(self, peer: bytes, want: Want) -> None:
        self.peer = peer
        self.incarnation = want.incarnation
        self.sent_to = want.next_seq
        """First frame not yet sent to this incarnation of the sink."""
        self.until = want.next_seq + want.credit
        self.told_end_s = 0.0


class Track:
    """Counts the streams of one tracking process until it is stopped."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        streams = list(context.config.streams)
        self._indices = [i for i in range(len(streams)) if tracker_of(i, context.config) == context.index]
        self._names = [streams[i] for i in self._indices]
        self._states: dict[str, StreamState] = {}
        self._sinks: dict[str, _Sink] = {}
        self._frames_in = 0
        self._frames = 0
        self._said_s = 0.0
        self._written_s = 0.0
        self._shown_s = 0.0
        self._heat_s = now()

    def run(self, endpoints: Endpoints) -> None:
        """Runs the stage until the supervisor stops it.

        Args:
            endpoints: Sockets of the run.
        """
        metrics = StageMetrics("track")
        heartbeat = Heartbeat(self._context, endpoints, metrics)
        heartbeat.beat(self._report, now())
        url = self._context.config.output.events or f"sqlite:///{self._context.out / 'events.db'}"
        store = EventStore(url, self._context.run)
        self._states = {name: StreamState(self._context, name) for name in self._names}
        router = RouterSocket(endpoints.track(self._context.index))
        decoders = {
            name: DealerSocket(endpoints.stream(index), self._context.identity)
            for name, index in zip(self._names, self._indices, strict=True)
        }
        poller = Poller([router, *decoders.values()])
        heartbeat.ready()
        while heartbeat.beat(self._report, now()) and not heartbeat.orphaned_and_idle(
            self._all_told(), now()
        ):
            self._hello(decoders)
            poller.wait(0.05)
            progressed: set[str] = set()
            for name, decoder in decoders.items():
                for message in decoder.receive_all():
                    if isinstance(message, Instances):
                        self._take(message, progressed, metrics)
                    elif isinstance(message, EndOfStream):
                        self._states[name].end(message)
            for peer, message in router.receive_all():
                if isinstance(message, Instances):
                    self._take(message, progressed, metrics)
                elif isinstance(message, Want):
                    self._want(peer, message)
            for name in progressed:
                state = self._states[name]
                decoders[name].send(Accepted(stream=name, seq=state.next_seq - 1))
                if state.ending is not None:
                    state.end(state.ending)
            self._send_tracks(router, metrics)
            self._write_events(store)
            self._show_counts(metrics)
            self._write_heat()
        self._write_events(store, at_once=True)
        store.close()
        for state in self._states.values():
            state.close()
        heartbeat.done(self._report())

    def _take(self, instances: Instances, progressed: set[str], metrics: StageMetrics) -> None:
        state = self._states[instances.stream]
        self._frames_in += 1
        stream = metrics.stream(instances.stream)
        stream.frames_in()
        start_s = now()
        if taken := state.take(instances):
            progressed.add(instances.stream)
            self._frames += taken
            stream.frames_out(taken)
            stream.processing((now() - start_s) / taken)
            stream.end_to_end(max(0.0, time.time() - instances.wall_s))

    def _hello(self, decoders: dict[str, DealerSocket]) -> None:
        if now() - self._said_s < HELLO_S:
            return
        self._said_s = now()
        for name, decoder in decoders.items():
            last = self._states[name].last
            hello = Hello(
                stage="track",
                stream=name,
                incarnation=self._context.incarnation,
                next_seq=self._states[name].next_seq,
            )
            if last is not None:
                hello = Hello(
                    stage="track",
                    stream=name,
                    incarnation=self._context.incarnation,
                    next_seq=last.seq + 1,
                    last_index=last.index,
                    epoch=last.epoch,
                    pts_s=last.pts_s,
                    wall_s=last.wall_s,
                )
            decoder.send(hello)

    def _want(self, peer: bytes, want: Want) -> None:
        sink = self._sinks.get(want.stream)
        if sink is None or sink.incarnation != want.incarnation:
            sink = self._sinks[want.stream] = _Sink(peer, want)
        sink.peer = peer
        sink.until = max(sink.until, want.next_seq + want.credit)

    def _send_tracks(self, router: RouterSocket, metrics: StageMetrics) -> None:
        for name, sink in self._sinks.items():
            state = self._states[name]
            metrics.stream(name).queue(state.waiting)
            owed = state.owed(sink.sent_to, sink.until - sink.sent_to)
            if owed and router.send(sink.peer, *owed):
                sink.sent_to = owed[-1].seq + 1
            end = state.ending
            if end is None or not state.finished or sink.sent_to < end.frames:
                continue
            if now() - sink.told_end_s > HELLO_S:
                sink.told_end_s = now()
                router.send(sink.peer, end)

    def _write_events(self, store: EventStore, at_once: bool = False) -> None:
        if not at_once and now() - self._written_s < WRITE_EVENTS_S:
            return
        self._written_s = now()
        for state in self._states.values():
            store.write(state.events)
            state.events.clear()

    def _show_counts(self, metrics: StageMetrics) -> None:
        if now() - self._shown_s < SHOW_COUNTS_S:
            return
        self._shown_s = now()
        for name, state in self._states.items():
            metrics.counts(name, state.totals().series)

    def _write_heat(self) -> None:
        if now() - self._heat_s < HEAT_S:
            return
        self._heat_s = now()
        for state in self._states.values():
            state.write_heat()

    def _all_told(self) -> bool:
        """Whether every stream is counted to its end and every sink has been notified."""
        return all(state.finished for state in self._states.values()) and all(
            sink.told_end_s > 0 for sink in self._sinks.values()
        )

    def _report(self) -> Report:
        report = Report(frames_in=self._frames_in, frames_out=self._frames)
        for name, state in self._states.items():
            report.streams[name] = state.totals()
        return report
