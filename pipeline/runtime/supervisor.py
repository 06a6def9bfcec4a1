"""The supervisor: starts the processes of a run, notices when one is ready, stuck or dead, and stops all in order."""

from __future__ import annotations

import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from pipeline.config.schema import RestartConfig
from pipeline.errors import StageError, TallycamError
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.runtime.local_engine import Engine, Handle
from pipeline.runtime.run_folder import Run
from pipeline.stages.topology import Process, processes
from pipeline.transport.messages import Beat, Report, Stop
from pipeline.transport.sockets import Poller, RouterSocket

START_S = 180.0
"""How long a process may take until its first heartbeat: it imports, and loads a model."""
PREPARE_S = 1800.0
"""How long a process may take for what it says will take long: a model that is compiled, an engine that is built."""
SLOW = 10
"""A process that says that its work is slow may be silent so many times as long as others."""
DRAIN_S = 30.0
"""How long the stages may take to finish what is under way."""
STOP_S = 10.0
TICK_S = 0.1


class Budget:
    """How often a process may be started again: `starts` times in `within_s` seconds."""

    def __init__(self, config: RestartConfig) -> None:
        self._config = config
        self._starts: deque[float] = deque()

    def allow(self, now_s: float) -> bool:
        """Whether one more start is within the budget; it is then spent."""
        while self._starts and now_s - self._starts[0] > self._config.within_s:
            self._starts.popleft()
        if len(self._starts) >= self._config.starts:
            return False
        self._starts.append(now_s)
        return True


def silence_s(state: str, config: RestartConfig) -> float:
    """How long a process in this state may be silent before it counts as stuck."""
    limits = {"starting": START_S, "preparing": PREPARE_S, "slow": SLOW * config.heartbeat_s}
    return max(config.heartbeat_s, limits.get(state, 0.0))


@dataclass(slots=True)
class ProcessState:
    """One row of the process table."""

    process: Process
    handle: Handle
    budget: Budget
    incarnation: int
    heard_s: float
    state: str = "starting"
    restarts: int = 0
    report: Report = field(default_factory=Report)
    carried: Counter[str] = field(default_factory=Counter)
    """Frames that earlier lives of the process dropped, by reason."""
    ended: bool = False

    @property
    def dropped(self) -> Counter[str]:
        """Reason -> frames, over all lives."""
        return self.carried + Counter(self.report.dropped)


class StageFailure(TallycamError):
    """What a stage says that a user can mend, with its own exit code."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Supervisor:
    """Runs one run to its end.

    Args:
        on_tick: called several times a second with the process table.
    """

    def __init__(
        self, run: Run, engine: Engine, on_tick: Callable[[list[ProcessState]], None] = lambda entries: None
    ) -> None:
        self._run, self._engine, self._on_tick = run, engine, on_tick
        self._config = run.spec.config
        self._entries: dict[str, ProcessState] = {}
        self._signals = 0
        self._failure: TallycamError | None = None
        self._stopping_s: float | None = None
        self._ports: dict[str, int] = {}

    @property
    def entries(self) -> list[ProcessState]:
        return list(self._entries.values())

    def run(self) -> TallycamError | None:
        """Starts everything and returns when everything has ended: None, or why it ended early."""
        metrics = StageMetrics("supervisor")
        with metrics, RouterSocket(self._run.endpoints.supervisor) as router, self._signals_caught():
            if self._config.metrics.enabled:
                port = metrics.serve(self._config.metrics.host, self._config.metrics.port)
                self._ports["supervisor"] = port
            poller = Poller([router])
            try:
                for process in processes(self._config):
                    self._start(process)
                while not self._all_ended():
                    poller.wait(TICK_S)
                    self._listen(router)
                    self._look_after(router)
                    self._stop_in_order(router)
                    for entry in self.entries:
                        metrics.process(entry.process.name, up=not entry.ended, restarts=entry.restarts)
                    self._on_tick(self.entries)
                self._listen(router)
            finally:
                for entry in self.entries:
                    entry.handle.kill()
                    entry.handle.wait()
        return self._failure

    def _start(self, process: Process) -> None:
        first = self._run.first_incarnation
        self._entries[process.name] = ProcessState(
            process,
            self._engine.start(process, first),
            Budget(self._config.restarts),
            first,
            time.monotonic(),
        )

    def _listen(self, router: RouterSocket) -> None:
        for _, beat in router.receive_all():
            if not isinstance(beat, Beat) or (entry := self._entries.get(beat.process)) is None:
                continue
            if beat.incarnation != entry.incarnation:
                continue
            entry.heard_s = time.monotonic()
            entry.state = beat.state
            if beat.state == "failed":
                if beat.exit_code:
                    self._fail(StageFailure(beat.error, beat.exit_code))
                continue
            entry.report = beat.report
            port = int(beat.report.values.get("metrics_port", 0))
            if port and self._ports.get(beat.process) != port:
                self._ports[beat.process] = port
                self._run.write_targets(self._config.metrics.host, self._ports)

    def _look_after(self, router: RouterSocket) -> None:
        """Notices the dead and the stuck, and starts them again while the budget lasts."""
        for entry in self.entries:
            if entry.ended:
                continue
            now_s = time.monotonic()
            status = entry.handle.poll()
            if status is None:
                if now_s - entry.heard_s > silence_s(entry.state, self._config.restarts):
                    entry.handle.kill()  # noticed as dead the next time round
                continue
            self._listen(router)  # its last word may still lie in the socket
            if entry.state == "done" or self._stopping_s is not None or self._failure is not None:
                entry.ended = True
            elif entry.budget.allow(now_s):
                self._restart(entry, now_s)
            else:
                entry.ended = True
                how = f"signal {-status}" if status < 0 else f"exit status {status}"
                self._fail(
                    StageError(
                        f"{entry.process.name} ended {entry.restarts + 1} times (last: {how}); "
                        f"see {self._run.notes}"
                    )
                )

    def _restart(self, entry: ProcessState, now_s: float) -> None:
        entry.carried.update(entry.report.dropped)
        entry.report = Report(
            frames_in=entry.report.frames_in,
            frames_out=entry.report.frames_out,
            values=entry.report.values,
            texts=entry.report.texts,
            streams=entry.report.streams,
        )
        entry.restarts += 1
        entry.incarnation += 1
        entry.state, entry.heard_s = "starting", now_s
        entry.handle = self._engine.start(entry.process, entry.incarnation)

    def _stop_in_order(self, router: RouterSocket) -> None:
        """Decoders end by themselves, or are asked to; then nobody has work any more."""
        now_s = time.monotonic()
        if (self._signals or self._failure) and self._stopping_s is None:
            self._stopping_s = now_s
        if self._stopping_s is not None:
            for entry in self._of_stage("decode"):
                self._tell(router, entry, drain=True)
        decoding = any(not entry.ended for entry in self._of_stage("decode"))
        late = self._stopping_s is not None and now_s - self._stopping_s > self._drain_s()
        if decoding and not late and self._signals < 2:
            return
        if not decoding and self._stopping_s is None:
            self._stopping_s = now_s
        for entry in self.entries:
            if not entry.ended:
                self._tell(router, entry, drain=False)
                if self._signals > 1 or now_s - (self._stopping_s or now_s) > self._drain_s() + STOP_S:
                    entry.handle.kill()

    def _drain_s(self) -> float:
        """A failed run is not worth waiting for long."""
        return 3.0 if self._failure else DRAIN_S

    def _tell(self, router: RouterSocket, entry: ProcessState, *, drain: bool) -> None:
        router.send(f"{entry.process.name}#{entry.incarnation}".encode(), Stop(drain=drain))

    def _of_stage(self, name: str) -> list[ProcessState]:
        return [entry for entry in self.entries if entry.process.stage.name == name]

    def _all_ended(self) -> bool:
        return all(entry.ended for entry in self.entries)

    def _fail(self, error: TallycamError) -> None:
        self._failure = self._failure or error

    @contextmanager
    def _signals_caught(self) -> Iterator[None]:
        def count(_number: int, _frame: FrameType | None) -> None:
            self._signals += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
