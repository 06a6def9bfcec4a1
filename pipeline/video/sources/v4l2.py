"""Cameras of this machine, through Video4Linux2."""

from __future__ import annotations

import re
from pathlib import Path

from av.container import InputContainer

from pipeline.config.schema import StreamConfig
from pipeline.errors import SourceError
from pipeline.video.sources.decoder import open_container
from pipeline.video.sources.live_source import LiveSource
from pipeline.video.sources.source import Source, SourceRequest

DEVICES = Path("/dev")


def open_camera(request: SourceRequest) -> Source:
    """Opens /dev/videoN, N being `request.target`.

    Args:
        request: Its address, settings and where to begin.

    Raises:
        SourceError: it cannot be opened; lists the cameras there are.
    """
    return LiveSource(request, lambda: open_device(request.target, request.config))


def camera_options(config: StreamConfig) -> dict[str, str]:
    """Size and frame rate requested from the driver, which picks the nearest mode it supports.

    Args:
        config: Of the stream.
    """
    options = {}
    if config.size is not None:
        options["video_size"] = f"{config.size[0]}x{config.size[1]}"
    if config.fps is not None:
        options["framerate"] = f"{config.fps:g}"
    return options


def open_device(number: str, config: StreamConfig) -> InputContainer:
    """Opens /dev/videoN for reading.

    Args:
        number: N.
        config: Of the stream.

    Raises:
        SourceError: it cannot be opened; lists the cameras there are.
    """
    device = DEVICES / f"video{number}"
    shown = f"camera:{number}"
    if not device.exists():
        raise SourceError(f"{shown}: {device} does not exist; {_available()}")
    try:
        return open_container(str(device), camera_options(config), shown=shown, demuxer="v4l2")
    except SourceError as error:
        raise SourceError(
            f"{error}; is it in use, and does this user have permission to read {device}? {_available()}"
        ) from error


def _available() -> str:
    names = sorted(
        (path.name for path in DEVICES.glob("video[0-9]*")),
        key=lambda name: int(re.sub(r"\D", "", name) or 0),
    )
    return f"available: {', '.join(names)}" if names else "no camera was found on this machine"
