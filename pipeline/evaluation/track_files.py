"""MOTChallenge files: rows, `seqinfo.ini`, and sequences paired with their ground truth."""

from __future__ import annotations

import configparser
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.report import EvaluationError
from pipeline.files import reading
from pipeline.geometry.plane import Floats
from pipeline.redact import shown


@dataclass(frozen=True, slots=True)
class SequenceFiles:
    """The files of one sequence.

    Attributes:
        name: of the sequence.
        truth: its ground truth.
        tracks: the tracks to evaluate.
        size: width and height of its frames in pixels, if known.
    """

    name: str
    truth: Path
    tracks: Path
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """What `seqinfo.ini` of a MOTChallenge sequence says; None where it says nothing.

    Attributes:
        fps: frames per second.
        size: width and height of the frames in pixels.
    """

    fps: float | None = None
    size: tuple[int, int] | None = None


def read_rows(path: Path, *, finite: bool = True) -> Floats:
    """Read a MOTChallenge file.

    Args:
        path: text with one object in one frame on each line.
        finite: refuse values that are NaN or infinite in the first six columns.

    Returns:
        (N, >= 6) float64: frame, id, left, top, width, height, and as many columns more as every row has.

    Raises:
        EvaluationError: it cannot be read, or a line, which is named, is not such a row.
    """
    try:
        with reading(path, EvaluationError):
            lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: is not a MOTChallenge file: it is not a text file") from None
    table = [
        _row(line, f"{path}: line {number}", finite) for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not table:
        return np.zeros((0, 10))
    columns = min(map(len, table))
    return np.array([row[:columns] for row in table], np.float64)


def _row(line: str, where: str, finite: bool) -> list[float]:
    try:
        row = [float(cell) for cell in line.split(",")]
    except ValueError:
        row = []
    if len(row) < 6 or (finite and not all(map(math.isfinite, row[:6]))):
        raise EvaluationError(
            f"{where}: got {shown(line)!r}, which is not a MOTChallenge row: expected at least six numbers, "
            "frame,id,left,top,width,height"
        )
    return row


def read_seqinfo(path: Path) -> SequenceInfo:
    """Read `seqinfo.ini` of the sequence to which a file belongs: beside the file, or in the folder above.

    Raises:
        EvaluationError: it cannot be understood.
    """
    for folder in (path.parent, path.parent.parent):
        file = folder / "seqinfo.ini"
        parser = configparser.ConfigParser()
        try:
            if not parser.read(file):
                continue
            fps, width, height = (
                _positive(parser.get("Sequence", key, fallback=None), f"{file}: {key}")
                for key in ("frameRate", "imWidth", "imHeight")
            )
        except (configparser.Error, UnicodeDecodeError) as error:
            raise EvaluationError(f"{file}: cannot be understood: {' '.join(str(error).split())}") from None
        return SequenceInfo(fps, (int(width), int(height)) if width and height else None)
    return SequenceInfo()


def _positive(text: str | None, where: str) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value <= 1e6):
        raise EvaluationError(f"{where}: got {shown(text)}, expected a number above 0")
    return value


def check_once(rows: Floats, path: Path) -> None:
    """Check that every id occurs at most once in a frame.

    Raises:
        EvaluationError: one occurs twice.
    """
    pairs, counts = np.unique(rows[:, :2], axis=0, return_counts=True)
    if len(pairs) and counts.max() > 1:
        frame, track = pairs[int(np.argmax(counts))]
        raise EvaluationError(
            f"{path}: track {track:g} occurs twice in frame {frame:g}; an id stands for one object"
        )


def counted_truth(rows: Floats) -> Floats:
    """The rows of a ground truth that are to be evaluated: those whose seventh column, if there is one, is not 0."""
    return rows[rows[:, 6] != 0] if rows.shape[1] > 6 else rows


def pair(truth: list[Path], tracks: list[Path], sizes: list[str]) -> list[SequenceFiles]:
    """Pair ground truth with tracks.

    Args:
        truth: files, or folders with `NAME/gt.txt` or `NAME/gt/gt.txt` (or such a folder NAME).
        tracks: a file, or a folder with `NAME.txt`, for each of `truth`.
        sizes: sizes of the frames, `WxH` for all or `NAME=WxH` for one sequence; default: that of `seqinfo.ini`.

    Raises:
        EvaluationError: a file is missing, or truth and tracks do not correspond.
    """
    if len(truth) != len(tracks):
        raise EvaluationError(
            f"--truth, --tracks: got {len(truth)} and {len(tracks)}, expected the same number of both"
        )
    found: list[tuple[str, Path, Path]] = []
    for true, track in zip(truth, tracks, strict=True):
        own = _truth_files(true)
        if not own:
            raise EvaluationError(
                f"{true}: has no NAME/gt.txt; give a MOTChallenge ground truth or a folder of these"
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
        SequenceFiles(name, file, track, given.get(name) or read_seqinfo(file).size)
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
