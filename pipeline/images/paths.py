"""Which images the words of a command line mean, and under which names their results go."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.video.sources.image_folder import natural_key

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm",
)  # fmt: skip
"""What is taken from a folder. A file that is named is tried whatever it is called."""


@dataclass(slots=True)
class Gathered:
    """Images in the order of the command line, each once, and why words of it gave none, one line each."""

    paths: list[Path] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def gather(words: Sequence[str]) -> Gathered:
    """The images that files, folders and patterns name.

    A folder gives the images in it, in natural order, not those of its subfolders; `folder/**/*.jpg` gives those too.
    A file whose name looks like a pattern is taken as the file.
    """
    result = Gathered()
    seen: set[Path] = set()
    for word in words:
        path = Path(word)
        if path.is_dir():
            found, trouble = _inside(path)
        elif path.exists():
            found, trouble = [path], ""
        elif glob.has_magic(word):
            matches = sorted(glob.glob(word, recursive=True), key=natural_key)
            found = [Path(match) for match in matches if Path(match).is_file()]
            trouble = "" if found else f"{word}: no file fits this pattern"
        else:
            found, trouble = [], f"{word}: there is no such file or folder"
        if trouble:
            result.troubles.append(trouble)
        for one in found:
            if (whole := one.resolve()) not in seen:
                seen.add(whole)
                result.paths.append(one)
    return result


def _inside(folder: Path) -> tuple[list[Path], str]:
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    except OSError as error:
        return [], f"{folder}: the folder cannot be read: {error.strerror}"
    found.sort(key=lambda path: natural_key(path.name))
    return found, "" if found else f"{folder}: no images in this folder"


class Names:
    """A name for the results of each image: its stem, with a number where an earlier one has it already.

    Args:
        out: folder of the results.
        kept: images that no result may take the place of, should `out` be the folder that they are in.
        endings: what follows the name in the results' files.
    """

    def __init__(self, out: Path, kept: Iterable[Path], endings: Sequence[str]) -> None:
        self._out = out.resolve()
        self._kept = {path.resolve() for path in kept}
        self._endings = tuple(endings)
        self._taken: set[str] = set()

    def name(self, path: Path) -> str:
        """Differs from all earlier ones also where a file system does not tell capitals apart."""
        name, number = path.stem, 1
        while name.lower() in self._taken or any(
            self._out / f"{name}{ending}" in self._kept for ending in self._endings
        ):
            number += 1
            name = f"{path.stem}-{number}"
        self._taken.add(name.lower())
        return name
