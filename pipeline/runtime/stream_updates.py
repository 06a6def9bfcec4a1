"""Carries out changes of the streams of a run while it goes on, one at a time.

A stream that is removed ends as at the end of a run: its frames under way are counted, its video is closed. A stream
that is changed is removed and added again. Each step is a specification of its own (`RunSpec.revision`), which the
processes that serve several streams read when they are asked to (`Reload`); those of other streams are left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.config.schema import Config, StreamConfig
from pipeline.errors import OutputError
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.results import StreamView, views
from pipeline.runtime.run_folder import Run
from pipeline.stages.topology import Process, processes
from pipeline.transport.messages import Reload, Stop
from pipeline.transport.sockets import RouterSocket

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemovedStream:
    """A stream that is no part of the run any more.

    Attributes:
        view: What was counted in it.
        source: Its source.
    """

    view: StreamView
    source: str


class StreamUpdates:
    """Adds, changes and removes streams.

    Args:
        run: The open folder of the run.
        table: The process table; entries of removed streams are taken out of it.
        start: Starts a process and enters it into the table.
        drain_s: Seconds that a stream has to end.

    Attributes:
        removed: Streams that are no part of the run any more.
        leaving: Streams that are being stopped.
        next_incarnation: Process of a removed stream -> its incarnation where it is added again.
    """

    def __init__(
        self, run: Run, table: dict[str, ProcessState], start: Callable[[Process], None], drain_s: float
    ) -> None:
        self._run, self._table, self._start, self._drain_s = run, table, start, drain_s
        self._target: Config | None = None
        self._began_s = 0.0
        self._told = ""
        self.removed: dict[str, RemovedStream] = {}
        self.leaving: list[str] = []
        self.next_incarnation: dict[str, int] = {}

    @property
    def busy(self) -> bool:
        """Whether a change is under way."""
        return self._target is not None

    def begin(self, config: Config, now_s: float) -> None:
        """Begins a change; the one before must be complete.

        Args:
            config: With the streams that the run has to have, and otherwise as now.
            now_s: Monotonic time.
        """
        before = self._run.spec.config.streams
        if before == config.streams:
            return
        self.leaving = [name for name, stream in before.items() if config.streams.get(name) != stream]
        self._target, self._began_s = config, now_s
        for name in self.leaving:
            what = "is changed: it ends and begins again" if name in config.streams else "is removed"
            log.info("%s; frames under way are counted first", what, extra={"stream": name, "shown": True})
        for name in config.streams.keys() - before:
            log.info("is added", extra={"stream": name, "shown": True})

    def cancel(self) -> None:
        """Leaves a change where it is: the run ends."""
        self._target = None

    def step(self, router: RouterSocket, now_s: float) -> bool:
        """Goes on with the change as far as that is possible now.

        Args:
            router: Socket of the processes.
            now_s: Monotonic time.

        Returns:
            Whether the change was completed by this step.
        """
        target = self._target
        if target is None:
            return False
        ended = [self._ended(name, router, now_s) for name in self.leaving]  # all of them are asked to end
        if not all(ended):
            return False
        streams = self._run.spec.config.streams
        if self.leaving:
            stay = {name: stream for name, stream in streams.items() if name not in self.leaving}
            if not self._follow(self._run.spec.config.model_copy(update={"streams": stay})):
                return False
            self._remove(streams)
        if not self._all_follow(router):
            return False
        self._take_last_counts()
        if self._run.spec.config.streams != target.streams:
            if not self._follow(target):
                return False
            for process in processes(target, self._run.spec.places):
                if process.name not in self._table:
                    self.removed.pop(process.stream, None)
                    self._start(process)
            return False
        self._target = None
        log.info("streams of the run from now on: %s", ", ".join(target.streams))
        return True

    def _ended(self, name: str, router: RouterSocket, now_s: float) -> bool:
        """Whether the processes of a stream have ended; asks them to: the decoder first, since the sink ends it."""
        decode, *sinks = self._of_stream(name)
        late = now_s - self._began_s > self._drain_s
        for entry in (decode, *sinks):
            entry.leaving, entry.retry_s = True, None
            if late and not entry.ended:
                entry.handle.kill()
        if not decode.ended:
            _send(router, decode, Stop(drain=True))
            return False
        for sink in sinks:
            if not sink.ended:
                _send(router, sink, Stop(drain=False))
        return all(sink.ended for sink in sinks)

    def _of_stream(self, name: str) -> list[ProcessState]:
        """The processes of a stream, the decoder first."""
        return [entry for entry in self._table.values() if entry.process.stream == name]

    def _remove(self, streams: Mapping[str, StreamConfig]) -> None:
        """Takes the entries of the streams that have ended out of the table."""
        found = views(self._table.values())
        for name in self.leaving:
            self.removed[name] = RemovedStream(found[name], streams[name].source)
            for entry in self._of_stream(name):
                self.next_incarnation[entry.process.name] = entry.incarnation + 1
                del self._table[entry.process.name]
        self.leaving = []

    def _take_last_counts(self) -> None:
        """Takes the counts of removed streams with which `track` has closed them."""
        for entry in self._table.values():
            for name, counts in entry.report.streams.items():
                if name in self.removed and name not in self._run.spec.config.streams:
                    self.removed[name].view.counts = counts

    def _follow(self, config: Config) -> bool:
        """Makes a configuration that of the run; False: the disk does not let it, which is tried again."""
        try:
            self._run.follow(config)
        except OutputError as error:
            if str(error) != self._told:
                log.error("%s; the streams stay as they are until then", error)
            self._told = str(error)
            return False
        self._told = ""
        return True

    def _all_follow(self, router: RouterSocket) -> bool:
        """Whether all processes that serve several streams have read the specification; asks those that have not."""
        revision = self._run.spec.revision
        behind = [
            entry
            for entry in self._table.values()
            if not entry.process.stream
            and not entry.ended
            and entry.report.values.get("revision", 0) < revision
        ]
        for entry in behind:
            _send(router, entry, Reload(revision=revision))
        return not behind


def _send(router: RouterSocket, entry: ProcessState, message: Stop | Reload) -> None:
    router.send(f"{entry.process.name}#{entry.incarnation}".encode(), message)
