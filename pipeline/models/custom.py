"""Models that are not Tallycam's own: importing them by path, and checking that they keep to the interface."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from pipeline.config.schema import ModelConfig
from pipeline.errors import ModelError, TallycamError
from pipeline.models.segmenter import Segmenter


def import_object(path: str, *, local: bool = False) -> Callable[..., Any]:
    """The class or function at `module:name`.

    Args:
        path: import path; `name` may have dots.
        local: modules in the working directory are found as well.

    Raises:
        ModelError: the module cannot be imported, or holds no class or function of that name.
    """
    module_name, _, attribute = path.partition(":")
    if local and "" not in sys.path:
        sys.path.append(
            ""
        )  # last, so that a file in the working directory never shadows an installed package
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's may raise anything
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ModelError(f"model.name: got {path}, but {module_name} cannot be imported: {what}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ModelError(f"model.name: got {path}, but {module_name} has no class or function {attribute}")
    return found  # type: ignore[no-any-return]


def load_external(path: str, config: ModelConfig) -> Segmenter:
    """Creates a model that is not Tallycam's own.

    Args:
        path: import path of its factory.
        config: what the factory takes.

    Raises:
        ModelError: it cannot be imported, its factory raises an exception, or what it returns is no `Segmenter`.
    """
    factory = import_object(path, local=True)
    try:
        model: Segmenter = factory(config)
    except TallycamError:
        raise
    except Exception as error:  # a factory of the user's may raise anything
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"model.name: {path} could not be created: {what[:300]}") from error
    _check_segmenter(path, model)
    return model


def _check_segmenter(path: str, model: object) -> None:
    """Checks a model once after loading, so that a mistake is reported before the run and not during it.

    Args:
        path: its import path, for messages.
        model: what its factory returned.

    Raises:
        ModelError: a method or attribute of `pipeline.models.segmenter.Segmenter` is missing or of another type.
    """
    for name in ("warm_up", "segment"):
        if not callable(getattr(model, name, None)):
            raise ModelError(
                f"model.name: {path} returns no model: it has no method {name} (see docs/models.md)"
            )
    classes = getattr(model, "classes", None)
    if not isinstance(classes, tuple) or not classes or not all(isinstance(one, str) for one in classes):
        raise ModelError(f"model.name: {path}: classes is {classes!r}, expected a tuple of names")
    if not isinstance(getattr(model, "device", None), str):
        raise ModelError(
            f"model.name: {path}: device is missing, expected the device as text, e.g. 'cpu' (see docs/models.md)"
        )
