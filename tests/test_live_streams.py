"""Streams are added, changed and removed while a run goes on; the processes of the others are left alone."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paced_model import GO
from tests.running import Command, log_size, run_log, scene, summary, tallycam, wait_until

FRAMES = 700
OTHERS = ("decode/gate", "segment/0", "track/0")


def paced(folder: Path, frames: int = FRAMES, *, codec: str = "none", **changes: Any) -> Path:
    """A configuration with the recording `gate`, which takes its time. Only with a video it has a `sink`."""
    path = scene(folder, frames, **changes)
    config = yaml.safe_load(path.read_text())
    config["model"] = {"name": "tests.paced_model:Paced", "batch": 4}
    config["output"] = {"video": {"codec": codec, "preset": "ultrafast"}}
    path.write_text(yaml.safe_dump(config))
    return path


def stream(*words: str | Path) -> str:
    """`tallycam stream ...`, which has to succeed; its output."""
    code, out, err = tallycam("stream", *words)
    assert code == 0, err
    return out


def state(out: Path) -> dict[str, Any]:
    path = out / "streams.json"
    return json.loads(path.read_text()) if path.exists() else {}


def rewrite(path: Path, text: str) -> None:
    """Writes a file as editors do: a new one takes its place."""
    part = path.with_suffix(".new")
    part.write_text(text)
    part.replace(path)


@pytest.mark.slow
def test_a_stream_comes_changes_and_goes_and_the_other_one_keeps_its_processes_and_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GO, str(tmp_path / "go"))
    config, out = paced(tmp_path, codec="h264"), tmp_path / "out"
    live = ("--set", "realtime=true", "--set", "loop=true")
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out) > 0)
        pids = {name: command.stage(name) for name in (*OTHERS, "sink/gate")}
        stream("add", out, "yard", tmp_path / "clip.mp4", "--line", "door=0.5,1,0.5,0", *live)
        wait_until(lambda: log_size(out, "yard") > 0)
        assert stream("ls", out).splitlines()[1].split()[:2] == ["yard", "connected"]
        first = {name: command.stage(name) for name in ("decode/yard", "sink/yard")}

        rewrite(config, config.read_text() + "    fps: 12\n")
        second = {name: command.stage(name, not_pid=pid) for name, pid in first.items()}
        wait_until(lambda: not state(out)["changing"])
        before = log_size(out, "yard")
        wait_until(lambda: log_size(out, "yard") > before)

        stream("rm", out, "yard")
        assert not {pid for pid in (*first.values(), *second.values()) if Path(f"/proc/{pid}").exists()}
        assert {name: command.stage(name) for name in pids} == pids
        (tmp_path / "go").touch()
        code, _, err = command.finish()
    assert code == 0, err
    assert "yard" not in config.read_text()
    gate, yard = summary(out), summary(out, "yard")
    assert gate["frames"] == {"decoded": FRAMES, "processed": FRAMES, "dropped": {}}
    assert yard["frames"]["processed"] > 0 and yard["lines"].keys() == {"door"}
    assert json.loads((out / "summary.json").read_text())["complete"] is True
    assert "restarted" not in run_log(out) and "goes on after frame" in run_log(out)
    assert not (out / "streams.json").exists()


@pytest.mark.slow
def test_the_only_stream_can_be_changed_and_its_counts_go_on(tmp_path: Path) -> None:
    config, out = paced(tmp_path, 200, realtime=True, loop=True), tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out) > 0)
        pids = {name: command.stage(name) for name in ("segment/0", "track/0")}
        decoder = command.stage("decode/gate")
        rewrite(config, config.read_text().replace("realtime: true", "realtime: true\n    skip: 1"))
        command.stage("decode/gate", not_pid=decoder)
        before = log_size(out)
        wait_until(lambda: log_size(out) > before)
        assert {name: command.stage(name) for name in pids} == pids
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    assert "restarted" not in run_log(out) and "goes on after frame" in run_log(out)


@pytest.mark.slow
def test_a_bad_configuration_is_refused_in_one_line_and_the_run_goes_on(tmp_path: Path) -> None:
    config, out = paced(tmp_path, 200, realtime=True, loop=True), tmp_path / "out"
    good = config.read_text()
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out) > 0)
        pids = {name: command.stage(name) for name in OTHERS}
        for bad, why in (
            (good.replace("streams:", "streams: ["), "not valid YAML"),
            (good.replace("batch: 4", "batch: 2"), "model.batch changed: only streams"),
            (good.replace("source: ", "sauce: "), "unknown key `sauce`"),
        ):
            rewrite(config, bad)
            wait_until(lambda why=why: why in state(out)["error"], what=why)
        rewrite(config, good)
        wait_until(lambda: state(out)["error"] == "")
        code, _, err = tallycam("stream", "add", out, "yard", tmp_path / "none.mp4")
        assert code == 2 and "streams.yard.source" in err and len(err.splitlines()) == 1
        assert config.read_text() == good
        assert {name: command.stage(name) for name in OTHERS} == pids
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    assert run_log(out).count("the changed configuration is refused") == 4


@pytest.mark.slow
def test_a_process_that_dies_while_streams_change_serves_those_of_the_new_configuration(
    tmp_path: Path,
) -> None:
    config, out = paced(tmp_path, 200, realtime=True, loop=True), tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out) > 0)
        track, segment = command.stage("track/0"), command.stage("segment/0")
        os.kill(track, signal.SIGSTOP)  # it cannot follow
        rewrite(config, config.read_text() + f"  yard: {{source: {tmp_path / 'clip.mp4'}}}\n")
        command.stage("decode/yard")
        os.kill(track, signal.SIGKILL)
        os.kill(segment, signal.SIGKILL)
        wait_until(lambda: "track/0 [yard]: all 200 frames counted" in run_log(out))
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    assert summary(out, "yard")["frames"]["processed"] == 200


def test_a_folder_without_a_run_has_no_streams_to_change(tmp_path: Path) -> None:
    code, _, err = tallycam("stream", "ls", tmp_path)
    assert code == 2
    assert (
        err
        == f"tallycam: {tmp_path}: no run goes on here; give the folder that `tallycam run` was given with --out\n"
    )
