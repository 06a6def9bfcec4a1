"""The audit of a run: from its folder to the page and the figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.audit.audit_page import Card, Heading, audit_page
from pipeline.audit.event_pictures import crop_of, picture
from pipeline.audit.frames import Image, Wanted, can_be_played_again, source_frames, video_frames
from pipeline.audit.marks import AuditError, Precision, group_of, sample
from pipeline.audit.strips import Strip, strips
from pipeline.config import load as config_load
from pipeline.config.schema import Config, StreamConfig
from pipeline.errors import SourceError
from pipeline.evaluation.report import NOT_AVAILABLE, Cell, Sheet
from pipeline.evaluation.run_events import read_events, read_run
from pipeline.files import reading
from pipeline.video.video_index import read_index, video_folder

CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events to show.

    Attributes:
        kinds: of `line`, `zone`, `unique`.
        streams: names; None: all.
        size: number of events to draw at random; None: all.
        seed: of the random draw.
    """

    kinds: tuple[str, ...] = ("line", "zone", "unique")
    streams: tuple[str, ...] | None = None
    size: int | None = None
    seed: int = 1


def counted_events(folder: Path, selection: Selection, url: str | None = None) -> list[Mapping[str, Any]]:
    """The events of a run that the selection draws from, by stream and time.

    Args:
        folder: of the run.
        selection: kinds and streams.
        url: SQLAlchemy URL of the event database; default: `events.db` in the folder.

    Raises:
        AuditError: there is none.
        EvaluationError: the folder holds no run.
        OutputError: the database cannot be read.
    """
    rows = read_events(folder, url)
    events = [
        row
        for row in sorted(rows, key=lambda row: (row["stream"], row["pts_s"], row["key"]))
        if row["kind"] in selection.kinds
        and (selection.streams is None or row["stream"] in selection.streams)
    ]
    if not events:
        raise AuditError(f"{folder}: holds no counted event to show")
    return list(events)


def run_config(folder: Path, given: Path | None, source: str | None = None) -> Config:
    """The configuration of a run.

    Args:
        folder: of the run.
        given: a configuration to use instead of the one the run left in its folder.
        source: where the video is now, if the run has one stream.

    Raises:
        AuditError: the run left no configuration.
        ConfigError: `given` is invalid.
    """
    if given is not None:
        return config_load.load(given, (), source)
    path = folder / CONFIG
    try:
        with reading(path, AuditError, "give the run's configuration with --config"):
            config = Config.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError):
        raise AuditError(f"{path}: is damaged; give the run's configuration with --config") from None
    if source is None:
        return config
    if len(config.streams) != 1:
        raise AuditError(f"--source: the run has {len(config.streams)} streams; expected one")
    streams = {name: stream.model_copy(update={"source": source}) for name, stream in config.streams.items()}
    return config.model_copy(update={"streams": streams})


def make_page(
    folder: Path,
    config: Config,
    events: Sequence[Mapping[str, Any]],
    selection: Selection,
    on_stream: Callable[[str, int], None] = lambda name, count: None,
) -> str:
    """Make the page.

    Args:
        folder: of the run.
        config: of the run.
        events: all events to draw from.
        selection: how many to draw.
        on_stream: called before the pictures of a stream are made, with its name and number of events.

    Raises:
        AuditError: a stream is not in the configuration, or has neither source nor video.
        RecordError: a log cannot be read.
    """
    shown = sample(events, selection.size, selection.seed)
    cards: list[Card] = []
    notes: list[str] = []
    for name in dict.fromkeys(str(event["stream"]) for event in shown):
        own = [event for event in shown if event["stream"] == name]
        if name not in config.streams:
            raise AuditError(f"the configuration has no stream {name}; it has {', '.join(config.streams)}")
        on_stream(name, len(own))
        stream = config.streams[name]
        found = strips(folder / "log" / f"{name}.log", config, name, own)
        made, note = _cards(folder, name, stream, found)
        cards += made
        notes += [note] if note else []
    heading = Heading(
        run=read_run(folder),
        subject=str(folder),
        counted=len(events),
        groups=dict(sorted(Counter(map(group_of, events)).items())),
        sample=selection.size,
        seed=selection.seed,
        notes=tuple(notes),
    )
    return audit_page(heading, cards)


def sheet(parts: Sequence[Precision]) -> Sheet:
    """The precisions as a table."""
    rows: list[tuple[Cell, ...]] = [
        (
            part.name, part.counted, part.correct, part.wrong, part.unsure, 100 * part.share,
            _range(part, part.interval), _range(part, part.run_interval),
        )
        for part in parts
    ]  # fmt: skip
    header = (
        "line or zone",
        "counted",
        "correct",
        "wrong",
        "unsure",
        "precision %",
        "95 %, footage like this",
        "95 %, this run",
    )
    return Sheet("Precision of the counts", header, tuple(rows), total=True)


def _range(part: Precision, interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if part.judged else NOT_AVAILABLE


def figures_json(run: str, parts: Sequence[Precision]) -> dict[str, Any]:
    """The precisions as plain values for `audit.json`.

    Args:
        run: name of the run.
        parts: precisions of its lines and zones.

    Returns:
        Shares are from 0 to 1.
    """
    return {
        "run": run,
        "parts": [
            {
                "name": part.name, "counted": part.counted, "correct": part.correct, "wrong": part.wrong,
                "unsure": part.unsure, "precision": part.share, "interval_95": part.interval,
                "interval_95_of_this_run": part.run_interval,
            }
            for part in parts
        ],
    }  # fmt: skip


def _cards(folder: Path, name: str, stream: StreamConfig, found: Sequence[Strip]) -> tuple[list[Card], str]:
    """The cards of one stream, and a note if their pictures are not from the source."""
    wanted = {(shot.index, shot.pts_s, shot.epoch) for strip in found for shot in strip.shots}
    reason = "is live" if not can_be_played_again(stream) else ""
    pictures: dict[tuple[int, int], str] = {}
    if not reason:
        try:
            _draw(pictures, source_frames(stream, wanted), found, stream, bare=True)
        except SourceError as error:
            reason = f"cannot be played again ({error})"
    missing = _missing(wanted, pictures, found)
    videos = _videos(folder, name, missing) if missing else []
    for video, some in videos:
        _draw(pictures, video_frames(video, some), found, stream, bare=False)
    if missing and not videos and not pictures:
        raise AuditError(
            f"{stream.source}: {reason or 'gives other frames'}, and there is no video of it in {folder}: nothing "
            "to show"
        )
    cards = [
        Card(strip, tuple(pictures.get((place, number), "") for number in range(3)))  # type: ignore[arg-type]
        for place, strip in enumerate(found)
    ]
    if missing:
        return (
            cards,
            f"{name}: pictures are from the annotated video, since the source {reason or 'lacks frames'}.",
        )
    return cards, ""


def _videos(folder: Path, name: str, wanted: set[Wanted]) -> list[tuple[Path, set[Wanted]]]:
    """The annotated videos that hold frames of a stream, each with those that it holds."""
    files, left = video_folder(folder, name), set(wanted)
    found = []
    for entry in read_index(files):
        if some := {one for one in left if entry.first_pts_s <= one[1] <= entry.last_pts_s}:
            found.append((files / entry.file, some))
            left -= some
    single = folder / f"{name}.mp4"
    if left and single.is_file():
        found.append((single, left))
    return found


def _draw(
    pictures: dict[tuple[int, int], str],
    frames: Any,
    found: Sequence[Strip],
    stream: StreamConfig,
    *,
    bare: bool,
) -> None:
    """Make the pictures of each frame as it is read, so that few frames are in memory."""
    users: dict[int, list[tuple[int, int]]] = {}
    for place, strip in enumerate(found):
        for number, shot in enumerate(strip.shots):
            users.setdefault(shot.index, []).append((place, number))
    image: Image
    for index, image in frames:
        for place, number in users.get(index, ()):
            strip = found[place].stretched(image.shape[1] / image.shape[0])
            shot = strip.shots[number]
            pictures[place, number] = picture(image, strip, shot, crop_of(strip), stream, bare)


def _missing(
    wanted: set[Wanted], pictures: Mapping[tuple[int, int], str], found: Sequence[Strip]
) -> set[Wanted]:
    there = {found[place].shots[number].index for place, number in pictures}
    return {one for one in wanted if one[0] not in there}
