"""Files with the weights of a torchvision Mask R-CNN: which network they belong to, and the names of its classes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.models.class_map import ClassMap
from pipeline.models.coco_classes import COCO_BY_NUMBER, COCO_SLOTS
from pipeline.models.maskrcnn.zoo import R50, V2

STREET = "street"

_TOLD_BY = {
    "backbone.body.0.0.weight": STREET,
    "backbone.fpn.inner_blocks.0.1.running_mean": V2,
    "backbone.body.layer4.2.conv3.weight": R50,
}
"""Tensor -> the network that has it. The first that is there tells."""

_OLD = {
    "rpn.head.conv.": "rpn.head.conv.0.0.",
    **{
        f"backbone.fpn.{kind}_blocks.{n}.": f"backbone.fpn.{kind}_blocks.{n}.0."
        for kind in ("inner", "layer")
        for n in range(4)
    },
    **{f"roi_heads.mask_head.mask_fcn{n + 1}.": f"roi_heads.mask_head.{n}.0." for n in range(4)},
}
"""Beginnings of names before torchvision 0.13, with which its first weights are still published."""

_INSIDE = ("model", "state_dict", "model_state_dict", "model_ema")
"""Where checkpoints of training scripts keep the weights."""

PREDICTOR = "roi_heads.box_predictor.cls_score.weight"


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file holds.

    Attributes:
        path: the file.
        network: `street`, `maskrcnn_resnet50_fpn` or `maskrcnn_resnet50_fpn_v2`.
        tensors: name, as torchvision has it today -> float32.
        labels: how many outputs the classifier has, the background (0) included.
        names: of the classes, by label from 1; None where the file names none.
    """

    path: Path
    network: str
    tensors: Mapping[str, Tensor]
    labels: int
    names: tuple[str, ...] | None


def read(path: Path) -> Weights:
    """Weights of a `.pth` (a state dict, or a checkpoint that holds one) or `.safetensors`.

    Nothing in the file is executed.

    Raises:
        ModelError: no such file, damaged, or the weights of something else.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    tensors, names = _safetensors(path) if path.suffix.lower() == ".safetensors" else _pth(path)
    tensors = {_modern(name): value for name, value in tensors.items()}
    network = next((of for name, of in _TOLD_BY.items() if name in tensors), None)
    if network is None or PREDICTOR not in tensors or tensors[PREDICTOR].dim() != 2:
        some = ", ".join(sorted(tensors)[:3]) or "none at all"
        raise ModelError(
            f"{path}: tensors of no Mask R-CNN that is known here ({some}); expected {R50}, {V2} or the output of "
            f"`tallycam train`"
        )
    labels = tensors[PREDICTOR].shape[0]
    if labels < 2:
        raise ModelError(
            f"{path}: tensor {PREDICTOR} has {labels} rows, expected one for the background and more"
        )
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ModelError(f"{path}: tensor {name} holds numbers that are not finite; the file is damaged")
    return Weights(path, network, {n: v.float() for n, v in tensors.items()}, labels, names)


def classes(
    weights_path: Path, labels: int, in_file: Sequence[str] | None, configured: Sequence[str] | None
) -> ClassMap:
    """Names from the file, else from `model.classes`, else COCO's where the number of labels is COCO's.

    Raises:
        ModelError: there are no names, or another number of them than the network has classes.
    """
    names, where = (in_file, f"{weights_path}: its metadata") if in_file else (configured, "model.classes")
    if names is None:
        if labels != COCO_SLOTS:
            raise ModelError(
                f"{weights_path}: names no classes; name its {labels - 1} classes in model.classes, in order"
            )
        names = [COCO_BY_NUMBER.get(number, "N/A") for number in range(1, COCO_SLOTS)]
    names = list(names)
    if len(names) == labels and names[0].lower() in ("background", "__background__"):
        names = names[1:]
    if len(names) != labels - 1:
        raise ModelError(
            f"{where}: names {len(names)} classes, but the weights of {weights_path} have {labels - 1} "
            f"(besides the background)"
        )
    return ClassMap.from_names(dict(enumerate(names, 1)), labels)


def _safetensors(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...] | None]:
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file, or cut short ({_line(error)})") from error
    return tensors, names_in(metadata)


def names_in(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Class names in the metadata of a safetensors file: `classes` or `names`, a JSON list."""
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
        # `argparse.Namespace`, a bag of values, is what torchvision's training script stores beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            data: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the reader raises on bytes that are no checkpoint
        text = _line(error)
        if "weights_only" in text or "Weights only" in text:
            raise ModelError(
                f"{path}: holds Python objects, which are not loaded; save the weights alone with "
                f"torch.save(model.state_dict(), FILE)"
            ) from error
        raise ModelError(f"{path}: not a PyTorch checkpoint, or cut short ({text[:160]})") from error
    names = data.get("classes") if isinstance(data, dict) else None
    while isinstance(data, dict) and (inside := [key for key in _INSIDE if isinstance(data.get(key), dict)]):
        data = data[inside[0]]
    if not isinstance(data, dict):
        raise ModelError(f"{path}: holds a {type(data).__name__}, expected the state dict of a model")
    tensors = {str(name): value for name, value in data.items() if isinstance(value, Tensor)}
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return tensors, tuple(names)
    return tensors, None


def _modern(name: str) -> str:
    """A tensor's name as torchvision has it today, without the prefix of data-parallel training."""
    name = name.removeprefix("module.")
    head, _, last = name.rpartition(".")
    new = _OLD.get(f"{head}.")
    return f"{new}{last}" if new else name


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
