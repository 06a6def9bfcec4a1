"""The supervisor: starts the processes of a run, restarts those that died or hang, and stops all of them in order."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable

from pipeline.errors import OutputError, SourceError, StageError, TallycamError
from pipeline.logs.destinations import LogLineCounter, run_log_path
from pipeline.metrics.disk_metrics import DiskMetrics
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.runtime.configuration_watch import ConfigurationWatch
from pipeline.runtime.housekeeping import Housekeeping
from pipeline.runtime.live_streams import LiveStreams
from pipeline.runtime.local_engine import Engine
from pipeline.runtime.memory_kills import MemoryKills
from pipeline.runtime.process_state import ProcessState, RestartBudget, exit_reason
from pipeline.runtime.run_folder import Run
from pipeline.runtime.service_manager import ServiceManager
from pipeline.runtime.stop_signals import stop_signals_noted
from pipeline.runtime.stream_updates import RemovedStream
from pipeline.stages.topology import Process, processes
from pipeline.transport.messages import Beat, Stop
from pipeline.transport.sockets import Poller, RouterSocket
from pipeline.video.sources.kinds import is_recording

log = logging.getLogger(__name__)

DRAIN_S = 30.0
"""Time that the stages have to finish what is under way."""
FAILED_DRAIN_S = 3.0
"""The same after a failure, which ends the run anyway."""
STOP_S = 10.0
"""Time that stages have to leave their loops after a request to stop, before they are killed."""
TICK_S = 0.1
PAUSE_S = 1.0
"""A turn of the loop that takes so much longer is a pause of this process, during which it received no heartbeats."""
SLOW_RETRY_S = 60.0
"""How often a process is tried again that has used up its restarts, in a run without end."""


class StageFailure(TallycamError):
    """An error of a stage that the user can fix, with its exit code."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Supervisor:
    """Runs one run to its end.

    Args:
        run: The open folder of the run.
        engine: Starts the processes.
        on_tick: Called several times a second with the process table.
        watch: Notices changes of the configuration file; None: the run has none.
    """

    def __init__(
        self,
        run: Run,
        engine: Engine,
        on_tick: Callable[[list[ProcessState]], None] = lambda entries: None,
        watch: ConfigurationWatch | None = None,
    ) -> None:
        self._run, self._engine, self._on_tick = run, engine, on_tick
        self._config = run.spec.config
        self._entries: dict[str, ProcessState] = {}
        self._signals: list[int] = []
        self._failure: TallycamError | None = None
        self._stopping_s: float | None = None
        self._ports: dict[str, int] = {}
        self._all_were_ready = False
        self._turn_s = 0.0
        """Monotonic time at which this turn of the loop began."""
        self._metrics = StageMetrics("supervisor")
        self._memory_kills = MemoryKills()
        self._tidying = Housekeeping(self._config, run.out, DiskMetrics(self._metrics.registry))
        self._live = LiveStreams(run, self._entries, self._start, DRAIN_S, self._tidying, watch)

    @property
    def entries(self) -> list[ProcessState]:
        """The process table."""
        return list(self._entries.values())

    @property
    def removed(self) -> dict[str, RemovedStream]:
        """Streams that were removed from the run."""
        return self._live.updates.removed

    @property
    def has_started(self) -> bool:
        """Whether the run is known to work: a frame was counted, or every process was ready before it had to stop."""
        if any(counts.frames for entry in self.entries for counts in entry.report.streams.values()):
            return True
        return self._all_were_ready

    def run(self) -> TallycamError | None:
        """Starts all processes and returns when all of them have ended.

        Returns:
            None, or why the run ended early.
        """
        metrics = self._metrics
        counter = LogLineCounter(metrics.log_line)
        socket = RouterSocket(self._run.endpoints.supervisor)
        caught = stop_signals_noted(self._signals)
        tidying, watching = self._tidying.going_on(), self._live.going_on()
        with metrics, socket as router, caught, tidying, watching, ServiceManager() as manager:
            if self._config.metrics.enabled:
                port = metrics.serve(self._config.metrics.host, self._config.metrics.port)
                self._ports["supervisor"] = port
            logging.getLogger().addHandler(counter)
            poller = Poller([router], [self._engine.ended])
            try:
                for process in processes(self._config, self._run.spec.places):
                    self._start(process)
                self._turn_s = time.monotonic()
                while not self._all_ended():
                    self._begin_turn(time.monotonic())
                    poller.wait(TICK_S)
                    self._listen(router)
                    self._look_after(router)
                    ending = self._stopping_s is not None or self._failure is not None or bool(self._signals)
                    self._live.turn(router, ending=ending)
                    self._stop_in_order(router)
                    for entry in self.entries:
                        metrics.process(entry.process.name, up=not entry.ended, restarts=entry.restarts)
                    self._tick()
                    manager.alive(time.monotonic())
                self._listen(router)
            finally:
                for entry in self.entries:
                    entry.handle.kill()
                    entry.handle.wait()
                logging.getLogger().removeHandler(counter)
        if self._failure is None:
            self._failure = next(
                (why for entry in self.entries if (why := entry.failure or entry.given_up)), None
            )
        return self._failure

    def _start(self, process: Process) -> None:
        now_s = time.monotonic()
        first = self._live.updates.next_incarnation.get(process.name, self._run.first_incarnation)
        handle = self._engine.start(process, first)
        budget = RestartBudget(self._config.restarts)
        self._entries[process.name] = entry = ProcessState(process, handle, budget, first, now_s, now_s)
        log.info("started, pid %d", handle.pid, extra=_about(entry))

    def _begin_turn(self, now_s: float) -> None:
        """A turn that took long was a pause of this process: silence of the stages during it does not count."""
        if (paused_s := now_s - self._turn_s - TICK_S) > PAUSE_S:
            for entry in self.entries:
                entry.heard_s += paused_s
        self._turn_s = now_s

    def _listen(self, router: RouterSocket) -> None:
        """Processes the heartbeats that have arrived."""
        for _, beat in router.receive_all():
            if not isinstance(beat, Beat) or (entry := self._entries.get(beat.process)) is None:
                continue
            if beat.incarnation != entry.incarnation:
                continue
            entry.heard_s = time.monotonic()
            self._note_state(entry, beat.state)
            if beat.state == "failed":
                if beat.exit_code:
                    self._note_failure(StageFailure(beat.error, beat.exit_code), entry)
                continue
            entry.report = beat.report
            port = int(beat.report.values.get("metrics_port", 0))
            if port and self._ports.get(beat.process) != port:
                self._ports[beat.process] = port
                try:
                    self._run.write_targets(self._config.metrics.host, self._ports)
                except OutputError as error:  # Prometheus finds the others
                    log.warning("%s", error)

    def _note_state(self, entry: ProcessState, state: str) -> None:
        before, entry.state = entry.state, state
        if state == "ready" and entry.given_up is not None and not entry.bare:
            log.warning("works again", extra=_about(entry))
            entry.given_up = None
        if state == "ready" and before in ("starting", "preparing"):
            entry.was_ready = True
            spent_s = entry.heard_s - entry.started_s
            log.info("ready, %.1f s after its start", spent_s, extra=_about(entry))

    def _look_after(self, router: RouterSocket) -> None:
        """Kills stuck processes, and starts dead ones again while their budget lasts."""
        for entry in self.entries:
            now_s = time.monotonic()
            if entry.retry_s is not None and now_s >= entry.retry_s and self._stopping_s is None:
                entry.handle.kill()  # a sink that runs without its sinks meanwhile; any other one has ended
                entry.handle.wait()
                self._restart(entry, now_s)
            if entry.ended:
                continue
            status = entry.handle.poll()
            if status is None:
                self._kill_if_stuck(entry, now_s)
                continue
            self._listen(router)  # its last beat may still lie in the socket
            more = self._memory_kills.reason() if status == -signal.SIGKILL and not entry.stuck else ""
            ending = self._stopping_s is not None or self._failure is not None or entry.leaving
            if entry.state == "done" or entry.failure is not None or ending:
                entry.ended = True
                if status and entry.state != "failed":
                    log.info(
                        "died while it was being stopped: %s", exit_reason(status, more), extra=_about(entry)
                    )
            elif entry.budget.allow(now_s):
                self._restart(entry, now_s)
                words = "died (%s); restarted, %s"
                log.warning(words, exit_reason(status, more), entry.budget, extra=_about(entry))
            else:
                last = f"signal {-status}" if status < 0 else f"exit status {status}"
                last += f", {more}" if more else ""
                text = f"ended {entry.restarts + 1} times (last: {last}); see {run_log_path(self._run.out)}"
                self._give_up(entry, StageError(f"{entry.process.name} {text}"), now_s)

    def _restart(self, entry: ProcessState, now_s: float, *, bare: bool = False) -> None:
        entry.restarted(self._engine.start(entry.process, entry.incarnation + 1, bare=bare), now_s)
        entry.bare = bare

    def _give_up(self, entry: ProcessState, error: TallycamError, now_s: float) -> None:
        """What happens when a process has used up its restarts: it takes its streams down, not the run. Where a stream
        has no end, the process is tried again once in a while. A `sink` takes nothing down: one without its sinks gives
        the frames back in its place, and counting goes on."""
        if entry.process.stage.optional and not entry.bare:
            again = f"; tried again every {SLOW_RETRY_S:.0f} s" if self._has_no_end(entry) else ""
            words = "%s; counting goes on without what it writes%s"
            log.error(words, error, again, extra=_about(entry) | {"shown": True})
            self._restart(entry, now_s, bare=True)
            entry.given_up, entry.retry_s = error, now_s + SLOW_RETRY_S if again else None
            return
        entry.ended = True
        if not all(is_recording(stream) for stream in self._run.spec.config.streams.values()):
            log.error(
                "%s; tried again every %.0f s", error, SLOW_RETRY_S, extra=_about(entry) | {"shown": True}
            )
            entry.given_up, entry.retry_s = error, now_s + SLOW_RETRY_S
            return
        self._note_failure(error, entry)

    def _has_no_end(self, entry: ProcessState) -> bool:
        return not is_recording(self._run.spec.config.streams[entry.process.stream])

    def _note_failure(self, error: TallycamError, entry: ProcessState) -> None:
        """Ends the stream of a process, or the run where all streams need the process or there is one stream only. A
        source that is not there is the matter of its stream in any case."""
        alone = len(self._run.spec.config.streams) == 1
        if entry.process.stream and (error.exit_code == SourceError.exit_code or not alone):
            log.error("%s", error, extra=_about(entry) | {"shown": True})
            entry.failure = error
            for other in self.entries:
                if other is not entry and other.process.stream == entry.process.stream:
                    other.failure = other.failure or error
                    other.handle.kill()
            return
        self._fail(error, entry)

    def _kill_if_stuck(self, entry: ProcessState, now_s: float) -> None:
        if time.monotonic() - self._turn_s > TICK_S + PAUSE_S:
            return  # this process was stopped, or the machine slept: `_begin_turn` makes up for it
        if why := entry.stuck_because(now_s, self._config.restarts):
            log.warning("stuck: %s; killed", why, extra=_about(entry))
            entry.handle.kill()  # found dead in one of the next ticks

    def _stop_in_order(self, router: RouterSocket) -> None:
        """Asks the decoders to stop if the run has to end early; stops all others once no decoder is left."""
        now_s = time.monotonic()
        if (self._signals or self._failure) and self._stopping_s is None:
            self._stopping_s = now_s
            for entry in self.entries:
                entry.retry_s = None
            why = "an error" if self._failure else signal.Signals(self._signals[0]).name
            log.info("stopping because of %s: frames under way are finished first", why)
        if self._stopping_s is not None:
            for entry in self._of_stage("decode"):
                self._tell(router, entry, drain=True)
        decoding = self._live.updates.busy or any(not entry.over for entry in self._of_stage("decode"))
        late = self._stopping_s is not None and now_s - self._stopping_s > self._drain_s()
        if decoding and not late and len(self._signals) < 2:
            return
        if not decoding and self._stopping_s is None:
            self._stopping_s = now_s
            for entry in self.entries:
                entry.retry_s = None
        for entry in self.entries:
            if not entry.ended:
                self._tell(router, entry, drain=False)
                if len(self._signals) > 1 or now_s - (self._stopping_s or now_s) > self._drain_s() + STOP_S:
                    entry.handle.kill()

    def _drain_s(self) -> float:
        return FAILED_DRAIN_S if self._failure else DRAIN_S

    def _tell(self, router: RouterSocket, entry: ProcessState, *, drain: bool) -> None:
        router.send(f"{entry.process.name}#{entry.incarnation}".encode(), Stop(drain=drain))

    def _tick(self) -> None:
        if not self._signals and self._failure is None:
            self._all_were_ready |= all(entry.was_ready or entry.state == "done" for entry in self.entries)
        try:
            self._on_tick(self.entries)
        except (OSError, SystemExit):  # rich raises the latter where standard output is a closed pipe
            log.warning("standard output is gone: the run goes on without it")
            self._on_tick = lambda entries: None

    def _of_stage(self, name: str) -> list[ProcessState]:
        return [entry for entry in self.entries if entry.process.stage.name == name]

    def _all_ended(self) -> bool:
        return all(entry.over for entry in self.entries)

    def _fail(self, error: TallycamError, entry: ProcessState) -> None:
        """Ends the run with an error. The first one is the reason, and the last line that the command prints."""
        log.error("%s", error, extra=_about(entry) | {"shown": True})
        self._failure = self._failure or error


def _about(entry: ProcessState) -> dict[str, object]:
    """Makes a log record one about a process."""
    return {"origin": entry.process.name, "stream": entry.process.stream}
