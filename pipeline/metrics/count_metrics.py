"""Counts as Prometheus metrics: totals that are kept elsewhere, exported as they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.metrics.quantiles import Histogram
from pipeline.metrics.series import Series

_FAMILIES = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class CountCollector(Collector):
    """Exports the restarts of processes, and for each stream the metric families that its counting rules declare.

    Attributes:
        restarts: process -> restarts since the start of the run; replaced as a whole, never changed, since another
            thread reads it.
    """

    def __init__(self) -> None:
        self.restarts: Mapping[str, int] = {}
        self._streams: Mapping[str, tuple[Series, ...]] = {}
        self._declared: dict[str, tuple[str, tuple[str, ...]]] = {}

    def show(self, stream: str, series: Iterable[Series]) -> None:
        """Exports metric families for a stream, in place of those shown so far.

        Args:
            stream: name of the stream, added to each sample as a label.
            series: the complete families.

        Raises:
            ValueError: a family has another type or other labels than one of the same name, a value does not suit the
                type, or two samples have the same labels. Prometheus would reject all metrics of the process.
        """
        series = tuple(series)
        known: set[tuple[str, ...]] = set()
        for one in series:
            declared = self._declared.setdefault(one.name, (one.kind, one.labels))
            if declared != (one.kind, one.labels):
                raise ValueError(f"metric {one.name}: is a {one.kind} of {one.labels}, was {declared}")
            for sample in one.samples:
                if isinstance(sample.value, Histogram) != (one.kind == "histogram"):
                    raise ValueError(f"metric {one.name}: {sample.value!r} is no value of a {one.kind}")
                if (one.name, *sample.labels) in known:
                    raise ValueError(f"metric {one.name}: two samples have the labels {sample.labels}")
                known.add((one.name, *sample.labels))
        self._streams = {**self._streams, stream: series}

    def collect(self) -> Iterator[Metric]:
        """All families; the ones that several streams share are merged."""
        restarts = CounterMetricFamily("tallycam_restarts", "Restarts of a process.", labels=["process"])
        for process, total in self.restarts.items():
            restarts.add_metric([process], total)
        yield restarts
        families: dict[str, Metric] = {}
        for stream, series in self._streams.items():
            for one in series:
                if one.name not in families:
                    make = _FAMILIES[one.kind]
                    families[one.name] = make(one.name, one.help, labels=["stream", *one.labels])
                _add(families[one.name], stream, one)
        yield from families.values()


def _add(family: Metric, stream: str, series: Series) -> None:
    for sample in series.samples:
        labels = [stream, *sample.labels]
        if isinstance(family, HistogramMetricFamily):
            assert isinstance(sample.value, Histogram)
            edges = (("+Inf" if edge == inf else repr(edge), count) for edge, count in sample.value.buckets)
            family.add_metric(labels, list(edges), sample.value.total)
        else:
            assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
            assert not isinstance(sample.value, Histogram)
            family.add_metric(labels, sample.value)
