"""The configuration of one stream."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipeline.config.fields import ClassNames, ConfigModel, Name, Pixels
from pipeline.config.model import StaticConfig
from pipeline.config.regions import FilterConfig, GroundConfig, LineConfig, ZoneConfig
from pipeline.config.start import check_start


def _or_a_switch(schema: dict[str, Any]) -> None:
    """Let editors accept true and false too."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"type": "boolean"}]


class RuleConfig(ConfigModel):
    """A counting rule that is not built in; all other keys are its settings, which the rule checks itself."""

    model_config = ConfigDict(extra="allow")

    use: str | None = Field(
        None, description="an installed rule, or package.module:Class; default: the rule's name here"
    )


class StreamSettings(ConfigModel):
    """How a source is read and what is counted in it: all of a stream but its source."""

    fps: float | None = Field(
        None,
        gt=0,
        description="use at most this many frames per second; for a folder of images: its frame rate",
    )
    skip: int = Field(0, ge=0, description="frames to skip after each frame that is used")
    loop: bool = Field(False, description="restart a file at its end")
    follow: bool = Field(
        False, description="wait for more at the end of a file that still grows, or of a folder of recordings"
    )
    start_s: float = Field(0.0, ge=0, description="where in the file to start, in seconds")
    stop_s: float | None = Field(
        None, gt=0, description="when to stop: a position in the file, or seconds of a live source"
    )
    start: str | None = Field(
        None,
        description="when a recording began: 2026-03-29T01:30:00 (by time_zone, unless with an offset), a pattern of "
        "file names such as gate_%Y%m%d-%H%M%S, or unknown; default: by the file name, else by the container",
    )
    start_pattern: str | None = Field(
        None,
        description="pattern of the file names in a folder of recordings; default: start, where that is a pattern",
    )
    realtime: bool = Field(False, description="play a file at its own speed, like a camera")
    timeout_s: float = Field(
        3.0, gt=0, description="seconds without data after which a live source is considered lost"
    )
    rtsp_transport: Literal["tcp", "udp"] = Field(
        "tcp",
        description="how an RTSP camera sends its video; udp loses packets, and some cameras have nothing else",
    )
    size: tuple[Pixels, Pixels] | None = Field(
        None, description="width, height of a camera or rendered scene, in pixels"
    )
    slots: int = Field(12, ge=3, le=256, description="frames that can be in flight at once")
    catch_up_s: float = Field(
        6.0,
        ge=0,
        le=60,
        description="seconds of a live source that wait in memory while the model or tracking is started again, to be "
        "counted late; all streams together take 512 MB and a tenth of the free memory at most",
    )
    classes: ClassNames | None = Field(None, description="use only these classes; default: all of the model")
    filter: FilterConfig = FilterConfig()
    skip_static: StaticConfig = Field(
        StaticConfig(enabled=False),
        description="skip inference while nothing moves: true, or settings",
        json_schema_extra=_or_a_switch,
    )
    camera: Literal["fixed", "moving"] = Field(
        "fixed",
        description="moving: the camera pans, shakes or zooms, and its motion is compensated in tracking",
    )
    watch_picture: bool = Field(
        True, description="tell when the picture of a live source is frozen, black, covered, blurred or moved"
    )
    lines: dict[Name, LineConfig] = Field({})
    zones: dict[Name, ZoneConfig] = Field({})
    ground: GroundConfig | None = Field(
        None, description="calibration from which the speed of objects that cross a line is measured"
    )
    rules: dict[Name, RuleConfig] = Field({}, description="further counting rules; docs/counting-rules.md")

    @field_validator("rules", mode="before")
    @classmethod
    def _without_settings(cls, value: object) -> object:
        """`loitering:` alone means its defaults."""
        if not isinstance(value, dict):
            return value
        return {name: {} if settings is None else settings for name, settings in value.items()}

    @field_validator("skip_static", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        return {"enabled": value} if isinstance(value, bool) else value

    @field_validator("start", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("start_pattern")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None and "%" not in value:
            raise ValueError(f"got {value!r}, expected a pattern such as gate_%Y%m%d-%H%M%S")
        return value if value is None else check_start(value)

    @field_validator("start")
    @classmethod
    def _is_a_start(cls, value: str | None) -> str | None:
        return None if value is None else check_start(value)

    @model_validator(mode="after")
    def _times(self) -> Self:
        if self.stop_s is not None and self.stop_s <= self.start_s:
            raise ValueError(f"stop_s {self.stop_s} is not after start_s {self.start_s}")
        return self


class StreamConfig(StreamSettings):
    """One source, and what is counted in it."""

    source: str = Field(
        description="a video file, a folder of videos or images, camera:N, synthetic:SEED or a URL"
    )

    @field_validator("source")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; give a file, a folder, camera:N, synthetic:SEED or a URL")
        return value
