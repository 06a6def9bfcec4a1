"""Weight files of the compact network: safetensors with class names, input size, version and checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.errors import ModelError
from pipeline.files import write_bytes
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE

FORMAT = "tallycam-maskrcnn"
VERSION = "1"
"""Incremented when `build_compact_net` changes so that older weights no longer fit."""

STREET_CLASSES = ("person", "bicycle", "car", "bus")
"""Classes of the model that ships."""


def _is_stored(name: str) -> bool:
    """Whether a tensor is kept in files. The update counters of batch norms are not needed for anything."""
    return not name.endswith("num_batches_tracked")


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def stored_tensors(model: MaskRCNN) -> dict[str, Tensor]:
    """The tensors of a weight file: convolutions and linear layers as float16, everything else as float32.

    Args:
        model: the network.
    """
    return {
        name: (value.half() if value.dim() > 1 else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if _is_stored(name)
    }


def save_weights(
    path: Path, model: MaskRCNN, classes: Sequence[str], about: Mapping[str, str] | None = None
) -> None:
    """Writes a weight file; see `stored_tensors`.

    Args:
        path: the file; an existing one is replaced atomically.
        model: the network.
        classes: class names, without the background.
        about: more metadata.

    Raises:
        OutputError: the file cannot be written.
    """
    tensors = stored_tensors(model)
    metadata = dict(about or {}) | {
        "format": FORMAT,
        "version": VERSION,
        "classes": json.dumps(list(classes)),
        "input": f"{INPUT_SIZE[0]}x{INPUT_SIZE[1]}",
        "sha256": _digest(tensors),
    }
    write_bytes(path, save(tensors, metadata=metadata))


def load_weights(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Reads a file that `save_weights` wrote.

    Args:
        path: the file.

    Returns:
        Tensor name -> float32, and the class names.

    Raises:
        ModelError: the file is missing, damaged, or of another kind or version.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file, or cut short ({_one_line(error)})") from error
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        came = f"{metadata.get('format', 'no format')} {metadata.get('version', '')}".strip()
        raise ModelError(f"{path}: holds {came}, expected {FORMAT} {VERSION}, as `tallycam train` writes")
    expected = f"{INPUT_SIZE[0]}x{INPUT_SIZE[1]}"
    if metadata.get("input") != expected:
        raise ModelError(f"{path}: made for input {metadata.get('input')}, expected {expected}")
    if metadata.get("sha256") != _digest(tensors):
        raise ModelError(f"{path}: damaged (its checksum does not fit); fetch or train it again")
    return {name: value.float() for name, value in tensors.items()}, _class_names(path, metadata)


def _class_names(path: Path, metadata: Mapping[str, str]) -> tuple[str, ...]:
    try:
        names = json.loads(metadata.get("classes", ""))
    except json.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{path}: names no classes")
    return tuple(names)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def set_weights(model: MaskRCNN, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copies weights into a model.

    Args:
        model: the network.
        tensors: tensor name -> float32.
        path: the file they come from, for messages.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """
    own = {name: value for name, value in model.state_dict().items() if _is_stored(name)}
    tensors = {name: value for name, value in tensors.items() if _is_stored(name)}
    for name in sorted(own.keys() ^ tensors.keys()):
        raise ModelError(f"{path}: tensor {name} is {'missing' if name in own else 'unknown'}")
    for name, value in own.items():
        if value.shape != tensors[name].shape:
            came, want = tuple(tensors[name].shape), tuple(value.shape)
            raise ModelError(f"{path}: tensor {name} has shape {came}, expected {want}")
    model.load_state_dict(tensors, strict=False)
