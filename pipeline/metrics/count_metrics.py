"""Counts as Prometheus metrics: totals that live elsewhere and are shown as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Lines = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Line -> class -> direction -> crossings."""
Zones = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Zone -> class -> {"now", "entries", "exits", "peak", ...}."""


class Buckets(Protocol):
    """What is shown as a histogram: (upper edge, values up to it), the last edge infinite, and their sum."""

    @property
    def buckets(self) -> Sequence[tuple[float, int]]: ...

    @property
    def total(self) -> float: ...


Histograms = Mapping[str, Mapping[str, Buckets]]
"""Line or zone -> class -> histogram."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What was counted in one stream; nothing in it changes any more."""

    lines: Lines
    zones: Zones
    unique: Mapping[str, int]
    dwell: Histograms
    speed: Histograms
    uncertainty: Mapping[str, int]


@dataclass(eq=False)
class Counts(Collector):
    """Totals that live elsewhere and are shown as they are; each attribute is replaced whole, never changed."""

    streams: Mapping[str, Shown] = field(default_factory=dict)
    restarts: Mapping[str, int] = field(default_factory=dict)

    def collect(self) -> Iterator[Metric]:
        restarts = CounterMetricFamily("tallycam_restarts", "Restarts of a process.", labels=["process"])
        for process, total in self.restarts.items():
            restarts.add_metric([process], total)
        yield restarts
        yield from self._collect_counts()

    def _collect_counts(self) -> Iterator[Metric]:
        line_labels, zone_labels = ["stream", "line", "class"], ["stream", "zone", "class"]
        crossings = CounterMetricFamily(
            "tallycam_line_crossings", "Objects that crossed a line.", labels=[*line_labels, "direction"]
        )
        net = GaugeMetricFamily(
            "tallycam_line_net", "Crossings in a line's first direction less the others.", labels=line_labels
        )
        objects = GaugeMetricFamily("tallycam_unique_objects", "Unique objects.", labels=["stream", "class"])
        uncertainty = GaugeMetricFamily(
            "tallycam_unique_objects_uncertain",
            "By how many the unique objects may be off.",
            labels=["stream", "class"],
        )
        by_key: dict[str, CounterMetricFamily | GaugeMetricFamily] = {
            "now": GaugeMetricFamily(
                "tallycam_zone_objects", "Objects inside a zone now.", labels=zone_labels
            ),
            "peak": GaugeMetricFamily(
                "tallycam_zone_objects_peak", "The most objects that were inside at once.", labels=zone_labels
            ),
            "entries": CounterMetricFamily(
                "tallycam_zone_entries", "Objects that entered a zone.", labels=zone_labels
            ),
            "exits": CounterMetricFamily(
                "tallycam_zone_exits", "Objects that left a zone.", labels=zone_labels
            ),
        }
        for stream, shown in self.streams.items():
            for line, classes in shown.lines.items():
                for class_name, directions in classes.items():
                    for direction, total in directions.items():
                        crossings.add_metric([stream, line, class_name, direction], total)
                    first, *others = directions.values()
                    net.add_metric([stream, line, class_name], first - sum(others))
            for class_name, count in shown.unique.items():
                objects.add_metric([stream, class_name], count)
            for class_name, count in shown.uncertainty.items():
                uncertainty.add_metric([stream, class_name], count)
            for zone, zone_classes in shown.zones.items():
                for class_name, values in zone_classes.items():
                    for key, family in by_key.items():
                        if key in values:
                            family.add_metric([stream, zone, class_name], values[key])
        yield from (crossings, net, objects, uncertainty, *by_key.values())
        yield self._histograms(
            HistogramMetricFamily(
                "tallycam_zone_dwell_seconds",
                "Media time of the stays in a zone that are over.",
                labels=zone_labels,
            ),
            {stream: shown.dwell for stream, shown in self.streams.items()},
        )
        yield self._histograms(
            HistogramMetricFamily(
                "tallycam_line_speed_kmh", "Speed on the ground of who crossed a line.", labels=line_labels
            ),
            {stream: shown.speed for stream, shown in self.streams.items()},
        )

    @staticmethod
    def _histograms(family: HistogramMetricFamily, streams: Mapping[str, Histograms]) -> Metric:
        for stream, names in streams.items():
            for name, classes in names.items():
                for class_name, histogram in classes.items():
                    buckets = [
                        ("+Inf" if edge == inf else repr(edge), count) for edge, count in histogram.buckets
                    ]
                    family.add_metric([stream, name, class_name], buckets, histogram.total)
        return family
