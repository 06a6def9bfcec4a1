"""Which model the options of a verb mean that needs a model alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config import load as config_load
from pipeline.config.schema import Config, ModelConfig
from pipeline.errors import ConfigError


def choose(
    model: str | None = None,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    **settings: Any,
) -> ModelConfig:
    """The model's part of CONFIG, or the defaults, with what the options change.

    Args:
        model: a name, or a file, in place of the configuration's model.
        config: a YAML file.
        overrides: `model.a=value` each.
        settings: more fields of `ModelConfig`; None leaves a field as it is.

    Raises:
        ConfigError: one line for each mistake.
    """
    loaded: Config = (
        config_load.load(config, overrides)
        if config is not None
        else config_load.load_without_file(overrides)
    )
    changes: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    if model is not None:
        is_file = (Path(model).suffix != "" and ":" not in model) or Path(model).is_file()
        changes |= {"path": Path(model), "name": None} if is_file else {"name": model, "path": None}
    return loaded.model.model_copy(update=changes)


def parse_size(text: str, where: str) -> tuple[int, int]:
    """Width and height of `WxH`.

    Raises:
        ConfigError: it is no size.
    """
    width, _, height = text.lower().partition("x")
    if not (
        width.isdecimal() and height.isdecimal() and 1 <= int(width) <= 16384 and 1 <= int(height) <= 16384
    ):
        raise ConfigError(f"{where}: got {text}, expected width x height in pixels, e.g. 1920x1080")
    return int(width), int(height)


def parse_numbers(text: str, where: str) -> list[int]:
    """Whole numbers above 0, between commas.

    Raises:
        ConfigError: it holds something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 1024 for part in parts):
        raise ConfigError(f"{where}: got {text}, expected whole numbers above 0 with commas, e.g. 1,4,8")
    return [int(part) for part in parts]
