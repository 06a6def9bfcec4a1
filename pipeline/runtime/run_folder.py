"""The folders of a run: results in `out`, sockets and the specification in a private folder that goes with the run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.files import unwritable, writing
from pipeline.records.rows import check_rows, rows_path
from pipeline.records.summary import write_json
from pipeline.runtime.continuation import changes_since, check_continuation, without_secrets
from pipeline.runtime.private import protect
from pipeline.runtime.run_files import (
    IDENTITY,
    STREAMS,
    EarlierRun,
    discard,
    foreign_file,
    put_back,
    read_earlier_run,
    recover,
    remove_written,
    set_aside,
    written_files,
)
from pipeline.runtime.run_lock import FILE, clear_lock, sign_lock, take_lock
from pipeline.runtime.run_log import DEFAULT_LOG, LogSettings
from pipeline.stages.run_spec import RunSpec
from pipeline.transport.sockets import Endpoints

PREFIX = "tallycam-"
_LIVES = 1000
"""Incarnations of one process within one command; a resumed run counts on from the next thousand."""
_ELSEWHERE = "give another folder with --out"


class Existing(Enum):
    """What to do with a run whose results are in the folder already."""

    CONTINUE = "continue"
    """Go on with it, unless a recording would be counted with two configurations or nothing is left."""
    RESUME = "resume"
    """Go on with it in any case."""
    OVERWRITE = "overwrite"


@dataclass(slots=True)
class Run:
    """An open run.

    Attributes:
        spec: What its processes read at their start.
        endpoints: Of their sockets.
        first_incarnation: Of every process; above 0 if the run of an earlier command is resumed.
        started_s: Unix time of the first command.
    """

    spec: RunSpec
    endpoints: Endpoints
    first_incarnation: int
    started_s: float
    _lock: IO[str]
    _kept: bool

    @property
    def out(self) -> Path:
        return self.spec.out

    @property
    def spec_path(self) -> Path:
        return self.endpoints.spec

    def write_targets(self, host: str, ports: Mapping[str, int]) -> None:
        """Writes the scrape targets of all processes for Prometheus (`file_sd_configs`).

        Args:
            host: Address that the exporters bind; a wildcard is written as 127.0.0.1.
            ports: Process -> TCP port.

        Raises:
            OutputError: The file cannot be written.
        """
        shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104
        targets = [
            {"targets": [f"{shown}:{port}"], "labels": {"process": name}}
            for name, port in sorted(ports.items())
        ]
        write_json(self.out / "prometheus-targets.json", targets)

    def follow(self, config: Config) -> None:
        """Makes another configuration that of the run; its processes read it when they start or are asked to.

        Args:
            config: With other streams, and otherwise as before.

        Raises:
            OutputError: It cannot be written; the run keeps the one that it had.
        """
        spec = self.spec
        places = spec.places.following(config)
        spec = replace(spec, config=config, placement=places, revision=spec.revision + 1)
        with writing(self.out):
            identity = json.loads((self.out / IDENTITY).read_text(encoding="utf-8"))
            identity["streams"] = list(dict.fromkeys([*identity["streams"], *config.streams]))
            write_json(self.out / IDENTITY, identity)
            write_json(self.out / "config.json", without_secrets(config))
            spec.write(self.spec_path)
        self.spec = spec

    @property
    def lock(self) -> int:
        """File descriptor of the lock of the folder, for the processes to inherit."""
        return self._lock.fileno()

    @property
    def resumed(self) -> bool:
        """Whether it continues the run of an earlier command."""
        return self.first_incarnation > 0

    def keep(self) -> None:
        """Commits the start of the run: its results stay, and those that it replaces are removed."""
        if not self._kept:
            self._kept = True
            discard(self.out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # it may be a read-only file system by now
            (self.out / STREAMS).unlink()
        with contextlib.suppress(OSError):
            (self.out / "prometheus-targets.json").unlink()
        if not self._kept:
            config = self.spec.config
            with contextlib.suppress(OSError):  # the next command in the folder completes it: `recover`
                remove_written(self.out, self.spec.places.numbers, _rows(config, self.spec.tracks))
                put_back(self.out)
        shutil.rmtree(self.endpoints.folder, ignore_errors=True)
        clear_lock(self._lock)
        self._lock.close()


def check_folder(config: Config, out: Path, existing: Existing) -> list[str]:
    """Refuses a folder before anything is done for a run that may not write there. Touches nothing.

    Args:
        config: Of the new run.
        out: Its folder.
        existing: What to do with a run that is there.

    Returns:
        Settings that have changed since the run that goes on.

    Raises:
        ConfigError: A recording would be counted with two configurations, another command is writing there, or files
            would be replaced that are not of a run.
        NothingLeftError: The run in the folder is complete.
    """
    with contextlib.suppress(OSError), (out / FILE).open() as lock:
        take_lock(lock, out)
    earlier = _usable(config, out, existing)
    return changes_since(config, out) if earlier and existing is not Existing.OVERWRITE else []


def _usable(config: Config, out: Path, existing: Existing) -> EarlierRun | None:
    """The run whose results are in the folder, if there is one; refuses as `check_folder`."""
    earlier = read_earlier_run(out)
    if earlier is not None and existing is Existing.CONTINUE:
        check_continuation(config, out, earlier)
    if earlier is None and (foreign := foreign_file(out, config.streams)) is not None:
        raise ConfigError(
            f"{foreign}: is in the way, and not of a run that could go on; move it, or {_ELSEWHERE}"
        )
    check_videos(config, out)
    return earlier


def check_videos(config: Config, out: Path) -> None:
    """Refuses a source in the place of which a video is written.

    Args:
        config: Of the run.
        out: Its folder.

    Raises:
        ConfigError: There is one.
    """
    videos = {(out / f"{name}.mp4").resolve() for name in config.streams}
    for name, stream in config.streams.items():
        if Path(stream.source).expanduser().resolve() in videos:
            raise ConfigError(
                f"streams.{name}.source: {stream.source} is where a video is written; {_ELSEWHERE}"
            )


def open_run(
    config: Config,
    out: Path,
    classes: tuple[str, ...],
    tracks: Path | None = None,
    *,
    existing: Existing = Existing.CONTINUE,
    log: LogSettings = DEFAULT_LOG,
) -> Run:
    """Opens the folder of a run.

    Results of an earlier run that is to be overwritten are set aside until `Run.keep` is called. If the run ends before
    that, they are put back, and nothing is left of the new run but its log.

    Args:
        config: What to count.
        out: The folder, an absolute path.
        classes: Class names of the model.
        tracks: File for MOTChallenge rows, if they are wanted; an absolute path.
        existing: What to do with a run that is there; where there is none, one begins.
        log: Form and level of the log.

    Raises:
        ConfigError: As `check_folder`.
        NothingLeftError: As `check_folder`.
        OutputError: The folder cannot be written.
    """
    rows = _rows(config, tracks)
    for path in rows:
        check_rows(path)
    with contextlib.ExitStack() as undo:
        try:
            (out / "log").mkdir(parents=True, exist_ok=True)
            lock = undo.enter_context((out / FILE).open("a+"))
            take_lock(lock, out)
            sign_lock(lock)
            undo.callback(clear_lock, lock)
            recover(out)
            earlier = _usable(config, out, existing)
            protect(
                config,
                (out, out / "log"),
                written_files(out, earlier.streams, earlier.tracks) if earlier else (),
            )
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_runtime_folder()))
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            resumed = None if existing is Existing.OVERWRITE else earlier
            if earlier is not None and resumed is None:
                undo.callback(put_back, out)
                set_aside(out, written_files(out, earlier.streams, earlier.tracks))
        except OSError as error:
            raise unwritable(error.filename or out, error, _ELSEWHERE) from None
        if resumed is None:
            undo.callback(remove_written, out, config.streams, rows)
        run = _write_identity(config, out, classes, tracks, resumed, Endpoints(folder), lock, log)
        undo.pop_all()
    sweep()
    return run


def _write_identity(
    config: Config,
    out: Path,
    classes: tuple[str, ...],
    tracks: Path | None,
    resumed: EarlierRun | None,
    endpoints: Endpoints,
    lock: IO[str],
    log: LogSettings,
) -> Run:
    """Writes what names the run and what its processes read."""
    now_s = time.time()
    new = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_s))}-{uuid.uuid4().hex[:8]}"
    name, lives, started_s = (resumed.run, resumed.lives, resumed.started_s) if resumed else (new, 0, now_s)
    identity = {
        "run": name,
        "lives": lives + 1,
        "started_s": started_s,
        "streams": list(dict.fromkeys([*(resumed.streams if resumed else ()), *config.streams])),
        "tracks": sorted({*map(str, resumed.tracks if resumed else ()), *map(str, _rows(config, tracks))}),
    }
    spec = RunSpec(config, out, name, classes, tracks, log.file_level, log.form)
    run = Run(spec, endpoints, _LIVES * lives, started_s, lock, _kept=resumed is not None)
    with writing(out, _ELSEWHERE):
        write_json(out / "config.json", without_secrets(config))
        write_json(out / IDENTITY, identity)
        spec.write(run.spec_path)
        (endpoints.folder / "pid").write_text(str(os.getpid()))
    return run


def _rows(config: Config, tracks: Path | None) -> list[Path]:
    """Files of MOTChallenge rows, one a stream."""
    return [] if tracks is None else [rows_path(tracks, name, len(config.streams)) for name in config.streams]


def _runtime_folder() -> str:
    """A folder for sockets: their paths must stay below 108 bytes, so long temporary folders are not used."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        if folder and len(folder) < 60 and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return "/tmp"  # noqa: S108


def sweep() -> None:
    """Removes the private folders of runs of which no process is left."""
    for folder in Path(_runtime_folder()).glob(f"{PREFIX}*"):
        try:
            pid = int((folder / "pid").read_text())
            if folder.stat().st_uid == os.getuid() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError):
            continue  # another user's, or just being created
