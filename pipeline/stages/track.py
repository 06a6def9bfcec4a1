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
from pipeline.stages.run_spec import RunSpec
from pipeline.stages.sink_requests import SinkRequests
from pipeline.stages.stream_pace import PaceMeter
from pipeline.stages.stream_state import StreamState
from pipeline.transport.messages import Accepted, EndOfStream, Hello, Instances, Message, Report, Want
from pipeline.transport.sockets import DealerSocket, Endpoints, Poller, RouterSocket
from pipeline.transport.totals import StreamTotals

WRITE_EVENTS_S = 0.25
SHOW_COUNTS_S = 1.0
"""Interval at which counts are exported as metrics."""
HEAT_S = 30.0
"""How often the heat of a stream is written to disk; also at its end."""


class TrackStage:
    """Counts the streams of one tracking process until it is stopped."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._states: dict[str, StreamState] = {}
        self._decoders: dict[str, DealerSocket] = {}
        self._check = MessageCheck(context.config, context.places)
        self._headers: dict[str, LogHeader] = {}
        self._requests: dict[str, SinkRequests] = {}
        self._paces: dict[str, PaceMeter] = {}
        self._end_sent_s: dict[str, float] = {}
        """Stream that is counted to its end and has no sink -> when its decoder was told."""
        self._last_totals: dict[str, StreamTotals] = {}
        """Stream that was removed -> its counts."""
        self._frames_in = 0
        self._frames = 0
        self._hello_s = 0.0
        self._written_s = 0.0
        self._shown_s = 0.0
        self._delivery_s = 0.0
        self._backlog = 0
        """Events that are not delivered yet."""
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
        self._serve_streams(endpoints, heartbeat, sinks)
        router = RouterSocket(endpoints.track(self._context.index))
        poller = Poller([router, *self._decoders.values()])
        heartbeat.ready()
        while heartbeat.beat(self._report, now()) and not heartbeat.orphaned_and_idle(
            self._finished(), now()
        ):
            if heartbeat.streams_changed:
                self._follow(RunSpec.read(endpoints.spec), endpoints, heartbeat, sinks)
                poller = Poller([router, *self._decoders.values()])
            self._say_hello()
            poller.wait(0.05)
            progressed: set[str] = set()
            for name, decoder in self._decoders.items():
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
                self._decoders[name].send(Accepted(stream=name, seq=state.next_seq - 1))
                if state.ending is not None:
                    state.end(state.ending)
            self._send_tracks(router, metrics)
            self._send_ends()
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
        self._show_delivery(sinks, events, at_once=True)
        heartbeat.done(self._report())

    def _serve_streams(
        self, endpoints: Endpoints, heartbeat: Heartbeat, sinks: Sequence[ManagedEventSink]
    ) -> None:
        """Begins with the streams of this process that are new."""
        context = self._context
        for name in context.config.streams:
            if name in self._states or context.places.tracker_of(name) != context.index:
                continue
            self._last_totals.pop(name, None)
            self._headers[name] = LogHeader(stream=name, classes=context.classes, width=1, height=1)
            self._states[name] = StreamState(
                context,
                name,
                beat=lambda: heartbeat.beat(self._report, now()),
                write_events=lambda: self._write_events(sinks, at_once=True),
                sync_events=lambda: _sync(sinks),
            )
            self._paces[name] = PaceMeter()
            number = context.places.numbers[name]
            self._decoders[name] = DealerSocket(endpoints.stream(number), context.identity)

    def _follow(
        self, spec: RunSpec, endpoints: Endpoints, heartbeat: Heartbeat, sinks: Sequence[ManagedEventSink]
    ) -> None:
        """Closes streams that were removed, and begins with those that were added; the others do not notice.

        The supervisor removes a stream that it changes, and adds it again with the next specification.
        """
        gone = [name for name in self._states if name not in spec.config.streams]
        self._write_events(sinks, at_once=bool(gone))
        for name in gone:
            state = self._states.pop(name)
            state.close()
            self._last_totals[name] = state.totals()
            self._decoders.pop(name).close()
            del self._headers[name]
            self._requests.pop(name, None)
            self._end_sent_s.pop(name, None)
            del self._paces[name]
        self._context = self._context.following(spec)
        self._check = MessageCheck(spec.config, spec.places)
        self._serve_streams(endpoints, heartbeat, sinks)
        heartbeat.follows(spec.revision)

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
            total=context.places.trackers,
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
            stream.end_to_end(self._paces[instances.stream].frame(instances.wall_s, instances.pts_s))

    def _say_hello(self) -> None:
        """Reports to the decoders, every `HELLO_S`, which frame is needed next: they may have been restarted."""
        if now() - self._hello_s < HELLO_S:
            return
        self._hello_s = now()
        for name, decoder in self._decoders.items():
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
            requests = self._requests[want.stream] = SinkRequests(peer, want)
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

    def _send_ends(self) -> None:
        """Tells the decoders of streams without a sink, until they end, that all frames are counted."""
        for name, state in self._states.items():
            if self._context.places.sinks or state.ending is None or not state.finished:
                continue
            if now() - self._end_sent_s.get(name, 0.0) > HELLO_S:
                self._end_sent_s[name] = now()
                self._decoders[name].send(state.ending)

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

    def _show_delivery(
        self, sinks: Sequence[ManagedEventSink], metrics: EventMetrics, *, at_once: bool = False
    ) -> None:
        if not at_once and now() - self._delivery_s < SHOW_COUNTS_S:
            return
        self._delivery_s = now()
        states = [sink.state for sink in sinks]
        self._backlog = sum(state.backlog for state in states)
        oldest = [state.oldest_wall_s for state in states if state.oldest_wall_s is not None]
        metrics.show(
            self._backlog,
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
        report = Report(
            frames_in=self._frames_in,
            frames_out=self._frames,
            values={"events_waiting": self._backlog},
            streams=dict(self._last_totals),
        )
        for name, state in self._states.items():
            report.streams[name] = state.totals()
            if not self._context.places.sinks:
                report.paces[name] = self._paces[name].pace()
        return report


def _sync(sinks: Sequence[ManagedEventSink]) -> None:
    for sink in sinks:
        sink.sync()
