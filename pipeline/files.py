"""Reading and writing files.

A file is replaced as a whole or not at all, and an error of the operating system becomes one line that names the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError, TallycamError


def reason(error: Exception) -> str:
    """Why an operation failed, without the path that `str(error)` repeats: `No space left on device`.

    Args:
        error: Of the operating system or a library.
    """
    text = getattr(error, "strerror", None)
    return str(text) if text else str(error) or type(error).__name__


def unwritable(path: Path | str, error: Exception, advice: str = "") -> OutputError:
    """The error of a file that cannot be written.

    Args:
        path: the file.
        error: why it failed.
        advice: what the user can do.
    """
    return OutputError(f"{path}: cannot be written: {reason(error)}{_appended(advice)}")


@contextmanager
def writing(path: Path | str, advice: str = "") -> Iterator[None]:
    """Report an error of the operating system within the block as `path` not being writable.

    Args:
        path: the file, or words that name it.
        advice: what the user can do.

    Raises:
        OutputError: in place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, error, advice) from None


@contextmanager
def reading(path: Path | str, kind: type[TallycamError], advice: str = "") -> Iterator[None]:
    """Report an error of the operating system within the block as `path` not being readable.

    Args:
        path: the file, or words that name it.
        kind: class of the error to raise.
        advice: what the user can do.

    Raises:
        TallycamError: of class `kind`, in place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"{path}: cannot be read: {reason(error)}{_appended(advice)}") from None


@contextmanager
def replacing(path: Path, *, durable: bool = False, advice: str = "") -> Iterator[Path]:
    """Write a file so that readers see either the old one or the whole new one.

    The block writes to the path it is given, a file in the same folder, which then takes the place of `path`. If the
    block fails, the old file stays and the new one is removed.

    Args:
        path: the file to replace; its folder must exist.
        durable: wait until the data has reached the disk, so that the file survives a power cut.
        advice: what the user can do if the file cannot be written.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path, advice):
        try:
            yield part
            if durable:
                _sync(part)
            part.replace(path)
            if durable:
                _sync(path.parent)  # the new name is on disk only when its folder is
        finally:
            part.unlink(missing_ok=True)


def write_bytes(
    path: Path, data: bytes, *, durable: bool = False, mode: int = 0o666, advice: str = ""
) -> None:
    """Replace a file with `data`; see `replacing`.

    Args:
        path: the file; its folder must exist.
        data: its new content.
        durable: wait until the data has reached the disk.
        mode: permissions of the file before the umask is applied; 0o600 keeps others from reading it.
        advice: what the user can do if the file cannot be written.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path, durable=durable, advice=advice) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            file.write(data)


def write_text(path: Path, text: str, *, advice: str = "") -> None:
    """Replace a file with `text` in UTF-8; see `replacing`.

    Args:
        path: the file; its folder must exist.
        text: its new content.
        advice: what the user can do if the file cannot be written.

    Raises:
        OutputError: it cannot be written.
    """
    write_bytes(path, text.encode(), advice=advice)


def make_folder(folder: Path, advice: str = "") -> None:
    """Create a folder and those above it, unless they exist.

    Args:
        folder: the folder.
        advice: what the user can do if it cannot be created.

    Raises:
        OutputError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created: {reason(error)}{_appended(advice)}") from None


def open_lock(path: Path) -> int:
    """Opens a file to be locked. On a file system that has become read-only, it is the one that is there.

    Args:
        path: the file; it is made if it does not exist.

    Returns:
        A file descriptor.

    Raises:
        OSError: it can neither be made nor opened.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _appended(advice: str) -> str:
    return f"; {advice}" if advice else ""
