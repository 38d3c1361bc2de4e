"""What a checkpoint can say about metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from workshop.diagnosis import spans as rungs
from workshop.diagnosis.configuration import CONFIGURATION
from workshop.telemetry.metrics import HistogramPoint, Metric, NumberPoint, current

SHOWN = 6


class Metrics:
    """Verbs of an app that has stopped: each returns what it proved, or raises Broken.

    They look at the metrics on the console, or at those that they are given, such as the ones that a fake server has stored.
    What several processes report of one metric is taken together."""

    def metric(self, name: str, unit: str = "", kind: str = "", metrics: Iterable[Metric] | None = None) -> Metric:
        """The last state of a metric, which has this unit and kind where they are given. Raises Broken."""
        found = self._current(name, metrics)[-1]
        for what, seen, wanted in (("unit", found.unit, unit), ("kind", found.kind, kind)):
            if wanted and seen != wanted:
                why = "name, unit and kind are given where the instrument is created; who reads the numbers relies on them"
                raise self.broken(f"metric-{what}", f"{name}: its {what} is {seen!r}", repr(wanted), why, self._lesson)
        return found

    def total(
        self, name: str, attributes: dict | None = None, exactly: float | None = None, metrics: Iterable[Metric] | None = None
    ) -> float:
        """What a metric comes to over all its points with these attributes: the sum of their values, or of a histogram's counts.

        Raises Broken when there is no such point, or when it is not `exactly` so much."""
        states = self._current(name, metrics)
        points = [point for metric in states for point in metric.points_with(attributes or {})]
        found = sum(point.value if isinstance(point, NumberPoint) else point.count for point in points)
        if not points or exactly not in (None, found):
            raise self._wrong_points(states, f"{found} where {attributes}" if attributes else f"{found}", attributes, exactly)
        return found

    def histogram(
        self,
        name: str,
        attributes: dict | None = None,
        count: int | None = None,
        bounds: Iterable[float] = (),
        metrics: Iterable[Metric] | None = None,
    ) -> HistogramPoint:
        """All points of a histogram with these attributes as one. Its attributes are those that were asked for.

        Raises Broken when there is none, when it does not hold `count` measurements, or when it lacks one of the `bounds`."""
        states = self._current(name, metrics)
        points = [point for metric in states for point in metric.points_with(attributes or {})]
        if not points or not all(isinstance(p, HistogramPoint) and p.bounds == points[0].bounds for p in points):
            raise self._wrong_points(states, f"no histogram, or several with different bounds, a {states[-1].kind}", attributes)
        whole = replace(
            points[-1],
            attributes=attributes or {},
            count=sum(point.count for point in points),
            sum=sum(point.sum for point in points),
            min=min((point.min for point in points if point.min is not None), default=None),
            max=max((point.max for point in points if point.max is not None), default=None),
            buckets=tuple(map(sum, zip(*(point.buckets for point in points)))),
            exemplars=tuple(exemplar for point in points for exemplar in point.exemplars),
        )
        if count not in (None, whole.count):
            raise self._wrong_points(states, f"{whole.count} measurements", attributes, count)
        if missing := [bound for bound in bounds if bound not in whole.bounds]:
            raise self.broken(
                "histogram-bounds",
                f"{name}: buckets that end at {', '.join(f'{bound:g}' for bound in whole.bounds) or 'no bound'}",
                f"one that ends at {' and at '.join(f'{bound:g}' for bound in missing)}",
                "how many were faster than a limit can be read only where a bucket ends at that limit",
                self._lesson,
            )
        return whole

    @property
    def _lesson(self) -> str:
        return self.checkpoint.lesson.name

    def _current(self, name: str, metrics: Iterable[Metric] | None) -> list[Metric]:
        among = list(self.console.metrics if metrics is None else metrics)
        found = current(among, name)
        if not found:
            where = "on the console" if metrics is None else "that came"
            others = ", ".join(sorted({metric.name for metric in among})) or "none at all"
            self.require(
                *CONFIGURATION,
                rungs.not_under_agent,
                otherwise=self.diagnosis(
                    "no-metric",
                    f"the metrics {where}: {others}",
                    name,
                    "metrics go where OTEL_METRICS_EXPORTER says; they leave every minute, and when the app stops",
                    "300/300/100",
                ),
                lacks=f"the metric {name}",
            )
        return found

    def _wrong_points(self, states: list[Metric], seen: str, attributes: dict | None, wanted: float | None = None):
        points = [point for metric in states for point in metric.points]
        shown = [f"{getattr(p, 'value', getattr(p, 'count', None))} for {p.attributes}" for p in points[:SHOWN]]
        more = [f"… {len(points) - SHOWN} more"] if len(points) > SHOWN else []
        expected = "at least one point" if wanted is None else f"{wanted}"
        return self.broken(
            "metric-value",
            "\n".join([f"{states[-1].name}: {seen}", *shown, *more]),
            expected + (f" with {attributes}" if attributes else ""),
            "each set of attributes is counted by itself, and only what is recorded with them counts",
            self._lesson,
        )
