"""Every message between the processes: frozen structs; shape, dtype and unit beside the field.

`wire.py` turns them into bytes. A field of type `Array` travels as a raw buffer after the header; its
dtype and shape are checked against `ARRAYS` before an array is built. Letters in a shape are sizes that
must agree within one message.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import msgspec
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport.totals import StreamTotals

Array: TypeAlias = NDArray[Any]
Spec: TypeAlias = tuple[str, tuple[str | int, ...]]

APPEARANCE_SIZE = 24
"""Numbers that say what an object looks like; `models/appearance.py` says which."""

Camera: TypeAlias = tuple[int, float, float, float, float]
"""Where a camera that moves looks: (origin, a, b, x, y). A spot of the scene that is at (u, v) in this frame was at
(a u - b v + x, b u + a v + y) in the frame with the number `origin` in the source; pixels of the decoded frame.
Frames of one epoch with the same origin can be compared; another origin means that the view was lost between them."""

OK = ""
"""`Instances.skipped` of a frame that the model has seen."""
STATIC = "static"
"""The same of a frame in which nothing moves: it holds the instances of an earlier one, and is counted."""


class Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True, eq=False):
    """Base of all messages. `ARRAYS` maps an array field to (dtype, shape).

    Fields that are added later stand at the end and have a default: what was logged before they were there is read
    with it.
    """

    ARRAYS: ClassVar[dict[str, Spec]] = {}


class FrameRef(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """Location of one decoded frame. `(stream, epoch, seq)` identifies it uniquely."""

    stream: str
    epoch: int
    """Rises when the source reconnects or its clock jumps."""
    seq: int
    """Number of the frame among those handed on, without gaps over all epochs, from 0."""
    index: int
    """Number of the frame in the source, from 0: gaps where frames were skipped or dropped."""
    pts_s: float
    """Media time in seconds since the stream's first frame; never falls, also over epochs."""
    wall_s: float
    """Unix time at which the frame was decoded."""
    slot: int
    """Slot of the ring that holds the planes."""
    ring: str
    """Path that a process of this host maps to read the ring."""
    width: int
    """Pixels, as shown (rotation applied)."""
    height: int
    camera: Camera | None = None
    """None where the camera is not followed (`tracker.camera_motion`)."""


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
    """Why the model did not see this frame, or empty: `quarantined`; `static`: nothing moved, the instances are those
    of an earlier frame; `not_finite`: it did, but returned nothing except NaN or infinite values."""
    boxes_px: Array
    """(N, 4) float32: x0 y0 x1 y1 in pixels of the decoded frame."""
    scores: Array
    """(N,) float32, 0..1."""
    class_ids: Array
    """(N,) int16, index into the model's class names."""
    masks: Array
    """(N, 28, 28) uint8: mask probability 0..255, spread over the box."""
    appearances: Array | None = None
    """(N, 24) uint8: colours of the pixels inside the mask (`models/appearance.py`); all 0 where there were too few to
    tell. None: not looked at."""
    camera: Camera | None = None
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


class Tracks(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """The tracked objects of one frame and the counts so far: all that the sink draws."""

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
    """(N,) int64: identity of the object within the stream; only objects seen in this very frame."""
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
    """Lines crossed in this frame (drawn lit up for a moment)."""
    camera: Camera | None = None
    """As in `FrameRef`."""


class Ask(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """A worker asks a stream's decoder for work. One `Leases` answers it; asking again replaces it."""

    worker: str
    incarnation: int
    """Rises when the worker is started again: what its earlier life had leased is leased again."""
    frames: int
    """Largest number of frames to lease."""


class Leases(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """Frames for one worker, until `track` accepts them or the worker dies."""

    frames: tuple[FrameRef, ...]


class Hello(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """`track` and `sink` report their position to a decoder, at start and periodically afterwards."""

    stage: str
    stream: str
    incarnation: int
    next_seq: int
    """First frame that the sender has not finished with; -1: a sink that does not know."""
    last_index: int = -1
    """Number in the source of the frame before `next_seq`."""
    epoch: int = 0
    """Epoch of that frame."""
    pts_s: float = 0.0
    """Media time of that frame, seconds."""
    wall_s: float = 0.0
    """Unix time of that frame."""


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
    """Whether frames come at their own pace and are lost if nobody takes them."""


class Accepted(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """`track` has written all frames up to and including `seq` to the log: their leases end."""

    stream: str
    seq: int


class Released(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """`sink` needs the pixels of no frame up to and including `seq`: their slots are free."""

    stream: str
    seq: int


class Want(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """A sink asks for `Tracks` from `next_seq` on, at most `credit` of them."""

    stream: str
    incarnation: int
    next_seq: int
    credit: int


class EndOfStream(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """The stream has no frame `frames` or later. From a sink: and its output is closed."""

    stream: str
    frames: int
    complete: bool = True
    """False: a file was left before its end. No last decisions are made, so that the run can be resumed."""


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


class Beat(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """Heartbeat, sent from the stage's own loop."""

    process: str
    """Name in the supervisor's table, e.g. `decode/gate`, `segment/0`."""
    incarnation: int
    state: str
    """`starting`, `preparing`, `ready`, `slow`, `done` or `failed`."""
    report: Report
    error: str = ""
    """One line, where `state` is `failed`."""
    exit_code: int = 0
    """What the command is to return, where `state` is `failed`."""


class Stop(Message, frozen=True, kw_only=True, array_like=True, eq=False):
    """The supervisor asks a process to end in order: no new frames, finish what is under way."""

    drain: bool
    """True: finish what is under way first. False: end now."""


KINDS: tuple[type[Message], ...] = (
    FrameRef, Instances, Tracks, Ask, Leases, Hello, RingInfo, Accepted, Released, Want, EndOfStream,
    Beat, Stop,
)  # fmt: skip
"""The place in this table is the kind byte on the wire: append only."""
