"""Weight files of torchvision Mask R-CNNs: which network they belong to, and their class names.

Nothing in a file is executed: `.pth` is read with `weights_only=True`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.errors import ModelError
from pipeline.files import write_bytes
from pipeline.models.class_map import ClassMap
from pipeline.models.coco_classes import COCO_BY_NUMBER, COCO_SLOTS
from pipeline.models.maskrcnn.compact_weights import stored_tensors
from pipeline.models.maskrcnn.zoo import R50, V2

COMPACT = "compact"
"""The network of `compact_net.py`."""

_NETWORK_OF_TENSOR = {
    "backbone.body.0.0.weight": COMPACT,
    "backbone.fpn.inner_blocks.0.1.running_mean": V2,
    "backbone.body.layer4.2.conv3.weight": R50,
}
"""Tensor -> the network that has it. The first one that is present identifies the network."""

_RENAMED = {
    "rpn.head.conv.": "rpn.head.conv.0.0.",
    **{
        f"backbone.fpn.{kind}_blocks.{n}.": f"backbone.fpn.{kind}_blocks.{n}.0."
        for kind in ("inner", "layer")
        for n in range(4)
    },
    **{f"roi_heads.mask_head.mask_fcn{n + 1}.": f"roi_heads.mask_head.{n}.0." for n in range(4)},
}
"""Prefixes of tensor names before torchvision 0.13, which its first weights are still published with -> after."""

_STATE_DICT_KEYS = ("model", "state_dict", "model_state_dict", "model_ema")
"""Where checkpoints of training scripts keep the weights."""

CLASSIFIER = "roi_heads.box_predictor.cls_score.weight"
SIDES = "input_sides"
"""Key in the metadata: shorter and longer side of the input, with a comma."""
BACKGROUND_NAMES = ("background", "__background__")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """Content of a weight file.

    Attributes:
        path: the file.
        network: `compact`, `maskrcnn_resnet50_fpn` or `maskrcnn_resnet50_fpn_v2`.
        tensors: tensor name as in the installed torchvision -> float32.
        labels: number of outputs of the classifier, including the background (0).
        names: class names by label from 1; None where the file has none.
        sides: shorter and longer side of the input that they were trained with, pixels; None: torchvision's own.
    """

    path: Path
    network: str
    tensors: Mapping[str, Tensor]
    labels: int
    names: tuple[str, ...] | None
    sides: tuple[int, int] | None = None


def save_weight_file(
    path: Path,
    model: MaskRCNN,
    names: Sequence[str],
    sides: tuple[int, int],
    about: Mapping[str, str] | None = None,
) -> None:
    """Writes the weights of one of torchvision's networks as safetensors.

    Args:
        path: the file; an existing one is replaced as a whole.
        model: the network.
        names: class names by label from 1.
        sides: shorter and longer side of its input, pixels.
        about: more metadata.

    Raises:
        OutputError: the file cannot be written.
    """
    own = {"format": "pt", "classes": json.dumps(list(names)), SIDES: f"{sides[0]},{sides[1]}"}
    write_bytes(path, save(stored_tensors(model), metadata=dict(about or {}) | own))


def read_weight_file(path: Path) -> WeightFile:
    """Reads a `.pth` (a state dict, or a checkpoint that contains one) or `.safetensors`.

    Args:
        path: the file.

    Raises:
        ModelError: the file is missing or damaged, or its weights are of another kind of network.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    sides = None
    if path.suffix.lower() == ".safetensors":
        tensors, metadata = _safetensors(path)
        names, sides = names_in_metadata(metadata), _sides(path, metadata)
    else:
        tensors, names = _pth(path)
    tensors = {_current_name(name): value for name, value in tensors.items()}
    network = next((network for name, network in _NETWORK_OF_TENSOR.items() if name in tensors), None)
    if network is None or CLASSIFIER not in tensors or tensors[CLASSIFIER].dim() != 2:
        some = ", ".join(sorted(tensors)[:3]) or "none at all"
        raise ModelError(
            f"{path}: tensors of no Mask R-CNN that is known here ({some}); expected {R50}, {V2} or the output of "
            f"`tallycam train`"
        )
    labels = tensors[CLASSIFIER].shape[0]
    if labels < 2:
        raise ModelError(
            f"{path}: tensor {CLASSIFIER} has {labels} rows, expected one for the background and more"
        )
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ModelError(f"{path}: tensor {name} holds numbers that are not finite; the file is damaged")
    return WeightFile(
        path, network, {name: value.float() for name, value in tensors.items()}, labels, names, sides
    )


def class_map(
    path: Path, labels: int, in_file: Sequence[str] | None, configured: Sequence[str] | None
) -> ClassMap:
    """Classes by label: named by the file, else by `model.classes`, else COCO's where the number of labels is COCO's.

    Args:
        path: the weight file, for messages.
        labels: number of outputs of the classifier, including the background.
        in_file: names in the file.
        configured: names in the configuration.

    Raises:
        ModelError: there are no names, or a different number of them than the network has classes.
    """
    names, where = (in_file, f"{path}: its metadata") if in_file else (configured, "model.classes")
    if names is None:
        if labels != COCO_SLOTS:
            raise ModelError(
                f"{path}: names no classes; name its {labels - 1} classes in model.classes, in order"
            )
        names = [COCO_BY_NUMBER.get(number, "N/A") for number in range(1, COCO_SLOTS)]
    names = list(names)
    if len(names) == labels and names[0].lower() in BACKGROUND_NAMES:
        names = names[1:]
    if len(names) != labels - 1:
        raise ModelError(
            f"{where}: names {len(names)} classes, but the weights of {path} have {labels - 1} "
            f"(besides the background)"
        )
    return ClassMap.from_names(dict(enumerate(names, 1)), labels)


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file, or cut short ({_one_line(error)})") from error
    return tensors, metadata


def _sides(path: Path, metadata: Mapping[str, str]) -> tuple[int, int] | None:
    if SIDES not in metadata:
        return None
    parts = metadata[SIDES].split(",")
    if len(parts) == 2 and all(part.isdecimal() and 32 <= int(part) <= 8192 for part in parts):
        return int(parts[0]), int(parts[1])
    raise ModelError(
        f"{path}: its metadata names the input {metadata[SIDES]!r}, expected two sides in pixels"
    )


def names_in_metadata(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Class names in the metadata of a safetensors file: a JSON list under `classes` or `names`; None without.

    Args:
        metadata: key -> value.
    """
    for key in ("classes", "names"):
        try:
            names = json.loads(metadata.get(key, "null"))
        except json.JSONDecodeError:
            continue
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None


def _pth(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...] | None]:
    try:
        # torchvision's training script stores its arguments, an `argparse.Namespace`, beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            data: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # arbitrary bytes make the reader raise anything
        text = _one_line(error)
        if "weights_only" in text or "Weights only" in text:
            raise ModelError(
                f"{path}: holds Python objects, which are not loaded; save the weights alone with "
                f"torch.save(model.state_dict(), FILE)"
            ) from error
        raise ModelError(f"{path}: not a PyTorch checkpoint, or cut short ({text[:160]})") from error
    names = data.get("classes") if isinstance(data, dict) else None
    while isinstance(data, dict):
        nested = [key for key in _STATE_DICT_KEYS if isinstance(data.get(key), dict)]
        if not nested:
            break
        data = data[nested[0]]
    if not isinstance(data, dict):
        raise ModelError(f"{path}: holds a {type(data).__name__}, expected the state dict of a model")
    tensors = {str(name): value for name, value in data.items() if isinstance(value, Tensor)}
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return tensors, tuple(names)
    return tensors, None


def _current_name(name: str) -> str:
    """A tensor's name in the installed torchvision, without the prefix that data-parallel training adds."""
    name = name.removeprefix("module.")
    head, _, last = name.rpartition(".")
    new = _RENAMED.get(f"{head}.")
    return f"{new}{last}" if new else name


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
