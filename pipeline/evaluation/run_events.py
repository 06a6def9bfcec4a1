"""The events and the summary of a run, read from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.evaluation.report import EvaluationError
from pipeline.files import reading
from pipeline.records.events import EventStore


def read_events(folder: Path, url: str | None = None) -> list[dict[str, Any]]:
    """Read the events of a run.

    Args:
        folder: of the run.
        url: SQLAlchemy URL of the database; default: `events.db` in the folder.

    Returns:
        Rows by column name, in the order of time.

    Raises:
        EvaluationError: the folder is not that of a run.
        OutputError: the database cannot be read.
    """
    run = read_run(folder)
    path = folder / "events.db"
    if url is None and not path.is_file():
        raise EvaluationError(f"{path}: is missing; give the database of the run with --events URL")
    with EventStore(url or f"sqlite:///{path}", run) as store:
        return store.rows()


def read_run(folder: Path) -> str:
    """Read the name of a run from its folder.

    Raises:
        EvaluationError: the folder is not that of a run.
    """
    path = folder / "run.json"
    try:
        with reading(path, EvaluationError, "expected the folder of a run"):
            return str(json.loads(path.read_text(encoding="utf-8"))["run"])
    except (ValueError, KeyError, TypeError):
        raise EvaluationError(f"{path}: is damaged; expected the folder of a run") from None


def read_stream_summary(folder: Path, stream: str | None) -> tuple[str, dict[str, Any]]:
    """Read the summary of a stream.

    Args:
        folder: of the run.
        stream: its name; may be None if there is only one.

    Returns:
        Name and summary of the stream.

    Raises:
        EvaluationError: there is no summary, or no such stream in it.
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
