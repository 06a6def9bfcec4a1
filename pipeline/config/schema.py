"""The configuration models.

Coordinates are fractions of the frame's width and height, 0..1. Durations are in seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipeline.config.fields import ConfigModel, Name, Pixels, Point
from pipeline.config.model import ModelConfig, MotionConfig, StaticConfig
from pipeline.config.regions import FilterConfig, GroundConfig, LineConfig, ZoneConfig
from pipeline.config.retention import RetentionConfig
from pipeline.config.stream import RuleConfig, StreamConfig, StreamSettings
from pipeline.config.time_zone import zone_of
from pipeline.redact import learn

__all__ = [
    "Config",
    "ConfigModel",
    "FilterConfig",
    "GroundConfig",
    "LineConfig",
    "LiveConfig",
    "MetricsConfig",
    "ModelConfig",
    "MotionConfig",
    "OutputConfig",
    "Point",
    "RestartConfig",
    "RetentionConfig",
    "RuleConfig",
    "SinkConfig",
    "StaticConfig",
    "StreamConfig",
    "StreamSettings",
    "TrackerConfig",
    "VideoConfig",
    "ZoneConfig",
    "schema",
]  # fmt: skip

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
]  # fmt: skip


class SinkConfig(ConfigModel):
    """A sink that is not built in; all other keys are its settings, which the sink checks itself."""

    model_config = ConfigDict(extra="allow")

    use: str | None = Field(
        None, description="an installed sink, or package.module:Class; default: the sink's name here"
    )


class TrackerConfig(ConfigModel):
    """How detections are linked to objects. In seconds and object sizes, so that it fits every stream."""

    engine: Literal["own", "norfair"] = Field(
        "own", description="norfair: the same on top of Norfair, slower"
    )
    hold_s: float = Field(0.7, gt=0, description="seconds for which a lost track is kept")
    confirm_s: float = Field(
        0.25, ge=0, description="seconds for which an object must be seen before it is counted"
    )
    join_s: float = Field(
        6.0, ge=0, description="longest gap over which track fragments of one object are stitched, in seconds"
    )
    smooth_s: float = Field(
        0.25,
        ge=0,
        description="time constant over which boxes of track files are smoothed, in seconds; 0: off",
    )
    appearance: bool = Field(True, description="use appearance as well as position for stitching")
    workers: int = Field(
        1, ge=1, le=16, description="number of tracking processes; the streams are distributed over them"
    )


class EventClipsConfig(ConfigModel):
    """How much of the video is kept around each event."""

    before_s: float = Field(5.0, ge=0, le=300, description="seconds before an event")
    after_s: float = Field(10.0, ge=0, le=3600, description="seconds after it")


class VideoConfig(ConfigModel):
    """The annotated video of each stream."""

    codec: Literal["h264", "hevc", "none"] = Field("h264", description="none: write no video")
    preset: Preset = Field("veryfast", description="speed of the encoder, as named by x264 and x265")
    crf: float = Field(
        23.0, ge=0, le=51, description="quality; a smaller value gives a better and larger video"
    )
    fps: float | None = Field(None, gt=0, description="frames per second; default: as the source")
    size: tuple[Pixels, Pixels] | None = Field(
        None, description="width, height in pixels; default: as the source"
    )
    threads: int | None = Field(None, ge=1)
    file_s: float | None = Field(
        3600.0,
        ge=10,
        description="longest video file of a camera, in seconds: a new one begins with each full hour (UTC), and when "
        "the camera comes back; null: one file from start to stop",
    )
    around_events: EventClipsConfig | None = Field(
        None,
        description="keep the video only around what is counted, in clips; {} for 5 s before and 10 s after",
    )
    masks: bool = True
    trails: bool = True
    labels: bool = True


class LiveConfig(ConfigModel):
    """The live view: `tallycam run --show`."""

    enabled: bool = False
    window: bool = Field(
        True, description="use a window if there is a display and an OpenCV built with windows, else a page"
    )
    host: str = Field(
        "127.0.0.1", description="address of the page; 0.0.0.0 makes it visible to everyone on the network"
    )
    port: int = Field(
        0, ge=0, le=65000, description="port of the first stream, the next ones follow; 0: any free port"
    )


class OutputConfig(ConfigModel):
    """What is written besides the files in the output folder."""

    video: VideoConfig = VideoConfig()
    live: LiveConfig = LiveConfig()
    cutouts: bool = Field(
        False, description="cut the best view of each object out of the video: cutouts/STREAM/ID-CLASS.png"
    )
    events: str | None = Field(
        None, description="SQLAlchemy URL of the event database; default: events.db in the output folder"
    )
    sinks: dict[Name, SinkConfig] = Field(
        {}, description="further sinks for frames and events; docs/sinks.md"
    )
    group: str | int | None = Field(
        None, description="name or number of a group that may read the results; default: their owner alone"
    )

    @field_validator("sinks", mode="before")
    @classmethod
    def _without_settings(cls, value: object) -> object:
        """`webhook:` alone means its defaults."""
        if not isinstance(value, dict):
            return value
        return {name: {} if settings is None else settings for name, settings in value.items()}


class MetricsConfig(ConfigModel):
    """Prometheus endpoints; each process has its own port."""

    enabled: bool = True
    host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 makes it reachable from other machines"
    )
    port: int = Field(
        0, ge=0, le=65000, description="port of the first process, the next ones follow; 0: any free port"
    )


class RestartConfig(ConfigModel):
    """When a process is considered dead, and how often it is restarted."""

    heartbeat_s: float = Field(
        3.0,
        gt=0,
        description="seconds without a heartbeat after which a process is killed; those in which others had the "
        "processors do not count",
    )
    starts: int = Field(5, ge=0, description="restarts allowed for one process within `within_s`")
    within_s: float = Field(300.0, gt=0, description="period of the restart budget, in seconds")


class Config(ConfigModel):
    """A whole configuration file."""

    model: ModelConfig = ModelConfig()
    defaults: StreamSettings = Field(
        StreamSettings(),
        exclude=True,  # the streams of a loaded configuration have taken what they inherit
        description="settings that every stream has which does not give its own; docs/cameras.md",
    )
    streams: Annotated[dict[Name, StreamConfig], Field(min_length=1)]
    tracker: TrackerConfig = TrackerConfig()
    output: OutputConfig = OutputConfig()
    metrics: MetricsConfig = MetricsConfig()
    restarts: RestartConfig = RestartConfig()
    retention: RetentionConfig = RetentionConfig()
    time_zone: str | None = Field(
        None,
        description="time zone of the site, such as Europe/Berlin: days and hours begin by it; default: the machine's",
    )

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, name: str | None) -> str | None:
        zone_of(name)
        return name

    @model_validator(mode="after")
    def _learn_passwords(self) -> Config:
        """Whatever process holds a configuration hides its passwords, wherever they turn up."""
        learn(*(stream.source for stream in self.streams.values()), self.output.events or "")
        return self


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration, for editors."""
    return Config.model_json_schema()
