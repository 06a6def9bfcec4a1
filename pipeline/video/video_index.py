"""The annotated video of a stream without end: a folder of files, each finished, and an index of what is in them."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import av

from pipeline.files import unwritable, write_text
from pipeline.video.video_parts import part_path, start_of

INDEX = "index.csv"
_START = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r".+-(\d{8}T\d{6}Z)(?:-\d+)?\.mp4")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoEntry:
    """One row of the index.

    Attributes:
        file: Name of the file.
        start: When its first frame was decoded, ISO 8601 in UTC.
        end: When its last frame was decoded.
        first_pts_s: Media time of the first frame in the stream, seconds.
        last_pts_s: Media time of the last frame.
        epoch: Of the source; -1 for a file whose writer was killed.
        frames: Number of frames.
        width: Pixels.
        height: Pixels.
    """

    file: str
    start: str
    end: str
    first_pts_s: float
    last_pts_s: float
    epoch: int
    frames: int
    width: int
    height: int


def video_folder(out: Path, stream: str) -> Path:
    """Folder of the annotated video of a stream without end.

    Args:
        out: Folder of the run.
        stream: Name of the stream.
    """
    return out / "video" / stream


def new_video(folder: Path, stream: str, wall_s: float) -> Path:
    """Path of a new file, named by its stream and the time of its first frame.

    Args:
        folder: From `video_folder`.
        stream: Name of the stream.
        wall_s: Unix time.
    """
    stem = f"{stream}-{datetime.fromtimestamp(wall_s, UTC):{_START}}"
    path, number = folder / f"{stem}.mp4", 1
    while path.exists() or part_path(path).exists():
        number += 1
        path = folder / f"{stem}-{number}.mp4"
    return path


def read_index(folder: Path) -> list[VideoEntry]:
    """The files of a folder that are there, oldest first; rows that cannot be read are left out.

    Args:
        folder: From `video_folder`; it need not exist.
    """
    try:
        text = (folder / INDEX).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for row in csv.DictReader(io.StringIO(text)):
        try:
            entry = VideoEntry(
                file=row["file"],
                start=row["start"],
                end=row["end"],
                first_pts_s=float(row["first_pts_s"]),
                last_pts_s=float(row["last_pts_s"]),
                epoch=int(row["epoch"]),
                frames=int(row["frames"]),
                width=int(row["width"]),
                height=int(row["height"]),
            )
        except (KeyError, TypeError, ValueError):
            continue
        if os.path.basename(entry.file) == entry.file and (folder / entry.file).is_file():
            found.append(entry)
    return found


def add_to_index(folder: Path, entries: Iterable[VideoEntry]) -> None:
    """Adds files to the index, and drops those that have been deleted.

    Args:
        folder: From `video_folder`.
        entries: The new ones.

    Raises:
        OutputError: The index cannot be written; it stays as it was.
    """
    new = list(entries)
    names = {entry.file for entry in new}
    rows = [entry for entry in read_index(folder) if entry.file not in names] + new
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [field.name for field in fields(VideoEntry)]
    writer.writerow(columns)
    for entry in sorted(rows, key=lambda entry: (entry.start, entry.first_pts_s)):
        writer.writerow([getattr(entry, column) for column in columns])
    write_text(folder / INDEX, text.getvalue())


def finish_parts(folder: Path) -> list[VideoEntry]:
    """Keeps what killed writers have left, as far as it can be played; the rest is removed.

    Args:
        folder: From `video_folder`; it need not exist.

    Returns:
        The files that are kept, and finished ones that their writer could not list any more, for the index.

    Raises:
        OutputError: A file cannot be renamed or removed.
    """
    kept = []
    for part in sorted(folder.glob("*.mp4.part")):
        path = part.with_suffix("")
        entry = _examined(part, path.name)
        try:
            if entry is None:
                part.unlink()
            else:
                part.replace(path)
                kept.append(entry)
        except OSError as error:
            raise unwritable(part, error) from error
    listed = {entry.file for entry in (*read_index(folder), *kept)}
    missing = (path for path in sorted(folder.glob("*.mp4")) if path.name not in listed)
    return kept + [entry for path in missing if (entry := _examined(path, path.name)) is not None]


def _examined(part: Path, name: str) -> VideoEntry | None:
    """What is in a file whose writer was killed; None if nothing of it can be played."""
    times: list[float] = []
    try:
        with av.open(f"file:{part.absolute()}", options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            first_pts_s = start_of(container.metadata.get("comment", ""))
            size = stream.width, stream.height
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base is not None and not packet.is_corrupt:
                    times.append(float(packet.pts * packet.time_base))  # noqa: PERF401 - kept when a later one fails
    except (av.FFmpegError, IndexError):
        pass  # the incomplete last fragment; what is before it counts
    except OSError:
        return None
    if not times:
        return None
    named = _NAME.fullmatch(name)
    start_s = (
        datetime.strptime(named.group(1), _START).replace(tzinfo=UTC).timestamp()
        if named
        else part.stat().st_mtime - max(times)
    )
    return VideoEntry(
        file=name,
        start=utc_text(start_s),
        end=utc_text(start_s + max(times)),
        first_pts_s=round(first_pts_s, 6),
        last_pts_s=round(first_pts_s + max(times), 6),
        epoch=-1,
        frames=len(times),
        width=size[0],
        height=size[1],
    )


def utc_text(wall_s: float) -> str:
    """A time as it stands in the index.

    Args:
        wall_s: Unix time.
    """
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds")
