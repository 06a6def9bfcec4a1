"""Tracks from a file of detections, without a video: the tracking and counting of a run, fed with boxes alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.evaluation.detection_file import DetectionSequence, as_instances, read_detections
from pipeline.records.rows import Row, RowWriter, check_rows

CLASS = "object"


@dataclass(frozen=True, slots=True)
class TrackingResult:
    """What was tracked in a file of detections.

    Attributes:
        frames: number of frames up to the last detection.
        objects: unique objects.
        uncertainty: by how many `objects` may be off.
        sequence: the detections.
    """

    frames: int
    objects: int
    uncertainty: int
    sequence: DetectionSequence


def track_file(
    detections: Path,
    tracks: Path,
    tracker: TrackerConfig,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
) -> TrackingResult:
    """Track the boxes of `detections` and write `tracks`, sorted by frame; both are MOTChallenge files.

    Args:
        detections: the file to read.
        tracks: the file to write.
        tracker: settings of the tracker.
        fps: frame rate; default: see `read_detections`.
        size: width and height of the frames; default: see `read_detections`.

    Raises:
        EvaluationError: the detections cannot be read.
        OutputError: the tracks cannot be written.
    """
    check_rows(tracks)
    sequence = read_detections(detections, fps, size)
    counter = StreamCounter("tracks", StreamConfig(source=str(detections)), tracker, (CLASS,))
    rows = []
    frames = 0
    for instances in as_instances(sequence):
        rows += counter.update(instances).rows
        frames += 1
    counter.finish()
    rows += counter.last_rows()
    final = counter.final_ids()
    writer = RowWriter(tracks)
    rows.sort(key=lambda row: (row.index, final[row.track]))
    writer.add(Row(row.index, final[row.track], row.box_px, row.score) for row in rows)
    writer.finish({})
    counts = counter.totals().summary
    return TrackingResult(frames, counts["unique"].get(CLASS, 0), counts["uncertain"].get(CLASS, 0), sequence)
