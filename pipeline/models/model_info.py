"""`ModelInfo`: one line of `tallycam models ls`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a user has to know of a model before using it.

    Attributes:
        name: the value of `model.name` or `model.path` that selects it.
        description: one line.
        where: the file with its weights, or how to get it.
        megabytes: size of the weights; 0 where it has none, or it is unknown.
        licence: of the weights; empty where it is unknown.
        classes: class names; empty where only the loaded model tells.
    """

    name: str
    description: str
    where: str
    megabytes: float = 0.0
    licence: str = ""
    classes: tuple[str, ...] = ()
