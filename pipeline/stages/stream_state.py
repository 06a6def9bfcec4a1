"""The state of one stream in `track`: sequence, log, counter, track rows, and the tracks that its sink may ask for.

There are no sockets here. The state is a pure function of the instances log and the configuration. After a crash the
newest checkpoint is restored and the frames logged after it are counted again, and everything is as it was.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np

from pipeline.counting.frame_result import TrackRow, tracks_of
from pipeline.errors import OutputError
from pipeline.records.checkpoint import Checkpoint, Position
from pipeline.records.event import CountEvent
from pipeline.records.framing import RecordError
from pipeline.records.heat_file import heat_path, write_heat
from pipeline.records.log_check import usable_rows
from pipeline.records.recovery import Recovery
from pipeline.records.rows import Row, RowWriter, rows_path
from pipeline.stages.context import StageContext, now
from pipeline.stages.sequencer import Sequencer
from pipeline.stages.stream_counts import STREAM, StreamCounts
from pipeline.stages.stream_log import Sections, StreamLog
from pipeline.transport.messages import EndOfStream, FrameTracks, Instances
from pipeline.transport.totals import StreamTotals
from pipeline.video.sources.kinds import is_recording

log = logging.getLogger(__name__)

KEPT_TRACKS = 512
"""`FrameTracks` kept for a sink that is restarted: more than any ring has slots."""


class StreamState:
    """Counts one stream, from where the last process stopped.

    Args:
        context: Of the process.
        name: The stream.
        beat: Called while frames of the log are counted again, so that the process does not look stuck.
        write_events: Writes `events` to disk at once, and clears them.
        sync_events: Waits until the events written are on disk.

    Raises:
        RecordError: The log is of another run, or damaged, and the stream is a recording.
        OutputError: A file cannot be written.

    Attributes:
        tracks: The newest `KEPT_TRACKS`, oldest first.
        events: Events that are not written yet.
        last: The newest frame that is counted.
        ending: Where the stream ends, once that is known.
        finished: All frames are counted, and the last decisions are made.
    """

    def __init__(
        self,
        context: StageContext,
        name: str,
        beat: Callable[[], object] = lambda: None,
        write_events: Callable[[], None] = lambda: None,
        sync_events: Callable[[], None] = lambda: None,
    ) -> None:
        self._context, self.name = context, name
        self._config = context.config.streams[name]
        self._recording = is_recording(self._config)
        self._write_events = write_events
        self._log = StreamLog(
            context.out,
            name,
            context.classes,
            context.run,
            recording=self._recording,
            sync_events=sync_events,
        )
        self._rows = (
            RowWriter(rows_path(context.tracks, name, len(context.config.streams)))
            if context.tracks
            else None
        )
        self._counts = StreamCounts(
            context.config, name, context.classes, rows=self._rows is not None, recording=self._recording
        )
        self.tracks: deque[FrameTracks] = deque(maxlen=KEPT_TRACKS)
        self.events: list[CountEvent] = []
        self.last: Position | None = None
        self.ending: EndOfStream | None = None
        self.finished = False
        self._next_seq = 0
        self._recover(beat)
        self._sequencer = Sequencer(self.next_seq)

    @property
    def next_seq(self) -> int:
        """First frame that is not counted."""
        return self._next_seq

    @property
    def waiting(self) -> int:
        """Frames that wait for an earlier one."""
        return self._sequencer.waiting

    def totals(self) -> StreamTotals:
        """The counts so far."""
        return self._counts.totals(self.next_seq)

    def take(self, instances: Instances) -> int:
        """Logs and counts the frames that are now in sequence.

        Args:
            instances: Of a frame, in any order.

        Returns:
            Number of frames counted.
        """
        # as when the log is read: what is counted now is what is counted again
        if (good := usable_rows(instances, len(self._context.classes))) is not None:
            instances = instances.only(good)
        ready = self._sequencer.take(instances)
        for one in ready:
            self._log.append(one, self._flushed_sections, self.last)
            self._count(one)
        return len(ready)

    def keep(self) -> None:
        """Takes a checkpoint when one is due. Called regularly."""
        if self.last is not None and self._rows is None:
            self._log.keep(self._flushed_sections, self.last)

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
        self._keep_now()
        if end.complete:
            self.events += self._counts.counter.finish()
        if self._rows is not None:
            self._add_rows(self._counts.counter.last_rows())
            self._rows.finish(self._counts.counter.final_ids())
        self.write_heat()

    def write_heat(self) -> None:
        """Writes where objects have been so far, from which the heat map is drawn."""
        if heat := self._counts.counter.heat():
            try:
                write_heat(heat_path(self._context.out, self.name), heat)
            except OutputError as error:
                if self._recording:
                    raise
                log.warning("%s", error, extra={"stream": self.name})

    def tracks_from(self, next_seq: int, most: int) -> list[FrameTracks]:
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
        """Takes a last checkpoint, unless the stream has ended, and closes the files."""
        if not self.finished:
            self._keep_now()
        self._log.close()
        if self._rows is not None:
            self._rows.close()

    def _recover(self, beat: Callable[[], object]) -> None:
        """Restores the newest checkpoint, and counts the frames again that were logged after it."""
        began_s, extra = now(), {"stream": self.name}
        recovery = self._start()
        if recovery.checkpoint is not None:
            position = recovery.checkpoint.header.position
            self.last, self._next_seq = position, position.seq + 1
            for instances in self._log.before(self._next_seq, self._config.slots):
                self.tracks.append(
                    tracks_of(instances, [], np.zeros((0, 2)), {}, [])
                )  # in case they are asked for
        replayed = 0
        for instances in recovery.records:
            self._count(instances)
            replayed += 1
            beat()
        if recovery.checkpoint is None and not replayed:
            return
        assert self.last is not None
        words = "goes on after frame %d: %d frames of the log counted again in %.1f s"
        log.info(words, self.next_seq - 1, replayed, now() - began_s, extra=extra)

    def _start(self) -> Recovery:
        """Where to go on. Of a stream without end, at most one segment is counted again."""
        wanted, required = self._counts.section_keys(), self._counts.required_sections
        if self._rows is not None:  # the file of rows is written anew, from the first frame on
            return self._log.recover({}, (STREAM,), self._counts.restore)
        newest = None if self._recording else self._log.newest_checkpoint(wanted)
        is_of_other_tracker = newest is not None and not newest.states.keys() >= set(required)
        if is_of_other_tracker and self._carry_on(newest, "its configuration has changed"):
            return Recovery(None, iter(()), self._next_seq)
        recovery = self._log.recover(wanted, required, self._counts.restore)
        if recovery.checkpoint is not None or self._recording:
            return recovery
        if self._carry_on(newest, "its state cannot be restored"):
            return Recovery(None, iter(()), self._next_seq)
        try:
            first_seq, records = self._log.newest_segment()
        except RecordError:
            return recovery
        if first_seq:
            log.warning(
                "no checkpoint can be used; counts begin anew with frame %d, where the newest segment of the log "
                "begins; `tallycam recount` counts all of it",
                first_seq,
                extra={"stream": self.name},
            )
        return Recovery(None, records, first_seq)

    def _carry_on(self, checkpoint: Checkpoint | None, why: str) -> bool:
        """Begins tracking anew and goes on with the counts of a checkpoint; False where it has none to go on with."""
        if checkpoint is None or not self._counts.carry_on(checkpoint):
            return False
        last = self._log.last_logged() or checkpoint.header.position
        self.last, self._next_seq = last, last.seq + 1
        log.warning(
            "tracking begins anew with frame %d, since %s; counts since ever, today and in this hour go on",
            self._next_seq,
            why,
            extra={"stream": self.name},
        )
        return True

    def _flushed_sections(self) -> Sections:
        """The state, once the events that belong to it are written."""
        self._write_events()
        return {} if self._rows is not None else self._counts.sections()

    def _keep_now(self) -> None:
        if self.last is not None:
            self._log.keep(self._flushed_sections, self.last, at_once=True)

    def _count(self, instances: Instances) -> None:
        result = self._counts.update(instances)
        self.tracks.append(result.tracks)
        self.events += result.events
        self.last = Position.of(instances)
        self._next_seq = instances.seq + 1
        self._add_rows(result.rows)

    def _add_rows(self, rows: Iterable[TrackRow]) -> None:
        if self._rows is not None:
            self._rows.add(Row(row.index, row.track, row.box_px, row.score) for row in rows)
