"""Which Mask R-CNN a configuration means, and its class names without its weights: its row in the registry's table."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.coco_classes import COCO
from pipeline.models.maskrcnn.zoo import PUBLISHED, pull
from pipeline.models.segmenter import Segmenter

STREET_FILE = Path(__file__).parent / "weights" / "street.safetensors"
"""The model that ships."""


def load(config: ModelConfig) -> Segmenter:
    """The model, on its device. Published weights are fetched where they are not there yet.

    Raises:
        ModelError: the file is missing, broken or of another network; there is no such device; no network.
    """
    from pipeline.models.maskrcnn.mask_rcnn import MaskRcnn

    return MaskRcnn.load(
        fetched(config),
        device=config.device,
        score=config.score,
        nms=config.nms,
        threads=config.threads,
        precision=config.precision,
        compiled=config.compile,
        batch=config.batch,
        names=config.classes,
    )


def fetched(config: ModelConfig) -> Path | None:
    """The file with the model's weights, which may have to be fetched; None: the one that ships.

    Raises:
        ModelError: it cannot be fetched.
    """
    return pull(config.name) if config.name in PUBLISHED else config.path


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names: of published weights they are known, a file's metadata tells them wherever it can.

    Raises:
        ModelError: the file cannot be read, or names no classes.
    """
    if config.name in PUBLISHED:
        return COCO
    path = config.path or STREET_FILE
    if path.suffix.lower() == ".safetensors" and (names := _safetensors_classes(path)):
        return names
    from pipeline.models.maskrcnn import checkpoint as rcnn_file

    weights = rcnn_file.read(path)
    return rcnn_file.classes(path, weights.labels, weights.names, config.classes).names


def _safetensors_classes(path: Path) -> tuple[str, ...] | None:
    """Names in the metadata of a file of `tallycam train`; None: it is of another program."""
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
