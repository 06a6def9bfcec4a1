"""`tallycam recount`: counts an instances log again, with other lines, without running a model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.config.schema import Config, StreamConfig
from pipeline.config.time_zone import zone_of
from pipeline.counting.counter import StreamCounter
from pipeline.errors import ConfigError
from pipeline.models.filters import InstanceFilter
from pipeline.records.heat_file import view_path
from pipeline.records.log import read_range
from pipeline.runtime.heatmaps import write_heatmap
from pipeline.runtime.object_masks import mask_writer
from pipeline.runtime.preflight import check_classes
from pipeline.runtime.results import StreamView
from pipeline.runtime.time_span import time_span
from pipeline.transport.messages import Instances, Pace


def recount(
    log: Path,
    config: Config,
    heatmap: Path | None = None,
    *,
    masks: Path | None = None,
    begin: str | None = None,
    end: str | None = None,
) -> tuple[str, StreamView]:
    """Counts a log again, with the lines, zones, scores and filters of a configuration.

    Args:
        log: file or folder of the log.
        config: with one stream, or one of the log's name.
        heatmap: file for a heat map, if wanted.
        masks: `.json` file or folder for the masks of the objects, if wanted.
        begin: only frames from here on, as in `time_span`. What is in view then is seen for the first time.
        end: only frames before.

    Returns:
        Name of the stream, and its counts.

    Raises:
        ConfigError: the configuration has several streams, and none of the log's name; or `begin` or `end` is wrong,
            or there is no frame between them.
        ModelError: the configuration names a class that the log does not have.
        RecordError: `log` is not a log, or is damaged.
        OutputError: something cannot be written.
    """
    header = read_range(log)[0]
    name, stream = _stream_of(config, header.stream)
    span = time_span(begin, end, stream, zone_of(config.time_zone))
    _, records = read_range(log, span.start, span.stop, key=span.key)
    check_classes(header.classes, name, stream)
    counter = StreamCounter(
        header.stream, stream, config.tracker, header.classes, rows=False, pictures=heatmap is not None
    )
    keep = InstanceFilter(config.model, stream, header.classes)
    view = StreamView()
    for instances in records:
        counter.update(filtered(instances, keep))
        view.decoded += 1
        view.pace = Pace(pts_s=instances.pts_s)
    if not view.decoded and (begin or end):
        raise ConfigError(
            f"--from, --to: {log} has no frames between {begin or 'its beginning'} and {end or 'its end'}"
        )
    counter.finish()
    view.counts = msgspec.structs.replace(counter.totals(), frames=view.decoded)
    if masks is not None:
        _, records = read_range(log, span.start, span.stop, key=span.key)
        again = StreamCounter(header.stream, stream, config.tracker, header.classes, rows=False)
        with mask_writer(masks, header, counter.final_ids()) as add_masks:
            for instances in records:
                used = filtered(instances, keep)
                add_masks(used, again.update(used).tracks)
    if heatmap is not None:
        size = (header.width, header.height)
        view_file = log.with_name(view_path(log.parent, header.stream).name)
        write_heatmap(heatmap, header.stream, stream, counter.heat(), view_file, size)
    return header.stream, view


def filtered(instances: Instances, used: InstanceFilter) -> Instances:
    """Instances that pass a filter; a log also holds those that an earlier setting let through.

    Args:
        instances: of one frame.
        used: the filter.
    """
    keep = used.keep(instances, instances.width, instances.height)
    return instances if keep.all() else instances.only(keep)


def _stream_of(config: Config, name: str) -> tuple[str, StreamConfig]:
    if name in config.streams:
        return name, config.streams[name]
    if len(config.streams) == 1:
        return next(iter(config.streams.items()))
    raise ConfigError(
        f"streams: the log is of stream {name!r}, the configuration has {', '.join(config.streams)}"
    )
