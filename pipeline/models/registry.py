"""Which model a configuration means, and its class names without loading it: one table of kinds.

A model of the user's own needs no row: `model.name: package.module:Name` is imported (docs/models.md).
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.segmenter import Segmenter

STREET = "street"
"""Name of the model that ships, and the default."""
OWN = "own"
"""The kind of a model that is named by its import path."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of model. Its code is imported when it is used, not before.

    Attributes:
        name: what `kind` returns.
        load: import path of what makes a `Segmenter` of a `ModelConfig`; it raises `ModelError`.
        classes_of: import path of what tells the class names of a `ModelConfig`, without loading the model where
            a file's metadata tells; it raises `ModelError`.
        names: values of `model.name` that mean it; one that ends in a colon is followed by anything.
        suffixes: endings of `model.path` that mean it, in lower case.
        prepare: import path of what fetches the weights of a `ModelConfig` from the network where need be.
    """

    name: str
    load: str
    classes_of: str
    names: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    prepare: str = ""

    def has(self, name: str) -> bool:
        """Whether `model.name: name` means this kind."""
        return any(name.startswith(own) if own.endswith(":") else name == own for own in self.names)


KINDS = (
    Kind(
        name="maskrcnn",
        load="pipeline.models.maskrcnn.choice:load",
        classes_of="pipeline.models.maskrcnn.choice:classes_of",
        names=(STREET, "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"),
        suffixes=(".safetensors", ".pth"),
        prepare="pipeline.models.maskrcnn.choice:fetched",
    ),
    Kind(
        name="onnx",
        load="pipeline.models.onnx.onnx_model:OnnxSegmenter",
        classes_of="pipeline.models.onnx.onnx_model:classes_of",
        suffixes=(".onnx",),
    ),
    Kind(
        name="motion",
        load="pipeline.models.motion.motion_model:MotionSegmenter",
        classes_of="pipeline.models.motion.motion_model:classes_of",
        names=("motion",),
    ),
    Kind(
        name="replay",
        load="pipeline.models.replay:load",
        classes_of="pipeline.models.replay:classes_of",
        names=("replay:",),
    ),
)
"""THE table of models. The first row that fits is taken."""


def load(config: ModelConfig) -> Segmenter:
    """The model, on its device and ready to run.

    Raises:
        ModelError: no such model, not a model, or it cannot run here.
    """
    found = find(config)
    made: Segmenter = _imported(found.load)(config)
    if found.name == OWN:
        _check_own(found.load, made)
    return made


def prepare(config: ModelConfig) -> None:
    """Fetches what the model needs from the network, with a progress bar: done before a run, since a stage that
    waits for a download looks stuck.

    Raises:
        ModelError: it cannot be fetched.
    """
    if (fetch := find(config).prepare) != "":
        _imported(fetch)(config)


def classes_of(config: ModelConfig) -> tuple[str, ...]:
    """The model's class names; reads a file's metadata alone wherever that tells.

    Raises:
        ModelError: as `load`.
    """
    found = find(config)
    if found.name != OWN:
        return tuple(_imported(found.classes_of)(config))
    # A model of the user's own: class names that do not depend on the configuration need no model to be loaded.
    classes = getattr(_imported(found.load), "classes", None)
    if isinstance(classes, tuple):
        return classes
    return load(config).classes


def kind(config: ModelConfig) -> str:
    """Name of the kind of model.

    Raises:
        ModelError: as `find`.
    """
    return find(config).name


def find(config: ModelConfig) -> Kind:
    """The kind of model that a configuration means.

    Raises:
        ModelError: the name or the ending of the file is not known.
    """
    if config.path is not None:
        suffix = config.path.suffix.lower()
        fits = [one for one in KINDS if suffix in one.suffixes]
        if not fits:
            endings = " or ".join(sorted({ending for one in KINDS for ending in one.suffixes}))
            raise ModelError(f"model.path: got {config.path}, expected a file ending in {endings}")
        if not config.path.is_file():
            raise ModelError(f"model.path: there is no file {config.path}")
        return fits[0]
    name = config.name or STREET
    for one in KINDS:
        if one.has(name):
            return one
    module, colon, attribute = name.partition(":")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return Kind(OWN, load=name, classes_of=name)
    known = ", ".join(f"{own}PATH" if own.endswith(":") else own for one in KINDS for own in one.names)
    raise ModelError(
        f"model.name: got {name}, there is {known}, and package.module:Name for one of your own; "
        f"a model in a file goes by model.path"
    )


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


def _imported(path: str) -> Callable[[ModelConfig], Any]:
    """What `module:name` names. A module of the user's own may lie in the current folder.

    Raises:
        ModelError: there is no such module, or nothing of that name in it.
    """
    module_name, _, attribute = path.partition(":")
    if "" not in sys.path and not module_name.startswith("pipeline."):
        sys.path.append("")  # after all the rest: a file in the current folder hides no installed package
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # whatever a module that somebody wrote raises
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ModelError(f"model.name: got {path}, but {module_name} cannot be imported: {what}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ModelError(f"model.name: got {path}, but {module_name} has no class or function {attribute}")
    return found  # type: ignore[no-any-return]


def _check_own(path: str, model: object) -> None:
    """A model that somebody wrote is looked at once, so that a slip is told here and not in the middle of a run."""
    for name in ("warm_up", "segment"):
        if not callable(getattr(model, name, None)):
            raise ModelError(
                f"model.name: {path} gives no model: it has no method {name} (see docs/models.md)"
            )
    classes = getattr(model, "classes", None)
    if not isinstance(classes, tuple) or not classes or not all(isinstance(one, str) for one in classes):
        raise ModelError(f"model.name: {path}: classes is {classes!r}, expected a tuple of names")
    if not isinstance(getattr(model, "device", None), str):
        raise ModelError(
            f"model.name: {path}: device is missing, expected where it runs in words, e.g. 'cpu'"
        )


def _some(names: tuple[str, ...], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
