"""The table of models: which model a configuration selects, and its class names without loading it.

A model is one file and one row of `MODEL_KINDS`. Other packages add models through the entry-point group
`tallycam.models`, and a class of one's own is selected by its import path, `model.name: package.module:Name`; both
are described in docs/models.md. This module is light: models are imported when they are used.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.custom import import_object, load_external
from pipeline.models.model_info import ModelInfo
from pipeline.models.rfdetr.variants import VARIANTS
from pipeline.models.segmenter import Segmenter

DEFAULT_MODEL = "street"
"""The model that ships with Tallycam."""
ENTRY_POINTS = "tallycam.models"
"""Entry-point group. The name of an entry is a value of `model.name`, its object makes a `Segmenter` of a
`ModelConfig`."""
CUSTOM = "custom"
"""The kind of a model that is selected by its import path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind:
    """One row of the table. Import paths have the form `module:name`.

    Attributes:
        name: what `kind` returns.
        load: import path of the factory, from a `ModelConfig` to a `Segmenter`; it raises `ModelError`.
        classes_of: import path of the function from a `ModelConfig` to the class names, without loading the model
            where metadata suffices; it raises `ModelError`. Default: `classes` of the factory, else of the model.
        names: values of `model.name` that select this kind; one that ends in a colon is a prefix.
        suffixes: file name endings of `model.path` that select this kind, in lower case.
        prepare: import path of the function that downloads the weights of a `ModelConfig` and returns their file, or
            None where they ship; default: there is nothing to download.
        take: import path of the function that fetches the weights of a name, from a file if one is given, with a Python
            if one is needed; default: files are not taken.
        infos: import path of the function that returns a `ModelInfo` for each model that has a name.
        choose: import path of the function from a `ModelConfig` to that of the model which a name stands for here.
        external: the code is not Tallycam's, so the model is checked for the interface of `Segmenter`.
    """

    name: str
    load: str
    classes_of: str = ""
    names: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    prepare: str = ""
    take: str = ""
    infos: str = ""
    choose: str = ""
    external: bool = False

    def accepts(self, name: str) -> bool:
        """Whether `model.name: name` selects this kind."""
        return any(name.startswith(own) if own.endswith(":") else name == own for own in self.names)


MODEL_KINDS = (
    ModelKind(
        name="maskrcnn",
        load="pipeline.models.maskrcnn.from_config:load",
        classes_of="pipeline.models.maskrcnn.from_config:classes_of",
        names=(DEFAULT_MODEL, "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"),
        suffixes=(".safetensors", ".pth"),
        prepare="pipeline.models.maskrcnn.from_config:weights_file",
        take="pipeline.models.maskrcnn.from_config:take",
        infos="pipeline.models.maskrcnn.from_config:infos",
    ),
    ModelKind(
        name="rfdetr",
        load="pipeline.models.rfdetr.from_config:load",
        classes_of="pipeline.models.rfdetr.from_config:classes_of",
        names=tuple(VARIANTS),
        prepare="pipeline.models.rfdetr.from_config:onnx_file",
        take="pipeline.models.rfdetr.from_config:take",
        infos="pipeline.models.rfdetr.from_config:infos",
    ),
    ModelKind(
        name="auto",
        load="pipeline.models.auto:load",
        classes_of="pipeline.models.auto:classes_of",
        names=("auto",),
        prepare="pipeline.models.auto:prepare",
        infos="pipeline.models.auto:infos",
        choose="pipeline.models.auto:chosen",
    ),
    ModelKind(
        name="onnx",
        load="pipeline.models.onnx.onnx_model:OnnxSegmenter",
        classes_of="pipeline.models.onnx.onnx_model:classes_of",
        suffixes=(".onnx",),
    ),
    ModelKind(
        name="motion",
        load="pipeline.models.motion.motion_model:MotionSegmenter",
        classes_of="pipeline.models.motion.motion_model:classes_of",
        names=("motion",),
        infos="pipeline.models.motion.motion_model:infos",
    ),
    ModelKind(
        name="replay",
        load="pipeline.models.replay:load",
        classes_of="pipeline.models.replay:classes_of",
        names=("replay:",),
    ),
)
"""The first row that accepts a configuration takes it."""


def load(config: ModelConfig) -> Segmenter:
    """The model of a configuration, on its device and ready to run.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: no such model, not a model, or it cannot run here.
    """
    found = find(config)
    if found.external:
        return load_external(found.load, config)
    model: Segmenter = import_object(found.load)(config)
    return model


def prepare(config: ModelConfig) -> Path | None:
    """Downloads the weights of a model where they are missing, with a progress bar.

    Called before a run starts its stages: a stage that waits for a download would look stuck to the supervisor.

    Args:
        config: the `model` part of a configuration.

    Returns:
        The file with the weights; None where there is nothing to download.

    Raises:
        ModelError: no such model, or its weights cannot be downloaded.
    """
    function = find(config).prepare
    path: Path | None = import_object(function)(config) if function else None
    return path


def chosen(config: ModelConfig) -> ModelConfig:
    """The configuration with the model that its name stands for here, fetched where it is missing; mostly itself.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: no such model, or none can be had.
    """
    function = find(config).choose
    result: ModelConfig = import_object(function)(config) if function else config
    return result


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """The class names of a model, from a file's metadata alone wherever that suffices.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: as `load`.
    """
    found = find(config)
    if found.classes_of:
        return tuple(import_object(found.classes_of)(config))
    declared = getattr(import_object(found.load, local=found.external), "classes", None)
    return declared if isinstance(declared, tuple) else load(config).classes


def infos() -> list[ModelInfo]:
    """What there is to know of every model that has a name, the installed ones of other packages last."""
    rows: list[ModelInfo] = []
    for kind in MODEL_KINDS:
        if kind.infos:
            rows += import_object(kind.infos)()
    for entry in _installed():
        package = entry.dist.name if entry.dist is not None else entry.module
        rows.append(ModelInfo(entry.name, description=f"from the package {package}", where=entry.value))
    return rows


def kind(config: ModelConfig) -> str:
    """Name of the kind of model that a configuration selects.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: as `find`.
    """
    return find(config).name


def find(config: ModelConfig) -> ModelKind:
    """The row of the table that a configuration selects, or a row made of an entry point or an import path.

    Args:
        config: the `model` part of a configuration.

    Raises:
        ModelError: an unknown name or file name ending, or a missing file.
    """
    if config.path is not None:
        return _by_suffix(config.path)
    name = config.name or DEFAULT_MODEL
    for one in MODEL_KINDS:
        if one.accepts(name):
            return one
    for entry in _installed():
        if entry.name == name:
            return ModelKind(name=name, load=f"{entry.module}:{entry.attr}", external=True)
    module, colon, attribute = name.partition(":")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return ModelKind(name=CUSTOM, load=name, external=True)
    raise ModelError(_unknown_name(name))


def _by_suffix(path: Path) -> ModelKind:
    suffix = path.suffix.lower()
    for one in MODEL_KINDS:
        if suffix in one.suffixes:
            if not path.is_file():
                raise ModelError(f"model.path: there is no file {path}")
            return one
    endings = " or ".join(sorted({ending for one in MODEL_KINDS for ending in one.suffixes}))
    raise ModelError(f"model.path: got {path}, expected a file ending in {endings}")


def _installed() -> list[EntryPoint]:
    """Models of other packages, by name. A name of the table keeps its meaning, whatever is installed."""
    found = [
        one for one in entry_points(group=ENTRY_POINTS) if not any(k.accepts(one.name) for k in MODEL_KINDS)
    ]
    return sorted(found, key=lambda entry: entry.name)


def _unknown_name(name: str) -> str:
    known = [own for one in MODEL_KINDS for own in one.names] + [entry.name for entry in _installed()]
    nearest = difflib.get_close_matches(name.partition(":")[0], [one.rstrip(":") for one in known], n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    listed = ", ".join(f"{one}PATH" if one.endswith(":") else one for one in known)
    return (
        f"model.name: got {name}; {hint}there is {listed}, and package.module:Name for a class of your own; "
        f"a model file is given as model.path"
    )


def check_classes(classes: tuple[str, ...], wanted: Iterable[str], where: str = "classes") -> None:
    """Refuses class names that a model does not have.

    Args:
        classes: the model's class names.
        wanted: names to check.
        where: their place in the configuration, for the message.

    Raises:
        ModelError: names the unknown class and the most similar known one.
    """
    for name in wanted:
        if name in classes:
            continue
        near = difflib.get_close_matches(name.lower(), classes, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it knows {_shortened(classes)}"
        raise ModelError(f"{where}: the model has no class {name!r}; {hint}")


def _shortened(names: tuple[str, ...], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
