"""The images named on a command line, and the names of their results."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.files import reason
from pipeline.video.sources.folder_files import natural_key

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm",
)  # fmt: skip
"""Suffixes of the files taken from a folder. A file that is named itself is tried whatever its suffix."""


@dataclass(slots=True)
class GatheredImages:
    """The images of a command line.

    Attributes:
        paths: in the order of the command line, each once.
        problems: one line for each word that names no image.
    """

    paths: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def gather(words: Sequence[str]) -> GatheredImages:
    """The images named by files, folders and glob patterns.

    A folder stands for the images in it, in natural order, but not for those of its subfolders; `folder/**/*.jpg`
    matches these too. If a file has the name of a pattern, it is that file.
    """
    result = GatheredImages()
    seen: set[Path] = set()
    for word in words:
        path = Path(word)
        if path.is_dir():
            found, problem = _inside(path)
        elif path.exists():
            found, problem = [path], ""
        elif glob.has_magic(word):
            matches = sorted(glob.glob(word, recursive=True), key=natural_key)
            found = [Path(match) for match in matches if Path(match).is_file()]
            problem = "" if found else f"{word}: no file matches this pattern"
        else:
            found, problem = [], f"{word}: there is no such file or folder"
        if problem:
            result.problems.append(problem)
        for one in found:
            if (whole := one.resolve()) not in seen:
                seen.add(whole)
                result.paths.append(one)
    return result


def _inside(folder: Path) -> tuple[list[Path], str]:
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    except OSError as error:
        return [], f"{folder}: the folder cannot be read: {reason(error)}"
    found.sort(key=lambda path: natural_key(path.name))
    return found, "" if found else f"{folder}: no images in this folder"


class ResultNames:
    """Gives each image a name for its results: its stem, with a number if an earlier image has the same.

    Args:
        out: folder of the results.
        inputs: images that no result may overwrite, in case `out` is their folder.
        suffixes: what follows the name in the files of the results.
    """

    def __init__(self, out: Path, inputs: Iterable[Path], suffixes: Sequence[str]) -> None:
        self._out = out.resolve()
        self._inputs = {path.resolve() for path in inputs}
        self._suffixes = tuple(suffixes)
        self._taken: set[str] = set()

    def name(self, path: Path) -> str:
        """A new name, which differs from earlier ones in more than case."""
        name, number = path.stem, 1
        while name.lower() in self._taken or any(
            self._out / f"{name}{suffix}" in self._inputs for suffix in self._suffixes
        ):
            number += 1
            name = f"{path.stem}-{number}"
        self._taken.add(name.lower())
        return name
