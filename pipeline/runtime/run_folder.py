"""The folders of a run: results in `out`, sockets and the specification in a private folder that goes with it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.files import unwritable
from pipeline.records.heat import heat_path, view_path
from pipeline.records.rows import check_rows, rows_path
from pipeline.records.summary import write_json
from pipeline.runtime.run_log import DEFAULT_LOG, LogSettings
from pipeline.stages.run_spec import RunSpec
from pipeline.transport.sockets import Endpoints

PREFIX = "tallycam-"
_LIVES = 1000
"""Incarnations of one process within one command; a resumed run counts on from the next thousand."""


@dataclass(slots=True)
class Run:
    """An open run.

    Attributes:
        endpoints: where its processes meet.
        first_incarnation: of every process; above 0 where an earlier command is resumed.
        started_s: Unix time.
    """

    spec: RunSpec
    endpoints: Endpoints
    first_incarnation: int
    started_s: float
    _lock: IO[str]

    @property
    def out(self) -> Path:
        return self.spec.out

    @property
    def spec_path(self) -> Path:
        return self.endpoints.folder / "run.json"

    def write_targets(self, host: str, ports: Mapping[str, int]) -> None:
        """Tells Prometheus (`file_sd_configs`) where the metrics of each process are."""
        shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104
        targets = [
            {"targets": [f"{shown}:{port}"], "labels": {"process": name}}
            for name, port in sorted(ports.items())
        ]
        write_json(self.out / "prometheus-targets.json", targets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.out / "prometheus-targets.json").unlink()
        shutil.rmtree(self.endpoints.folder, ignore_errors=True)
        self._lock.close()


def open_run(
    config: Config,
    out: Path,
    classes: tuple[str, ...],
    tracks: Path | None = None,
    *,
    resume: bool = False,
    log: LogSettings = DEFAULT_LOG,
) -> Run:
    """Makes the folders, and empties what an earlier run of the same streams left, unless it is resumed.

    Raises:
        ConfigError: another run is writing there, or there is nothing to resume.
        OutputError: the folder cannot be written.
    """
    if tracks is not None:
        for stream in config.streams:
            check_rows(rows_path(tracks, stream, len(config.streams)))
    name, lives, started_s = _identity(out, time.time(), resume)
    with contextlib.ExitStack() as undo:
        try:
            (out / "log").mkdir(parents=True, exist_ok=True)
            lock = undo.enter_context((out / "run.lock").open("a+"))
            _lock(lock, out)
            if not resume:
                _empty(out, config)
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_runtime_folder()))
        except OSError as error:
            raise unwritable(error.filename or out, error, "give another folder with --out") from None
        write_json(out / "config.json", config.model_dump(mode="json"))  # which hides passwords
        write_json(out / "run.json", {"run": name, "lives": lives + 1, "started_s": started_s})
        sweep()
        spec = RunSpec(config, out, name, classes, tracks, log.file_level, log.form)
        run = Run(spec, Endpoints(folder), _LIVES * lives, started_s, lock)
        spec.write(run.spec_path)
        (folder / "pid").write_text(str(os.getpid()))
        undo.pop_all()
    return run


def _lock(lock: IO[str], out: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(
            f"{out}: another tallycam is writing here; give another folder with --out"
        ) from None


def _identity(out: Path, now_s: float, resume: bool) -> tuple[str, int, float]:
    """Name of the run, how many commands worked on it before, and when it began."""
    if not resume:
        return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_s))}-{uuid.uuid4().hex[:8]}", 0, now_s
    try:
        data = json.loads((out / "run.json").read_text())
        return str(data["run"]), int(data["lives"]), float(data["started_s"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{out}: no run to resume; leave --resume out to begin one") from None


def _empty(out: Path, config: Config) -> None:
    """Removes the results of an earlier run: they would be mixed with the new ones."""
    found = [out / "summary.json", *out.glob("events.db*")]
    for stream in config.streams:
        found += [heat_path(out, stream), view_path(out, stream), out / f"{stream}-heatmap.png"]
        found += [out / "log" / f"{stream}.log", out / f"{stream}.mp4", out / f"{stream}.mp4.part"]
        found += out.glob(f"{stream}.[0-9]*.mp4")
    for path in found:
        path.unlink(missing_ok=True)


def _runtime_folder() -> str:
    """A folder for sockets: their paths must stay below 108 bytes, so long temporary folders are not used."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        if folder and len(folder) < 60 and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return "/tmp"  # noqa: S108


def sweep() -> None:
    """Removes the private folders of runs that were killed whole: no process of theirs is left."""
    for folder in Path(_runtime_folder()).glob(f"{PREFIX}*"):
        try:
            pid = int((folder / "pid").read_text())
            if folder.stat().st_uid == os.getuid() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError):
            continue  # somebody else's, or being made just now
