"""The systemd unit of a run that starts with the machine: as little as possible may be reached from it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.errors import ConfigError

WATCHDOG_S = 60
STOP_S = 60
"""Time for frames under way and for the video, before a stop is enforced."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One service.

    Attributes:
        name: Of the service: the unit is `tallycam-NAME.service`.
        config: Path of the configuration.
        out: Folder of the results.
        environment: File with the passwords.
        command: The `tallycam` command: a program and arguments.
        user: Who counts; None: a service of the user's own service manager.
        memory: Most memory that it may use, as systemd writes it.
        gpu: Whether the machine has a GPU that the model may choose.
    """

    name: str
    config: Path
    out: Path
    environment: Path
    command: tuple[str, ...]
    user: str | None
    memory: str = "80%"
    gpu: bool = False

    @property
    def unit(self) -> str:
        """Name of the unit."""
        return f"tallycam-{self.name}.service"


def unit_text(settings: ServiceSettings, config: Config) -> str:
    """The unit file.

    Args:
        settings: Of the service.
        config: What it counts: its cameras and its model say which devices it needs.

    Raises:
        ConfigError: A path cannot be written into a unit.
    """
    words = [*settings.command, "run", str(settings.config), "--out", str(settings.out)]
    system = settings.user is not None
    lines = [
        "[Unit]",
        f"Description=Tallycam {settings.name}",
        *(["Wants=network-online.target", "After=network-online.target"] if system else []),
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(map(_argument, words))}",
        f"WorkingDirectory={_plain(str(settings.out))}",
        f"EnvironmentFile=-{_plain(str(settings.environment))}",
        *([f"User={settings.user}"] if system else []),
        "Restart=always",
        "RestartSec=10",
        "# Every source was counted to its end.",
        "RestartPreventExitStatus=0",
        "# A model may have to be fetched and compiled first.",
        "TimeoutStartSec=1800",
        f"WatchdogSec={WATCHDOG_S}",
        "KillMode=mixed",
        f"TimeoutStopSec={STOP_S}",
        "",
        f"MemoryMax={settings.memory}",
        "# A process that is killed for its memory is started again by Tallycam.",
        "OOMPolicy=continue",
        "TasksMax=4096",
        "LimitNOFILE=65536",
        "UMask=0077",
        "",
        *_sandbox(config),
        *(_system_sandbox(settings, config) if system else []),
        "",
        "[Install]",
        f"WantedBy={'multi-user' if system else 'default'}.target",
    ]
    return "\n".join(lines) + "\n"


def _sandbox(config: Config) -> Iterable[str]:
    """What a user's own service manager can enforce as well."""
    yield from (
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictNamespaces=yes",
    )
    if config.output.group is None:
        yield "RestrictSUIDSGID=yes"
    else:
        yield "# output.group is passed on by the set-group-id bit of the folder, so RestrictSUIDSGID is not set."
    yield "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"
    yield from (
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
    )


def _system_sandbox(settings: ServiceSettings, config: Config) -> Iterable[str]:
    yield f"ReadWritePaths={_quoted(str(settings.out))}"
    yield from ("ProtectSystem=strict", "ProtectHome=read-only", "PrivateTmp=yes", "PrivateIPC=yes")
    yield from (
        "CacheDirectory=tallycam",
        "CacheDirectoryMode=0700",
        "Environment=XDG_CACHE_HOME=%C/tallycam",
    )
    yield from ("CapabilityBoundingSet=", "AmbientCapabilities=", "KeyringMode=private", "RemoveIPC=yes")
    yield from ("ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes")
    yield from (
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "ProtectProc=invisible",
    )
    yield from _devices(settings, config)


def _devices(settings: ServiceSettings, config: Config) -> Iterable[str]:
    cameras = any(stream.source.startswith("camera:") for stream in config.streams.values())
    gpu = config.model.device.startswith("cuda") or (config.model.device == "auto" and settings.gpu)
    if not cameras and not gpu:
        yield "PrivateDevices=yes"
        return
    yield "DevicePolicy=closed"
    if cameras:
        yield from ("DeviceAllow=char-video4linux rw", "SupplementaryGroups=video")
    if gpu:
        yield from ("DeviceAllow=char-nvidia* rw", "DeviceAllow=char-drm rw")


def _plain(text: str) -> str:
    """Text to the end of a line: specifiers stand for themselves."""
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        raise ConfigError(f"{text!r}: has characters that a unit file cannot hold; give another path")
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of a list: quotes and blanks stand for themselves."""
    escaped = _plain(word).replace("\\", "\\\\").replace('"', '\\"')
    return escaped if re.fullmatch(r"[\w./@:+-]+", escaped) else f'"{escaped}"'


def _argument(word: str) -> str:
    """A word of a command line, where variables would be replaced."""
    return _quoted(word.replace("$", "$$"))
