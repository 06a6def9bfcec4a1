"""Passwords on the command line: hidden from everyone who lists the processes of the machine.

`ps` shows what lies in the memory of a process from `arg_start` to `arg_end`. A process may overwrite it there; what
the interpreter has copied into `sys.argv` stays as it was.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.redact import MASK, is_secret, learn, redact

_SETTING = re.compile(r"(?:--set=)?[\w.-]*?([\w-]+)=(.+)", re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.*", re.DOTALL)
_ARG_START = 45
"""Place of `arg_start` (proc(5): field 48) among the fields of /proc/PID/stat after the name; `arg_end` follows."""


def hide_passwords() -> None:
    """Overwrites the passwords in the command line that the system shows of this process. Where that is not possible,
    on a system without /proc, nothing changes."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
        shown = Path("/proc/self/cmdline").read_bytes()
        fields = stat.rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    except (OSError, IndexError, ValueError):
        return
    hidden = hidden_command_line(shown)
    # The memory is compared first, so that nothing but the arguments can be overwritten.
    if hidden != shown and end - start == len(shown) and ctypes.string_at(start, len(shown)) == shown:
        ctypes.memmove(start, hidden, len(hidden))


def hidden_command_line(shown: bytes) -> bytes:
    """A command line without passwords, of the same length. The passwords become known to `redact`.

    Args:
        shown: Arguments as in /proc/PID/cmdline, each with a zero byte after it.
    """
    arguments = [one.decode("utf-8", "surrogateescape") for one in shown.split(b"\0")[:-1]]
    hidden = without_passwords(arguments)
    if hidden == arguments:
        return shown
    data = b"".join(one.encode("utf-8", "surrogateescape") + b"\0" for one in hidden)
    return data[: len(shown) - 1].ljust(len(shown), b"\0")


def without_passwords(arguments: Sequence[str]) -> list[str]:
    """The arguments with `***` for each password: of addresses, and of settings such as `a.password=...`.

    Args:
        arguments: A command line.
    """
    for argument in arguments:
        for text in (argument, argument.partition("=")[2]):
            if _ADDRESS.fullmatch(text):
                learn(text)
    return [_hidden(argument) for argument in arguments]


def _hidden(argument: str) -> str:
    setting = _SETTING.fullmatch(argument)
    if setting and is_secret(setting.group(1)):
        return argument[: setting.start(2)] + MASK
    return redact(argument)
