"""Mask R-CNN's functions in the table of models: loading from a `ModelConfig`, class names without the weights.

This module imports neither PyTorch nor torchvision, so that class names are known quickly.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.coco_classes import COCO
from pipeline.models.maskrcnn.zoo import LICENCE, PUBLISHED, STREET_FILE, published_weights
from pipeline.models.model_info import ModelInfo
from pipeline.models.segmenter import Segmenter


def load(config: ModelConfig) -> Segmenter:
    """The model, on its device. Published weights are downloaded where they are missing.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: the file is missing, damaged or of another network; there is no such device; no network.
    """
    from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn

    return MaskRcnn.load(
        weights_file(config),
        device=config.device,
        score=config.score,
        nms=config.nms,
        threads=config.threads,
        precision=config.precision,
        compiled=config.compile,
        batch=config.batch,
        names=config.classes,
    )


def weights_file(config: ModelConfig) -> Path | None:
    """The file with the weights, downloaded where need be; None for the weights that ship.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: it cannot be downloaded.
    """
    if config.name not in PUBLISHED:
        return config.path
    return published_weights(config.name).fetch()


def take(name: str, file: Path | None, python: Path | None = None) -> Path | None:
    """Fetches published weights, from a file that was downloaded elsewhere if one is given.

    Args:
        name: the value of `model.name`.
        file: the weights; None: they are downloaded.
        python: not needed.

    Returns:
        Where they are kept; None for the weights that ship.

    Raises:
        ModelError: they cannot be downloaded; the file is another one, or there is nothing to take it for.
    """
    if name in PUBLISHED:
        weights = published_weights(name)
        return weights.fetch() if file is None else weights.take(file)
    if file is not None:
        raise ModelError(f"--from: {name} ships with Tallycam; to use {file}, set model.path")
    return None


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names: known for published weights, else read from the file's metadata, else from its tensors.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: the file cannot be read, or holds no class names.
    """
    if config.name in PUBLISHED:
        return COCO
    path = config.path or STREET_FILE
    if path.suffix.lower() == ".safetensors" and (names := _safetensors_classes(path)):
        return names
    from pipeline.models.maskrcnn.weight_file import class_map, read_weight_file

    weights = read_weight_file(path)
    return class_map(path, weights.labels, weights.names, config.classes).names


def infos() -> list[ModelInfo]:
    """The model that ships, then the published ones."""
    rows = [
        ModelInfo(
            name="street",
            description="Mask R-CNN for rendered streets; ships",
            where=str(STREET_FILE),
            megabytes=STREET_FILE.stat().st_size / 1e6,
            licence="Apache-2.0",
            classes=classes_of(ModelConfig()),
        )
    ]
    for name in PUBLISHED:
        published = published_weights(name)
        rows.append(
            ModelInfo(
                name=name,
                description="Mask R-CNN of torchvision, COCO",
                where=str(published.path)
                if published.path.is_file()
                else f"not here: tallycam models pull {name}",
                megabytes=published.megabytes,
                licence=LICENCE,
                classes=COCO,
            )
        )
    return rows


def _safetensors_classes(path: Path) -> tuple[str, ...] | None:
    """Class names in the metadata of a file that `tallycam train` wrote; None for a file of another program."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            keys = list(file.keys())
            names = json.loads(metadata.get("classes", "null"))
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: is not a model file: {error}") from error
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    if any(key.startswith("roi_heads.") for key in keys):
        return None
    raise ModelError(f"{path}: holds no class names; expected `classes`, a JSON list, in its metadata")
