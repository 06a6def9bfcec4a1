"""A Prometheus metric family as plain data: what a counting rule declares, and what travels with its totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.metrics.quantiles import Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One time series of a family, as it stands.

    Attributes:
        labels: values of the family's labels, in their order.
        value: the total of a counter, the value of a gauge, the buckets of a histogram.
    """

    labels: tuple[str, ...]
    value: float | Histogram


@dataclass(frozen=True, slots=True)
class Series:
    """One metric family of one stream. The label `stream` is added, before the others.

    Attributes:
        name: as Prometheus writes it: prefix `tallycam_`, base unit; without the `_total` that counters get.
        help: one sentence.
        kind: type of the metric.
        labels: names of the labels of each sample.
        samples: one for each combination of label values.
    """

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...]
    samples: tuple[Sample, ...] = ()
