"""What one stage observes of one stream, or of one sink of another package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from prometheus_client import Counter, Gauge

from pipeline.metrics.families import StageFamilies


class StreamMetrics:
    """Metrics of one stream in one stage. Every method is cheap enough to be called for each frame.

    Args:
        families: of the process.
        stage, stream: values of the labels.

    Attributes:
        processing: takes the seconds that this stage worked on a frame.
        end_to_end: takes the seconds since a frame was decoded.
    """

    def __init__(self, families: StageFamilies, stage: str, stream: str) -> None:
        labels = (stage, stream)
        self._families = families
        self._labels = labels
        self._dropped: dict[str, Counter] = {}
        self._frames_in = families.frames_in.labels(*labels)
        self._frames_out = families.frames_out.labels(*labels)
        self.processing: Callable[[float], None] = families.processing.labels(*labels).observe
        self.end_to_end: Callable[[float], None] = families.end_to_end.labels(*labels).observe

    def frames_in(self, frames: int = 1) -> None:
        """Counts frames that the stage received.

        Args:
            frames: How many.
        """
        self._frames_in.inc(frames)

    def frames_out(self, frames: int = 1) -> None:
        """Counts frames that the stage handed on.

        Args:
            frames: How many.
        """
        self._frames_out.inc(frames)

    def dropped(self, reason: str, frames: int = 1) -> None:
        """Counts dropped frames.

        Args:
            reason: Why; a label.
            frames: How many.
        """
        counter = self._dropped.get(reason)
        if counter is None:
            counter = self._dropped[reason] = self._families.dropped.labels(*self._labels, reason)
        counter.inc(frames)

    def static(self, frames: int = 1) -> None:
        """Counts frames without motion, which needed no inference; they are in `frames_out` as well.

        Args:
            frames: How many.
        """
        self._static.inc(frames)

    def rows_not_finite(self, rows: int) -> None:
        """Counts rows of the model's output (anchors, queries, boxes) left out because they contain NaN or infinity.

        Args:
            rows: How many.
        """
        self._rows_not_finite.inc(rows)

    def slots(self, used: int, total: int) -> None:
        """Sets the occupancy of the stream's frame ring.

        Args:
            used: Slots in use.
            total: All slots.
        """
        self._slots_used.set(used)
        self._slots.set(total)

    def queue(self, frames: int) -> None:
        """Sets the number of frames that wait for this stage.

        Args:
            frames: How many.
        """
        self._queue.set(frames)

    def credits(self, frames: int) -> None:
        """Sets the number of frames that this stage may still send, or has requested.

        Args:
            frames: How many.
        """
        self._credits.set(frames)

    # Created at first use, so that a stage exports only what it has.

    @cached_property
    def _static(self) -> Counter:
        return self._families.static.labels(*self._labels)

    @cached_property
    def _rows_not_finite(self) -> Counter:
        return self._families.rows_not_finite.labels(*self._labels)

    @cached_property
    def _slots_used(self) -> Gauge:
        return self._families.slots_used.labels(*self._labels)

    @cached_property
    def _slots(self) -> Gauge:
        return self._families.slots.labels(*self._labels)

    @cached_property
    def _queue(self) -> Gauge:
        return self._families.queue.labels(*self._labels)

    @cached_property
    def _credits(self) -> Gauge:
        return self._families.credits.labels(*self._labels)


class SinkMetrics:
    """What goes wrong with one sink of another package."""

    def __init__(self, families: StageFamilies, stage: str, name: str) -> None:
        self._errors = families.sink_errors.labels(stage, name)
        self._lost = families.sink_lost.labels(stage, name)

    def failed(self) -> None:
        """A call has failed."""
        self._errors.inc()

    def lost(self, number: int) -> None:
        """Counts frames or events that did not reach the sink.

        Args:
            number: How many.
        """
        self._lost.inc(number)
