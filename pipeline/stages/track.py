"""`track`: puts the instances of each stream back into sequence, logs them, tracks the objects and counts them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline.metrics.event_metrics import EventMetrics
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.records.log_header import LogHeader
from pipeline.sinks.sink import ManagedEventSink, SinkContext
from pipeline.sinks.sink_table import event_sinks
from pipeline.stages.context import HELLO_S, StageContext, now
from pipeline.stages.heartbeat import Heartbeat
from pipeline.stages.message_check import MessageCheck
from pipeline.stages.stream_state import StreamState
from pipeline.stages.topology import tracker_of, trackers
from pipeline.transport.messages import Accepted, EndOfStream, Hello, Instances, Message, Report, Want
from pipeline.transport.sockets import DealerSocket, Endpoints, Poller, RouterSocket

WRITE_EVENTS_S = 0.25
SHOW_COUNTS_S = 1.0
"""Interval at which counts are exported as metrics."""
HEAT_S = 30.0
"""How often the heat of a stream is written to disk; also at its end."""


class _Requests:
    """What the sink of one stream has asked for."""

    def __init__(self, peer: bytes, want: Want) -> None:
        self.peer = peer
        self.incarnation = want.incarnation
        self.sent_to = want.next_seq
        """First frame not yet sent to this incarnation of the sink."""
        self.until = want.next_seq + want.credit
        self.end_sent_s = 0.0


class TrackStage:
    """Counts the streams of one tracking process until it is stopped."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        streams = list(context.config.streams)
        self._indices = [i for i in range(len(streams)) if tracker_of(i, context.config) == context.index]
        self._names = [streams[i] for i in self._indices]
        self._states: dict[str, StreamState] = {}
        self._check = MessageCheck(context.config)
        self._headers = {
            name: LogHeader(stream=name, classes=context.classes, width=1, height=1) for name in self._names
        }
        self._requests: dict[str, _Requests] = {}
        self._frames_in = 0
        self._frames = 0
        self._hello_s = 0.0
        self._written_s = 0.0
        self._shown_s = 0.0
        self._delivery_s = 0.0
        self._heat_s = now()

    def run(self, endpoints: Endpoints) -> None:
        """Runs the stage until the supervisor stops it.

        Args:
            endpoints: Sockets of the run.
        """
        metrics = StageMetrics("track")
        heartbeat = Heartbeat(self._context, endpoints, metrics)
        heartbeat.beat(self._report, now())
        sinks = self._event_sinks(metrics)
        events = EventMetrics(metrics.registry, self._context.index)
        for name in self._names:
            self._states[name] = StreamState(
                self._context,
                name,
                beat=lambda: heartbeat.beat(self._report, now()),
                write_events=lambda: self._write_events(sinks, at_once=True),
                sync_events=lambda: _sync(sinks),
            )
        router = RouterSocket(endpoints.track(self._context.index))
        decoders = {
            name: DealerSocket(endpoints.stream(index), self._context.identity)
            for name, index in zip(self._names, self._indices, strict=True)
        }
        poller = Poller([router, *decoders.values()])
        heartbeat.ready()
        while heartbeat.beat(self._report, now()) and not heartbeat.orphaned_and_idle(
            self._finished(), now()
        ):
            self._say_hello(decoders)
            poller.wait(0.05)
            progressed: set[str] = set()
            for name, decoder in decoders.items():
                for message in decoder.receive_all():
                    if not self._may_be(message):
                        continue
                    if isinstance(message, Instances):
                        self._take(message, progressed, metrics)
                    elif isinstance(message, EndOfStream):
                        self._states[name].end(message)
            for peer, message in router.receive_all():
                if not self._may_be(message):
                    continue
                if isinstance(message, Instances):
                    self._take(message, progressed, metrics)
                elif isinstance(message, Want):
                    self._note_request(peer, message)
            for name in progressed:
                state = self._states[name]
                decoders[name].send(Accepted(stream=name, seq=state.next_seq - 1))
                if state.ending is not None:
                    state.end(state.ending)
            self._send_tracks(router, metrics)
            self._write_events(sinks)
            for state in self._states.values():
                state.keep()
            self._show_counts(metrics)
            self._show_delivery(sinks, events)
            self._write_heat()
        self._write_events(sinks, at_once=True)
        for state in self._states.values():
            state.close()
        self._close(sinks, heartbeat)
        self._show_delivery(sinks, events)
        heartbeat.done(self._report())

    def _may_be(self, message: Message) -> bool:
        return self._check.for_track(message, self._headers, lambda name: self._states[name].next_seq)

    def _event_sinks(self, metrics: StageMetrics) -> Sequence[ManagedEventSink]:
        context = self._context
        where = SinkContext(
            name="",
            stream="",
            index=context.index,
            incarnation=context.incarnation,
            out=context.out,
            run=context.run,
            classes=context.classes,
            total=trackers(context.config),
        )
        return event_sinks(context.config, where, metrics.sink)

    def _take(self, instances: Instances, progressed: set[str], metrics: StageMetrics) -> None:
        """Counts the frames that are in sequence now.

        Args:
            instances: One frame, in any order.
            progressed: Names of streams of which a frame was counted; added to.
            metrics: Of this process.
        """
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

    def _say_hello(self, decoders: dict[str, DealerSocket]) -> None:
        """Reports to the decoders, every `HELLO_S`, which frame is needed next: they may have been restarted."""
        if now() - self._hello_s < HELLO_S:
            return
        self._hello_s = now()
        for name, decoder in decoders.items():
            hello = Hello(
                stage="track",
                stream=name,
                incarnation=self._context.incarnation,
                next_seq=self._states[name].next_seq,
            )
            decoder.send(hello.after(self._states[name].last))

    def _note_request(self, peer: bytes, want: Want) -> None:
        requests = self._requests.get(want.stream)
        if requests is None or requests.incarnation != want.incarnation:
            requests = self._requests[want.stream] = _Requests(peer, want)
        requests.peer = peer
        requests.until = max(requests.until, want.next_seq + want.credit)

    def _send_tracks(self, router: RouterSocket, metrics: StageMetrics) -> None:
        """Sends each sink the tracks that it has asked for, and the end of its stream until it is released."""
        for name, requests in self._requests.items():
            state = self._states[name]
            metrics.stream(name).queue(state.waiting)
            tracks = state.tracks_from(requests.sent_to, requests.until - requests.sent_to)
            if tracks and router.send(requests.peer, *tracks):
                requests.sent_to = tracks[-1].seq + 1
            end = state.ending
            if end is None or not state.finished or requests.sent_to < end.frames:
                continue
            if now() - requests.end_sent_s > HELLO_S:
                requests.end_sent_s = now()
                router.send(requests.peer, end)

    def _write_events(self, sinks: Sequence[ManagedEventSink], *, at_once: bool = False) -> None:
        if not at_once and now() - self._written_s < WRITE_EVENTS_S:
            return
        self._written_s = now()
        for state in self._states.values():
            if state.events:
                for sink in sinks:
                    sink.write_events(state.events)
                state.events.clear()

    def _close(self, sinks: Sequence[ManagedEventSink], heartbeat: Heartbeat) -> None:
        """Closes the sinks; those of other packages get a moment to finish."""
        for sink in sinks:
            sink.close()
        while not all(sink.closed() for sink in sinks):
            heartbeat.beat(self._report, now())
            time.sleep(0.02)

    def _show_counts(self, metrics: StageMetrics) -> None:
        if now() - self._shown_s < SHOW_COUNTS_S:
            return
        self._shown_s = now()
        for name, state in self._states.items():
            metrics.counts(name, state.totals().series)

    def _show_delivery(self, sinks: Sequence[ManagedEventSink], metrics: EventMetrics) -> None:
        if now() - self._delivery_s < SHOW_COUNTS_S:
            return
        self._delivery_s = now()
        states = [sink.state for sink in sinks]
        oldest = [state.oldest_wall_s for state in states if state.oldest_wall_s is not None]
        metrics.show(
            sum(state.backlog for state in states),
            max(0.0, time.time() - min(oldest)) if oldest else 0.0,
            failing=any(state.error for state in states),
            rejected=sum(state.rejected for state in states),
        )

    def _write_heat(self) -> None:
        if now() - self._heat_s < HEAT_S:
            return
        self._heat_s = now()
        for state in self._states.values():
            state.write_heat()

    def _finished(self) -> bool:
        """Whether every stream is counted to its end, and every sink has been notified."""
        return all(state.finished for state in self._states.values()) and all(
            requests.end_sent_s > 0 for requests in self._requests.values()
        )

    def _report(self) -> Report:
        report = Report(frames_in=self._frames_in, frames_out=self._frames)
        for name, state in self._states.items():
            report.streams[name] = state.totals()
        return report


def _sync(sinks: Sequence[ManagedEventSink]) -> None:
    for sink in sinks:
        sink.sync()
