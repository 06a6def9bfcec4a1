"""Notices that the configuration file of a run has changed, and reads it again: in a thread, since sources are
opened."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.errors import TallycamError
from pipeline.redact import redact
from pipeline.runtime.repeating import repeating

log = logging.getLogger(__name__)

INTERVAL_S = 0.5
"""How often the file is looked at; it is read once it has been the same twice, since editors write in pieces."""


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """The configuration of a run as it can be read again.

    Attributes:
        path: The file.
        load: Reads it, with the options of the command; raises `TallycamError`.
    """

    path: Path
    load: Callable[[], Config]


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The outcome of reading a changed file.

    Attributes:
        digest: Of its content, see `digest_of`.
        config: The configuration; None: it is refused.
        error: Why it is refused; one line without passwords.
    """

    digest: str
    config: Config | None
    error: str = ""


class ConfigurationWatch:
    """Reads the file whenever it has changed.

    Args:
        file: The configuration.
        accept: Makes the configuration with which the run is to go on, or raises `TallycamError`.

    Attributes:
        digest: Of the file when the watch began.
    """

    def __init__(self, file: ConfigurationFile, accept: Callable[[Config], Config]) -> None:
        self._file, self._accept = file, accept
        self.digest = digest_of(file.path)
        self._seen = _signature(file.path)
        self._before = self._seen
        self._digest = self.digest
        self._outcomes: deque[ReadAgain] = deque()

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def going_on(self) -> AbstractContextManager[None]:
        """Within, a thread looks at the file every `INTERVAL_S`."""
        return repeating("configuration watch", self.look, INTERVAL_S)

    def take(self) -> ReadAgain | None:
        """The next change that was noticed, if there is one."""
        return self._outcomes.popleft() if self._outcomes else None

    def look(self) -> None:
        """Looks at the file once."""
        now = _signature(self._file.path)
        settled, self._before = now == self._before, now
        if not settled or now == self._seen:
            return
        self._seen = now
        if (digest := digest_of(self._file.path)) == self._digest:
            return  # touched, or written again as it was
        self._digest = digest
        try:
            self._outcomes.append(ReadAgain(digest, self._accept(self._file.load())))
        except TallycamError as error:
            self._outcomes.append(ReadAgain(digest, None, " ".join(redact(str(error)).split())))


def digest_of(path: Path) -> str:
    """SHA-256 of a file; empty where it cannot be read.

    Args:
        path: The file.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes with the content of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
