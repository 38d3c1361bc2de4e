"""What a checkpoint can say about metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from workshop.diagnosis.configuration import CONFIGURATION
from workshop.diagnosis.facts import Diagnosis
from workshop.diagnosis.metrics import METRICS, POINTS
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
            self._wrong_points(states, f"{found} where {attributes}" if attributes else f"{found}", attributes, exactly)
        return found

    def value(self, name: str, exactly: float, metrics: Iterable[Metric] | None = None) -> None:
        """What a metric says of a thing that there is once, such as the rows of a table: a gauge in each process, a sum in all.

        Raises Broken when it is not `exactly` so much."""
        states = self._current(name, metrics)
        values = [sum(point.value for point in metric.points) for metric in states if metric.kind in ("sum", "gauge")]
        said = values if states[-1].kind == "gauge" else [sum(values)]
        if set(said) != {exactly}:
            told = " and ".join(f"{value:g}" for value in said) or f"a {states[-1].kind}"
            self._wrong_points(states, told, None, exactly)

    def series(self, name: str, at_most: int, metrics: Iterable[Metric] | None = None) -> int:
        """How many series a metric has, one for each set of attributes, in all its processes.

        Raises Broken when one process has more than `at_most`."""
        states = self._current(name, metrics)
        self.require(POINTS, metric=name, most=at_most, metrics=states)
        return sum(len(metric.points) for metric in states)

    def no_metrics(self, pattern: str, setting: str, why: str) -> None:
        """No metric on the console has a name like that; `*` stands for anything.

        Raises Broken, which says `why`, and what the `setting` is now that leaves metrics out."""
        found = sorted({metric.name for metric in self.console.metrics if fnmatchcase(metric.name, pattern)})
        if found:
            more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            facts = self.facts()
            now = facts.settings.get(setting)
            self.require(
                *CONFIGURATION,
                otherwise=Diagnosis(
                    "unwanted-metrics",
                    f"{', '.join(found[:SHOWN])}{more}\n"
                    + (f"{now.where}: {setting} is {now.value!r}" if now else f"no {setting} in src/{facts.script}"),
                    f"no metric named {pattern}",
                    why,
                    f"let {setting} in src/{facts.script} name {pattern}, too; commas divide what it names",
                    self._lesson,
                ),
                lacks="a setting that excludes metrics",
            )

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
            self._wrong_points(states, f"no histogram, or several with different bounds, a {states[-1].kind}", attributes)
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
            self._wrong_points(states, f"{whole.count} measurements", attributes, count)
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
                METRICS,
                otherwise=self.diagnosis(
                    "no-metric",
                    f"the metrics {where}: {others}",
                    name,
                    "metrics go where OTEL_METRICS_EXPORTER says; they leave every minute, and when the app stops",
                    "300/300/100",
                ),
                lacks=f"the metric {name}",
                metric=name,
                metrics=among,
                wants="console" if metrics is None else "",
            )
        return found

    def _wrong_points(self, states: list[Metric], seen: str, attributes: dict | None, wanted: float | None = None) -> None:
        points = [point for metric in states for point in metric.points]
        shown = [f"{getattr(p, 'value', getattr(p, 'count', None))} for {p.attributes}" for p in points[:SHOWN]]
        more = [f"… {len(points) - SHOWN} more"] if len(points) > SHOWN else []
        expected = "at least one point" if wanted is None else f"{wanted}"
        found = self.diagnosis(
            "metric-value",
            "\n".join([f"{states[-1].name}: {seen}", *shown, *more]),
            expected + (f" with {attributes}" if attributes else ""),
            "each set of attributes is counted by itself, and only what is recorded with them counts",
            self._lesson,
        )
        self.require(POINTS, otherwise=found, metric=states[-1].name, expected=wanted, metrics=states)
