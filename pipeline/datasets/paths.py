"""Names of image files in datasets, which come from elsewhere and are not trusted."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_NAME = 1024
"""Characters of a path in a dataset, at most."""
SPLITS = {
    "train": "train", "training": "train", "trainval": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Word in the name of a file or folder -> split."""


def safe_path(name: str, root: Path | None = None) -> str:
    """A path as a dataset names it, as a path within the root.

    Args:
        name: with `/` or `\\`.
        root: an absolute name below it is taken as relative to it.

    Returns:
        The path relative to the root, with `/`.

    Raises:
        ValueError: it is empty, absolute, or leads out of the root.
    """
    if not name or len(name) > MAX_NAME or any(ord(letter) < 32 for letter in name):
        raise ValueError(f"got the file name {name[:80]!r}, expected a path within the dataset")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() and root is not None and path.is_relative_to(root.resolve().as_posix()):
        path = path.relative_to(root.resolve().as_posix())
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or path == PurePosixPath("."):
        raise ValueError(f"got the file name {name!r}, which leads out of the dataset")
    return path.as_posix()


def within(root: Path, path: Path) -> str:
    """The path of a file relative to the root.

    Args:
        root: of the dataset.
        path: as a file of labels in the dataset names it, put together with its folder.

    Returns:
        The path with `/`, `..` resolved.

    Raises:
        ValueError: it is not below the root.
    """
    whole, base = Path(os.path.normpath(path.absolute())), Path(os.path.normpath(root.absolute()))
    if not whole.is_relative_to(base) or whole == base:
        raise ValueError(f"got the file name {path.name!r} in {path.parent}, which is outside of the dataset")
    return whole.relative_to(base).as_posix()


def split_name(*texts: str) -> str:
    """The split that the name of a file or folder tells: `train`, `val`, `test`; empty if none.

    Args:
        texts: names; the first one that tells something counts.
    """
    for text in texts:
        for word in re.split(r"[^a-z]+", text.lower()):
            if word in SPLITS:
                return SPLITS[word]
    return ""
