"""What the parts of a configuration have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.redact import redact

Relative = Annotated[float, Field(ge=0.0, le=1.0)]
Pixels = Annotated[int, Field(ge=16, le=16384)]
Point = tuple[Relative, Relative]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Classes = Annotated[tuple[str, ...], Field(min_length=1)]


class Part(BaseModel):
    """Base of every part: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What is printed of a part never holds a password."""
        for name, value in super().__repr_args__():
            yield name, redact(value) if isinstance(value, str) else value
