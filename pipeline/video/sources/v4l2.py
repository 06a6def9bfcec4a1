"""Cameras of this machine through Video4Linux2."""

from __future__ import annotations

import re
from pathlib import Path

from av.container import InputContainer

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.sources.decoder import open_container

DEVICES = Path("/dev")


def camera_options(config: StreamConfig) -> dict[str, str]:
    """What the driver is asked for; it takes the nearest mode that it has."""
    options = {}
    if config.size is not None:
        options["video_size"] = f"{config.size[0]}x{config.size[1]}"
    if config.fps is not None:
        options["framerate"] = f"{config.fps:g}"
    return options


def open_camera(number: str, config: StreamConfig) -> InputContainer:
    """Opens /dev/videoN.

    Raises:
        SourceError: saying which cameras there are.
    """
    device = DEVICES / f"video{number}"
    shown = f"camera:{number}"
    if not device.exists():
        raise SourceError(f"{shown}: there is no {device}; {_others()}")
    try:
        return open_container(str(device), camera_options(config), shown=shown, demuxer="v4l2")
    except SourceError as error:
        raise SourceError(f"{error}; is it in use, and may this user read {device}? {_others()}") from error


def _others() -> str:
    names = sorted(
        (path.name for path in DEVICES.glob("video[0-9]*")),
        key=lambda name: int(re.sub(r"\D", "", name) or 0),
    )
    return f"there are: {', '.join(names)}" if names else "no camera was found on this machine"
