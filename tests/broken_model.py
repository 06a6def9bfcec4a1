"""A model that passes every check and cannot be loaded."""

from __future__ import annotations

from pipeline.errors import ModelError


class Broken:
    classes = ("person", "car")

    def __init__(self, config: object) -> None:
        raise ModelError("weights.bin: is damaged; fetch it again")
