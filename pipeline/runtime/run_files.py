"""The files that a run writes into its folder, and how it replaces the results of an earlier run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.logs.destinations import run_log_path
from pipeline.records.heat_file import heat_path, view_path
from pipeline.sinks.cutouts import cutout_folder
from pipeline.video.video_index import video_folder

IDENTITY = "run.json"
"""File that identifies the run; a folder with this file holds a run."""
STREAMS = "streams.json"
"""File with the streams of a run that goes on."""
ASIDE = ".replaced"
"""Folder in that of a run which holds earlier results until the new run has started."""
DISCARDED = ".replaced.done"
"""The same after that, while it is being removed."""

_OF_A_RUN = ("summary.json", "config.json", "prometheus-targets.json", "demo.json", STREAMS)
_DATABASE = ("events.db", "events.db-wal", "events.db-shm", "events.db-journal", "events.spool")
_VIDEO_PARTS = r"\.(mp4\.part|mp4\.joining|last\.mp4|\d{3,}\.mp4)"


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """What the folder of a run says of it.

    Attributes:
        run: Identifier of the run; events carry it.
        lives: How many commands have worked on it.
        started_s: Unix time.
        streams: Names.
        tracks: Files of MOTChallenge rows.
    """

    run: str
    lives: int
    started_s: float
    streams: tuple[str, ...]
    tracks: tuple[Path, ...] = ()

    def __str__(self) -> str:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.started_s))
        return f"a run of {began} ({', '.join(self.streams)})"


def read_earlier_run(out: Path) -> EarlierRun | None:
    """The run whose results are in `out`; None if there is none, or if `run.json` is damaged.

    After an interrupted start that would have replaced a run, it is the run to be replaced.

    Args:
        out: Folder of the run.
    """
    aside = out / ASIDE / IDENTITY
    return _read(aside if aside.exists() else out / IDENTITY)


def _read(path: Path) -> EarlierRun | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        streams = data.get("streams") or _streams_of_config(path.with_name("config.json"))
        tracks = tuple(Path(str(one)) for one in data.get("tracks", ()))
        return EarlierRun(
            str(data["run"]), int(data["lives"]), float(data["started_s"]), tuple(map(str, streams)), tracks
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _streams_of_config(path: Path) -> list[str]:
    """The streams of a run by a version that did not list them in `run.json`."""
    with contextlib.suppress(OSError, ValueError, KeyError, AttributeError):
        return list(json.loads(path.read_text(encoding="utf-8"))["streams"])
    return []


def stream_files(out: Path, stream: str) -> list[Path]:
    """What a run may write into `out` for one stream alone.

    Args:
        out: Folder of the run.
        stream: Its name.
    """
    parts = re.compile(re.escape(stream) + _VIDEO_PARTS)
    return [
        heat_path(out, stream),
        view_path(out, stream),
        out / f"{stream}-heatmap.png",
        out / "log" / f"{stream}.log",
        out / "log" / stream,
        out / f"{stream}.mp4",
        video_folder(out, stream),
        cutout_folder(out, stream),
        *(path for path in _children(out) if parts.fullmatch(path.name)),
    ]


def written_files(out: Path, streams: Iterable[str], tracks: Iterable[Path] = ()) -> list[Path]:
    """What a run of these streams wrote into `out`: existing files, and folders of logs; `run.json` comes last.

    Args:
        out: Folder of the run.
        streams: Names.
        tracks: Files of MOTChallenge rows; those outside of `out` are not the folder's.
    """
    found = [out / name for name in (*_OF_A_RUN, *_DATABASE)]
    found.append(out / "log" / "quarantine")
    run_log = run_log_path(out)
    found += [run_log, *run_log.parent.glob(f"{run_log.name}.[0-9]")]
    for stream in streams:
        found += stream_files(out, stream)
    for path in tracks:
        if path.is_relative_to(out):
            found += [path, path.with_name(f"{path.name}.part")]
    found.append(out / IDENTITY)
    return [path for path in found if path.exists() or path.is_symlink()]


def foreign_file(out: Path, streams: Iterable[str]) -> Path | None:
    """A file that a run of these streams would replace although it is not of a run; None if there is none.

    Args:
        out: A folder that holds no run, except for the log of one that could not start.
        streams: Names.
    """
    log = run_log_path(out).name
    return next((path for path in written_files(out, streams) if not path.name.startswith(log)), None)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def set_aside(out: Path, files: Iterable[Path]) -> None:
    """Moves the results of an earlier run out of the way, into a hidden folder of `out`.

    Args:
        out: Folder of the run.
        files: As of `written_files`: where `run.json` was moved, so was everything.
    """
    for path in files:
        target = out / ASIDE / path.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def put_back(out: Path) -> None:
    """Moves the files set aside back to their places, `run.json` first. The log of a failed start is appended to the
    earlier log.

    Args:
        out: Folder of the run.
    """
    log, aside = run_log_path(out), out / ASIDE
    if not aside.is_dir():
        return
    last_words = log.read_bytes() if log.exists() and (aside / log.relative_to(out)).exists() else b""
    paths = [Path(folder) / name for folder, _, names in os.walk(aside) for name in names]
    for path in sorted(paths, key=lambda path: path != aside / IDENTITY):
        target = out / path.relative_to(aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    if last_words:
        with log.open("ab") as file:
            file.write(last_words)
    shutil.rmtree(aside, ignore_errors=True)


def remove_written(out: Path, streams: Iterable[str], tracks: Iterable[Path] = ()) -> None:
    """Removes the files of a run that could not start, except its log, which says why; `run.json` goes last.

    Args:
        out: Folder of the run.
        streams: Names of its streams.
        tracks: Its files of MOTChallenge rows.
    """
    for path in written_files(out, streams, tracks):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path != run_log_path(out):
            path.unlink(missing_ok=True)


def discard(out: Path) -> None:
    """Removes the files set aside. The rename is the commit point: `recover` completes an interrupted removal.

    Args:
        out: Folder of the run.
    """
    with contextlib.suppress(OSError):
        (out / ASIDE).rename(out / DISCARDED)
    shutil.rmtree(out / DISCARDED, ignore_errors=True)


def recover(out: Path) -> None:
    """Completes what a killed command left unfinished: earlier results are put back or removed.

    Args:
        out: Folder of the run.
    """
    aside = out / ASIDE
    if (aside / IDENTITY).exists() and (earlier := _read(out / IDENTITY)) is not None:
        # All earlier results were set aside, so these files are of the run that was to replace them and never started.
        remove_written(out, earlier.streams, earlier.tracks)
    put_back(out)
    discard(out)
