"""What the kernel says of a process: whether it is stopped, and for how long it had to wait for a processor.

A process that is silent because others have the processors is not stuck; nor is one whose disk does not answer.
"""

from __future__ import annotations

from pathlib import Path

STOPPED = "T"
WAITS_FOR_DISK = "D"


def state_of(pid: int) -> str:
    """State of a process as one letter, as in `ps`; empty where it is gone.

    Args:
        pid: Of the process.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]


def waited_s(pid: int) -> dict[str, float]:
    """Seconds for which each thread of a process was ready to run and had no processor (`/proc/PID/schedstat`).

    Args:
        pid: Of the process.

    Returns:
        Id of the thread -> seconds since its start; empty where the kernel does not say.
    """
    found: dict[str, float] = {}
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found[task.name] = int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        pass  # the process, or a thread of it, is gone
    return found


def starved_s(before: dict[str, float], now: dict[str, float]) -> float:
    """Seconds for which a process was kept from running between two moments: the most of any of its threads, since any
    of them may hold what the others wait for.

    Args:
        before, now: from `waited_s`.
    """
    return max((value - before.get(task, 0.0) for task, value in now.items()), default=0.0)
