"""The lines whose crossings are evaluated in each sequence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config import load as config_load
from pipeline.evaluation.matching import PixelLine
from pipeline.evaluation.report import EvaluationError
from pipeline.evaluation.track_files import SequenceFiles
from pipeline.evaluation.track_scores import configured_lines, vertical_lines

NO_LINES = "none"


def with_lines(
    sequences: Sequence[SequenceFiles], words: str, moving: Sequence[str] = ()
) -> tuple[list[tuple[SequenceFiles, tuple[PixelLine, ...]]], tuple[str, ...]]:
    """Assign lines to sequences.

    Args:
        sequences: the sequences.
        words: fractions of the width for vertical lines, `0.25,0.5,0.75`; the path of a configuration; or `none`.
        moving: names of sequences with a moving camera, which get no lines.

    Returns:
        Each sequence with its lines, and notes on sequences without lines.

    Raises:
        EvaluationError: `words` or a name is invalid.
        ConfigError: the configuration is invalid.
    """
    names = [files.name for files in sequences]
    for name in moving:
        if name not in names:
            raise EvaluationError(f"--moving: got {name}, expected one of {', '.join(names)}")
    parts = _parts(words)
    configured = None if parts is not None else config_load.load(Path(words)).streams
    result: list[tuple[SequenceFiles, tuple[PixelLine, ...]]] = []
    unsized = []
    for files in sequences:
        lines: tuple[PixelLine, ...] = ()
        if files.name not in moving and words != NO_LINES:
            if files.size is None:
                unsized.append(files.name)
            elif parts is not None:
                lines = vertical_lines(parts, files.size)
            elif configured is not None:
                if len(configured) > 1 and files.name not in configured:
                    raise EvaluationError(
                        f"{words}: has no stream {files.name}; it has {', '.join(configured)}"
                    )
                stream = configured.get(files.name) or next(iter(configured.values()))
                lines = configured_lines(stream.lines, files.size)
        result.append((files, lines))
    if not unsized:
        return result, ()
    which = ", ".join(unsized)
    return result, (
        f"No line crossings in {which}: the size of the frames is not known; give --size NAME=WxH.",
    )


def _parts(words: str) -> tuple[float, ...] | None:
    """Fractions of the width, or None if `words` is the path of a configuration."""
    if words == NO_LINES:
        return ()
    try:
        parts = tuple(float(word) for word in words.split(","))
    except ValueError:
        if Path(words).suffix in (".yaml", ".yml", ".json") or Path(words).exists():
            return None
        raise EvaluationError(
            f"--lines: got {words}, expected fractions of the width such as 0.25,0.5,0.75, a configuration, or none"
        ) from None
    if not all(0 < part < 1 for part in parts):
        raise EvaluationError(f"--lines: got {words}, expected fractions between 0 and 1")
    return parts
