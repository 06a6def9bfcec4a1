"""Which model a configuration means, and its class names without loading it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path

from pipeline.config import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.base import Segmenter

STREET = "street"
"""Name of the model that ships, and the default."""
STREET_FILE = Path(__file__).parent / "weights" / "street.safetensors"
REPLAY = "replay"
"""Name prefix of the model that returns what an instances log holds: `replay:PATH`."""
SUFFIXES = (".onnx", ".safetensors")


def load(config: ModelConfig) -> Segmenter:
    """The model, on its device and ready to run.

    Raises:
        ModelError: no such model, not a model, or it cannot run here.
    """
    match kind(config):
        case "onnx":
            from pipeline.models.onnx import OnnxSegmenter

            return OnnxSegmenter(config)
        case "replay":
            from pipeline.models.replay import Replay

            return Replay(replay_path(config), config.score)
        case _:
            from pipeline.models.maskrcnn import MaskRcnn

            return MaskRcnn.load(
                config.path,
                device=config.device,
                score=config.score,
                nms=config.nms,
                threads=config.threads,
            )


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """The model's class names; reads a file's metadata alone wherever that tells.

    Raises:
        ModelError: as `load`.
    """
    match kind(config):
        case "onnx":
            from pipeline.models.onnx import OnnxSegmenter, class_names

            return class_names(config) or OnnxSegmenter(config).classes
        case "replay":
            from pipeline.models.replay import classes_of_log

            return classes_of_log(replay_path(config))
        case _:
            return _safetensors_classes(config.path or STREET_FILE)


def check_classes(classes: tuple[str, ...], wanted: Iterable[str], where: str = "classes") -> None:
    """Refuses names that the model does not know. `where` is the place in the configuration.

    Raises:
        ModelError: names the unknown class and the nearest known one.
    """
    for name in wanted:
        if name in classes:
            continue
        near = difflib.get_close_matches(name.lower(), classes, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it knows {_some(classes)}"
        raise ModelError(f"{where}: the model has no class {name!r}; {hint}")


def kind(config: ModelConfig) -> str:
    """`onnx`, `maskrcnn` or `replay`.

    Raises:
        ModelError: the name or the ending of the file is not known.
    """
    if config.path is not None:
        suffix = config.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ModelError(
                f"model.path: got {config.path}, expected a file ending in {' or '.join(SUFFIXES)}"
            )
        if not config.path.is_file():
            raise ModelError(f"model.path: there is no file {config.path}")
        return "onnx" if suffix == ".onnx" else "maskrcnn"
    name = config.name or STREET
    if name.startswith(f"{REPLAY}:"):
        return REPLAY
    if name != STREET:
        raise ModelError(f"model.name: got {name}, there is {STREET}; other models go by model.path")
    return "maskrcnn"


def replay_path(config: ModelConfig) -> Path:
    return Path((config.name or "").removeprefix(f"{REPLAY}:"))


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


def _some(names: tuple[str, ...], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
