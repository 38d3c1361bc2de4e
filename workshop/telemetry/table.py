"""What an app has counted and measured, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workshop.telemetry.metrics import HistogramPoint, Metric, Point, current


def overview(metrics: Iterable[Metric]) -> Iterator[str]:
    """A line for each metric: how many series it has, its kind, unit and name."""
    yield "series  kind       unit          name"
    for name, states in _by_name(metrics):
        last = states[-1]
        yield f"{sum(len(metric.points) for metric in states):6}  {last.kind:<9}  {last.unit or '-':<12}  {name}"


def series(metrics: Iterable[Metric], begins: str) -> Iterator[str]:
    """For each metric whose name begins so, a line for each series: what it came to, and its attributes."""
    for name, states in _by_name(metrics):
        if name.startswith(begins):
            points = [point for metric in states for point in metric.points]
            yield f"{name} · {states[-1].kind} · {states[-1].unit or '-'} · {len(points)} series"
            for point in points:
                yield f"{_came_to(point):>8}  {', '.join(f'{key}={value}' for key, value in sorted(point.attributes.items()))}".rstrip()
                yield from (f"          {line}" for line in _buckets(point))


def _by_name(metrics: Iterable[Metric]) -> Iterator[tuple[str, list[Metric]]]:
    """The last state of each metric, in each process, by name."""
    metrics = list(metrics)
    for name in sorted({metric.name for metric in metrics}):
        yield name, current(metrics, name)


def _came_to(point: Point) -> str:
    return f"{getattr(point, 'value', getattr(point, 'count', 0)):g}"


def _buckets(point: Point) -> Iterator[str]:
    """Where a histogram's measurements lie; none for other points."""
    if isinstance(point, HistogramPoint):
        ends = [*(f"up to {bound:g}" for bound in point.bounds), f"above {point.bounds[-1]:g}"] if point.bounds else []
        yield from (f"{count} {end}" for count, end in zip(point.buckets, ends) if count)
