"""What the supervisor reads from the kernel to tell a process that hangs from one that is kept from running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pipeline.runtime.process_clock import STOPPED, starved_s, state_of, waited_s
from tests.running import wait_until


def test_waiting_is_that_of_the_thread_that_waited_longest() -> None:
    before = {"1": 5.0, "2": 1.0, "3": 9.0}
    assert starved_s(before, {"1": 5.5, "2": 3.0, "3": 9.0}) == 2.0
    assert starved_s(before, {"1": 5.0, "4": 0.25}) == 0.25, "a thread that is new has waited since its start"
    assert starved_s(before, before) == 0.0
    assert starved_s(before, {}) == 0.0, "where the kernel says nothing, silence is silence"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_stopped_process_is_told_from_one_that_runs_and_one_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            assert state_of(child.pid) not in ("", STOPPED)
            os.kill(child.pid, signal.SIGSTOP)
            wait_until(lambda: state_of(child.pid) == STOPPED)
            os.kill(child.pid, signal.SIGCONT)
            wait_until(lambda: state_of(child.pid) != STOPPED)
        finally:
            child.kill()
    assert state_of(child.pid) == ""
    assert waited_s(child.pid) == {}
