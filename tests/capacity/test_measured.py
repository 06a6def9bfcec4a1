"""Costs of streams are those of real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.capacity import unit_costs
from pipeline.capacity.sample import FRAMES, make_clip
from pipeline.capacity.unit_costs import decode_cost_ms
from tests.in_process import Command, command_of
from tests.running import frames_of


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(capsys, monkeypatch)


def test_the_sample_clip_moves_and_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", (320, 180))
    assert frames_of(tmp_path / "clip.mp4") == FRAMES
    assert decode_cost_ms(tmp_path / "clip.mp4") > 0


@pytest.mark.slow
def test_streams_are_counted_at_once_and_what_they_cost_is_told(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    code, out, err = command("bench", "streams", "--streams", "1,2", "--seconds", "0.5", "--json", file)
    assert code == 0, err
    assert [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")] == ["1", "2"]
    one, two = json.loads(file.read_text())["rows"]
    assert (one["streams"], two["streams"]) == (1, 2)
    for row in (one, two):
        assert row["fps"] > 0 and row["slowest_fps"] > 0 and row["log_bytes"] > 500
        assert row["cpu_ms"].keys() == {"decode", "segment", "supervisor", "track"}
        assert all(ms >= 0 for ms in row["cpu_ms"].values()) and sum(row["cpu_ms"].values()) > 0
        assert all(mb > 1 for mb in row["memory_mb"].values())
    assert two["memory_mb"]["decode"] > one["memory_mb"]["decode"] / 2


@pytest.mark.slow
def test_a_plan_names_what_runs_out_first(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_costs, "SECONDS", 0.5)
    file = tmp_path / "plan.json"
    words = ("--streams", "400", "--size", "320x180", "--out", tmp_path, "--json", file)
    code, out, err = command("plan", *words)
    assert code == 0, err
    assert "runs out first" in out and "--model NAME" in out
    resources = [need["resource"] for need in json.loads(file.read_text())["needs"]]
    assert resources == ["processor", "memory", "disk, 7 days", "network"]
