"""What a run counted: its events and its summary, read from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.evaluation.report import EvaluationError
from pipeline.files import reading
from pipeline.records.events import EventStore


def read_events(folder: Path, url: str | None = None) -> list[dict[str, Any]]:
    """The events of the run in `folder` by column name, in the order of time, from `events.db` or the database `url`.

    Raises:
        EvaluationError: the folder holds no run.
        OutputError: the database cannot be read.
    """
    run = read_run(folder)
    path = folder / "events.db"
    if url is None and not path.is_file():
        raise EvaluationError(f"{path}: is missing; give the database of the run with --events URL")
    with EventStore(url or f"sqlite:///{path}", run) as store:
        return store.rows()


def read_run(folder: Path) -> str:
    """Name of the run in a folder.

    Raises:
        EvaluationError: there is none.
    """
    path = folder / "run.json"
    try:
        with reading(path, EvaluationError, "expected the folder of a run"):
            return str(json.loads(path.read_text(encoding="utf-8"))["run"])
    except (ValueError, KeyError, TypeError):
        raise EvaluationError(f"{path}: is damaged; expected the folder of a run") from None


def read_stream_summary(folder: Path, stream: str | None) -> tuple[str, dict[str, Any]]:
    """Name and summary of a stream; `stream` may be left out where there is only one.

    Raises:
        EvaluationError: there is no summary, or not of that stream.
    """
    path = folder / "summary.json"
    try:
        with reading(path, EvaluationError, "expected a finished run"):
            streams = dict(json.loads(path.read_text(encoding="utf-8"))["streams"])
    except (ValueError, KeyError, TypeError):
        raise EvaluationError(f"{path}: is damaged") from None
    if stream is None and len(streams) == 1:
        stream = next(iter(streams))
    if stream is None or stream not in streams:
        raise EvaluationError(f"--stream: got {stream or 'none'}, expected one of {', '.join(streams)}")
    return stream, dict(streams[stream])
