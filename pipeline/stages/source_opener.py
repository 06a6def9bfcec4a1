"""Opens the source of a stream in a thread, so that the decoder's loop goes on while a camera does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pipeline.errors import SourceError
from pipeline.video.sources.backoff import retry_delay_s
from pipeline.video.sources.source import CONNECTING, RETRYING, Source, SourceState

log = logging.getLogger(__name__)


class SourceOpener:
    """Tries to open a source until it can be opened, or once.

    Args:
        open_source: Opens it; raises `SourceError`.
        retry: Whether to try again, for as long as it takes: a camera may come up later, a file does not.
        stop: Ends the attempts.
        on_done: Called from the thread when there is a source or an error.
        delay_s: Seconds until the next attempt, from those since the first one.

    Attributes:
        source: The open source.
        error: Why there will be none.
        state: What is going on.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        *,
        retry: bool,
        stop: threading.Event,
        on_done: Callable[[], None],
        delay_s: Callable[[float], float] = retry_delay_s,
    ) -> None:
        self._open, self._retry, self._stop, self._on_done, self._delay_s = (
            open_source,
            retry,
            stop,
            on_done,
            delay_s,
        )
        self.source: Source | None = None
        self.error: BaseException | None = None
        self.state = SourceState(CONNECTING, time.time())
        self._thread = threading.Thread(target=self._run, name="opener", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began_s = time.monotonic()
        try:
            while self.source is None and not self._stop.is_set():
                try:
                    self.source = self._open()
                except SourceError as error:
                    if not self._retry:
                        raise
                    self._note(str(error))
                    self._stop.wait(self._delay_s(time.monotonic() - began_s))
            if self.source is not None and self.state.name == RETRYING:
                log.warning("source there after %.1f s", time.monotonic() - began_s)
        except BaseException as error:
            self.error = error  # raised by the stage's own loop
        finally:
            self._on_done()

    def _note(self, why: str) -> None:
        if self.state.name == CONNECTING:
            self.state = SourceState(RETRYING, time.time(), why)
            log.warning("source cannot be opened: %s; it is tried again", why)
        elif self.state.why != why:
            self.state = SourceState(RETRYING, self.state.since_s, why)
            log.info("source cannot be opened: %s", why)
