"""How many CPUs a process may use, read from control groups as the kernel shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.models.processor import multiplies_int8, processor_name, threads_share_cores, usable_cpus

MACHINE = len(os.sched_getaffinity(0))


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


GROUPS = {
    "a container of version 2": {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpu.max": "{quota} 100000\n",
    },
    "a service whose slice is limited": {
        "proc/self/cgroup": "0::/system.slice/tallycam.service\n",
        "sys/fs/cgroup/system.slice/tallycam.service/cpu.max": "max 100000\n",
        "sys/fs/cgroup/system.slice/cpu.max": "{quota} 100000\n",
    },
    "a container of version 1": {
        "proc/self/cgroup": "3:memory:/x\n2:cpu,cpuacct:/docker/1\n",
        "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "{quota}\n",
        "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
    },
}


@pytest.mark.parametrize("files", GROUPS.values(), ids=GROUPS)
def test_the_limit_of_a_control_group_is_kept_to(tmp_path: Path, files: dict[str, str]) -> None:
    root = put(tmp_path, {name: text.replace("{quota}", "50000") for name, text in files.items()})
    assert usable_cpus(root) == 1


@pytest.mark.parametrize("quota", ["-1", "100000000", "max", "nonsense"])
@pytest.mark.parametrize("files", GROUPS.values(), ids=GROUPS)
def test_without_a_limit_all_cpus_of_the_process_count(
    tmp_path: Path, files: dict[str, str], quota: str
) -> None:
    root = put(tmp_path, {name: text.replace("{quota}", quota) for name, text in files.items()})
    assert usable_cpus(root) == MACHINE


def test_a_system_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == MACHINE
    assert processor_name(tmp_path) == "" and not multiplies_int8(tmp_path)


def test_threads_share_cores_where_the_system_says_so(tmp_path: Path) -> None:
    assert not threads_share_cores(tmp_path)
    for text, shared in (("1\n", True), ("0\n", False)):
        put(tmp_path, {"sys/devices/system/cpu/smt/active": text})
        assert threads_share_cores(tmp_path) == shared


def test_int8_instructions_are_those_of_the_processor(tmp_path: Path) -> None:
    root = put(
        tmp_path, {"proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast 9000\nflags\t\t: avx2 avx512_vnni\n"}
    )
    assert processor_name(root) == "Fast 9000" and multiplies_int8(root)
    put(root, {"proc/cpuinfo": "model name\t: Old\nflags\t\t: avx2 avx512f\n"})
    assert not multiplies_int8(root)
