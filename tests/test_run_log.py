"""`DIR/log/run.log` of real runs: what a person wants to know afterwards is there, and what is shown meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import Command, log_size, scene, summary, tallycam, wait_until

FRAMES = 150
NOISY_MODEL = """
import ctypes
import logging
import os
import sys

from pipeline.models.detections import Detections


line = b"a native library writes " + b"so much " * 4000 + b"\\n"


class Noisy:
    classes = ("person", "car")
    device = "cpu"

    def __init__(self, config):
        pass

    def warm_up(self):
        pass

    def segment(self, frames):
        print("a library prints " + "so much " * 4000)
        ctypes.CDLL(None).write(2, line, len(line))
        logging.getLogger("somebody").error("an error of mine %s", "x" * 1000)
        return [Detections.empty() for _ in frames]
"""
CRASHING_MODEL = NOISY_MODEL.replace(
    "        print(",
    '        os.path.exists("once") or (open("once", "w"), os.kill(os.getpid(), 11))\n        print(',
)


def lines(out: Path) -> list[str]:
    """`PROCESS: MESSAGE` of each line."""
    text = (out / "log" / "run.log").read_text()
    return [line.split(" ", 2)[2].strip() for line in text.splitlines() if not line.startswith("    ")]


def said(out: Path, pattern: str) -> bool:
    return any(re.fullmatch(pattern, line) for line in lines(out))


def with_model(folder: Path, code: str) -> Path:
    """A scene with a model of one's own in the folder."""
    config = scene(folder, FRAMES)
    data = yaml.safe_load(config.read_text())
    data["model"] = {"name": f"own_model:{re.findall('class ([A-Z][a-z]+)', code)[0]}"}
    config.write_text(yaml.safe_dump(data))
    (folder / "own_model.py").write_text(code)
    return config


def test_a_run_says_what_it_used_and_how_it_ended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, _, err = tallycam("run", scene(tmp_path, FRAMES), "--out", out)
    assert (code, err) == (0, "")
    for pattern in (
        r"supervisor: run \S+ of Tallycam \S+ started: gate from \S+clip.mp4; results in \S+",
        r"decode/gate: started, pid \d+",
        r"decode/gate: source connected: \S+clip.mp4 \(file\), 320x180, 25 fps",
        r"segment/0: model replay:\S+ on replay, 2 classes; warmed up in \S+ s",
        r"sink/gate: ready, \S+ s after its start",
        rf"track/0 \[gate\]: all {FRAMES} frames counted",
        r"sink/gate: video \S+gate.mp4 closed",
        rf"supervisor \[gate\]: {FRAMES} frames counted; left out: none",
        r"supervisor: run \S+ finished",
    ):
        assert said(out, pattern), pattern


def test_json_lines_on_standard_error_and_in_the_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--log-format", "json", "--log-level", "info")
    code, _, err = tallycam("run", scene(tmp_path, 20), "--out", out, *options)
    assert code == 0, err
    shown: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
    assert shown == [json.loads(line) for line in (out / "log" / "run.log").read_text().splitlines()]
    connected = next(line for line in shown if line["message"].startswith("source connected"))
    assert {key: connected[key] for key in ("level", "process", "stage", "stream")} == {
        "level": "info", "process": "decode/gate", "stage": "decode", "stream": "gate",
    }  # fmt: skip


@pytest.mark.slow
def test_deaths_and_restarts_are_told_with_their_reason_and_what_was_leased_again(tmp_path: Path) -> None:
    config = scene(tmp_path, 400)
    out = tmp_path / "out"
    slow = ("--set", "model.name=tests.slow_model:Slow")  # so that a worker that is killed holds frames
    with Command("run", config, "--out", out, *slow) as command:
        wait_until(lambda: log_size(out))
        for name in ("segment/0", "track/0"):
            killed = command.kill(name)
            command.stage(name, not_pid=killed)
        code, _, err = command.finish()
    assert code == 0, err
    assert summary(out)["frames"]["processed"] == 400
    for name in ("segment/0", "track/0"):
        words = rf"{name}: died \(signal 9 \(SIGKILL\)\); restarted, 1 of 5 restarts within 300 s"
        assert said(out, words)
        assert re.search(rf"WARNING {words}", err), "and shown on the terminal"
    assert said(out, r"decode/gate: (segment/0|track) was restarted: frames? [0-9, ]+ leased again")
    assert said(
        out, r"track/0 \[gate\]: goes on after frame \d+: \d+ frames of the log counted again in \S+ s"
    )


@pytest.mark.slow
def test_a_crash_and_what_libraries_write_are_in_the_log_and_not_on_the_terminal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = with_model(tmp_path, CRASHING_MODEL)
    code, _, err = tallycam("run", config, "--out", out, folder=tmp_path)
    assert code == 0, err
    assert said(out, r"segment/0: Fatal Python error: Segmentation fault")
    assert said(out, r"segment/0: died \(signal 11 \(SIGSEGV\)\); restarted, .*")
    assert said(out, r"segment/0: a library prints so much .*")
    assert said(out, r"segment/0: a native library writes so much .*")
    assert "a library prints" not in err and "an error of mine" in err
    log = (out / "log" / "run.log").stat().st_size
    assert log < 400_000, f"{log} bytes: what repeats itself is summed"


@pytest.mark.slow
def test_a_run_goes_on_while_its_supervisor_is_stopped_and_nobody_reads_the_log(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Command("run", with_model(tmp_path, NOISY_MODEL), "--out", out, folder=tmp_path) as command:
        command.stage("sink/gate")
        wait_until(lambda: log_size(out))
        command.popen.send_signal(signal.SIGSTOP)
        wait_until(lambda: (out / "gate.mp4").exists(), what="the video to be finished")
        command.popen.send_signal(signal.SIGCONT)
        code, _, err = command.finish()
    assert code == 0, err
    assert summary(out)["frames"]["processed"] == FRAMES


@pytest.mark.slow
def test_what_stages_do_after_their_supervisor_was_killed_is_in_the_log(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Command("run", scene(tmp_path, 400, realtime=True), "--out", out) as command:
        wait_until(lambda: log_size(out))
        pids = command.children()
        command.popen.kill()
        command.popen.wait()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), what="the stages to end")
    for name in ("decode/gate", "segment/0", "track/0", "sink/gate"):
        assert said(out, f"{name}: the supervisor is gone: finishing what is under way")
    assert said(out, r"sink/gate: video \S+gate.mp4 closed")


@pytest.mark.slow
def test_lines_are_counted_by_stage_and_level(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 400, realtime=True), tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out))
        command.stage("sink/gate", not_pid=command.kill("sink/gate"))
        shown = wait_until(lambda: _lines_shown(out, 'level="warning",stage="sink"'), what="the metric")
        command.popen.send_signal(signal.SIGTERM)
        command.finish()
    assert shown >= 1


def _lines_shown(out: Path, labels: str) -> float:
    import urllib.request

    targets = json.loads((out / "prometheus-targets.json").read_text())
    (target,) = [one["targets"][0] for one in targets if one["labels"]["process"] == "supervisor"]
    with urllib.request.urlopen(f"http://{target}/metrics") as answer:
        found = re.search(rf"tallycam_log_lines_total{{{labels}}} (\S+)", answer.read().decode())
    return float(found.group(1)) if found else 0.0
