"""The process of which stages are forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime import fork_server
from pipeline.runtime.fork_server import IMPORTED_TOO, ForkServer
from pipeline.stages.topology import STAGES
from tests.running import ROOT, command_line, wait_until

MODULES = [*(stage.runs.partition(":")[0] for stage in STAGES), *IMPORTED_TOO]
SHOWN = """
import importlib, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
if os.fork() == 0:
    os._exit(0)
os.wait()
print(sorted({"torch", "onnxruntime", "cupy"} & set(sys.modules)), len(os.listdir("/proc/self/task")))
"""


def test_what_it_imports_begins_no_threads_and_neither_pytorch_nor_onnx_runtime() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOWN, *MODULES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "1"]


def start(server: ForkServer, output: int, folder: Path) -> tuple[int, int]:
    """A stage that ends at once, since its run is not there: its pid and exit status."""
    pid = server.start(folder / "no-run.json", "decode/gate", 0, (output,))
    _, status = os.waitpid(pid, 0)  # only a child can be waited for
    return pid, os.waitstatus_to_exitcode(status)


@pytest.mark.slow
def test_a_stage_is_a_child_of_the_supervisor_whose_status_and_output_are_its_own(tmp_path: Path) -> None:
    output = os.open(tmp_path / "output", os.O_WRONLY | os.O_CREAT)
    with ForkServer() as server:
        first, status = start(server, output, tmp_path)
        second, _ = start(server, output, tmp_path)
    assert status == 1 and first != second
    assert (tmp_path / "output").read_text().count("FileNotFoundError") == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_was_killed_or_does_not_answer_has_a_successor(tmp_path: Path, how: signal.Signals) -> None:
    output = os.open(tmp_path / "output", os.O_WRONLY | os.O_CREAT)
    with ForkServer() as server:
        start(server, output, tmp_path)
        before = server._process.pid
        wait_until(lambda: "fork-server" in command_line(before))
        os.kill(before, how)
        server._socket.settimeout(0.5)
        _, status = start(server, output, tmp_path)
        assert status == 1 and server._process.pid != before
    assert not Path(f"/proc/{before}").exists()
    assert fork_server._adopts() is False
