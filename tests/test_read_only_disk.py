"""A folder that becomes read-only while a camera runs, as after an error of its disk: counting goes on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.files import open_lock
from pipeline.records.segmented_log import SegmentedLog
from tests.records.logs import HEADER, found
from tests.running import Command, log_size, scene, wait_until


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """From now on nothing can be opened for writing in the folder; what is open stays so."""

    def done(*words: str | Path) -> bool:
        return not subprocess.run(words, check=False, capture_output=True).returncode

    def mounted() -> bool:
        """Refused where a file was opened for writing between the two steps: then from the start."""
        assert done("mount", "--bind", folder, folder)
        return done("mount", "-o", "remount,ro,bind", folder) or not done("umount", "-l", folder)

    if not done("mount", "--bind", folder, folder):
        pytest.skip("cannot make a folder read-only: needs root")
    assert done("umount", "-l", folder)
    wait_until(mounted, every_s=0.1)
    try:
        yield
    finally:
        assert done("umount", "-l", folder)


@pytest.mark.slow
def test_counting_goes_on_through_the_restart_of_a_process(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 200, realtime=True, loop=True), tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        run_log = out / "log" / "run.log"
        wait_until(lambda: log_size(out) > 20_000, what="frames to be counted")
        with read_only(out):
            command.kill("track/0")
            wait_until(
                lambda: "counting goes on without the log" in run_log.read_text(), what="frames after it"
            )
            command.popen.send_signal(signal.SIGINT)
            code, _, err = command.finish()
    assert code == 2
    assert err.splitlines()[-1] == f"tallycam: {out}/summary.json: cannot be written: Read-only file system"
    assert "Traceback" not in err and "restarted, 2 of" not in err


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_segment_that_cannot_be_begun_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SegmentedLog(tmp_path / "gate", HEADER)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=r"gate/0+\.log: cannot be written: Read-only file system"):
        log.append(found(0), lambda: None)
    monkeypatch.undo()
    log.append(found(0), lambda: None)
    log.close()


def test_a_lock_that_is_there_can_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".lock"
    os.close(open_lock(path))
    really = os.open

    def opened(name: Path, flags: int, mode: int = 0o777) -> int:
        return refuse() or -1 if flags & (os.O_RDWR | os.O_CREAT) else really(name, flags, mode)

    monkeypatch.setattr(os, "open", opened)
    os.close(open_lock(path))
    with pytest.raises(OSError, match="Read-only"):
        open_lock(tmp_path / "other")
