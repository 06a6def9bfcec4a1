"""The instances log of one stream with its checkpoints: written by `track`, and read when it starts.

A stream that has no end goes on counting while the disk takes no log; a recording does not, since its counts are to be
the same whatever happens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.records.checkpoint import (
    Checkpoint,
    CheckpointError,
    Position,
    SectionKey,
    encode_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from pipeline.records.framing import RecordError
from pipeline.records.log_header import LogHeader
from pipeline.records.recovery import Recovery, recover
from pipeline.records.segmented_log import SegmentedLog, SegmentLimits
from pipeline.records.segments import read_range, segments
from pipeline.records.state import State
from pipeline.stages.context import now
from pipeline.transport.messages import Instances

log = logging.getLogger(__name__)

CHECKPOINT_S = 10.0
"""Interval between checkpoints. The one on disk is one to two intervals old, so that a process that starts counts the
frames again that its sink may still ask for."""
LIMITS = SegmentLimits()
LATEST = "latest.checkpoint"
RETRY_S = 5.0
"""How long the log of a live stream is left alone after it could not be written."""

Sections = Mapping[str, tuple[SectionKey, State]]


class StreamLog:
    """Appends to the log of one stream, and keeps its newest checkpoint.

    Args:
        out: Folder of the run.
        stream: Name of the stream.
        classes: Class names of the model.
        run: Identity of the run.
        recording: Whether counting has to stop where the log cannot be written.
        sync_events: Waits until the events so far are on disk; called from a thread, before a checkpoint is.
        limits: Size of a segment.
        clock: Monotonic seconds.

    Attributes:
        failing: Why the log cannot be written at the moment; empty where it can.
        lost: Frames that are counted, and not in the log.
    """

    def __init__(
        self,
        out: Path,
        stream: str,
        classes: tuple[str, ...],
        run: str,
        *,
        recording: bool,
        sync_events: Callable[[], None] = lambda: None,
        limits: SegmentLimits = LIMITS,
        clock: Callable[[], float] = now,
    ) -> None:
        self.folder = out / "log" / stream
        self._stream, self._classes, self._run = stream, classes, run
        self._recording, self._sync_events, self._limits, self._clock = recording, sync_events, limits, clock
        self._log: SegmentedLog | None = None
        self._kept: bytes | None = None
        """The checkpoint that is to be written next."""
        self._kept_s = clock()
        self._writing: threading.Thread | None = None
        self._failed_s = 0.0
        self.failing = ""
        self.lost = 0

    def recover(
        self,
        wanted: Mapping[str, SectionKey],
        required: Sequence[str],
        restore: Callable[[Checkpoint], None],
    ) -> Recovery:
        """Where to go on; each loss is logged.

        Args:
            wanted: Section of the state -> what has to agree for it to be used.
            required: Sections without which a checkpoint is of no use.
            restore: As in `recovery.recover`.
        """
        return recover(self.folder, self.folder / LATEST, self._stream, wanted, required, self._warn, restore)

    def before(self, seq: int, most: int) -> Iterator[Instances]:
        """The last frames before a frame, as far as they are in the log.

        Args:
            seq: First frame left out.
            most: Largest number of frames.
        """
        try:
            yield from read_range(
                self.folder, max(0, seq - most), seq, key="seq", on_damage=lambda line: None
            )[1]
        except RecordError:
            return

    def newest_checkpoint(self, wanted: Mapping[str, SectionKey]) -> Checkpoint | None:
        """The newest checkpoint, for some of its sections; None where it cannot be used.

        Args:
            wanted: Section -> what has to agree for it to be used.
        """
        try:
            return read_checkpoint(self.folder / LATEST, self._stream, wanted)
        except CheckpointError:
            return None

    def last_logged(self) -> Position | None:
        """The last frame in the log."""
        try:
            *_, last = read_range(
                self.folder, segments(self.folder, lambda line: None)[-1].header.first_seq, key="seq",
                on_damage=lambda line: None,
            )[1]  # fmt: skip
        except (RecordError, ValueError):
            return None
        return Position.of(last)

    def newest_segment(self) -> tuple[int, Iterator[Instances]]:
        """First frame of the newest segment, and the frames of it.

        Raises:
            RecordError: There is no segment that can be read.
        """
        last = segments(self.folder, on_damage=self._warn)[-1].header
        return last.first_seq, read_range(self.folder, last.first_seq, key="seq", on_damage=self._warn)[1]

    def append(self, instances: Instances, state: Callable[[], Sections], position: Position | None) -> None:
        """Writes one frame, before it is counted.

        Args:
            instances: Frames come in sequence.
            state: Gives the state before this frame, where a segment begins with it.
            position: Of the frame before; None for the first one.

        Raises:
            OutputError: It cannot be written, and the stream is a recording.
        """
        if self.failing and self._clock() - self._failed_s < RETRY_S:
            self.lost += 1
            return
        try:
            if self._log is None:
                self._log = self._open(instances)
            self._log.append(instances, lambda: self._encode(state, position))
        except OutputError as error:
            if self._recording:
                raise
            self._failed(error)
        else:
            if self.failing:
                log.info(
                    "the instances log is written again; %d frames are missing in it",
                    self.lost,
                    extra=self._of,
                )
                self.failing = ""

    def keep(self, state: Callable[[], Sections], position: Position, *, at_once: bool = False) -> None:
        """Takes a checkpoint every `CHECKPOINT_S`, and writes the one before it from a thread.

        Args:
            state: Gives the state after the frame `position`.
            position: The last frame counted.
            at_once: Write this one now, and wait: nothing more comes.
        """
        if at_once:
            if self._writing is not None:
                self._writing.join()
            if (data := self._encode(state, position)) is not None:
                self._write(data)
            return
        if self._clock() - self._kept_s < CHECKPOINT_S or (self._writing and self._writing.is_alive()):
            return
        self._kept_s = self._clock()
        due, self._kept = self._kept, self._encode(state, position)
        if due is not None:
            self._writing = threading.Thread(target=self._write, args=(due,), daemon=True)
            self._writing.start()

    def close(self) -> None:
        """Waits until everything is on disk, and closes the files."""
        if self._writing is not None:
            self._writing.join()
        if self._log is not None:
            self._log.close()
            self._log = None

    @property
    def _of(self) -> dict[str, str]:
        return {"stream": self._stream}

    def _open(self, first: Instances) -> SegmentedLog:
        header = LogHeader(
            stream=self._stream,
            classes=self._classes,
            width=first.width,
            height=first.height,
            run=self._run,
        )
        return SegmentedLog(self.folder, header, first.seq, self._limits)

    def _encode(self, state: Callable[[], Sections], position: Position | None) -> bytes | None:
        if position is None or not (sections := state()):
            return None
        return encode_checkpoint(self._stream, self._run, position, sections)

    def _write(self, data: bytes) -> None:
        """Writes a checkpoint after all that it includes: after a power cut it may be older than events and log."""
        try:
            self._sync_events()
            self.folder.mkdir(parents=True, exist_ok=True)
            write_checkpoint(self.folder / LATEST, data)
        except OSError as error:  # as the log, the next time
            log.warning("the checkpoint cannot be written: %s", error, extra=self._of)
        except OutputError as error:
            log.warning("%s", error, extra=self._of)

    def _failed(self, error: OutputError) -> None:
        self.lost += 1
        self._failed_s = self._clock()
        if not self.failing:
            log.error("%s; counting goes on without the log", error, extra=self._of)
        self.failing = str(error)
        if self._log is not None:  # the next frame begins a segment, with a checkpoint that includes this one
            self._log.close()
            self._log = None

    def _warn(self, line: str) -> None:
        log.warning("%s", line, extra=self._of)
