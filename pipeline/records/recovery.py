"""Recovery of a stream after a restart: the newest usable checkpoint, and the frames logged after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.records.checkpoint import Checkpoint, CheckpointError, SectionKey, read_checkpoint
from pipeline.records.framing import RecordError
from pipeline.records.log_file import LogFile, OnDamage
from pipeline.records.segments import LogSegment, read_range, segments
from pipeline.records.state import StateError
from pipeline.transport.messages import Instances


@dataclass(frozen=True, slots=True)
class Recovery:
    """Starting point of a stream.

    Attributes:
        checkpoint: the initial state; None: no checkpoint is usable, and the whole log is replayed.
        records: the frames after it, to be replayed; damaged ones are skipped.
        first_seq: sequence number of the first of these frames, if the log has no gap before it.
        origin: where the checkpoint is from.
    """

    checkpoint: Checkpoint | None
    records: Iterator[Instances]
    first_seq: int
    origin: str = ""


def recover(
    log: Path,
    latest: Path,
    stream: str,
    wanted: Mapping[str, SectionKey],
    required: Sequence[str],
    on_notice: OnDamage,
    restore: Callable[[Checkpoint], None] = lambda checkpoint: None,
) -> Recovery:
    """Finds the state of a stream. Unusable checkpoints and records are skipped, each reported in one line.

    Checkpoints are tried from the newest to the oldest: the file that is written every few seconds, then those at the
    beginning of the segments. So a damaged one costs the replay of one more segment, not of the whole log.

    Args:
        log: folder of the stream's segments, or a log of one file; it need not exist.
        latest: the file with the newest checkpoint; it need not exist.
        stream: name of the stream.
        wanted: section -> what has to agree for it to be used.
        required: sections that a checkpoint must have to be usable.
        on_notice: called with one line for each loss.
        restore: takes the states of a checkpoint; raises `StateError` where it cannot, and the one before is tried.
    """
    found = _segments(log, on_notice)
    oldest: Checkpoint | None = None
    for source, origin in _candidates(found, latest):
        try:
            checkpoint = read_checkpoint(source, stream, wanted, origin)
        except CheckpointError as error:
            on_notice(f"{error}; going back to an earlier one")
            continue
        missing = [name for name in required if name not in checkpoint.states]
        if missing:
            on_notice(
                f"{origin}: {missing[0]} {checkpoint.unusable[missing[0]]}; going back to an earlier one"
            )
            oldest = checkpoint
            continue
        try:
            restore(checkpoint)
        except StateError as error:
            on_notice(f"{origin}: cannot be restored ({error}); going back to an earlier one")
            oldest = checkpoint
            continue
        first_seq = checkpoint.header.position.seq + 1
        if found and first_seq < found[0].header.first_seq:
            on_notice(f"{origin}: the log begins later, with frame {found[0].header.first_seq}")
        return Recovery(checkpoint, _after(log, found, first_seq, on_notice), first_seq, origin)
    first_seq = found[0].header.first_seq if found else 0
    if oldest is not None or first_seq:
        on_notice(f"{log}: no checkpoint can be used; counting again from frame {first_seq}")
    return Recovery(None, _after(log, found, first_seq, on_notice), first_seq)


def _segments(log: Path, on_notice: OnDamage) -> list[LogSegment]:
    try:
        return segments(log, on_notice)
    except RecordError as error:
        if log.is_dir() and any(log.glob("*.log")):
            on_notice(str(error))
        return []


def _candidates(found: Sequence[LogSegment], latest: Path) -> Iterator[tuple[Path | bytes, str]]:
    if latest.exists():
        yield latest, str(latest)
    for segment in reversed(found):
        if segment.header.has_checkpoint:
            try:
                with LogFile(segment.path) as file:
                    data = file.checkpoint
            except RecordError:
                continue
            yield data or b"", f"{segment.path}"


def _after(
    log: Path, found: Sequence[LogSegment], first_seq: int, on_notice: OnDamage
) -> Iterator[Instances]:
    if not found:
        return iter(())
    return read_range(log, first_seq, key="seq", on_damage=on_notice)[1]
