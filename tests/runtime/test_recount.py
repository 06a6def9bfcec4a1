"""Counting the past again: the same lines give the same counts, other lines give theirs, without a model."""

import json
from pathlib import Path

from tests.running import counts, scene, tallycam


def test_the_log_of_a_run_gives_the_counts_of_the_run(tmp_path: Path) -> None:
    config = scene(tmp_path, 150)
    out = tmp_path / "out"
    assert tallycam("run", config, "--out", out, "--set", "output.video.codec=none")[0] == 0
    (tmp_path / "clip.mp4").unlink()
    (tmp_path / "made.log").unlink()
    code, shown, err = tallycam(
        "recount", out / "log" / "gate.log", config, "--json", tmp_path / "again.json"
    )
    assert code == 0, err
    assert "middle" in shown
    again = json.loads((tmp_path / "again.json").read_text())["streams"]["gate"]
    calm = counts(out)
    same = ("unique", "uncertain", "doubtful", "lines", "zones")
    assert {key: again[key] for key in same} == {key: calm[key] for key in same}


def test_a_new_line_counts_the_past(tmp_path: Path) -> None:
    config = scene(tmp_path, 150)
    moved = "streams.gate.lines={new: {points: [[0.6, 1.0], [0.6, 0.0]], directions: [east, west]}}"
    code, shown, err = tallycam("recount", tmp_path / "made.log", config, "--set", moved)
    assert code == 0, err
    assert "line new" in shown
    assert "east" in shown


def test_it_draws_where_objects_went(tmp_path: Path) -> None:
    config = scene(tmp_path, 60)
    code, _, err = tallycam("recount", tmp_path / "made.log", config, "--heatmap", tmp_path / "went.png")
    assert code == 0, err
    assert (tmp_path / "went.png").read_bytes().startswith(b"\x89PNG")


def test_a_higher_score_leaves_weak_instances_out(tmp_path: Path) -> None:
    config = scene(tmp_path, 60)
    again = tmp_path / "again.json"
    arguments = ("recount", tmp_path / "made.log", config, "--json", again)
    assert tallycam(*arguments)[0] == 0
    assert json.loads(again.read_text())["streams"]["gate"]["unique"]["person"] > 0
    assert tallycam(*arguments, "--set", "model.score=0.95")[0] == 0
    assert sum(json.loads(again.read_text())["streams"]["gate"]["unique"].values()) == 0


def test_a_file_that_is_no_log_is_one_line(tmp_path: Path) -> None:
    config = scene(tmp_path, 2)
    code, _, err = tallycam("recount", config, config)
    assert code == 2
    assert "is not an instances log" in err
    assert len(err.strip().splitlines()) == 1
