"""Starting and stopping: videos are finished, nothing is left behind, and every end has its exit code."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Command, command_line, frames_of, log_size, scene, summary, tallycam, wait_until

FRAMES = 250
LONG = 1500
"""Frames of a clip that is played at its own speed and does not end during a test: a minute."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("scene"), LONG, realtime=True)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder for sockets of this test alone."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    return folder


def counted_some(out: Path) -> bool:
    return log_size(out) > 60_000


def nothing_left(command: Command, pids: list[int]) -> None:
    """No process, socket or folder is left; frames are in anonymous memory, which goes with the processes."""
    alive = [pid for pid in pids if "tallycam" in command_line(pid)]
    assert not alive
    assert command.runtime is not None
    assert list(command.runtime.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl-c", "sigterm", "sighup"]
)
def test_a_signal_finishes_the_video_and_the_summary_and_leaves_nothing(
    config: Path, tmp_path: Path, runtime: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    before = signal.signal(
        number, signal.SIG_DFL
    )  # under `nohup` SIGHUP would be ignored, and so would it in the run
    try:
        command = Command("run", config, "--out", out, runtime=runtime)
    finally:
        signal.signal(number, before)
    with command:
        wait_until(lambda: counted_some(out), what="some frames to be counted")
        pids = command.children()
        command.popen.send_signal(number)
        code, shown, err = command.finish()
        assert code == 0, err
        nothing_left(command, pids)
    processed = summary(out)["frames"]["processed"]
    assert 0 < processed < LONG
    assert frames_of(out / "gate.mp4") == processed
    assert f"gate: stopped at {processed} of {LONG} frames; the next run in the folder goes on" in shown
    assert "Results so far are in" in shown
    assert json.loads((out / "summary.json").read_text())["complete"] is False
    stopped = summary(out)["stopped"]
    assert (stopped["frames"], stopped["of"]) == (processed, LONG)
    assert stopped["media_s"] == pytest.approx(processed / 25, abs=0.5)


@pytest.mark.slow
def test_a_service_manager_that_signals_every_process_gets_the_same_orderly_end(
    config: Path, tmp_path: Path, runtime: Path
) -> None:
    out = tmp_path / "out"
    with Command("run", config, "--out", out, runtime=runtime) as command:
        wait_until(lambda: counted_some(out), what="some frames to be counted")
        pids = command.children()
        for pid in (*pids, command.popen.pid):
            os.kill(pid, signal.SIGTERM)
        code, _, err = command.finish()
        assert code == 0, err
        nothing_left(command, pids)
    assert frames_of(out / "gate.mp4") == summary(out)["frames"]["processed"]


@pytest.mark.slow
def test_stages_of_a_killed_supervisor_finish_the_video_and_leave_nothing(
    config: Path, tmp_path: Path, runtime: Path
) -> None:
    out = tmp_path / "out"
    with Command("run", config, "--out", out, runtime=runtime) as command:
        wait_until(lambda: counted_some(out), what="some frames to be counted")
        pids = command.children()
        command.popen.kill()
        command.popen.wait()
        wait_until(lambda: not any("tallycam" in command_line(p) for p in pids), what="the stages to end")
        nothing_left(command, pids)
    assert frames_of(out / "gate.mp4") > 0
    assert not (out / "gate.mp4.part").exists()


@pytest.mark.slow
def test_a_stage_that_is_killed_too_often_ends_the_run_with_code_4(
    config: Path, tmp_path: Path, runtime: Path
) -> None:
    settings = ("--set", "restarts.starts=1", "--set", "streams.gate.realtime=false")
    arguments = ("run", config, "--out", tmp_path / "out", *settings)
    with Command(*arguments, runtime=runtime) as command:
        first = command.kill("segment/0")
        os.kill(command.stage("segment/0", not_pid=first), signal.SIGKILL)
        pids = command.children()
        code, _, err = command.finish()
        nothing_left(command, pids)
    assert code == 4
    assert "segment/0 ended 2 times (last: signal 9)" in err


@pytest.mark.slow
def test_a_stage_that_hangs_is_killed_and_started_again(tmp_path: Path, runtime: Path) -> None:
    config = scene(tmp_path, FRAMES)
    out = tmp_path / "out"
    with Command(
        "run", config, "--out", out, "--set", "restarts.heartbeat_s=1.5", runtime=runtime
    ) as command:
        wait_until(lambda: counted_some(out), what="some frames to be counted")
        pid = command.stage("track/0")
        os.kill(pid, signal.SIGSTOP)
        command.stage("track/0", not_pid=pid)
        code, _, err = command.finish()
    assert code == 0, err
    assert summary(out)["frames"]["processed"] == FRAMES


@pytest.mark.slow
def test_a_source_that_cannot_be_opened_ends_with_code_3_and_one_line(config: Path, tmp_path: Path) -> None:
    code, _, err = tallycam("run", config, "--out", tmp_path / "out", "--source", tmp_path / "missing.mp4")
    assert code == 3
    assert len(err.strip().splitlines()) == 1
    assert "missing.mp4" in err


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


def test_a_port_in_use_is_one_line_and_code_2(config: Path, tmp_path: Path, used_port: int) -> None:
    code, _, err = tallycam("run", config, "--out", tmp_path / "out", "--set", f"metrics.port={used_port}")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert str(used_port) in err


def test_a_folder_that_cannot_be_written_is_one_line_and_code_2(config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = tallycam("run", config, "--out", tmp_path / "file" / "out")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "give another folder" in err


@pytest.mark.slow
def test_two_runs_do_not_write_into_one_folder(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Command("run", config, "--out", out):
        wait_until(lambda: (out / "run.json").exists())
        code, _, err = tallycam("run", config, "--out", out)
    assert code == 2
    assert "another tallycam is writing here" in err


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_code_2(tmp_path: Path) -> None:
    config = scene(tmp_path, FRAMES)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a small disk: needs root")
    try:
        code, _, err = tallycam("run", config, "--out", disk / "out")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "No space left on device" in err


def test_a_finished_run_leaves_its_results_and_nothing_else(tmp_path: Path, runtime: Path) -> None:
    config = scene(tmp_path, 40)
    out = tmp_path / "out"
    with Command("run", config, "--out", out, runtime=runtime) as command:
        code, _, err = command.finish()
        assert code == 0, err
        nothing_left(command, [])
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    results = {"summary.json", "events.db", "gate.mp4", "gate-heatmap.png"}
    log = {"log/run.log", "log/gate.heat", "log/gate.jpg"}
    log |= {f"log/gate/{name}" for name in ("000000000000.log", "latest.checkpoint", ".lock")}
    log |= {f"events.spool/0/{name}" for name in ("00000001.events", ".lock")}
    assert found == results | log | {"run.json", "run.lock", "config.json"}


def test_counting_without_video_writes_none(tmp_path: Path) -> None:
    config = scene(tmp_path, 40)
    out = tmp_path / "out"
    code, shown, err = tallycam("run", config, "--out", out, "--set", "output.video.codec=none")
    assert code == 0, err
    assert "Results are in" in shown
    assert json.loads((out / "summary.json").read_text())["complete"] is True
    assert "stopped" not in summary(out)
    assert summary(out)["frames"]["processed"] == 40
    assert not (out / "gate.mp4").exists()


@pytest.mark.slow
def test_a_run_goes_on_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    """As with `tallycam run ... | head -1`, or a terminal that was closed under `nohup`."""
    config, out = scene(tmp_path, FRAMES, realtime=True), tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        assert command.popen.stdout is not None
        command.popen.stdout.close()
        command.popen.stdout = None
        code, _, err = command.finish()
    assert code == 0
    assert err.endswith("WARNING supervisor: standard output is gone: the run goes on without it\n")
    assert len(err.splitlines()) == 1
    frames = summary(out)["frames"]
    assert frames["processed"] + sum(frames["dropped"].values()) == FRAMES


SLEEPY = """
import pathlib, time
pathlib.Path({marker!r}).touch()
time.sleep(60)
"""


def interrupted(command: Command, marker: Path) -> tuple[int, str]:
    """Exit code and standard error of a command that gets Ctrl-C while it imports a module."""
    wait_until(marker.exists, what="the import to begin")
    command.popen.send_signal(signal.SIGINT)
    code, _, err = command.finish()
    return code, err


def test_ctrl_c_while_the_command_line_is_imported_ends_without_a_traceback(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "typer.py").write_text(SLEEPY.format(marker=str(tmp_path / "imported")))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with Command("run", config, "--out", tmp_path / "out") as command:
        assert interrupted(command, tmp_path / "imported") == (130, "")


def test_ctrl_c_while_a_model_is_imported_ends_without_a_traceback(config: Path, tmp_path: Path) -> None:
    (tmp_path / "slow_model.py").write_text(SLEEPY.format(marker=str(tmp_path / "imported")))
    own = ("--set", "model.name=slow_model:Model")
    with Command("run", config, "--out", tmp_path / "out", *own, folder=tmp_path) as command:
        assert interrupted(command, tmp_path / "imported") == (130, "")
    assert not (tmp_path / "out").exists()
