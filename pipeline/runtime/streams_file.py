"""`DIR/streams.json`: the streams of a run that goes on, and what became of its configuration file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.errors import OutputError
from pipeline.records.summary import write_json
from pipeline.redact import redact
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.run_files import STREAMS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamsState:
    """What the file says.

    Attributes:
        configuration: Absolute path of the configuration file; empty: the run has none.
        applied: Digest of its content with which the run goes on.
        refused: Digest of a content that was refused; empty: none since.
        error: Why.
        changing: A change is under way.
        streams: Name -> {"state": ..., "source": ...}.
    """

    configuration: str = ""
    applied: str = ""
    refused: str = ""
    error: str = ""
    changing: bool = False
    streams: dict[str, dict[str, str]] = field(default_factory=dict)


RETRY_S = 1.0
"""After a failure to write."""


class StreamsFile:
    """Writes the file whenever its content changes.

    Args:
        out: Folder of the run.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / STREAMS
        self._written: StreamsState | None = None
        self._failed_s = -RETRY_S
        self._told = False

    def show(self, state: StreamsState, now_s: float) -> None:
        """Writes the file unless it says so already. What cannot be written is tried again; a full disk is told of by
        those whose files matter.

        Args:
            state: Of the run.
            now_s: Monotonic time.
        """
        if state == self._written or now_s - self._failed_s < RETRY_S:
            return
        try:
            write_json(self._path, asdict(state))
        except OutputError as error:
            self._failed_s = now_s
            if not self._told:
                log.info("%s", error)
            self._told = True
            return
        self._written, self._told = state, False


def stream_states(
    config: Config, entries: Iterable[ProcessState], leaving: Iterable[str]
) -> dict[str, dict[str, str]]:
    """State and source of each stream.

    Args:
        config: Of the run.
        entries: The process table.
        leaving: Streams that are being stopped.
    """
    decoders = {entry.process.stream: entry for entry in entries if entry.process.stage.name == "decode"}
    return {
        name: {"state": _state(name, decoders.get(name), leaving), "source": _shown(stream.source)}
        for name, stream in config.streams.items()
    }


@lru_cache(maxsize=1024)
def _shown(source: str) -> str:
    """A source without passwords. Asked for each stream in each turn of the supervisor."""
    return redact(source)


def read_streams(out: Path) -> StreamsState | None:
    """The state of the run in a folder; None if there is none that goes on.

    Args:
        out: The folder.
    """
    try:
        return StreamsState(**json.loads((out / STREAMS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _state(name: str, decode: ProcessState | None, leaving: Iterable[str]) -> str:
    if name in leaving:
        return "ending"
    if decode is None:
        return "starting"
    if decode.failure is not None or decode.given_up is not None:
        return "failed"
    return "ended" if decode.ended else decode.report.texts.get("state") or "starting"
