"""`tallycam stream`: the configuration file of a run is edited, and the run follows it."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.files import reading, write_bytes
from pipeline.runtime.configuration_watch import digest_of
from pipeline.runtime.run_lock import is_held
from pipeline.runtime.streams_file import StreamsState, read_streams

WAIT_S = 90.0
"""Longest time for a run to follow its file: a stream has half a minute to end."""


def running(out: Path) -> StreamsState:
    """The state of the run that goes on in a folder.

    Args:
        out: The folder.

    Raises:
        ConfigError: None goes on.
    """
    state = read_streams(out)
    if state is None or not is_held(out):
        raise ConfigError(
            f"{out}: no run goes on here; give the folder that `tallycam run` was given with --out"
        )
    return state


def edit(out: Path, change: Callable[[str, str], str], wait_s: float = WAIT_S) -> StreamsState:
    """Changes the configuration file of a run, and waits until the run follows it. A change that the run refuses is
    taken back.

    Args:
        out: Folder of the run.
        change: Gets the text of the file and the words that name it, and gives the new text.
        wait_s: Longest time to wait.

    Returns:
        The state of the run after the change.

    Raises:
        ConfigError: No run goes on, it has no file, or it refuses the change.
        OutputError: The file cannot be written.
    """
    state = running(out)
    if not state.configuration:
        raise ConfigError(
            f"{out}: the run counts a source by itself, without a configuration; `tallycam run SOURCE --save FILE` "
            "makes one, and `tallycam run FILE` follows it"
        )
    path = Path(state.configuration).resolve()
    with reading(path, ConfigError):
        before = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    after = change(before.decode("utf-8-sig", "surrogateescape"), str(path)).encode(
        "utf-8", "surrogateescape"
    )
    write_bytes(path, after, mode=mode)
    digest = digest_of(path)
    end_s = time.monotonic() + wait_s
    while time.monotonic() < end_s:
        state = running(out)
        if state.refused == digest:
            if digest_of(path) == digest:
                write_bytes(path, before, mode=mode)
            raise ConfigError(f"refused, and {path} is as it was: {state.error}")
        if state.applied == digest and not state.changing:
            return state
        time.sleep(0.1)
    raise ConfigError(
        f"{path} is changed, and the run has not followed within {wait_s:.0f} s; see {out}/log/run.log"
    )
