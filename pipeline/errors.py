"""Errors a user can mend: one clear line and an exit code, never a traceback."""

from __future__ import annotations


class TallycamError(Exception):
    """Base of every error that is shown as one line. `exit_code` is what the command returns."""

    exit_code = 2


class ConfigError(TallycamError):
    """The configuration or the command line is wrong (exit code 2)."""


class SourceError(TallycamError):
    """A source could not be opened (exit code 3). The text never holds a password."""

    exit_code = 3


class ModelError(TallycamError):
    """A model file is missing, broken, or lacks a wanted class (exit code 2)."""


class OutputError(TallycamError):
    """Something could not be written: a folder, a full disk, a database (exit code 2)."""


class StageError(TallycamError):
    """A stage used up its restarts (exit code 4)."""

    exit_code = 4


class WireError(TallycamError):
    """Bytes that are not a message of this version: wrong version, kind, length or shape."""
