"""MOTChallenge files: rows, sequences with their truth, sizes of frames."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.report import EvaluationError
from pipeline.files import reading
from pipeline.geometry.plane import Floats


@dataclass(frozen=True, slots=True)
class SequenceFiles:
    """One sequence: where its truth and its tracks are.

    Attributes:
        size: width and height of the frames in pixels, where known.
    """

    name: str
    truth: Path
    tracks: Path
    size: tuple[int, int] | None = None


def read_rows(path: Path) -> Floats:
    """(N, >= 6) rows `frame, id, left, top, width, height, ...`; more columns where the file has them.

    Raises:
        EvaluationError: it cannot be read, is not such a file, or has a track twice in one frame.
    """
    try:
        with reading(path, EvaluationError):
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        table = [[float(cell) for cell in line.split(",")] for line in lines]
    except ValueError:
        raise EvaluationError(
            f"{path}: is not a MOTChallenge file: expected rows of numbers, frame,id,left,top,width,height,..."
        ) from None
    if not table:
        return np.zeros((0, 10))
    wide = min(map(len, table))
    if wide < 6:
        raise EvaluationError(
            f"{path}: got a row of {wide} numbers, expected frame,id,left,top,width,height,..."
        )
    rows = np.array([row[:wide] for row in table], np.float64)
    if not np.isfinite(rows[:, :6]).all():
        raise EvaluationError(f"{path}: a row holds a number that is none")
    return rows


def check_once(rows: Floats, path: Path) -> None:
    """Raises `EvaluationError` where one track is twice in one frame."""
    pairs, counts = np.unique(rows[:, :2], axis=0, return_counts=True)
    if len(pairs) and counts.max() > 1:
        frame, track = pairs[int(np.argmax(counts))]
        raise EvaluationError(
            f"{path}: track {track:g} is there twice in frame {frame:g}; an id stands for one object"
        )


def counted_truth(rows: Floats) -> Floats:
    """The rows of a truth file that count: column 7, where it is there, is 0 for those that do not."""
    return rows[rows[:, 6] != 0] if rows.shape[1] > 6 else rows


def pair(truth: list[Path], tracks: list[Path], sizes: list[str]) -> list[SequenceFiles]:
    """Sequences from files or folders given in pairs.

    A folder of truth holds `NAME/gt.txt` or `NAME/gt/gt.txt` (or is itself such a NAME), a folder of tracks
    `NAME.txt`. The size of a sequence's frames is `WxH` or `NAME=WxH` of `sizes`, or what its `seqinfo.ini` says.

    Raises:
        EvaluationError: a file is missing, or what is given does not pair up.
    """
    if len(truth) != len(tracks):
        raise EvaluationError(
            f"--truth, --tracks: got {len(truth)} and {len(tracks)}, expected as many of one as of the other"
        )
    found: list[tuple[str, Path, Path]] = []
    for true, track in zip(truth, tracks, strict=True):
        own = _truth_files(true)
        if not own:
            raise EvaluationError(
                f"{true}: holds no NAME/gt.txt; give a MOTChallenge truth file or a folder of such"
            )
        if len(own) > 1 and not track.is_dir():
            raise EvaluationError(
                f"{track}: expected a folder with {', '.join(f'{name}.txt' for name in own)}"
            )
        found += [
            (name, file, _track_file(track, name) if track.is_dir() else track) for name, file in own.items()
        ]
    given = _sizes(sizes, [name for name, _, _ in found])
    for _, file, track in found:
        if not track.exists():
            raise EvaluationError(f"{track}: is missing; {file} needs its tracks")
    return [
        SequenceFiles(name, file, track, given.get(name) or _seqinfo_size(file))
        for name, file, track in found
    ]


def _truth_files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        if not path.exists():
            raise EvaluationError(f"{path}: cannot be read: no such file or folder")
        folder = path.parent.parent if path.parent.name == "gt" else path.parent
        return {folder.name if path.stem == "gt" and folder.name else path.stem: path}
    if (own := _truth_of(path)) is not None:
        return {path.name: own}
    folders = {folder.name: _truth_of(folder) for folder in sorted(path.iterdir()) if folder.is_dir()}
    return {name: file for name, file in folders.items() if file is not None}


def _truth_of(folder: Path) -> Path | None:
    return next((path for path in (folder / "gt.txt", folder / "gt" / "gt.txt") if path.is_file()), None)


def _track_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.txt"


def _sizes(given: list[str], names: list[str]) -> dict[str, tuple[int, int]]:
    sizes: dict[str, tuple[int, int]] = {}
    for words in given:
        name, _, size = words.rpartition("=")
        width, _, height = size.partition("x")
        if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
            raise EvaluationError(f"--size: got {words}, expected WxH or NAME=WxH, e.g. 768x576")
        if name and name not in names:
            raise EvaluationError(f"--size: got {name}, expected one of {', '.join(names)}")
        for one in [name] if name else names:
            sizes[one] = int(width), int(height)
    return sizes


def _seqinfo_size(truth: Path) -> tuple[int, int] | None:
    """What `seqinfo.ini` of a MOTChallenge sequence says."""
    for folder in (truth.parent, truth.parent.parent):
        parser = configparser.ConfigParser()
        try:
            if parser.read(folder / "seqinfo.ini"):
                return parser.getint("Sequence", "imWidth"), parser.getint("Sequence", "imHeight")
        except (configparser.Error, ValueError) as error:
            raise EvaluationError(f"{folder / 'seqinfo.ini'}: cannot be understood: {error}") from None
    return None
