"""The models there are, for `tallycam models`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.custom import import_object
from pipeline.models.maskrcnn.from_config import weights_file
from pipeline.models.model_info import ModelInfo


def list_models(files: Sequence[Path] = ()) -> list[ModelInfo]:
    """The models that have a name, then those in `files`.

    Args:
        files: model files to list as well.

    Raises:
        ModelError: one of the files is not a model.
    """
    rows = registry.infos()
    for path in files:
        config = ModelConfig(path=path)
        rows.append(
            ModelInfo(
                name=str(path),
                description=registry.kind(config),
                where=str(path),
                megabytes=path.stat().st_size / 1e6,
                classes=registry.classes_of(config),
            )
        )
    return rows


def pull_weights(name: str, file: Path | None = None, python: Path | None = None) -> str:
    """Fetches the published weights of a model, once.

    Args:
        name: a value of `model.name`.
        file: what was downloaded elsewhere; None: it is downloaded.
        python: an interpreter for models that are exported; default: a temporary environment.

    Returns:
        Where they are, for display.

    Raises:
        ModelError: no such name, they cannot be downloaded, or the file is another one.
    """
    published = {one: kind.take for kind in registry.MODEL_KINDS if kind.take for one in kind.names}
    if name not in published:
        *first, last = (one for one in published if one != registry.DEFAULT_MODEL)
        raise ModelError(f"models pull: got {name}, expected {', '.join(first)} or {last}")
    path = import_object(published[name])(name, file, python)
    return str(path) if path is not None else f"{name}: ships with Tallycam, nothing to fetch"


def maskrcnn_weights(config: ModelConfig) -> Path | None:
    """The file with the weights of a Mask R-CNN, to be exported; None for the one that ships.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: the model is no Mask R-CNN, or its weights cannot be downloaded.
    """
    kind = registry.kind(config)
    if kind != "maskrcnn":
        raise ModelError(f"models export: {config.path or config.name} is {kind}, expected a Mask R-CNN")
    return weights_file(config)
