"""Metrics: what was counted or measured, as data points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Exemplar:
    """One measurement kept as an example, with the span in which it was made; ids are empty where there was none.

    `attributes` are those that the metric itself does not have."""

    value: float
    time_ns: int
    trace_id: str = ""
    span_id: str = ""
    attributes: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """What one set of attributes came to between two moments, which are nanoseconds since the epoch."""

    attributes: dict
    start_ns: int
    time_ns: int
    exemplars: tuple[Exemplar, ...]


@dataclass(frozen=True)
class NumberPoint(Point):
    """The value of a sum or a gauge; NaN where none was recorded."""

    value: float


@dataclass(frozen=True)
class HistogramPoint(Point):
    """How many measurements, what they add up to, and how many lie in each bucket.

    `buckets` has one number more than `bounds`; the bound belongs to the bucket below it. Both are empty where only the sum
    is kept. `min` and `max` are None where they are not recorded."""

    count: int
    sum: float
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()


@dataclass(frozen=True)
class ExponentialPoint(Point):
    """A histogram whose buckets grow by the factor 2 ** (2 ** -scale).

    `positive` and `negative` map the index of a bucket to its count: bucket 0 ends at that factor, bucket -1 at 1."""

    count: int
    sum: float
    scale: int
    zero_count: int
    positive: dict[int, int]
    negative: dict[int, int]
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Metric:
    """A metric as one export tells it.

    `kind` is "sum", "gauge", "histogram", "exponentialHistogram" or "summary". `temporality` is "cumulative" (since the
    start) or "delta" (since the last export), and empty for a gauge. `scope` is the name of who made it."""

    name: str
    kind: str
    points: tuple[Point, ...]
    unit: str = ""
    description: str = ""
    temporality: str = ""
    monotonic: bool = False
    resource: dict = field(default_factory=dict)
    scope: str = ""

    def points_with(self, attributes: dict) -> list[Point]:
        """The points that have all these attributes, whatever else they have."""
        return [point for point in self.points if attributes.items() <= point.attributes.items()]


def current(metrics: Iterable[Metric], name: str) -> list[Metric]:
    """What the exports of a metric say in the end, oldest first: the last one of each process, or every one of a delta."""
    found: dict[object, Metric] = {}
    for number, metric in enumerate(metrics):
        if metric.name == name:
            of = number if metric.temporality == "delta" else (repr(metric.resource), metric.scope, metric.kind, metric.unit)
            found.pop(of, None)
            found[of] = metric
    return list(found.values())
