"""What the system allows a process: open files and memory. Raised where that is possible, told where it is not."""

from __future__ import annotations

import resource

from pipeline.errors import ConfigError

LEAST_BYTES = 768 * 1024**2
"""Address space of one process with the smallest model: with 400 MB no video can be opened, 800 MB are enough."""
_MOST_FILES = 65536


def check_memory() -> None:
    """Refuses a limit of memory with which no run starts. Called before the large libraries are imported.

    Raises:
        ConfigError: The limit is too low.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < LEAST_BYTES:
        raise ConfigError(
            f"a process may use {soft / 1024**2:.0f} MB of memory here, and a run needs {LEAST_BYTES / 1024**2:.0f} MB "
            "at least; raise the limit (`ulimit -v`)"
        )


def files_needed(streams: int) -> int:
    """Open files that the process with the most of them needs.

    Args:
        streams: Number of streams of the run.
    """
    return 48 + 8 * streams


def raise_file_limit(streams: int) -> None:
    """Lets this process, and those that it starts, open as many files as the system permits.

    Args:
        streams: Number of streams of the run.

    Raises:
        ConfigError: The system permits too few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < (needed := files_needed(streams)):
        run = f"a run of {streams} stream{'s' * (streams != 1)}"
        raise ConfigError(
            f"a process may open {soft} files here, and {run} needs {needed}; "
            "raise the limit (`ulimit -n`, LimitNOFILE= of a service)"
        )
