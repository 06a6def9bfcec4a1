"""The base class of the configuration models, and the field types they share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pipeline.redact import redact

Relative = Annotated[float, Field(ge=0.0, le=1.0)]
"""A fraction, e.g. of the frame's width."""
Pixels = Annotated[int, Field(ge=16, le=16384)]
Point: TypeAlias = tuple[Relative, Relative]
"""x, y in fractions of the frame's width and height; the origin is the upper left corner."""
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
ClassNames = Annotated[tuple[str, ...], Field(min_length=1)]


class ConfigModel(BaseModel):
    """Base class of all configuration models: unknown keys are refused, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Keep passwords out of the printed form."""
        for name, value in super().__repr_args__():
            yield name, redact(value) if isinstance(value, str) else value
