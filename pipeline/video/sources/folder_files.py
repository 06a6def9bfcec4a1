"""What lies in a folder that is given as a source: images, or recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (
    ".mp4",
    ".mkv",
    ".avi",
    ".ts",
    ".mov",
    ".webm",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".flv",
    ".asf",
    ".wmv",
    ".mts",
    ".m2ts",
    ".3gp",
    ".dav",
    ".264",
    ".265",
    ".h264",
    ".h265",
)


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which `img2` comes before `img10`.

    Args:
        name: Of a file.
    """
    return [
        (0, int(part)) if part.isdigit() else (1, part)
        for part in re.split(r"([0-9]+)", name.lower())
        if part
    ]


def image_paths(folder: Path) -> list[Path]:
    """The images of a folder in natural order.

    Args:
        folder: The folder; subfolders are not looked into.

    Raises:
        OSError: It cannot be read.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: natural_key(path.name))


def video_paths(folder: Path) -> list[Path]:
    """The videos of a folder and its subfolders, in natural order of their paths.

    Args:
        folder: The folder.

    Raises:
        OSError: It cannot be read.
    """
    next(folder.iterdir(), None)  # a folder that cannot be read is an error, other than one below it
    return sorted(_videos(folder), key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def holds_recordings(folder: Path) -> bool:
    """Whether a folder is one of recordings: it has no image, and a video in it or below.

    Args:
        folder: The folder. One that cannot be read is none.
    """
    try:
        has_image = any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    except OSError:
        return False
    return not has_image and next(_videos(folder), None) is not None


def _videos(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(VIDEO_SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)
