"""Which model the options of a verb mean that needs a model alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import config_load
from pipeline.config import Config, ModelConfig


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
