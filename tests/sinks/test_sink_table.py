"""A sink from outside: one file, one line of configuration, and it gets frames and events of a real run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.schema import Config, StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.errors import ConfigError
from pipeline.sinks.sink import SinkContext
from pipeline.sinks.sink_table import SINKS, check_sinks
from tests.counting.counting_scenes import CLASSES, UPRIGHT, play, walk
from tests.running import Command, counts, log_size, run_log, scene, summary, tallycam, wait_until

RECORDER = '''
"""A sink that writes down what it gets."""
import json
import os
from pathlib import Path

from pipeline.config.fields import ConfigModel


class Recorder:
    annotated = False

    class Settings(ConfigModel):
        file: str
        fail_from: int = 10**9

    def __init__(self, settings, context):
        self.settings = settings
        self.context = context
        self.calls = 0
        self.lines = []

    def begin(self, video):
        self.lines.append({"begin": [video.width, video.height, video.fps, video.live]})

    def write_frame(self, planes, tracks):
        self.calls += 1
        if self.calls > self.settings.fail_from:
            raise RuntimeError("the sink is broken")
        self.lines.append({
            "frame": tracks.seq, "size": [planes.width, planes.height], "objects": len(tracks.ids),
            "chroma": sorted({int(planes.u.min()), int(planes.u.max())}), "stream": self.context.stream,
        })

    def write_events(self, events):
        self.lines += [{"event": event.key, "run": self.context.run} for event in events]

    def close(self):
        path = Path(f"{self.settings.file}-{os.getpid()}.json")
        path.write_text("".join(json.dumps(line) + chr(10) for line in self.lines))


class Hanging:
    def __init__(self, settings, context):
        pass

    def write_events(self, events):
        import time

        time.sleep(1000)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that announces a sink; where it is installed."""
    folder = tmp_path / "installed"
    info = folder / "recorder-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "recorder_package.py").write_text(RECORDER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recorder\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tallycam.sinks]\nrecorder = recorder_package:Recorder\n")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.syspath_prepend(str(folder))
    return folder


def with_sinks(config: Path, sinks: dict[str, Any]) -> Path:
    data = yaml.safe_load(config.read_text())
    data["output"]["sinks"] = sinks
    config.write_text(yaml.safe_dump(data))
    return config


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in folder.glob("seen-*.json") for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_sink_from_outside_gets_every_frame_with_its_tracks_and_every_event(
    package: Path, tmp_path: Path
) -> None:
    config = with_sinks(scene(tmp_path, 150), {"recorder": {"file": str(tmp_path / "seen")}})
    code, _, err = tallycam("run", config, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    lines = recorded(tmp_path)
    assert {"begin": [320, 180, 25.0, False]} in lines
    frames = [line for line in lines if "frame" in line]
    assert [line["frame"] for line in frames] == list(range(150))
    assert {tuple(line["size"]) for line in frames} == {(320, 180)}
    assert {line["stream"] for line in frames} == {"gate"}
    assert sum(line["objects"] for line in frames) > 300
    assert all(max(line["chroma"]) - min(line["chroma"]) < 10 for line in frames), (
        "no masks: it asked for none"
    )
    crossings = summary(tmp_path / "out")["lines"]
    expected = sum(n for line in crossings.values() for by in line.values() for n in by.values())
    events = {line["event"] for line in lines if "event" in line}
    assert len([key for key in events if "/line/" in key]) == expected > 0


@pytest.mark.slow
def test_a_sink_that_breaks_is_switched_off_and_the_run_goes_on(package: Path, tmp_path: Path) -> None:
    settings = {"file": str(tmp_path / "seen"), "fail_from": 20}
    config, out = scene(tmp_path, 150), tmp_path / "out"
    calm = tmp_path / "calm"
    assert tallycam("run", config, "--out", calm)[0] == 0
    config = with_sinks(config, {"recorder": settings})
    code, _, err = tallycam("run", config, "--out", out)
    assert code == 0, err
    assert counts(out) == counts(calm)
    log = (out / "log" / "run.log").read_text()
    assert "RuntimeError: the sink is broken" in log
    assert "ERROR   sink/gate: sink recorder is switched off: it failed 5 times in a row" in log
    assert len([line for line in recorded(tmp_path) if "frame" in line]) == 20


@pytest.mark.slow
def test_a_sink_that_hangs_holds_up_neither_counting_nor_the_end(tmp_path: Path, package: Path) -> None:
    config = with_sinks(scene(tmp_path, 150), {"stuck": {"use": "recorder_package:Hanging"}})
    out = tmp_path / "out"
    code, _, err = tallycam("run", config, "--out", out)
    assert code == 0, err
    assert summary(out)["frames"]["processed"] == 150
    assert re.search(r"track/0: \d+ events are not delivered to the sink stuck yet; .*/sink-stuck", err)


def test_the_event_sink_in_the_documentation_works_as_it_is_shown(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "sinks.md").read_text(encoding="utf-8")
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Crossings" in one)
    names: dict[str, Any] = {}
    exec(code, names)
    context = SinkContext("crossings", "", 0, 0, tmp_path, "r1", ("person",))
    sink = names["Crossings"]({}, context)
    outcome = play(
        StreamCounter("gate", StreamConfig(source="x", lines={"line": UPRIGHT}), TrackerConfig(), CLASSES),
        walk([(200, 300), (440, 300)], [3]),
    )
    sink.write_events(outcome.events)
    sink.close()
    (line,) = (tmp_path / "crossings-r1.jsonl").read_text().splitlines()
    (crossing,) = (event for event in outcome.events if event.kind == "line")
    assert json.loads(line) == [crossing.key, crossing.time_s, "line", crossing.direction, "person"]


STUBBORN = """
import pathlib

class Stubborn:
    def __init__(self, settings, context):
        self.folder, self.run = pathlib.Path(settings["folder"]), context.run

    def write_events(self, events):
        if not (self.folder / "server is up").exists():
            raise ConnectionError("no route to host")
        with (self.folder / "got.txt").open("a") as file:
            file.writelines(f"{self.run} {event.key}" + chr(10) for event in events)
"""


@pytest.mark.slow
def test_events_that_a_sink_could_not_take_before_a_crash_are_given_to_it_after_the_restart(
    tmp_path: Path,
) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    sink = {"far": {"use": "stubborn:Stubborn", "folder": str(tmp_path)}}
    config, out = with_sinks(scene(tmp_path, 300, realtime=True), sink), tmp_path / "out"
    with Command("run", config, "--out", out, folder=tmp_path) as command:
        wait_until(lambda: "no route to host" in run_log(out), what="the sink's failure")
        for pid in (command.popen.pid, *command.children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert not (tmp_path / "got.txt").exists()
    (tmp_path / "server is up").touch()
    with Command("run", config, "--out", out, "--resume", folder=tmp_path) as command:
        assert command.finish(120)[0] == 0
    with sqlite3.connect(out / "events.db") as events:
        expected = {f"{run} {key}" for run, key in events.execute("SELECT run, key FROM events")}
    assert len(expected) > 3
    assert set((tmp_path / "got.txt").read_text().splitlines()) >= expected


@pytest.mark.slow
def test_events_that_still_wait_when_all_is_counted_are_delivered_by_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    sink = {"far": {"use": "stubborn:Stubborn", "folder": str(tmp_path)}}
    config, out = with_sinks(scene(tmp_path, 100), sink), tmp_path / "out"
    words = ("run", config, "--out", out, "--set", "output.video.codec=none")
    assert tallycam(*words, folder=tmp_path)[0] == 0
    waiting = json.loads((out / "summary.json").read_text())["events_waiting"]
    assert waiting > 3
    before = counts(out)
    (tmp_path / "server is up").touch()
    assert tallycam(*words, folder=tmp_path)[0] == 0
    assert len((tmp_path / "got.txt").read_text().splitlines()) >= waiting
    assert json.loads((out / "summary.json").read_text())["events_waiting"] == 0
    assert counts(out) == before
    assert "nothing is left to count" in tallycam(*words, folder=tmp_path)[2]


@pytest.mark.slow
def test_a_sink_in_a_file_of_ones_own_needs_no_package_and_its_errors_are_counted(tmp_path: Path) -> None:
    (tmp_path / "my_sink.py").write_text(RECORDER)
    own = {"mine": {"use": "my_sink:Recorder", "file": str(tmp_path / "seen"), "fail_from": 3}}
    config, out = with_sinks(scene(tmp_path, 400, realtime=True), own), tmp_path / "out"
    with Command("run", config, "--out", out, folder=tmp_path) as command:
        wait_until(lambda: log_size(out))
        failed = wait_until(
            lambda: _metric(out, "sink/gate", "tallycam_sink_errors_total"), what="the metric"
        )
        command.popen.terminate()
        assert command.finish()[0] == 0
    assert failed > 0


def _metric(out: Path, process: str, name: str) -> float:
    import urllib.request

    path = out / "prometheus-targets.json"
    targets = json.loads(path.read_text()) if path.exists() else []
    for target in targets:
        if target["labels"]["process"] == process:
            with urllib.request.urlopen(f"http://{target['targets'][0]}/metrics") as answer:
                found = re.search(rf'^{name}{{sink="mine",.*}} (\S+)', answer.read().decode(), re.MULTILINE)
            return float(found.group(1)) if found else 0.0
    return 0.0


def config_of(sinks: dict[str, Any]) -> Config:
    return Config.model_validate({"streams": {"gate": {"source": "x"}}, "output": {"sinks": sinks}})


@pytest.mark.parametrize(
    ("sinks", "says"),
    [
        ({"recordr": {"file": "x"}}, "there is no sink `recordr` (installed: recorder; did you mean `recorder`?)"),
        ({"mine": {"use": "no_such_module:Sink"}}, "no_such_module cannot be imported"),
        ({"mine": {"use": "recorder_package:None_"}}, "there is no class None_ in recorder_package"),
        ({"mine": {"use": "pathlib:Path"}}, "Path is no sink: it has neither write_frame nor write_events"),
        ({"recorder": {}}, "output.sinks.recorder: file: is missing"),
        ({"recorder": {"file": "x", "fail_form": 1}}, "did you mean `fail_from`?"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_configuration_is_told_before_anything_starts(
    package: Path, sinks: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        check_sinks(config_of(sinks))


def test_every_row_of_the_table_names_a_class_with_its_method() -> None:
    import importlib

    for kind in SINKS:
        module, _, name = kind.sink.partition(":")
        cls = getattr(importlib.import_module(module), name)
        assert hasattr(cls, {"frames": "write_frame", "events": "write_events"}[kind.takes])
