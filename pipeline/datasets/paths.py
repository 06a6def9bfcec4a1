"""Names of image files in datasets, which come from elsewhere and are not trusted."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_NAME = 1024
"""Characters of a path in a dataset, at most."""


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
