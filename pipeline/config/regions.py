"""Configuration of what is drawn on the frame: lines, zones, filter regions and the ground plane."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipeline.config.fields import ClassNames, ConfigModel, Name, Point, Relative
from pipeline.geometry.point_checks import (
    at_least,
    distinct_neighbours,
    has_area,
    no_three_collinear,
    same_orientation,
    simple_line,
    simple_polygon,
)

Metres = tuple[float, float]


class LineConfig(ConfigModel):
    """A counting line, straight or with bends.

    Walk from its first point to its last as seen on the screen: the first direction counts crossings from your left
    to your right, the second one those from right to left.
    """

    points: Annotated[
        tuple[Point, ...],
        Field(
            max_length=64,
            description="two or more, in order, in fractions of the frame",
            json_schema_extra={"minItems": 2},
        ),
        AfterValidator(at_least(2)),
        AfterValidator(distinct_neighbours),
        AfterValidator(simple_line),
    ]
    classes: ClassNames | None = Field(None, description="count only these classes; default: all")
    directions: tuple[Name, Name] = ("forward", "back")
    anchor: Literal["foot", "center", "mask"] = "foot"
    deadband: float = Field(
        0.1,
        ge=0.0,
        le=2.0,
        description="dead band on both sides of the line, in fractions of the object's height",
    )
    cooldown_s: float = Field(
        0.0, ge=0.0, description="seconds before the same object can be counted here again"
    )
    net: bool = Field(
        False, description="also show the net count, the first direction minus the second, in the video"
    )

    @field_validator("directions")
    @classmethod
    def _differ(cls, value: tuple[str, str]) -> tuple[str, str]:
        if value[0] == value[1]:
            raise ValueError(f"the two directions need two names, got {value[0]} twice")
        return value


class ZoneConfig(ConfigModel):
    """A polygon with occupancy, entries, exits and dwell times."""

    points: Annotated[
        tuple[Point, ...],
        Field(
            max_length=64,
            description="three or more, in order around the zone, in fractions of the frame",
            json_schema_extra={"minItems": 3},
        ),
        AfterValidator(at_least(3)),
        AfterValidator(distinct_neighbours),
        AfterValidator(has_area),
        AfterValidator(simple_polygon),
    ]
    classes: ClassNames | None = Field(None, description="count only these classes; default: all")
    by: Literal["anchor", "mask"] = Field(
        "anchor", description="whether an object is inside by its anchor point or by the share of its mask"
    )
    anchor: Literal["foot", "center"] = "foot"
    share: float = Field(
        0.5, gt=0.0, le=1.0, description="with `by: mask`, the share of the mask that must be inside"
    )


class GroundConfig(ConfigModel):
    """Four points of the ground plane, in the frame and in metres, from which speeds are computed."""

    points: Annotated[
        tuple[Point, Point, Point, Point],
        Field(description="in fractions of the frame, no three of them on one line"),
        AfterValidator(no_three_collinear),
    ]
    metres: Annotated[
        tuple[Metres, Metres, Metres, Metres],
        Field(description="x, y of the same points on the ground, in metres from any origin"),
        AfterValidator(no_three_collinear),
    ]

    @model_validator(mode="after")
    def _seen_from_above(self) -> GroundConfig:
        if not same_orientation(self.points, self.metres):
            raise ValueError(
                "points and metres are not in the same order around the quadrilateral: no camera can see them so"
            )
        return self


class FilterConfig(ConfigModel):
    """Which detections are used; all conditions must hold. A stream's filter is applied after the model's."""

    classes: ClassNames | None = Field(None, description="count only these classes; default: all")
    scores: dict[str, Relative] = Field({}, description="class -> minimum score, instead of model.score")
    min_height: Relative = Field(0.0, description="of the box, in fractions of the frame's height")
    max_height: Relative = Field(1.0, description="as min_height")
    min_area: Relative = Field(0.0, description="of the mask, in fractions of the frame's area")
    max_area: Relative = Field(1.0, description="as min_area")
    include: tuple[ZoneConfig, ...] = Field((), description="use only detections inside one of these regions")
    exclude: tuple[ZoneConfig, ...] = Field((), description="discard detections inside any of these regions")

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _areas(cls, value: object) -> object:
        """Accept a plain list of points as a region."""
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
