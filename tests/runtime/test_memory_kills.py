"""A process that the kernel kills for want of memory: the log says so, and what the limit is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.runtime.memory_kills import MemoryKills
from tests.running import ROOT, run_log, scene, summary

LIMIT_MB = 900
GREEDY = """
from tests.paced_model import Paced


class Greedy(Paced):
    def segment_refs(self, refs, frames):
        if any(ref.index == 30 for ref in refs):
            self.hoard = [bytearray(b"x" * 2**20) for _ in range(2000)]
        return super().segment_refs(refs, frames)
"""


@pytest.mark.parametrize(
    ("group", "counter", "limit"),
    [
        ("0::/job/run\n", "sys/fs/cgroup/job/run/memory.events", "sys/fs/cgroup/job/memory.max"),
        (
            "4:memory:/job\n0::/\n",
            "sys/fs/cgroup/memory/job/memory.oom_control",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes",
        ),
    ],
)
def test_kills_are_those_of_the_control_group(tmp_path: Path, group: str, counter: str, limit: str) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(group)
    (tmp_path / "proc/vmstat").write_text("oom_kill 7\n")
    for name, text in ((counter, "low 0\noom_kill 2\n"), (limit, f"{512 * 2**20}\n")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    kills = MemoryKills(tmp_path)
    (tmp_path / "proc/vmstat").write_text("oom_kill 9\n")  # of another container
    assert kills.reason() == ""
    (tmp_path / counter).write_text("low 0\noom_kill 3\n")
    assert kills.reason() == "killed by the kernel for want of memory: the limit is 512 MB"
    assert kills.reason() == ""


def test_without_control_groups_those_of_the_system_count(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 1\noom_kill 7\n")
    kills = MemoryKills(tmp_path)
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 1\noom_kill 8\n")
    assert kills.reason() == "killed by the kernel for want of memory"


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A control group that may use `LIMIT_MB`."""
    name = f"tallycam-test-{uuid.uuid4().hex[:8]}"
    for folder, limit in (
        (Path("/sys/fs/cgroup/memory") / name, "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup") / name, "memory.max"),
    ):
        try:
            folder.mkdir()
            (folder / limit).write_text(str(LIMIT_MB * 2**20))
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        yield folder
        with contextlib.suppress(OSError):
            folder.rmdir()
        return
    pytest.skip("cannot make a control group: needs root, and cgroups that are writable")


@pytest.mark.slow
def test_a_model_that_takes_too_much_is_killed_its_frame_is_left_out_and_the_log_says_why(
    limited_group: Path, tmp_path: Path
) -> None:
    config, out = scene(tmp_path, 60), tmp_path / "out"
    data = yaml.safe_load(config.read_text())
    data["model"] = {"name": "greedy:Greedy", "batch": 4}
    data["output"] = {"video": {"codec": "none"}}
    config.write_text(yaml.safe_dump(data))
    (tmp_path / "greedy.py").write_text(GREEDY)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "run", str(config), "--out", str(out)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        preexec_fn=lambda: (limited_group / "cgroup.procs").write_text(str(os.getpid())),
    )
    assert done.returncode == 0, done.stderr
    assert f"killed by the kernel for want of memory: the limit is {LIMIT_MB} MB" in run_log(out)
    assert summary(out)["frames"]["processed"] == 59
