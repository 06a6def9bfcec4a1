"""What a sink is: an object that takes frames with their tracks, or count events, or both.

A sink is constructed as `Class(settings, context)`. Frames come in the `sink` process of a stream, one after the other;
events come in a `track` process, for several streams. A class with both methods has an object in each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from pipeline.records.delivery_state import DeliveryState
from pipeline.records.event import CountEvent
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes


@dataclass(frozen=True, slots=True)
class SinkContext:
    """Where a sink works.

    Attributes:
        name: Its name in the configuration.
        stream: The stream whose frames it takes; empty for events, which name their stream.
        index: Number of the stream or tracking process.
        incarnation: How often the process was started before.
        out: Folder of the results.
        run: Identifier of the run.
        classes: Class names of the model; `FrameTracks.class_ids` index them.
        total: Number of streams or tracking processes in the run.
    """

    name: str
    stream: str
    index: int
    incarnation: int
    out: Path
    run: str
    classes: tuple[str, ...]
    total: int = 1


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a stream's frames before the first one.

    Attributes:
        width: Pixels.
        height: Pixels.
        fps: Nominal frames per second; 0 if unknown.
        sample_aspect: Width and height of a displayed pixel relative to each other.
        live: Whether frames come at their own pace; a sink that is slower misses some.
    """

    width: int
    height: int
    fps: float
    sample_aspect: tuple[int, int]
    live: bool


class EventRefusedError(Exception):
    """Raised by an event sink for an event that it will never take; it is put aside, and delivery goes on."""


class Closable(Protocol):
    """Something to be closed."""

    def close(self) -> None:
        """Nothing more comes: the stream has ended, or the run stops. What is buffered is to be written."""


@runtime_checkable
class FrameSink(Closable, Protocol):
    """Takes the frames of one stream.

    Attributes:
        annotated: Whether masks, trails and counts are to be drawn on the frames that it gets. May be left out: True.
    """

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Takes one frame.

        Args:
            planes: Its pixels; they are valid during the call only.
            tracks: The objects in it, and the counts so far.
        """


@runtime_checkable
class EventSink(Closable, Protocol):
    """Takes the count events of the streams of one tracking process."""

    def write_events(self, events: Sequence[CountEvent]) -> None:
        """Takes events, in the order in which they were counted.

        Events wait on the disk until this returns. Where it raises, or the process ends, the same events come again,
        with growing pauses: an event may come more than once. `CountEvent.key` together with the run names an event,
        and `CountEvent.change` says whether it is new, corrected or withdrawn.

        Args:
            events: New, corrected and withdrawn ones.

        Raises:
            EventRefusedError: It will never take one of them.
        """


class ManagedEventSink(EventSink, Protocol):
    """An event sink as `track` sees it: one of this package, or one of another behind a guard."""

    @property
    def state(self) -> DeliveryState:
        """Progress of delivery."""

    def sync(self) -> None:
        """Waits until events are on disk that were passed on and are not delivered.

        Raises:
            OutputError: They cannot be written.
        """

    def closed(self) -> bool:
        """Whether all that was buffered when `close` was called is written."""


class ManagedFrameSink(FrameSink, Protocol):
    """A frame sink as `sink` sees it: one of this package, or one of another behind a guard.

    Attributes:
        silence_every_s: How often it gets the last picture again, with `no signal` on it, while none comes; `inf`:
            once, 0: never.
    """

    annotated: bool
    silence_every_s: float

    def begin(self, video: VideoInfo) -> None:
        """Called before the first frame, and again before one of another size.

        Args:
            video: What is known of the frames.
        """

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether `write_frame` is to be called. Asked once a frame.

        Args:
            tracks: Of the frame that is due.
        """

    def ready(self) -> bool:
        """Whether a frame could be taken now; if not, it is offered again a moment later."""

    def closed(self) -> bool:
        """Whether all that was buffered when `close` was called is written."""
