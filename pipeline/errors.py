"""Errors that a user can fix. The command line shows them as one line and ends with their exit code."""

from __future__ import annotations


class TallycamError(Exception):
    """Base class of all errors that are shown without a traceback.

    Attributes:
        exit_code: the exit code of the command.
    """

    exit_code = 2


class ConfigError(TallycamError):
    """The configuration or the command line is invalid (exit code 2)."""


class SourceError(TallycamError):
    """A source cannot be opened (exit code 3). The message contains no password."""

    exit_code = 3


class ModelError(TallycamError):
    """A model does not exist, is damaged, or lacks a required class (exit code 2)."""


class OutputError(TallycamError):
    """A result cannot be written: no permission, a full disk, a database error (exit code 2)."""


class StageError(TallycamError):
    """A stage has used up its restarts (exit code 4)."""

    exit_code = 4


class WireError(TallycamError):
    """Received bytes are not a message of this version: wrong version, kind, length or shape (exit code 2)."""
