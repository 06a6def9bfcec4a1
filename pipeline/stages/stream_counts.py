"""What is counted of one stream, and its state in checkpoints: objects, and for a stream without end the calendar."""

from __future__ import annotations

import msgspec

from pipeline.config.schema import Config
from pipeline.config.time_zone import zone_of
from pipeline.counting.calendar import Calendar
from pipeline.counting.counter import StreamCounter
from pipeline.counting.frame_result import FrameResult
from pipeline.records.checkpoint import Checkpoint, SectionKey, digest
from pipeline.records.state import StateError
from pipeline.stages.stream_log import Sections
from pipeline.transport.messages import Instances
from pipeline.transport.totals import StreamTotals

STREAM = "stream"
"""Section of a checkpoint with the numbers of skipped frames; no stream goes on without it."""
_STREAM_KEY = SectionKey(1, "")
_CALENDAR = "calendar"
_NOT_A_STATE = (StateError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a state raises that holds something else than it has to."""


class StreamCounts:
    """Counts the frames of one stream.

    Args:
        config: Of the run.
        name: The stream.
        classes: The model's class names.
        rows: Whether rows of a track file are wanted.
        recording: Whether the stream has an end; one without has counts by the calendar.

    Attributes:
        counter: Tracks and counts.
        skipped: Reason -> frames that the model did not see.
    """

    def __init__(
        self, config: Config, name: str, classes: tuple[str, ...], *, rows: bool, recording: bool
    ) -> None:
        self._config, self._name, self._classes = config, name, classes
        self._rows, self._recording = rows, recording
        self._zone = zone_of(config.time_zone)
        self._calendar_key = SectionKey(1, digest(str(self._zone)))
        self.skipped: dict[str, int] = {}
        self._begin_anew()

    def _begin_anew(self) -> None:
        stream, tracker = self._config.streams[self._name], self._config.tracker
        self.counter = StreamCounter(self._name, stream, tracker, self._classes, rows=self._rows)
        self._calendar = None if self._recording else Calendar(self._zone)

    def update(self, instances: Instances) -> FrameResult:
        """Counts the next frame.

        Args:
            instances: See `StreamCounter.update`.
        """
        if self._calendar is not None:
            self._calendar.advance(instances.wall_s, self.counter.summary)
        if instances.skipped:
            self.skipped[instances.skipped] = self.skipped.get(instances.skipped, 0) + 1
        return self.counter.update(instances)

    def totals(self, frames: int) -> StreamTotals:
        """The counts so far.

        Args:
            frames: Number of frames counted.
        """
        totals = self.counter.totals()
        if self._calendar is not None:
            summary = totals.summary | {"calendar": self._calendar.summary(totals.summary)}
            series = (*totals.series, self._calendar.series(totals.summary))
            totals = msgspec.structs.replace(totals, summary=summary, series=series)
        return msgspec.structs.replace(totals, frames=frames, skipped=dict(self.skipped))

    @property
    def required_sections(self) -> tuple[str, ...]:
        """Sections of a checkpoint without which nothing can be restored."""
        return tuple(self.section_keys()) if self._recording else (STREAM, *self.counter.required_sections)

    def section_keys(self) -> dict[str, SectionKey]:
        """See `StreamCounter.section_keys`."""
        own = {STREAM: _STREAM_KEY} | ({} if self._calendar is None else {_CALENDAR: self._calendar_key})
        return own | self.counter.section_keys()

    def sections(self) -> Sections:
        """See `StreamCounter.sections`."""
        own: Sections = {STREAM: (_STREAM_KEY, {"skipped": dict(self.skipped)})}
        if self._calendar is not None:
            calendar = self._calendar.state() | {"totals": self.counter.summary()}
            own = {**own, _CALENDAR: (self._calendar_key, calendar)}
        return {**own, **self.counter.sections()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from a checkpoint.

        Args:
            checkpoint: With the sections that are required.

        Raises:
            StateError: It holds something else than a state; all is as before the first frame.
        """
        rest = dict(checkpoint.states)
        own, calendar = rest.pop(STREAM), rest.pop(_CALENDAR, None)
        try:
            self.counter.restore(rest)
            if self._calendar is not None and calendar is not None:
                self._calendar.restore({key: value for key, value in calendar.items() if key != "totals"})
            self.skipped = dict(own["skipped"])
        except _NOT_A_STATE as error:
            self._begin_anew()
            raise StateError(str(error)) from None

    def carry_on(self, checkpoint: Checkpoint) -> bool:
        """Begins tracking anew and goes on with the counts of a checkpoint.

        Args:
            checkpoint: Of this stream, perhaps with another configuration.

        Returns:
            Whether it has counts to go on with; if not, nothing is changed.
        """
        if self._calendar is None or not checkpoint.states.keys() >= {STREAM, _CALENDAR}:
            return False
        calendar = dict(checkpoint.states[_CALENDAR])
        try:
            totals = calendar.pop("totals")
            skipped = dict(checkpoint.states[STREAM]["skipped"])
            self._calendar.restore(calendar)
            self._calendar.carry(totals)
        except _NOT_A_STATE:
            self._begin_anew()
            return False
        self.skipped = skipped
        return True
