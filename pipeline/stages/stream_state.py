"""The state of one stream in `track`: sequence, log, counter, track rows, and the tracks that its sink may ask for.

There are no sockets here. The state is a pure function of the instances log and the configuration: after a crash the
log is replayed, and everything is as it was.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable

import msgspec

from pipeline.counting.counter import StreamCounter
from pipeline.counting.frame_result import TrackRow
from pipeline.records.event import CountEvent
from pipeline.records.heat import heat_path, write_heat
from pipeline.records.log import LogHeader, LogWriter, read_log
from pipeline.records.rows import Row, RowWriter, rows_path
from pipeline.stages.context import StageContext, now
from pipeline.transport.messages import EndOfStream, Instances, Tracks
from pipeline.transport.totals import StreamTotals

log = logging.getLogger(__name__)

KEPT_TRACKS = 512
"""`Tracks` kept for a sink that is restarted: more than any ring has slots."""


class Sequencer:
    """Puts frames back into sequence and leaves out those that come twice.

    Args:
        next_seq: First frame expected.
    """

    def __init__(self, next_seq: int) -> None:
        self.next_seq = next_seq
        self._early: dict[int, Instances] = {}

    def take(self, instances: Instances) -> list[Instances]:
        """Takes a frame in any order; duplicates are ignored.

        Args:
            instances: Of the frame.

        Returns:
            Frames that are now in sequence.
        """
        if instances.seq >= self.next_seq:
            self._early.setdefault(instances.seq, instances)
        ready: list[Instances] = []
        while (one := self._early.pop(self.next_seq, None)) is not None:
            ready.append(one)
            self.next_seq += 1
        return ready

    @property
    def waiting(self) -> int:
        """Frames that arrived ahead of sequence."""
        return len(self._early)


class StreamState:
    """Counts one stream. An existing log is replayed first.

    Args:
        context: Of the process.
        name: The stream.

    Raises:
        RecordError: The log is of another run, or damaged.
        OutputError: A file cannot be written.

    Attributes:
        tracks: The newest `KEPT_TRACKS`, oldest first.
        events: Events that are not written yet.
        skipped: Reason -> frames that the model did not see.
        last: The newest frame that is counted.
        ending: Where the stream ends, once that is known.
        finished: All frames are counted, and the last decisions are made.
    """

    def __init__(self, context: StageContext, name: str) -> None:
        self._context, self.name = context, name
        self._config = context.config.streams[name]
        self.path = context.out / "log" / f"{name}.log"
        self._log: LogWriter | None = None
        self._rows = (
            RowWriter(rows_path(context.tracks, name, len(context.config.streams)))
            if context.tracks
            else None
        )
        self._counter = StreamCounter(
            name, self._config, context.config.tracker, context.classes, rows=bool(context.tracks)
        )
        self.tracks: deque[Tracks] = deque(maxlen=KEPT_TRACKS)
        self.events: list[CountEvent] = []
        self.skipped: dict[str, int] = {}
        self.last: Instances | None = None
        self.ending: EndOfStream | None = None
        self.finished = False
        self._sequencer = Sequencer(0)
        if self.path.exists():
            self._replay()

    def _replay(self) -> None:
        began_s = now()
        _, records = read_log(self.path)
        for instances in records:
            self._count(instances)
        self._sequencer = Sequencer(self.next_seq)
        words = "counted %d frames of the log again in %.1f s"
        log.info(words, self.next_seq, now() - began_s, extra={"stream": self.name})

    @property
    def next_seq(self) -> int:
        """First frame that is not in the log."""
        return 0 if self.last is None else self.last.seq + 1

    @property
    def waiting(self) -> int:
        """Frames that wait for an earlier one."""
        return self._sequencer.waiting

    def totals(self) -> StreamTotals:
        """The counts so far."""
        return msgspec.structs.replace(
            self._counter.totals(), frames=self.next_seq, skipped=dict(self.skipped)
        )

    def take(self, instances: Instances) -> int:
        """Logs and counts the frames that are now in sequence.

        Args:
            instances: Of a frame, in any order.

        Returns:
            Number of frames counted.
        """
        ready = self._sequencer.take(instances)
        for one in ready:
            if self._log is None:
                header = LogHeader(
                    stream=self.name,
                    classes=self._context.classes,
                    width=one.width,
                    height=one.height,
                    run=self._context.run,
                )
                self._log = LogWriter(self.path, header)
            self._log.append(one)
            self._count(one)
        return len(ready)

    def end(self, end: EndOfStream) -> None:
        """Notes the end of the stream. Final decisions are made once all frames are counted.

        Args:
            end: From the decoder; repeated messages have no effect.
        """
        self.ending = end
        if self.finished or self.next_seq < end.frames:
            return
        self.finished = True
        words = "all %d frames counted" if end.complete else "stopped; %d frames counted"
        log.info(words, end.frames, extra={"stream": self.name})
        if end.complete:
            self.events += self._counter.finish()
        if self._rows is not None:
            self._add_rows(self._counter.last_rows())
            self._rows.finish(self._counter.final_ids())
        if self._log is not None:
            self._log.sync()
        self.write_heat()

    def write_heat(self) -> None:
        """Writes where objects have been so far, from which the heat map is drawn."""
        if heat := self._counter.heat():
            write_heat(heat_path(self._context.out, self.name), heat)

    def tracks_from(self, next_seq: int, most: int) -> list[Tracks]:
        """Messages for a sink that has requested them.

        Args:
            next_seq: First frame that it has not finished with.
            most: Largest number of messages.
        """
        if not self.tracks:
            return []
        first = max(0, next_seq - self.tracks[0].seq)
        return [self.tracks[i] for i in range(first, min(len(self.tracks), first + most))]

    def close(self) -> None:
        """Closes the files."""
        if self._log is not None:
            self._log.close()
        if self._rows is not None:
            self._rows.close()

    def _count(self, instances: Instances) -> None:
        step = self._counter.update(instances)
        self.tracks.append(step.tracks)
        self.events += step.events
        self.last = instances
        if instances.skipped:
            self.skipped[instances.skipped] = self.skipped.get(instances.skipped, 0) + 1
        self._add_rows(step.rows)

    def _add_rows(self, rows: Iterable[TrackRow]) -> None:
        if self._rows is not None:
            self._rows.add(Row(row.index, row.track, row.box_px, row.score) for row in rows)
