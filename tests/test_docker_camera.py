"""The compose file for one's own camera, checked as far as is possible without an engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipeline.config.load import load
from tests.test_docker import SERVICES as DEMO

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker/compose.camera.yaml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
TALLYCAM = COMPOSE["services"]["tallycam"]
WORDS = [str(word) for word in TALLYCAM["command"]]


def test_it_counts_what_its_configuration_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TALLYCAM["environment"]:
        monkeypatch.setenv(name, "given")
    sets = [WORDS[place + 1] for place, word in enumerate(WORDS) if word == "--set"]
    (default,) = re.findall(r"\$\{TALLYCAM_CONFIG:-\.\./(.+?)\}:/config\.yaml:ro", TEXT)
    config = load(ROOT / default, sets)
    assert WORDS[:4] == ["run", "/config.yaml", "--out", "/out"]
    assert next(iter(config.streams.values())).source.startswith("rtsp://")
    assert f"http://127.0.0.1:{config.metrics.port}/metrics" in str(TALLYCAM["healthcheck"])
    assert [str(config.output.group)] == TALLYCAM["group_add"], "Prometheus may read its targets"
    assert (config.retention.days, config.retention.disk_percent) == (7, 80), "the disk does not fill up"


def test_every_variable_of_the_configuration_is_asked_for_and_passed_on() -> None:
    text = (ROOT / "configs/camera-rtsp.yaml").read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{([A-Z_]+)\}", text))
    assert needed <= set(TALLYCAM["environment"])
    assert all(value.startswith(f"${{{name}:?") for name, value in TALLYCAM["environment"].items())


def test_it_starts_again_for_ever_and_history_is_kept_in_a_volume() -> None:
    assert TALLYCAM["restart"] == "unless-stopped"
    assert "--overwrite" not in WORDS
    assert "out:/out" in TALLYCAM["volumes"] and "out" in COMPOSE["volumes"]


def test_it_is_shut_in_and_bounded() -> None:
    assert TALLYCAM["read_only"] is True and TALLYCAM["cap_drop"] == ["ALL"]
    assert TALLYCAM["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in TALLYCAM and "privileged" not in TALLYCAM
    assert TALLYCAM["mem_limit"] and TALLYCAM["pids_limit"] and TALLYCAM["logging"]["driver"] == "local"


def test_prometheus_and_grafana_are_those_of_the_demo() -> None:
    for name in ("prometheus", "grafana"):
        service = COMPOSE["services"][name]
        assert service == {"extends": {"file": "compose.yaml", "service": name}, "profiles": ["dashboard"]}
        named = {volume.split(":")[0] for volume in DEMO[name]["volumes"]} - {"."}
        assert {volume for volume in named if "." not in volume and "/" not in volume} <= set(
            COMPOSE["volumes"]
        )
        assert set(DEMO[name]["depends_on"]) <= set(COMPOSE["services"])
