"""What the processor offers this process: how many CPUs it may use, its name, and whether it multiplies int8 fast."""

from __future__ import annotations

import math
import os
from pathlib import Path

from pipeline.control_groups import group_folders, system_text

INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Of /proc/cpuinfo: instructions that multiply int8 and add up in int32."""


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use: those it may run on, within the limits of its control groups, rounded up.

    `os.cpu_count` counts those of the machine, also in a container that may use two of them.

    Args:
        root: where `proc` and `sys` are.
    """
    quotas = [quota for folder in group_folders("cpu", root) for quota in _quota(folder)]
    limits = [float(len(os.sched_getaffinity(0))), *quotas]
    return max(1, math.ceil(min(limits)))


def threads_share_cores(root: Path = Path("/")) -> bool:
    """Whether two CPUs of the system are threads of one core (SMT).

    Args:
        root: where `sys` is.
    """
    return (system_text(root / "sys/devices/system/cpu/smt/active") or "").strip() == "1"


def is_busy() -> bool:
    """Whether other work has taken more than all CPUs of the machine in the last minute, so that times say little."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def processor_name(root: Path = Path("/")) -> str:
    """Name of the processor, empty where the system does not tell.

    Args:
        root: where `proc` is.
    """
    return _cpuinfo("model name", root)


def multiplies_int8(root: Path = Path("/")) -> bool:
    """Whether the processor has instructions for int8 such as VNNI.

    Args:
        root: where `proc` is.
    """
    flags = f"{_cpuinfo('flags', root)} {_cpuinfo('Features', root)}".split()
    return any(flag in flags for flag in INT8_FLAGS)


def _cpuinfo(key: str, root: Path) -> str:
    for line in (system_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _quota(folder: Path) -> list[float]:
    """The quota of one group, if it has one."""
    words = (system_text(folder / "cpu.max") or "").split()  # version 2: quota or `max`, and period
    if not words:
        pair = (system_text(folder / "cpu.cfs_quota_us"), system_text(folder / "cpu.cfs_period_us"))
        words = [] if pair[0] is None or pair[1] is None else [pair[0].strip(), pair[1].strip()]
    try:
        quota, period = map(int, words)
    except ValueError:  # no limit, or one that cannot be read
        return []
    return [quota / period] if quota > 0 and period > 0 else []
