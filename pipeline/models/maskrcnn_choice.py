"""Which Mask R-CNN a configuration means, and its class names without PyTorch: its row in the registry's table."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.base import Segmenter

STREET_FILE = Path(__file__).parent / "weights" / "street.safetensors"
"""The model that ships."""


def load(config: ModelConfig) -> Segmenter:
    """The model, on its device.

    Raises:
        ModelError: the file is missing, broken or of another network; there is no such device.
    """
    from pipeline.models.maskrcnn import MaskRcnn

    return MaskRcnn.load(
        config.path, device=config.device, score=config.score, nms=config.nms, threads=config.threads
    )


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """Class names from the file's metadata.

    Raises:
        ModelError: it cannot be read, or holds no names.
    """
    return _safetensors_classes(config.path or STREET_FILE)


def _safetensors_classes(path: Path) -> tuple[str, ...]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    try:
        with safe_open(path, framework="numpy") as file:
            names = json.loads((file.metadata() or {}).get("classes", "null"))
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: is not a model file: {error}") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{path}: holds no class names; expected `classes`, a JSON list, in its metadata")
    return tuple(names)
