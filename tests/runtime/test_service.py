"""`tallycam service`: the unit that it writes, and what a run tells the service manager."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.runtime import service
from pipeline.runtime.service_manager import ServiceManager
from pipeline.runtime.service_unit import ServiceSettings, unit_text
from tests.in_process import Command, command_of

CONFIG = """\
streams:
  gate:
    source: rtsp://viewer:${CAMERA_PASSWORD}@camera.local/stream1
# ${COMMENTED}
output: {events: "postgresql://tally:${DB_PASSWORD}@db/x"}
"""


def config(**changes: object) -> Config:
    return Config.model_validate(
        {"streams": {"gate": {"source": "rtsp://camera/1"}}, "model": {"device": "cpu"}} | changes
    )


def settings(
    out: Path = Path("/var/lib/tallycam/gate"), user: str | None = "daemon", **changes: object
) -> ServiceSettings:
    return ServiceSettings("gate", Path("/etc/tallycam/gate.yaml"), out, Path("/etc/tallycam/gate.env"),
                           ("/bin/true",), user, **changes)  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(capsys, monkeypatch)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home folder of somebody with a configuration, on a machine where systemd does not run."""
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CAMERA_PASSWORD", "DB_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "gate.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "user", "worst"),
    [
        ({}, "daemon", 2.5),
        ({"streams": {"gate": {"source": "camera:0"}}}, "daemon", 2.9),
        ({"output": {"group": 0}}, "daemon", 2.9),
        ({"model": {"device": "cuda"}}, "daemon", 2.9),
        ({}, None, 7.0),
    ],
)
def test_systemd_understands_the_unit_and_finds_it_hardened(
    changes: dict[str, object],
    user: str | None,
    worst: float,
    tmp_path: Path,
    need_program: Callable[[str, str], str],
) -> None:
    analyze = need_program("systemd-analyze", "systemd")
    path = tmp_path / "tallycam-gate.service"
    path.write_text(unit_text(settings(tmp_path / "a b%n$HOME", user), config(**changes)))
    words = [analyze, "verify", *(["--user"] if user is None else []), str(path)]
    verified = subprocess.run(words, capture_output=True, text=True, check=False)
    complaints = [line for line in verified.stderr.splitlines() if path.name in line]
    assert complaints == []
    asked = [analyze, "security", "--offline=true", "--no-pager", str(path)]
    judged = subprocess.run(asked, capture_output=True, text=True, check=True)
    found = re.search(r"Overall exposure level .*: ([0-9.]+)", judged.stdout)
    assert found is not None and float(found.group(1)) <= worst


def test_a_unit_restarts_for_ever_watches_and_bounds_what_it_runs() -> None:
    lines = unit_text(settings(memory="4G"), config()).splitlines()
    assert {"Type=notify", "Restart=always", "StartLimitIntervalSec=0", "WatchdogSec=60", "MemoryMax=4G", "User=daemon",
            "ProtectSystem=strict", "ReadWritePaths=/var/lib/tallycam/gate", "NoNewPrivileges=yes", "PrivateTmp=yes",
            "PrivateDevices=yes", "EnvironmentFile=-/etc/tallycam/gate.env", "WantedBy=multi-user.target",
            "ExecStart=/bin/true run /etc/tallycam/gate.yaml --out /var/lib/tallycam/gate"} <= set(lines)  # fmt: skip


def test_special_characters_of_paths_stand_for_themselves() -> None:
    lines = unit_text(settings(Path('/a b/100%/"$HOME"')), config()).splitlines()
    assert 'ExecStart=/bin/true run /etc/tallycam/gate.yaml --out "/a b/100%%/\\"$$HOME\\""' in lines
    assert 'ReadWritePaths="/a b/100%%/\\"$HOME\\""' in lines
    assert 'WorkingDirectory=/a b/100%%/"$HOME"' in lines
    with pytest.raises(ConfigError, match="cannot hold"):
        unit_text(settings(Path("/a\nUser=root")), config())


def test_only_devices_that_are_needed_can_be_reached() -> None:
    camera = unit_text(settings(), config(streams={"gate": {"source": "camera:0"}}))
    assert (
        "DeviceAllow=char-video4linux rw" in camera
        and "PrivateDevices" not in camera
        and "nvidia" not in camera
    )
    auto = config(model={"device": "auto"})
    assert "PrivateDevices=yes" in unit_text(settings(), auto)
    assert "DeviceAllow=char-nvidia* rw" in unit_text(settings(gpu=True), auto)


def test_installing_writes_unit_and_a_private_file_for_passwords_and_says_what_is_next(
    home: Path, command: Command
) -> None:
    code, out, err = command("service", "install", home / "gate.yaml", "--user")
    assert code == 0, err
    unit, env = home / ".config/systemd/user/tallycam-gate.service", home / ".config/tallycam/gate.env"
    assert f"--out {home}/.local/state/tallycam/gate" in unit.read_text()
    assert "User=" not in unit.read_text() and "WantedBy=default.target" in unit.read_text()
    assert env.read_text().splitlines()[1:] == ["#CAMERA_PASSWORD=", "#DB_PASSWORD="]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert "systemctl --user enable --now tallycam-gate.service" in out and f"editor {env}" in out
    assert "CAMERA_PASSWORD" not in os.environ

    env.write_text("CAMERA_PASSWORD=hush\n")
    assert command("service", "install", home / "gate.yaml", "--user")[0] == 0
    assert env.read_text() == "CAMERA_PASSWORD=hush\n", "passwords are kept"

    code, out, err = command("service", "uninstall", "gate", "--user")
    assert code == 0, err
    assert not unit.exists() and env.exists() and (home / ".local/state/tallycam/gate").is_dir()


def test_printing_changes_nothing(home: Path, command: Command) -> None:
    before = set(home.rglob("*"))
    code, out, _ = command(
        "service", "install", home / "gate.yaml", "--print", "--as", "daemon", "--name", "front"
    )
    assert code == 0
    assert out.startswith("[Unit]\nDescription=Tallycam front\n") and "User=daemon\n" in out
    assert set(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ("install", "gate.yaml", "--as", "no-such-user"),
            "--as: there is no user 'no-such-user' on this machine",
        ),
        (("install", "gate.yaml", "--as", "root"), "--as: the service would run as root"),
        (("install", "gate.yaml", "--user", "--name", "a/b"), "--name: got 'a/b'"),
        (("install", "gate.yaml", "--user", "--memory", "much"), "--memory: got much"),
        (("install", "none.yaml", "--user"), "none.yaml: cannot be read"),
        (("uninstall", "nothing", "--user"), "there is no such service"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], problem: str, home: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    code, _, err = command("service", *words)
    assert code == 2
    assert len(err.splitlines()) == 1 and problem in err


def test_a_configuration_with_mistakes_is_not_installed(home: Path, command: Command) -> None:
    (home / "gate.yaml").write_text("streams: {gate: {sauce: x}}\n")
    code, _, err = command("service", "install", home / "gate.yaml", "--user")
    assert code == 2 and "sauce" in err
    assert not (home / ".config").exists()


def test_without_systemd_its_command_is_not_called(home: Path) -> None:
    assert service.systemctl("daemon-reload", user_service=True) == 0


@pytest.mark.parametrize("abstract", [False, True])
def test_a_run_tells_that_it_is_ready_and_alive(tmp_path: Path, abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        name = f"tallycam-test-{os.getpid()}"
        systemd.bind(f"\0{name}" if abstract else str(tmp_path / "notify"))
        systemd.settimeout(10)
        environment = {
            "NOTIFY_SOCKET": f"@{name}" if abstract else str(tmp_path / "notify"),
            "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid()), "OTHER": "stays",
        }  # fmt: skip
        with ServiceManager(environment) as manager:
            for now_s in (0.0, 1.0, 19.0, 20.0, 30.0, 41.0):
                manager.alive(now_s)
        said = [systemd.recv(100) for _ in range(5)]
    assert said == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]
    assert environment == {"OTHER": "stays"}, "not for child processes"


def test_without_a_service_manager_nothing_is_sent() -> None:
    with ServiceManager({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}) as manager:
        manager.alive(0.0)
