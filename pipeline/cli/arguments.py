"""What the values of command-line options mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config.load import load, load_without_file
from pipeline.config.schema import ModelConfig
from pipeline.errors import ConfigError

MAX_SIDE_PX = 16384
MAX_BATCH = 1024
FRAME_SIZES = {
    "360p": (640, 360),
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "4k": (3840, 2160),
}
"""Sizes of video as people call them: width and height, pixels."""


def choose_model(
    model: str | None = None,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    **settings: Any,
) -> ModelConfig:
    """The model settings of a command that needs no streams.

    Args:
        model: name or file of a model, instead of that of the configuration.
        config: a YAML file; None: the default settings.
        overrides: `model.a=value` each.
        settings: further fields of `ModelConfig`; None leaves a field as it is.

    Raises:
        ConfigError: one line for each mistake.
    """
    chosen = (load(config, overrides) if config is not None else load_without_file(overrides)).model
    changes: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    if model is not None:
        is_file = (Path(model).suffix != "" and ":" not in model) or Path(model).is_file()
        changes |= {"path": Path(model), "name": None} if is_file else {"name": model, "path": None}
    return chosen.model_copy(update=changes)


def parse_size(text: str, where: str) -> tuple[int, int]:
    """Parse `WxH`.

    Args:
        text: the value of an option.
        where: name of the option, for the error message.

    Returns:
        Width and height in pixels.

    Raises:
        ConfigError: it is not a size.
    """
    if (size := _sides(text, 1, MAX_SIDE_PX)) is None:
        raise ConfigError(f"{where}: got {text}, expected width x height in pixels, e.g. 1920x1080")
    return size


def parse_frame_size(text: str, where: str) -> tuple[int, int]:
    """Parse a size of video frames: `1080p`, `4k` or `WxH`.

    Args:
        text: the value of an option.
        where: name of the option, for the error message.

    Returns:
        Width and height in pixels, both even.

    Raises:
        ConfigError: it is not a size, or an odd one.
    """
    size = FRAME_SIZES.get(text.lower()) or _sides(text, 64, 7680)
    if size is None or size[0] % 2 or size[1] % 2:
        names = ", ".join(FRAME_SIZES)
        raise ConfigError(
            f"{where}: got {text}, expected {names}, or width x height in even pixels, e.g. 1920x1080"
        )
    return size


def _sides(text: str, least: int, most: int) -> tuple[int, int] | None:
    """Width and height in `WxH`, if both are within these bounds."""
    sides = text.lower().split("x")
    if not (len(sides) == 2 and all(side.isdecimal() and least <= int(side) <= most for side in sides)):
        return None
    return int(sides[0]), int(sides[1])


def parse_numbers(text: str, where: str) -> list[int]:
    """Parse positive integers separated by commas.

    Args:
        text: the value of an option.
        where: name of the option, for the error message.

    Raises:
        ConfigError: it contains something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= MAX_BATCH for part in parts):
        raise ConfigError(f"{where}: got {text}, expected whole numbers above 0 with commas, e.g. 1,4,8")
    return [int(part) for part in parts]
