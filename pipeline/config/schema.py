"""The configuration models.

Coordinates are fractions of the frame's width and height, 0..1. Durations are in seconds.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipeline.config.fields import ClassNames, ConfigModel, Name, Pixels, Point
from pipeline.config.model import ModelConfig, MotionConfig, StaticConfig
from pipeline.config.regions import FilterConfig, GroundConfig, LineConfig, ZoneConfig
from pipeline.config.retention import RetentionConfig
from pipeline.config.start import check_start
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
    "TrackerConfig",
    "VideoConfig",
    "ZoneConfig",
    "schema",
]  # fmt: skip

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
]  # fmt: skip


def _or_a_switch(schema: dict[str, Any]) -> None:
    """Let editors accept true and false too."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"type": "boolean"}]


class RuleConfig(ConfigModel):
    """A counting rule that is not built in; all other keys are its settings, which the rule checks itself."""

    model_config = ConfigDict(extra="allow")

    use: str | None = Field(
        None, description="an installed rule, or package.module:Class; default: the rule's name here"
    )


class SinkConfig(ConfigModel):
    """A sink that is not built in; all other keys are its settings, which the sink checks itself."""

    model_config = ConfigDict(extra="allow")

    use: str | None = Field(
        None, description="an installed sink, or package.module:Class; default: the sink's name here"
    )


class StreamConfig(ConfigModel):
    """One source, and what is counted in it."""

    source: str = Field(
        description="a video file, a folder of videos or images, camera:N, synthetic:SEED or a URL"
    )
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
