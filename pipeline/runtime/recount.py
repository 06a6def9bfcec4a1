"""`tallycam recount`: counts an instances log again, with other lines, without running a model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.config.schema import Config, StreamConfig
from pipeline.counting.counter import StreamCounter
from pipeline.errors import ConfigError
from pipeline.models.filters import InstanceFilter
from pipeline.records.heat import view_path
from pipeline.records.log import read_log
from pipeline.runtime.heatmaps import write_heatmap
from pipeline.runtime.preflight import check_classes
from pipeline.runtime.results import StreamView
from pipeline.transport.messages import Instances


def recount(log: Path, config: Config, heatmap: Path | None = None) -> tuple[str, StreamView]:
    """Counts a log again, with the lines, zones, scores and filters of a configuration.

    Args:
        log: file or folder of the log.
        config: with one stream, or one of the log's name.
        heatmap: file for a heat map, if wanted.

    Returns:
        Name of the stream, and its counts.

    Raises:
        ConfigError: the configuration has several streams, and none of the log's name.
        ModelError: the configuration names a class that the log does not have.
        RecordError: `log` is not a log, or is damaged.
    """
    header, records = read_log(log)
    name, stream = _stream_of(config, header.stream)
    check_classes(header.classes, name, stream)
    counter = StreamCounter(header.stream, stream, config.tracker, header.classes)
    keep = InstanceFilter(config.model, stream, header.classes)
    view = StreamView()
    for instances in records:
        counter.update(filtered(instances, keep))
        view.decoded += 1
        view.pts_s = instances.pts_s
    counter.finish()
    view.counts = msgspec.structs.replace(counter.totals(), frames=view.decoded)
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
