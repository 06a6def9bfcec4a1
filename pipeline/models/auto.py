"""`model: {name: auto}`: the best model of real pictures for the device, of those that are here or can be fetched.

RF-DETR comes first wherever ONNX Runtime can use the device: its masks are the better ones (published AP on COCO 40 to
47 %, of the Mask R-CNNs 35 to 42 %). On two cores of a CPU its smallest size takes 260 ms a frame, the smaller
Mask R-CNN 500 to 1000.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.coco_classes import COCO
from pipeline.models.maskrcnn.zoo import PUBLISHED, R50, V2, published_weights
from pipeline.models.model_info import ModelInfo
from pipeline.models.rfdetr import from_config as rfdetr
from pipeline.models.rfdetr.variants import VARIANTS
from pipeline.models.segmenter import Segmenter

AUTO = "auto"
_NANO, _SMALL, _MEDIUM, _LARGE = VARIANTS
_CUDA = "CUDAExecutionProvider"


def preferred(device: str, *, has_cuda: bool, providers: Collection[str]) -> tuple[str, ...]:
    """The models that can run on a device, the best first. Pure.

    Args:
        device: `model.device`.
        has_cuda: whether PyTorch sees a CUDA device.
        providers: execution providers of ONNX Runtime; empty if it is not installed.
    """
    kind = device.partition(":")[0]
    if kind in ("openvino", "tensorrt"):
        return (_NANO, _SMALL, _MEDIUM, _LARGE)
    if kind == "cuda" or (kind == "auto" and has_cuda):
        sizes = (_MEDIUM, _LARGE, _SMALL, _NANO) if _CUDA in providers else ()
        return (*sizes, V2, R50)
    sizes = (_NANO, _SMALL, _MEDIUM, _LARGE) if providers else ()
    return (*sizes, R50, V2)


def chosen(config: ModelConfig) -> ModelConfig:
    """The configuration of the model that `auto` stands for here. One that is here already is preferred to one that
    would have to be fetched.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: none is here, and none can be fetched.
    """
    names = _preferred(config)
    if here := next(filter(_is_here, names), None):
        return _named(config, here)
    reasons = []
    for name in (names[0], *(name for name in names[1:] if name in PUBLISHED))[:2]:  # one of each family
        try:
            registry.prepare(_named(config, name))
        except ModelError as error:
            reasons.append(str(error).removeprefix("model.name: "))
        else:
            if reasons:
                _say(f"{reasons[0]}; {name} is used instead")
            elif importlib.util.find_spec("onnxruntime") is None:
                _say(f"{name} is used; with `pip install onnxruntime` it would be the faster {_NANO}")
            return _named(config, name)
    raise ModelError(f"model.name: auto: no model of real pictures is here, and {reasons[0]}")


def load(config: ModelConfig) -> Segmenter:
    """The model, on its device.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: as `chosen`.
    """
    return registry.load(chosen(config))


def prepare(config: ModelConfig) -> object:
    """Fetches the model where it is missing.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: as `chosen`.
    """
    return registry.prepare(chosen(config))


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """The classes of COCO, which all of the models have.

    Args:
        config: the `model` part of a configuration.
    """
    return COCO


def infos() -> list[ModelInfo]:
    """The line of `auto`."""
    names = _preferred(ModelConfig(name=AUTO))
    here = next(filter(_is_here, names), None)
    where = f"of {here}" if here else f"not here: tallycam models pull {names[0]}"
    return [ModelInfo(AUTO, f"the best of these for this machine: {here or names[0]}", where, classes=COCO)]


def _say(text: str) -> None:
    print(f"model.name: auto: {text}", file=sys.stderr, flush=True)


def _named(config: ModelConfig, name: str) -> ModelConfig:
    return config.model_copy(update={"name": name})


def _preferred(config: ModelConfig) -> tuple[str, ...]:
    import torch

    providers: list[str] = []
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
    return preferred(config.device, has_cuda=torch.cuda.is_available(), providers=providers)


def _is_here(name: str) -> bool:
    return rfdetr.is_here(name) if name in VARIANTS else published_weights(name).path.is_file()
