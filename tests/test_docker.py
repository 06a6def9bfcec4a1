"""Images and the compose file, checked as far as is possible without an engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.config.load import load

ROOT = Path(__file__).parents[1]
DOCKERFILES = ["docker/Dockerfile", "docker/Dockerfile.cuda"]
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """(instruction, its words) in order, continued lines joined."""
    text = (ROOT / dockerfile).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line[0], line[1]) for line in lines]


def copied(dockerfile: str) -> list[str]:
    """Paths that are copied from the build context."""
    words = [
        rest.split() for name, rest in instructions(dockerfile) if name == "COPY" and "--from" not in rest
    ]
    return [source for line in words for source in line[:-1]]


def command(service: str) -> list[str]:
    return [str(word) for word in SERVICES[service]["command"]]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_linter_has_nothing_to_say(dockerfile: str, need_program: Callable[[str, str], str]) -> None:
    hadolint = need_program("hadolint", "the dependency group dev")
    linted = subprocess.run(
        [hadolint, "--no-color", ROOT / dockerfile], capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_image_does_not_run_as_root(dockerfile: str) -> None:
    users = [rest for name, rest in instructions(dockerfile) if name == "USER"]
    assert users[-1] == "10001"
    assert ("ENTRYPOINT", '["tallycam"]') in instructions(dockerfile)


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_is_copied_is_there_and_in_the_build_context(dockerfile: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied(dockerfile)
    assert set(copied(dockerfile)) <= allowed
    for source in copied(dockerfile):
        assert (ROOT / source).exists(), source


def test_the_two_images_differ_only_where_they_must() -> None:
    cpu, cuda = (dict.fromkeys(instructions(dockerfile)) for dockerfile in DOCKERFILES)
    only_cpu = [rest for name, rest in cpu if (name, rest) not in cuda]
    only_cuda = [rest for name, rest in cuda if (name, rest) not in cpu]
    for rest in only_cpu:
        assert re.search(r"download.pytorch.org/whl/cpu|PYTHONUNBUFFERED|requirements.py onnx postgres", rest)
    for rest in only_cuda:
        assert re.search(
            r"NVIDIA_VISIBLE|PIP_NO_CACHE|requirements.py onnx-gpu postgres|install .* gcc", rest
        )


def test_triton_finds_a_compiler_in_the_image_for_gpus_and_keeps_what_it_compiles() -> None:
    last = DOCKERFILES[1]
    stages = "\n".join(f"{name} {rest}" for name, rest in instructions(last)).split("FROM ")
    assert re.search(r"apt-get install .*gcc libc6-dev", stages[-1])
    assert "TRITON_CACHE_DIR=/models/triton" in stages[-1]


@pytest.mark.slow
def test_what_is_copied_is_enough_to_build_the_package(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    for source in copied(DOCKERFILES[0]):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / Path(source).name, ignore=ignore)
        else:
            shutil.copy(ROOT / source, tmp_path)
    asked = subprocess.run(
        [sys.executable, "requirements.py", "onnx", "postgres"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert asked.stdout.splitlines() == [*project["dependencies"], *extras["onnx"], *extras["postgres"]]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert list((tmp_path / "dist").glob("tallycam-*.whl"))


def test_every_file_that_compose_mounts_is_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / "docker" / source).exists(), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"
    build = SERVICES["tallycam"]["build"]
    assert (ROOT / "docker" / build["context"]).resolve() == ROOT
    assert build["dockerfile"] == "${TALLYCAM_DOCKERFILE:-docker/Dockerfile}"


def test_every_service_has_a_health_check_and_a_fixed_version() -> None:
    assert set(SERVICES) == {"camera", "tallycam", "prometheus", "grafana"}
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert name == "tallycam" or re.search(r":v?\d+\.\d+\.\d+", service["image"]), service["image"]
        for other in service.get("depends_on", ()):
            assert other in SERVICES


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_tallycam_counts_in_what_the_camera_plays() -> None:
    words = command("tallycam")
    assert words[:2] == ["run", "/configs/demo.yaml"]
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    source = words[words.index("--source") + 1]
    config = load(ROOT / "configs/demo.yaml", sets, source)
    (path,) = yaml.safe_load((ROOT / "docker/camera.yml").read_text())["paths"]
    (stream,) = config.streams.values()
    assert stream.source == f"rtsp://camera:8554/{path}"
    assert (config.metrics.host, config.output.video.codec) == ("0.0.0.0", "none")
    assert f"http://127.0.0.1:{config.metrics.port}/metrics" in str(SERVICES["tallycam"]["healthcheck"])


def test_prometheus_may_read_the_targets_that_tallycam_writes() -> None:
    sets = [word for word in command("tallycam") if word.startswith("output.group=")]
    assert sets == [f"output.group={group}" for group in SERVICES["tallycam"]["group_add"]]


def test_prometheus_finds_the_targets_that_tallycam_writes() -> None:
    (job,) = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text())["scrape_configs"]
    out = command("tallycam")[command("tallycam").index("--out") + 1]
    assert job["file_sd_configs"][0]["files"] == [f"{out}/prometheus-targets.json"]
    assert "out:/out:ro" in SERVICES["prometheus"]["volumes"]
    (relabel,) = job["relabel_configs"]
    assert (
        re.sub(relabel["regex"], relabel["replacement"].replace("$", "\\"), "127.0.0.1:9401")
        == "tallycam:9401"
    )


def test_grafana_is_given_what_its_files_ask_for() -> None:
    environment = SERVICES["grafana"]["environment"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert environment["PROMETHEUS_URL"] == "http://prometheus:9090"
    board = mounted["../dashboards/tallycam.json"]
    assert board == environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert board == f"{environment['TALLYCAM_DASHBOARDS']}/tallycam.json"
    assert mounted["../dashboards/provisioning"] == "/etc/grafana/provisioning"
    assert json.loads((ROOT / "dashboards/tallycam.json").read_text())["uid"] == "tallycam"
