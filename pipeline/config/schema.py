"""The configuration: YAML in, frozen pydantic models out, one clear line for every mistake.

Coordinates are relative: 0..1 of the frame's width and height. Durations are seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config.model import ModelConfig, MotionConfig, StaticConfig
from pipeline.config.part import Classes, Name, Part, Pixels, Point
from pipeline.config.places import FilterConfig, GroundConfig, LineConfig, ZoneConfig

__all__ = [
    "Config", "FilterConfig", "GroundConfig", "LineConfig", "LiveConfig", "MetricsConfig", "ModelConfig",
    "MotionConfig", "OutputConfig", "Part", "Point", "RestartConfig", "StaticConfig", "StreamConfig",
    "TrackerConfig", "VideoConfig", "ZoneConfig", "schema",
]  # fmt: skip

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
]  # fmt: skip


def _or_a_switch(schema: dict[str, Any]) -> None:
    """Tells editors that true and false do as well."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"type": "boolean"}]


class StreamConfig(Part):
    """One camera, file, folder or rendered scene, and what is counted in it."""

    source: str
    fps: float | None = Field(None, gt=0, description="at most so many frames of one second are used")
    skip: int = Field(0, ge=0, description="frames left out after each one used")
    loop: bool = Field(False, description="start a file again at its end")
    start_s: float = Field(0.0, ge=0, description="where in the file to start")
    stop_s: float | None = Field(
        None, gt=0, description="where in the file, or when on a live source, to stop"
    )
    realtime: bool = Field(False, description="play a file at its own speed, as if it were a camera")
    timeout_s: float = Field(3.0, gt=0, description="silence after which a live source counts as lost")
    size: tuple[Pixels, Pixels] | None = Field(
        None, description="width, height of a camera or rendered scene"
    )
    slots: int = Field(12, ge=3, le=256, description="frames that may be under way at once")
    classes: Classes | None = Field(None, description="only these classes; default: all of the model")
    filter: FilterConfig = FilterConfig()
    skip_static: StaticConfig = Field(
        StaticConfig(enabled=False),
        description="true, or settings: no inference while nothing moves",
        json_schema_extra=_or_a_switch,
    )
    camera: Literal["fixed", "moving"] = Field(
        "fixed",
        description="moving: pans, shakes or zooms; objects are followed over the scene, not the picture",
    )
    lines: dict[Name, LineConfig] = Field({})
    zones: dict[Name, ZoneConfig] = Field({})
    ground: GroundConfig | None = Field(
        None, description="with it, the speed of who crosses a line is measured"
    )

    @field_validator("skip_static", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        return {"enabled": value} if isinstance(value, bool) else value

    @field_validator("source")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; give a file, a folder, camera:N, synthetic:SEED or a URL")
        return value

    @model_validator(mode="after")
    def _times(self) -> StreamConfig:
        if self.stop_s is not None and self.stop_s <= self.start_s:
            raise ValueError(f"stop_s {self.stop_s} is not after start_s {self.start_s}")
        return self


class TrackerConfig(Part):
    """How instances become objects. In seconds and object sizes, so that it fits every stream."""

    engine: Literal["own", "norfair"] = Field("own", description="norfair: the same on Norfair, slower")
    hold_s: float = Field(0.7, gt=0, description="how long an unseen object is looked for")
    confirm_s: float = Field(0.35, ge=0, description="how long an object must be seen before it counts")
    join_s: float = Field(6.0, ge=0, description="gap over which fragments of one object are joined")
    smooth_s: float = Field(
        0.25, ge=0, description="boxes of track files are smoothed over about this; 0: not"
    )
    appearance: bool = Field(True, description="fragments are joined by what objects look like, too")
    workers: int = Field(1, ge=1, le=16, description="tracking processes; streams are shared out among them")


class VideoConfig(Part):
    """The annotated video of each stream."""

    codec: Literal["h264", "hevc", "none"] = Field("h264", description="none: count without video")
    preset: Preset = Field("veryfast", description="speed of the encoder, as x264 and x265 name it")
    crf: float = Field(23.0, ge=0, le=51, description="quality: smaller is better and larger")
    fps: float | None = Field(None, gt=0, description="default: as the source")
    size: tuple[Pixels, Pixels] | None = Field(None, description="width, height; default: as the source")
    threads: int | None = Field(None, ge=1)
    masks: bool = True
    trails: bool = True
    labels: bool = True


class LiveConfig(Part):
    """The annotated picture while a run goes on: `tallycam run --show`."""

    enabled: bool = False
    window: bool = Field(
        True, description="a window, where there is a display and an OpenCV that has windows"
    )
    host: str = Field(
        "127.0.0.1", description="of the page; 0.0.0.0 to be seen, by everyone, from other machines"
    )
    port: int = Field(
        0, ge=0, le=65000, description="of the first stream, one more for each other; 0: any free"
    )


class OutputConfig(Part):
    """Where results go, next to what `--out` holds."""

    video: VideoConfig = VideoConfig()
    live: LiveConfig = LiveConfig()
    events: str | None = Field(None, description="SQLAlchemy URL; default: events.db in the output folder")


class MetricsConfig(Part):
    """Prometheus endpoints: each process has its own port."""

    enabled: bool = True
    host: str = Field("127.0.0.1", description="0.0.0.0 to be scraped from other machines")
    port: int = Field(0, ge=0, le=65000, description="first port, one more for each process; 0: any free one")


class RestartConfig(Part):
    """When a process counts as lost, and how often it is started again."""

    heartbeat_s: float = Field(30.0, gt=0, description="silence after which a process is killed")
    starts: int = Field(5, ge=0, description="restarts of one process within `within_s`")
    within_s: float = Field(300.0, gt=0)


class Config(Part):
    """A whole configuration file."""

    model: ModelConfig = ModelConfig()
    streams: Annotated[dict[Name, StreamConfig], Field(min_length=1)]
    tracker: TrackerConfig = TrackerConfig()
    output: OutputConfig = OutputConfig()
    metrics: MetricsConfig = MetricsConfig()
    restarts: RestartConfig = RestartConfig()


def schema() -> dict[str, Any]:
    """The JSON schema, for editors."""
    return Config.model_json_schema()
