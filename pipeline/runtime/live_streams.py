"""The streams of a run follow its configuration file while the run goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from pipeline.runtime.configuration_watch import ConfigurationWatch
from pipeline.runtime.housekeeping import Housekeeping
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.run_folder import Run
from pipeline.runtime.stream_updates import StreamUpdates
from pipeline.runtime.streams_file import StreamsFile, StreamsState, stream_states
from pipeline.stages.topology import Process
from pipeline.transport.sockets import RouterSocket

log = logging.getLogger(__name__)


class LiveStreams:
    """Takes changes of the file, has them carried out, and says what became of them in `DIR/streams.json`.

    Args:
        run: The open folder of the run.
        table: The process table.
        start: Starts a process and enters it into the table.
        drain_s: Seconds that a stream has to end.
        tidying: Looks after the files of new streams.
        watch: Notices changes of the file; None: the run has none.
    """

    def __init__(
        self,
        run: Run,
        table: dict[str, ProcessState],
        start: Callable[[Process], None],
        drain_s: float,
        tidying: Housekeeping,
        watch: ConfigurationWatch | None,
    ) -> None:
        self._run, self._table, self._tidying, self._watch = run, table, tidying, watch
        self.updates = StreamUpdates(run, table, start, drain_s)
        path, digest = (str(watch.path.absolute()), watch.digest) if watch else ("", "")
        self._state = StreamsState(configuration=path, applied=digest)
        self._file = StreamsFile(run.out)

    def going_on(self) -> AbstractContextManager[None]:
        """Within, changes of the file are noticed."""
        return nullcontext() if self._watch is None else self._watch.going_on()

    def turn(self, router: RouterSocket, *, ending: bool) -> None:
        """Does what there is to do now.

        Args:
            router: Socket of the processes.
            ending: The run is ending: nothing is changed any more.
        """
        if ending:
            self.updates.cancel()
        else:
            if not self.updates.busy:
                self._take_change()
            self.updates.step(router, time.monotonic())
        states = stream_states(self._run.spec.config, self._table.values(), self.updates.leaving)
        self._file.show(replace(self._state, changing=self.updates.busy, streams=states), time.monotonic())

    def _take_change(self) -> None:
        read = self._watch.take() if self._watch is not None else None
        if read is None:
            return
        if read.config is None:
            words = "the changed configuration is refused, and the run goes on as before: %s"
            log.warning(words, read.error, extra={"shown": True})
            self._state = replace(self._state, refused=read.digest, error=read.error)
            return
        self._state = replace(self._state, applied=read.digest, refused="", error="")
        self._tidying.follow(read.config)
        self.updates.begin(read.config, time.monotonic())
