"""Several streams in one run: what happens to one of them is no matter of the others."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.load import load
from pipeline.errors import SourceError
from pipeline.runtime import supervisor
from pipeline.runtime.process_state import ProcessState
from pipeline.runtime.run import run
from pipeline.stages.source_opener import SourceOpener
from pipeline.video.sources.backoff import LONGEST_S, retry_delay_s
from tests.running import Command, log_size, run_log, scene, summary, wait_until, write_clip
from tests.video.media import rtsp_server, write_rtsp_clip

FRAMES = 200


def two(folder: Path, other: dict[str, Any], frames: int = FRAMES, **changes: Any) -> Path:
    """A configuration with the stream `gate`, and a second one `yard`."""
    path = scene(folder, frames, **changes)
    config = yaml.safe_load(path.read_text())
    config["streams"]["yard"] = other
    config["output"] = {"video": {"codec": "none"}}
    path.write_text(yaml.safe_dump(config))
    return path


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.slow
def test_a_camera_that_is_away_at_the_start_holds_up_nobody_and_is_counted_when_it_comes(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "walk.mp4"
    write_clip(clip, 100)
    port, out = free_port(), tmp_path / "out"
    address = f"rtsp://viewer:hunter2@127.0.0.1:{port}/cam"
    config = two(tmp_path, {"source": address}, realtime=True, loop=True)
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: "source cannot be opened" in run_log(out) and log_size(out) > 100_000)
        assert log_size(out, "yard") == 0
        with rtsp_server(write_rtsp_clip(clip, tmp_path / "walk.aus"), "--port", str(port)):
            wait_until(lambda: log_size(out, "yard") > 0, what="frames of the second camera")
            before = log_size(out)
            wait_until(lambda: log_size(out) > before)
            command.popen.send_signal(signal.SIGINT)
            code, _, err = command.finish()
    assert code == 0, err
    assert run_log(out).count("WARNING decode/yard: source cannot be opened") == 1
    assert "WARNING decode/yard: source there after" in run_log(out)
    assert summary(out, "yard")["frames"]["processed"] > 0
    assert "hunter2" not in run_log(out) + err


@pytest.mark.slow
def test_a_decoder_that_dies_while_its_camera_is_away_waits_for_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = two(tmp_path, {"source": "rtsp://127.0.0.1:1/none"}, realtime=True, loop=True)
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: "source cannot be opened" in run_log(out))
        killed = command.kill("decode/yard")
        command.stage("decode/yard", not_pid=killed)
        wait_until(lambda: run_log(out).count("source cannot be opened") == 2)
        before = log_size(out)
        wait_until(lambda: log_size(out) > before + 50_000)
        command.popen.send_signal(signal.SIGTERM)
        code, _, err = command.finish()
    assert code == 0, err


@pytest.mark.slow
def test_a_file_that_is_gone_ends_its_own_stream_and_the_run_says_so_in_the_end(tmp_path: Path) -> None:
    write_clip(tmp_path / "yard.mp4", 3000)
    out = tmp_path / "out"
    config = two(tmp_path, {"source": str(tmp_path / "yard.mp4")}, frames=600)
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out, "yard") > 0)
        (tmp_path / "yard.mp4").unlink()
        command.kill("decode/yard")
        code, _, err = command.finish()
    assert code == 3
    assert "yard.mp4" in err.splitlines()[-1]
    assert summary(out)["frames"]["processed"] == 600
    assert json.loads((out / "summary.json").read_text())["complete"] is False


@pytest.mark.slow
def test_a_stage_without_restarts_left_takes_its_own_stream_down(tmp_path: Path) -> None:
    write_clip(tmp_path / "yard.mp4", 3000)
    out = tmp_path / "out"
    config = two(tmp_path, {"source": str(tmp_path / "yard.mp4")}, frames=600)
    with Command("run", config, "--out", out, "--set", "restarts.starts=0") as command:
        wait_until(lambda: log_size(out, "yard") > 0)
        command.kill("decode/yard")
        code, _, err = command.finish()
    assert code == 4
    assert "decode/yard ended 1 times (last: signal 9)" in err
    assert summary(out)["frames"]["processed"] == 600


@pytest.mark.slow
def test_a_recording_is_counted_to_its_end_without_a_sink_that_dies_again_and_again(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 400), tmp_path / "out"
    with Command("run", config, "--out", out, "--set", "restarts.starts=0") as command:
        wait_until(lambda: log_size(out) > 50_000)
        command.kill("sink/gate")
        code, _, err = command.finish()
    assert code == 4
    assert "sink/gate ended 1 times (last: signal 9); see " in err
    assert "counting goes on without what it writes" in run_log(out)
    assert summary(out)["frames"] == {"decoded": 400, "processed": 400, "dropped": {}}


@pytest.mark.slow
def test_a_camera_is_counted_on_without_its_sink_until_that_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SLOW_RETRY_S", 1.0)
    config = load(scene(tmp_path, FRAMES, realtime=True, loop=True), ["restarts.starts=0"])
    out = tmp_path / "out"
    killed: list[int] = []
    counted_without: list[int] = []

    def tick(entries: list[ProcessState]) -> None:
        sink = next(entry for entry in entries if entry.process.name == "sink/gate")
        if not killed and log_size(out) > 50_000:
            killed.append(log_size(out))
            os.kill(sink.handle.pid, signal.SIGKILL)
        elif killed and sink.bare:
            counted_without.append(log_size(out))
        elif counted_without and sink.state == "ready" and log_size(out) > counted_without[-1] + 50_000:
            os.kill(os.getpid(), signal.SIGINT)

    run(config, out, on_tick=tick)
    assert counted_without[-1] > killed[0] + 10_000
    text = run_log(out)
    assert "counting goes on without what it writes; tried again every 1 s" in text
    assert "sink/gate: works again" in text


@pytest.mark.slow
def test_in_a_run_without_end_such_a_stage_is_tried_again_and_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "SLOW_RETRY_S", 0.5)
    path = scene(tmp_path, FRAMES, realtime=True, loop=True)
    config = load(path, ["restarts.starts=0", "output.video.codec=none"])
    out = tmp_path / "out"
    killed: list[int] = []

    def tick(entries: list[ProcessState]) -> None:
        track = next(entry for entry in entries if entry.process.name == "track/0")
        if not killed and log_size(out) > 50_000:
            killed.append(log_size(out))
            os.kill(track.handle.pid, signal.SIGKILL)
        elif len(killed) == 1 and track.restarts and track.was_ready and log_size(out) > killed[0] + 50_000:
            killed.append(0)
            os.kill(os.getpid(), signal.SIGINT)

    streams = run(config, out, on_tick=tick)
    assert streams["gate"].counts.frames > 0
    text = run_log(out)
    assert "track/0: track/0 ended 1 times (last: signal 9)" in text and "tried again every" in text
    assert "track/0: works again" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["decode/gate", "segment/0", "track/0", "sink/gate"])
def test_a_stage_that_is_stopped_is_noticed_and_counting_goes_on(tmp_path: Path, name: str) -> None:
    config, out = scene(tmp_path, FRAMES, realtime=True, loop=True), tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out) > 50_000)
        pid = command.stage(name)
        os.kill(pid, signal.SIGSTOP)
        command.stage(name, not_pid=pid)
        before = log_size(out)
        wait_until(lambda: log_size(out) > before + 50_000)
        command.popen.send_signal(signal.SIGTERM)
        code, _, err = command.finish()
    assert code == 0, err
    assert f"{name}: stuck: stopped by a signal, and no heartbeat for 2." in run_log(out)


@pytest.mark.slow
def test_a_supervisor_that_was_stopped_kills_nobody_when_it_goes_on(tmp_path: Path) -> None:
    config, out = scene(tmp_path, FRAMES, realtime=True, loop=True), tmp_path / "out"
    settings = ("--set", "output.video.codec=none", "--set", "restarts.heartbeat_s=2")
    with Command("run", config, "--out", out, *settings) as command:
        wait_until(lambda: log_size(out) > 50_000)
        command.popen.send_signal(signal.SIGSTOP)
        threading.Event().wait(5.0)  # the pause is the test
        command.popen.send_signal(signal.SIGCONT)
        before = log_size(out)
        wait_until(lambda: log_size(out) > before + 50_000)
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    assert "stuck" not in run_log(out) and "restarted" not in run_log(out)


def test_a_source_is_tried_soon_at_first_and_once_a_minute_after_a_long_time() -> None:
    assert retry_delay_s(0, lambda: 1.0) == 0.25
    assert retry_delay_s(10, lambda: 1.0) == 1.0
    assert retry_delay_s(60, lambda: 1.0) == 3.0
    assert retry_delay_s(1e6, lambda: 1.0) == LONGEST_S
    assert retry_delay_s(1e6, lambda: 0.0) == 0.75 * LONGEST_S


def test_each_reason_of_a_source_that_cannot_be_opened_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = iter(["refused", "refused", "no route", "no route"])
    done, opened = threading.Event(), object()

    def attempt() -> Any:
        if (why := next(answers, None)) is not None:
            raise SourceError(why)
        return opened

    opener = SourceOpener(
        attempt, retry=True, stop=threading.Event(), on_done=done.set, delay_s=lambda away_s: 0.0
    )
    assert done.wait(60)
    assert opener.source is opened and opener.error is None
    said = [one.message.partition(" after")[0] for one in caplog.records]
    assert said == [
        "source cannot be opened: refused; it is tried again", "source cannot be opened: no route", "source there",
    ]  # fmt: skip
    assert (opener.state.name, opener.state.why) == ("retrying", "no route")


def test_a_recording_is_tried_once() -> None:
    done = threading.Event()

    def attempt() -> Any:
        raise SourceError("no such file")

    opener = SourceOpener(attempt, retry=False, stop=threading.Event(), on_done=done.set)
    assert done.wait(60)
    assert isinstance(opener.error, SourceError) and opener.source is None
