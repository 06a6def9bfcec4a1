"""Every message between the processes: frozen structs, with shape, dtype and unit beside each field.

`wire.py` converts them to bytes. A field of type `Array` travels as a raw buffer behind the header; its dtype and shape
are checked against `ARRAYS` before an array is built. Letters in a shape are sizes that must agree within one message.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self, TypeAlias

import msgspec
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport.totals import StreamTotals

Array: TypeAlias = NDArray[Any]
Spec: TypeAlias = tuple[str, tuple[str | int, ...]]

APPEARANCE_SIZE = 24
"""Length of an appearance descriptor; `models/appearance.py` computes it."""

Camera: TypeAlias = tuple[int, float, float, float, float]
"""Pose of a moving camera as a similarity transform: (origin, a, b, x, y). A point of the scene at (u, v) in this frame
was at (a u - b v + x, b u + a v + y) in the frame with number `origin` in the source; pixels of the decoded frame.
Frames of one epoch with the same origin are comparable; the origin changes when the view was lost between them."""

OK = ""
"""`Instances.skipped` of a frame that went through the model."""
STATIC = "static"
"""`Instances.skipped` of a frame in which nothing moves: it repeats the instances of an earlier one, and is counted."""


class Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True, eq=False):
    """Base of all messages. `ARRAYS` maps an array field to (dtype, shape).

    New fields are appended and have a default, with which older logs are read.
    """

    ARRAYS: ClassVar[dict[str, Spec]] = {}


class FrameRef(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """Location of one decoded frame. `(stream, epoch, seq)` identifies it uniquely."""

    stream: str
    epoch: int
    """Rises when the source reconnects or its clock jumps."""
    seq: int
    """Sequence number from 0: consecutive over all epochs, for frames that are processed."""
    index: int
    """Number of the frame in the source, from 0; skipped and dropped frames leave gaps."""
    pts_s: float
    """Media time in seconds since the stream's first frame; never decreases, not even between epochs."""
    wall_s: float
    """Unix time at which the frame was decoded."""
    slot: int
    """Slot of the ring that holds the planes."""
    ring: str
    """Path that a process of this host maps to read the ring."""
    width: int
    """Pixels, as displayed (rotation applied)."""
    height: int
    camera: Camera | None = None
    """None for a fixed camera (`streams.NAME.camera`)."""
    alone: bool = False
    """The frame may have killed a worker: it goes through the model by itself."""
    condition: str = ""
    """What is wrong with the picture, e.g. `frozen` (`video/health/camera_health.py`); empty: nothing."""


class Instances(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """What the model found in one frame. Row i of every array is the same object."""

    ARRAYS: ClassVar[dict[str, Spec]] = {
        "boxes_px": ("float32", ("n", 4)),
        "scores": ("float32", ("n",)),
        "class_ids": ("int16", ("n",)),
        "masks": ("uint8", ("n", MASK_SIZE, MASK_SIZE)),
        "appearances": ("uint8", ("n", APPEARANCE_SIZE)),
    }

    stream: str
    epoch: int
    seq: int
    index: int
    pts_s: float
    wall_s: float
    width: int
    height: int
    skipped: str = OK
    """Why the frame has no detections of its own, or empty: `quarantined`; `static`: nothing moved, the instances are
    those of an earlier frame; `not_finite`: the model returned nothing except NaN or infinite values."""
    boxes_px: Array
    """(N, 4) float32: x0 y0 x1 y1 in pixels of the decoded frame."""
    scores: Array
    """(N,) float32, 0..1."""
    class_ids: Array
    """(N,) int16, index into the model's class names."""
    masks: Array
    """(N, 28, 28) uint8: mask probability 0..255, spread over the box."""
    appearances: Array | None = None
    """(N, 24) uint8: colour histograms of the pixels inside each mask (`models/appearance.py`); all 0 if there were too
    few. None: not computed."""
    camera: Camera | None = None
    """As in `FrameRef`."""
    condition: str = ""
    """As in `FrameRef`."""

    def only(self, rows: Array) -> Instances:
        """Selects instances.

        Args:
            rows: (K,) integer row indices, or an (N,) bool mask.

        Returns:
            A message with the selected rows of every array; arrays that are None stay None.
        """
        arrays = {name: getattr(self, name) for name in self.ARRAYS}
        some = {name: array[rows] for name, array in arrays.items() if array is not None}
        return msgspec.structs.replace(self, **some)


class FrameTracks(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """The tracked objects of one frame and the counts so far: everything that is drawn."""

    ARRAYS: ClassVar[dict[str, Spec]] = {
        "ids": ("int64", ("n",)),
        "boxes_px": ("float32", ("n", 4)),
        "scores": ("float32", ("n",)),
        "class_ids": ("int16", ("n",)),
        "masks": ("uint8", ("n", MASK_SIZE, MASK_SIZE)),
        "feet_px": ("float32", ("n", 2)),
    }

    stream: str
    epoch: int
    seq: int
    index: int
    pts_s: float
    wall_s: float
    ids: Array
    """(N,) int64: id of the object within the stream. Only objects detected in this frame are listed."""
    boxes_px: Array
    scores: Array
    class_ids: Array
    masks: Array
    feet_px: Array
    """(N, 2) float32: x y of the foot point (bottom centre of the mask), pixels."""
    lines: dict[str, dict[str, dict[str, int]]] = {}
    """Line -> class -> direction -> crossings so far."""
    zones: dict[str, dict[str, int]] = {}
    """Zone -> class -> objects inside now."""
    unique: dict[str, int] = {}
    """Class -> unique objects so far."""
    crossed: tuple[str, ...] = ()
    """Lines crossed in this frame; they are highlighted for a moment."""
    camera: Camera | None = None
    """As in `FrameRef`."""
    condition: str = ""
    """As in `FrameRef`; in the picture that a sink repeats while none comes, `no signal`."""
    condition_since_s: float = 0.0
    """Unix time since which the condition is told."""


class Ask(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """A worker requests frames from a stream's decoder. One `Leases` answers it; a further request replaces it."""

    worker: str
    incarnation: int
    """Rises when the worker is restarted: frames leased to the earlier incarnation are leased again."""
    frames: int
    """Largest number of frames to lease."""
    killers: tuple[int, ...] | None = None
    """Frames of this stream that the model of the earlier incarnation was working on when it died; None: not known."""


class Leases(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """Frames for one worker, until `track` accepts them or the worker dies."""

    frames: tuple[FrameRef, ...]


class Hello(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """`track` and `sink` report their position to a decoder, at start and periodically afterwards."""

    stage: str
    stream: str
    incarnation: int
    next_seq: int
    """First frame that the sender has not finished with; -1: a sink that has just started and does not know."""
    last_index: int = -1
    """Number in the source of the frame before `next_seq`."""
    epoch: int = 0
    """Epoch of that frame."""
    pts_s: float = 0.0
    """Media time of that frame, seconds."""
    wall_s: float = 0.0
    """Unix time of that frame."""

    def after(self, last: FrameTimed | None) -> Self:
        """The same, with the frame before `next_seq`.

        Args:
            last: That frame; None: there is none.
        """
        if last is None:
            return self
        place = {"last_index": last.index, "epoch": last.epoch, "pts_s": last.pts_s, "wall_s": last.wall_s}
        return msgspec.structs.replace(self, **place)


class FrameTimed(Protocol):
    """Whatever says which frame it belongs to, and when that was."""

    @property
    def index(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def pts_s(self) -> float: ...
    @property
    def wall_s(self) -> float: ...


class RingInfo(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """A decoder's answer to the `Hello` of a sink: where the pixels are, and what they are."""

    stream: str
    path: str
    """Path that a process of this host maps to read the ring."""
    first_seq: int
    """First frame that this incarnation of the decoder puts into the ring."""
    next_seq: int
    """First frame that the sink has not released."""
    width: int
    """Pixels."""
    height: int
    fps: float
    """Nominal frames per second, after frames were left out on purpose; 0 if unknown."""
    sample_aspect: tuple[int, int] = (1, 1)
    """Width and height of a displayed pixel relative to each other."""
    live: bool = False
    """Whether frames come at their own pace, and are lost if they are not taken in time."""
    silent_since_s: float = 0.0
    """Unix time since which no frame comes from the source; 0 while frames come."""
    end_seq: int = -1
    """First frame that is not in the ring yet."""
    incarnation: int = 0
    """Of the decoder. It may have another ring for frames of another size."""


class Accepted(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """`track` has written all frames up to and including `seq` to the log: their leases end."""

    stream: str
    seq: int


class Released(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """`sink` is done with the pixels of all frames up to and including `seq`: their slots are free."""

    stream: str
    seq: int


class Want(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """A sink requests `FrameTracks` from `next_seq` on, at most `credit` of them."""

    stream: str
    incarnation: int
    next_seq: int
    credit: int


class EndOfStream(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """The stream ends before frame `frames`. From a sink: and its output is closed."""

    stream: str
    frames: int
    complete: bool = True
    """False: the source was stopped before its end. Pending decisions are left open, so that the run can be resumed."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How the frames of one stream leave the pipeline."""

    frames: int = 0
    """Frames that have left it."""
    fps: float = 0.0
    """Frames a second of wall time."""
    p50_ms: float = 0.0
    """Median time from decoding a frame to the end of the pipeline."""
    p99_ms: float = 0.0
    """Its 99th percentile."""
    pts_s: float = 0.0
    """Media time of the last frame, seconds."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """State of a stage, sent with each heartbeat. Totals count from the start of the run as far as known."""

    frames_in: int = 0
    frames_out: int = 0
    dropped: dict[str, int] = {}
    """Reason -> frames."""
    values: dict[str, float] = {}
    """Stage-specific numbers, e.g. `duration_s`, `p50_ms`."""
    texts: dict[str, str] = {}
    """Stage-specific texts, e.g. `device`."""
    streams: dict[str, StreamTotals] = {}
    """Stream -> what was counted in it, from `track`."""
    paces: dict[str, Pace] = {}
    """Stream -> how its frames leave the pipeline: from `sink`, or from `track` where the stream has none."""


class Beat(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """Heartbeat, sent from the stage's own loop."""

    process: str
    """Name in the supervisor's table, e.g. `decode/gate`, `segment/0`."""
    incarnation: int
    state: str
    """`starting`, `preparing`, `ready`, `slow`, `done` or `failed`."""
    report: Report
    error: str = ""
    """One line, if `state` is `failed`."""
    exit_code: int = 0
    """Exit code for the command, if `state` is `failed` because of something that the user can fix."""


class Stop(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """The supervisor asks a process to end in order."""

    drain: bool
    """True: start nothing new and finish the frames in flight. False: end now."""


class Reload(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """The supervisor asks a process that serves several streams to read which streams those are now. It is repeated
    until a heartbeat says that this was done."""

    revision: int
    """Of the specification of the run; rises by one with each change."""


KINDS: tuple[type[Message], ...] = (
    FrameRef, Instances, FrameTracks, Ask, Leases, Hello, RingInfo, Accepted, Released, Want, EndOfStream,
    Beat, Stop, Reload,
)  # fmt: skip
"""The position in this table is the kind byte on the wire: append only."""
