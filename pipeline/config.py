"""The configuration: YAML in, frozen pydantic models out, one clear line for every mistake.

Coordinates are relative: 0..1 of the frame's width and height. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.points import apart, apart_from_itself, at_least, corners, seen_alike, with_area
from pipeline.redact import redact

Relative = Annotated[float, Field(ge=0.0, le=1.0)]
Pixels = Annotated[int, Field(ge=16, le=16384)]
Point = tuple[Relative, Relative]
Metres = tuple[float, float]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Classes = Annotated[tuple[str, ...], Field(min_length=1)]
Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
]  # fmt: skip


class Part(BaseModel):
    """Base of every part: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What is printed of a part never holds a password."""
        for name, value in super().__repr_args__():
            yield name, redact(value) if isinstance(value, str) else value


class MotionConfig(Part):
    """What `model: {name: motion}` takes for an object. Areas are parts of the frame's area."""

    min_area: float = Field(0.0008, gt=0.0, lt=1.0, description="smaller ones are noise, leaves, birds")
    max_area: float = Field(
        0.4, gt=0.0, le=1.0, description="larger ones are lamps, clouds, the camera itself"
    )
    contrast: float = Field(
        16.0, ge=2.0, le=100.0, description="squared distance from the background, in its variances"
    )
    shadows: bool = Field(
        True, description="leave out shadows: darker, but of the background's colour and texture"
    )
    split: bool = Field(True, description="one object for each person of a group, where the shape tells")
    learn_s: float = Field(2.0, ge=0.0, description="nothing is found while the background is learnt")
    absorb_s: float = Field(30.0, gt=0.0, description="what stands still so long becomes background")


class ZoneConfig(Part):
    """A polygon with occupancy, entries, exits and dwell time."""

    points: Annotated[
        tuple[Point, ...],
        Field(max_length=64, description="three or more, in order", json_schema_extra={"minItems": 3}),
        AfterValidator(at_least(3)),
        AfterValidator(apart),
        AfterValidator(with_area),
    ]
    classes: Classes | None = Field(None, description="only these classes; default: all")
    by: Literal["anchor", "mask"] = Field(
        "anchor", description="inside by one point, or by a part of the mask"
    )
    anchor: Literal["foot", "center"] = "foot"
    share: float = Field(0.5, gt=0.0, le=1.0, description="by: mask: how much of it must be inside")


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


class StaticConfig(Part):
    """When the model is spared a frame because nothing moves; what it found last then holds on."""

    enabled: bool = True
    threshold: float = Field(
        10.0, gt=0, le=255, description="change of brightness, of 255, that counts as one"
    )
    area: float = Field(
        0.0002, gt=0, lt=1, description="part of the frame that has to change before it counts as motion"
    )
    refresh_s: float = Field(2.0, gt=0, description="the model looks at least so often; media seconds")


class ModelConfig(Part):
    """Which model finds the objects. Without `path` or `name` it is the one that ships."""

    name: str | None = Field(None, description="a model by name: `street` is the one that ships")
    path: Path | None = Field(None, description="a model file: .onnx, .safetensors or .pth")
    classes: Classes | None = Field(None, description="class names where the file holds none")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N")
    score: float = Field(0.5, ge=0.0, le=1.0, description="instances below this score are not used")
    nms: float = Field(0.6, gt=0.0, le=1.0, description="box IoU above which the weaker of two is dropped")
    batch: int = Field(4, ge=1, le=64, description="frames in one run of the model, at most")
    max_wait_ms: float = Field(5.0, ge=0.0, description="how long to wait for a fuller batch")
    workers: int = Field(1, ge=1, le=16, description="how many segmentation processes")
    threads: int | None = Field(None, ge=1, description="CPU threads of the model; default: its choice")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of a Mask R-CNN; auto: bf16 where the device computes with it"
    )
    compile: bool = Field(False, description="compile a Mask R-CNN: a minute before the first frame")
    filter: FilterConfig = FilterConfig()
    motion: MotionConfig = MotionConfig()
    options: dict[str, Any] = Field({}, description="for a model of your own: whatever it understands")

    @model_validator(mode="after")
    def _one_of(self) -> ModelConfig:
        if self.name is not None and self.path is not None:
            raise ValueError("give name or path, not both; --set model.name=null takes the name away")
        return self


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
    lines: dict[Name, LineConfig] = {}
    zones: dict[Name, ZoneConfig] = {}
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
