"""The part of a configuration that is drawn on the picture: lines, zones, filters by place, the ground."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipeline.config.part import Classes, Name, Part, Point, Relative
from pipeline.geometry.points import (
    apart,
    apart_from_itself,
    at_least,
    corners,
    seen_alike,
    uncrossed,
    with_area,
)

Metres = tuple[float, float]


class LineConfig(Part):
    """A line that objects cross, straight or with bends. Walk from the first point to the last as seen on the
    screen: the first direction counts who crosses from the left hand to the right hand, the second the other way."""

    points: Annotated[
        tuple[Point, ...],
        Field(max_length=64, description="two or more, in order", json_schema_extra={"minItems": 2}),
        AfterValidator(at_least(2)),
        AfterValidator(apart),
        AfterValidator(apart_from_itself),
    ]
    classes: Classes | None = Field(None, description="only these classes; default: all")
    directions: tuple[Name, Name] = ("forward", "back")
    anchor: Literal["foot", "center", "mask"] = "foot"
    deadband: float = Field(0.1, ge=0.0, le=2.0, description="part of the object's own height")
    cooldown_s: float = Field(0.0, ge=0.0, description="pause before the same object may count again")
    net: bool = Field(False, description="show the first direction less the second in the video, too")

    @field_validator("directions")
    @classmethod
    def _differ(cls, value: tuple[str, str]) -> tuple[str, str]:
        if value[0] == value[1]:
            raise ValueError(f"the two directions need two names, got {value[0]} twice")
        return value


class ZoneConfig(Part):
    """A polygon with occupancy, entries, exits and dwell time."""

    points: Annotated[
        tuple[Point, ...],
        Field(max_length=64, description="three or more, in order", json_schema_extra={"minItems": 3}),
        AfterValidator(at_least(3)),
        AfterValidator(apart),
        AfterValidator(with_area),
        AfterValidator(uncrossed),
    ]
    classes: Classes | None = Field(None, description="only these classes; default: all")
    by: Literal["anchor", "mask"] = Field(
        "anchor", description="inside by one point, or by a part of the mask"
    )
    anchor: Literal["foot", "center"] = "foot"
    share: float = Field(0.5, gt=0.0, le=1.0, description="by: mask: how much of it must be inside")


class GroundConfig(Part):
    """Four points of the ground in the picture, and where they are in metres: what speeds are measured with."""

    points: Annotated[
        tuple[Point, Point, Point, Point],
        Field(description="no three of them on one line"),
        AfterValidator(corners),
    ]
    metres: Annotated[
        tuple[Metres, Metres, Metres, Metres],
        Field(description="x, y of the same points on the ground, in metres from any place"),
        AfterValidator(corners),
    ]

    @model_validator(mode="after")
    def _seen_from_above(self) -> GroundConfig:
        if not seen_alike(self.points, self.metres):
            raise ValueError("points and metres do not go round in the same order: no camera sees them so")
        return self


class FilterConfig(Part):
    """Which of the model's instances are used; all conditions must hold. A stream's filter comes after the model's."""

    classes: Classes | None = Field(None, description="only these classes; default: all")
    scores: dict[str, Relative] = Field({}, description="class -> its own score in place of model.score")
    min_height: Relative = Field(0.0, description="of the box, in parts of the frame's height")
    max_height: Relative = Field(1.0, description="as min_height")
    min_area: Relative = Field(0.0, description="of the mask, in parts of the frame's area")
    max_area: Relative = Field(1.0, description="as min_area")
    include: tuple[ZoneConfig, ...] = Field((), description="only instances in one of these areas")
    exclude: tuple[ZoneConfig, ...] = Field((), description="no instances in any of these areas")

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _areas(cls, value: object) -> object:
        """A list of points is an area as it is."""
        if not isinstance(value, list | tuple):
            return value
        return tuple({"points": one} if isinstance(one, list | tuple) else one for one in value)

    @model_validator(mode="after")
    def _limits(self) -> FilterConfig:
        for what in ("height", "area"):
            least, most = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if least >= most:
                raise ValueError(f"min_{what} {least} is not below max_{what} {most}")
        return self
