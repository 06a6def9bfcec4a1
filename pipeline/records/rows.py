"""Tracks as MOTChallenge rows: `frame, id, left, top, width, height, score, -1, -1, -1`, frames from 1.

Format: MOTChallenge 2015 (Leal-Taixe et al., https://arxiv.org/abs/1504.01942, section 3.3).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import replacing, writing


@dataclass(frozen=True, slots=True)
class Row:
    """One object in one frame.

    Attributes:
        index: number of the frame in the source, from 0.
        track: id of the object.
        box_px: x0 y0 x1 y1, pixels.
        score: 0..1.
    """

    index: int
    track: int
    box_px: tuple[float, float, float, float]
    score: float


class RowWriter:
    """Writes the rows of one stream: to a file next to `path` at first, which `finish` turns into `path`.

    Args:
        path: the file; its folder is made.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        check_rows(path)
        with writing(path):
            self._file = self._part.open("w", encoding="ascii")

    def add(self, rows: Iterable[Row]) -> None:
        """Writes rows.

        Args:
            rows: in any order of frames.
        """
        for row in rows:
            x0, y0, x1, y1 = row.box_px
            self._file.write(
                f"{row.index + 1},{row.track},{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},{row.score:.4f},-1,-1,-1\n"
            )

    def finish(self, final_ids: Mapping[int, int]) -> None:
        """Writes the file with the final ids.

        Args:
            final_ids: id in the rows -> id of the object that it turned out to be; others stay as they are.

        Raises:
            OutputError: it cannot be written.
        """
        with replacing(self._path) as whole:
            self._file.close()
            with self._part.open(encoding="ascii") as rows, whole.open("w", encoding="ascii") as file:
                for row in rows:
                    frame, identity, rest = row.split(",", 2)
                    file.write(f"{frame},{final_ids.get(int(identity), identity)},{rest}")
        self._part.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the unfinished file, which stays as it is."""
        self._file.close()


def check_rows(path: Path) -> None:
    """Creates the folder of a file of rows.

    Args:
        path: the file, which is not touched.

    Raises:
        OutputError: the folder cannot be made, or `path` is a folder.
    """
    with writing(path, "give another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def rows_path(tracks: Path, stream: str, streams: int) -> Path:
    """The file for the rows of one stream: the given one, or with several streams one next to it for each.

    Args:
        tracks: the file that the user gave.
        stream: name of the stream.
        streams: how many streams the run has.
    """
    return tracks if streams == 1 else tracks.with_name(f"{tracks.stem}-{stream}{tracks.suffix}")
