"""Starting in a folder that holds a run: nothing is replaced, mixed or lost unless it was asked for and can work."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
from pathlib import Path

import pytest

from pipeline.config.schema import Config
from pipeline.records.summary import write_json
from pipeline.runtime.continuation import changes_since, check_continuation, named, without_secrets
from pipeline.runtime.run_files import (
    ASIDE,
    DISCARDED,
    EarlierRun,
    discard,
    put_back,
    read_earlier_run,
    recover,
    remove_written,
    set_aside,
    written_files,
)
from tests.running import Command, counts, frames_of, log_size, run_log, scene, summary, tallycam, wait_until


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_of(out: Path, *streams: str, run: str = "r1") -> None:
    """Files as a run leaves them."""
    (out / "log").mkdir(parents=True, exist_ok=True)
    identity = {"run": run, "lives": 1, "started_s": 0.0, "streams": streams}
    for name in ("summary.json", "config.json", "events.db", "events.db-wal", "log/run.log", "log/run.log.1"):
        (out / name).write_text(f"{name} of {run}")
    (out / "run.json").write_text(json.dumps(identity))
    (out / "log" / "quarantine").mkdir()
    (out / "log" / "quarantine" / "gate-000000007.png").write_text(f"a frame of {run}")
    for stream in streams:
        (out / "log" / stream).mkdir()
        for name in (
            f"{stream}.mp4", f"{stream}.001.mp4", f"{stream}.mp4.part", f"{stream}-heatmap.png",
            f"log/{stream}.log", f"log/{stream}/000000000000.log", f"log/{stream}.heat", f"log/{stream}.jpg",
        ):  # fmt: skip
            (out / name).write_text(f"{name} of {run}")


def counted_events(out: Path) -> dict[str, int]:
    """Kind -> rows in the database."""
    with contextlib.closing(sqlite3.connect(out / "events.db")) as database:
        return dict(database.execute("select kind, count(*) from events group by kind"))


def others(out: Path) -> dict[str, bytes]:
    """Files of a user, with names much like those of a run."""
    names = (
        "notes.txt",
        "gate2.mp4",
        "gate.old.mp4",
        "gate.1.mp4",
        "log/gate.txt",
        "events.db.bak",
        "rows.txt",
    )
    for name in names:
        (out / name).write_text(f"my {name}")
    return {name: (out / name).read_bytes() for name in names}


def test_what_a_run_wrote_is_known_exactly(tmp_path: Path) -> None:
    run_of(tmp_path, "gate", "yard")
    before = content(tmp_path)
    kept = others(tmp_path)
    remove_written(tmp_path, ["gate", "yard"])
    assert content(tmp_path) == kept | {"log/run.log": before["log/run.log"]}


def test_what_was_set_aside_comes_back_with_the_log_of_the_start_that_failed(tmp_path: Path) -> None:
    run_of(tmp_path, "gate")
    others(tmp_path)
    before = content(tmp_path)
    set_aside(tmp_path, written_files(tmp_path, ["gate"]))
    run_of(tmp_path, "gate", "yard", run="r2")
    remove_written(tmp_path, ["gate", "yard"])
    put_back(tmp_path)
    assert content(tmp_path) == before | {"log/run.log": b"log/run.log of r1log/run.log of r2"}
    assert not (tmp_path / ASIDE).exists()


@pytest.mark.parametrize("moved", range(14))
def test_a_command_that_is_killed_while_it_sets_results_aside_loses_none(tmp_path: Path, moved: int) -> None:
    run_of(tmp_path, "gate")
    before = content(tmp_path)
    set_aside(tmp_path, written_files(tmp_path, ["gate"])[:moved])
    assert read_earlier_run(tmp_path) is not None
    recover(tmp_path)
    assert content(tmp_path) == before


def test_a_command_that_is_killed_before_the_new_run_has_started_is_undone(tmp_path: Path) -> None:
    run_of(tmp_path, "gate")
    before = content(tmp_path)
    set_aside(tmp_path, written_files(tmp_path, ["gate"]))
    run_of(tmp_path, "gate", "yard", run="r2")
    assert str(read_earlier_run(tmp_path)).endswith("(gate)"), "what will be there again"
    recover(tmp_path)
    assert content(tmp_path) == before | {"log/run.log": b"log/run.log of r1log/run.log of r2"}


@pytest.mark.parametrize("back", range(12))
def test_a_command_that_is_killed_while_it_puts_results_back_is_completed(tmp_path: Path, back: int) -> None:
    run_of(tmp_path, "gate")
    before = content(tmp_path)
    set_aside(tmp_path, written_files(tmp_path, ["gate"]))
    names = sorted(content(tmp_path / ASIDE), key=lambda name: name != "run.json")
    for name in names[:back]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ASIDE / name).rename(tmp_path / name)
    recover(tmp_path)
    assert content(tmp_path) == before


def test_a_replaced_run_stays_replaced_when_its_removal_is_interrupted(tmp_path: Path) -> None:
    run_of(tmp_path, "gate")
    set_aside(tmp_path, written_files(tmp_path, ["gate"]))
    run_of(tmp_path, "gate", run="r2")
    after = content(tmp_path)
    (tmp_path / ASIDE).rename(tmp_path / DISCARDED)
    recover(tmp_path)
    assert content(tmp_path) == {name: data for name, data in after.items() if ASIDE not in name}
    discard(tmp_path)


def test_where_nothing_is_left_to_count_that_is_said_and_nothing_changes(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 20), tmp_path / "out"
    assert tallycam("run", config, "--out", out)[0] == 0
    before = content(out)
    code, _, err = tallycam("run", config, "--out", out)
    assert code == 0
    assert len(err.splitlines()) == 1
    assert "(gate) is complete, nothing is left to count; --overwrite counts anew" in err
    assert content(out) == before


def test_a_recording_is_not_counted_with_two_configurations(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 20), tmp_path / "out"
    assert tallycam("run", config, "--out", out)[0] == 0
    before = content(out)
    moved = ("--set", "streams.gate.lines.middle.deadband=0.3", "--set", "output.video.codec=none")
    code, _, err = tallycam("run", config, "--out", out, *moved)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "streams.gate.lines.middle.deadband changed since" in err and "output" not in err
    assert "--overwrite counts anew" in err and "--resume goes on" in err
    assert content(out) == before
    assert tallycam("run", config, "--out", out, *moved, "--resume")[0] == 0


def test_changes_are_told_by_their_keys_and_passwords_are_none(tmp_path: Path) -> None:
    def config(password: str, fps: float, *lines: str) -> Config:
        points = {name: {"points": [[0, 0], [1, 1]]} for name in lines}
        stream = {"source": f"rtsp://u:{password}@h/x", "fps": fps, "lines": points}
        return Config.model_validate({"model": {"name": "street"}, "streams": {"gate": stream}})

    write_json(tmp_path / "config.json", without_secrets(config("secret1", 5, "a", "b")))
    assert "secret1" not in (tmp_path / "config.json").read_text()
    assert changes_since(config("secret2", 5, "a", "b"), tmp_path) == []
    now = config("secret2", 10, "a", "c")
    assert changes_since(now, tmp_path) == [
        "streams.gate.fps",
        "streams.gate.lines.b",
        "streams.gate.lines.c",
    ]
    earlier = EarlierRun("r", 1, 0.0, ("gate",))
    check_continuation(now, tmp_path, earlier)  # a camera goes on: nothing is raised
    assert named([str(number) for number in range(8)]) == "0, 1, 2, 3, 4 and 3 more"
    (tmp_path / "config.json").write_text("{")
    assert changes_since(now, tmp_path) == []


@pytest.mark.slow
def test_overwriting_clears_what_the_earlier_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 60), tmp_path / "out"
    two = ("--set", "streams.yard.source=" + str(tmp_path / "clip.mp4"))
    assert tallycam("run", config, "--out", out, *two, "--tracks", out / "rows.txt")[0] == 0
    assert (out / "yard.mp4").exists() and (out / "rows-yard.txt").exists()
    (out / "notes.txt").write_text("mine")
    code, _, err = tallycam("run", config, "--out", out, "--overwrite")
    assert code == 0, err
    found = set(content(out))
    assert not [name for name in found if "yard" in name or "rows" in name or name.startswith(".")]
    assert "notes.txt" in found and "gate.mp4" in found
    assert counts(out)["processed"] == 60
    assert list(json.loads((out / "summary.json").read_text())["streams"]) == ["gate"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("model.path=FOLDER/broken.safetensors", 2),
        ("streams.gate.source=FOLDER/missing.mp4", 3),
        ("output.events=sqlite:///FOLDER/none/events.db", 2),
    ],
    ids=["model", "file", "database"],
)
def test_a_run_that_cannot_start_replaces_nothing(tmp_path: Path, setting: str, code: int) -> None:
    from tests.test_bad_input import no_weights

    config, out = scene(tmp_path, 20), tmp_path / "out"
    assert tallycam("run", config, "--out", out)[0] == 0
    (tmp_path / "broken.safetensors").write_bytes(no_weights())
    before = content(out)
    settings = ["--set", setting.replace("FOLDER", str(tmp_path))]
    if setting.startswith("model"):
        settings += ["--set", "model.name=null"]
    found, _, err = tallycam("run", config, "--out", out, "--overwrite", *settings)
    assert found == code, err
    after = content(out)
    log = after.pop("log/run.log")
    assert log.startswith(before.pop("log/run.log"))
    assert after == before


@pytest.mark.slow
def test_a_first_run_that_cannot_start_can_be_started_again_without_further_ado(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 20), tmp_path / "out"
    camera = ("--set", "streams.gate.source=rtsp://127.0.0.1:1/none")
    with Command("run", config, "--out", out, *camera) as command:
        wait_until(lambda: "cannot be opened" in run_log(out))
        command.popen.send_signal(signal.SIGINT)
        assert command.finish()[0] == 130
    assert set(content(out)) == {"run.lock", "log/run.log"}
    code, _, err = tallycam("run", config, "--out", out)
    assert code == 0, err
    assert b"rtsp://127.0.0.1:1/none" in content(out)["log/run.log"], "why it did not start is still there"


@pytest.mark.slow
def test_a_run_that_is_stopped_before_it_has_started_leaves_everything_as_it_was(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 20), tmp_path / "out"
    assert tallycam("run", config, "--out", out)[0] == 0
    before = content(out)
    camera = ("--set", "streams.gate.source=rtsp://127.0.0.1:1/none")
    with Command("run", config, "--out", out, "--overwrite", *camera) as command:
        wait_until(lambda: "cannot be opened" in run_log(out))
        assert (out / ASIDE / "run.json").exists()
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 130
    assert err.endswith(f"stopped before the run had started; the results in {out} are as before\n")
    after = content(out)
    log = after.pop("log/run.log")
    assert log.startswith(before.pop("log/run.log"))
    assert after == before


@pytest.mark.slow
def test_a_camera_goes_on_counting_also_with_another_configuration(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 200, realtime=True), tmp_path / "out"
    with Command("run", config, "--out", out) as command:
        wait_until(lambda: log_size(out) > 60_000)
        command.popen.send_signal(signal.SIGTERM)
        code, shown, err = command.finish()
    assert (code, "the next run in the folder goes on" in shown) == (0, True), err
    first = summary(out)
    code, _, err = tallycam("run", config, "--out", out, "--set", "streams.gate.zones.square.by=mask")
    assert code == 0, err
    assert "goes on with another configuration: streams.gate.zones.square.by changed" in err
    whole = summary(out)
    assert whole["frames"]["processed"] > first["frames"]["processed"] > 0
    assert json.loads((out / "summary.json").read_text())["complete"] is True
    assert whole["unique"]["person"] > first["unique"]["person"] > 0
    events = counted_events(out)
    assert events["unique"] == whole["unique"]["person"]
    assert events["line"] == sum(
        sum(directions.values()) for line in whole["lines"].values() for directions in line.values()
    )
    assert frames_of(out / "gate.mp4") == whole["frames"]["processed"], (
        "the first part of the video is still there"
    )
