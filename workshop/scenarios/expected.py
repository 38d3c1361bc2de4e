"""What Prometheus must answer about requests whose answers and durations are known: as the least and the most that are right.

`rate` and `increase` look at the samples inside a window. What came before the first sample is no increase, and what lies
between the first and the last is stretched to the edges of the window, at each by as much as half the time between two samples,
or up to 1.1 of it where the window ends sooner. A bucket's count is known, the place of a measurement inside the bucket is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from workshop.programs.prometheus import Series
from workshop.scenarios.traffic import Request
from workshop.telemetry.spans import Span

START = 0.5  # in times between two samples, at the beginning; less where a counter would fall below zero
STRETCH = START + 1.1  # at both edges together
APART = 0.005  # seconds by which a request's span may be longer than its measurement, whose clock starts later
Kind = tuple[str, str]  # of requests: the method with the route, and the answer
Range = tuple[float, float]  # the least and the most that is right


def kind(series: Series) -> Kind:
    """What kind of requests a series of `http.server.request.duration` is about; what it does not say is empty."""
    route = re.sub(r"<id:\w+>", "<id>", series.labels.get("http_route", ""))
    return f"{series.labels.get('http_request_method', '')} {route}", series.labels.get("http_response_status_code", "")


@dataclass(frozen=True)
class Took:
    """How long a request may have taken by its measurement, in seconds: at least what its span says, at most what its sender does.

    `weight` is the most that it counts for in a rate, the least is 1. What came `before` the first sample counts for nothing; yet
    a counter that began higher falls below zero later, so it is stretched by more."""

    least: float
    most: float
    weight: float
    before: bool


@dataclass
class Expected:
    """What follows from the `requests` that were sent, whose counter has these `samples` in Prometheus.

    `spans` are those of the app: they say how long each request took in it, and when it was over."""

    requests: list[Request]
    samples: list[Series]
    spans: list[Span]

    @cached_property
    def counts(self) -> Counter[Kind]:
        """How many requests of each kind were sent."""
        return Counter(request.kind[1:] for request in self.requests)

    def increase(self, matches: Callable[[Kind], bool] = lambda kind: True) -> Range:
        """What `increase` over a window that holds all samples comes to, for the kinds that match."""
        least = most = 0.0
        for series in self.samples:
            if matches(kind(series)) and len(series.samples) > 1:
                grown = self.counts[kind(series)] - series.samples[0][1]
                least += grown
                most += grown * (1 + STRETCH / (len(series.samples) - 1))
        return least, most

    @property
    def grown(self) -> float:
        """By how much the counters grew between their first and their last samples."""
        return self.increase()[0]

    def share(self, matches: Callable[[Kind], bool]) -> Range:
        """The share of the kinds that match in all."""
        (least, most), (all_least, all_most) = self.increase(matches), self.increase()
        return least / all_most, min(1, most / all_least)

    def quantile(self, share: float, bounds: Iterable[float]) -> Range:
        """What `histogram_quantile` over the rates of all buckets comes to: it lies in the bucket, between two of the `bounds`, in
        which that share of the requests is reached.

        Each series is stretched by its own factor, and so one of its requests may count for more than one of another's."""
        ends = sorted({0.0, *bounds})
        least = next((at for at, end in enumerate(ends) if self._below(end)[1] >= share), len(ends))
        most = next((at for at, end in enumerate(ends) if self._below(end)[0] >= share), len(ends) - 1)
        return ends[max(0, least - 1)], ends[most]

    def _below(self, end: float) -> Range:
        """The share of the requests that Prometheus finds in the buckets up to this end."""
        counted = [one for one in self._took if not one.before]
        surely = sum(one.most <= end for one in counted)
        others = sum(one.weight for one in counted if one.most > end)
        perhaps = sum(one.weight for one in counted if one.least <= end)
        beyond = sum(one.least > end for one in counted)
        apart = 1 + START / (min(len(series.samples) for series in self._grew) - 1)  # of two buckets of one series
        least = surely / (surely + others) / apart if any(one.most > end for one in self._took) else 1
        return least, min(1, perhaps / (perhaps + beyond) * apart)

    @property
    def _grew(self) -> list[Series]:
        return [series for series in self.samples if len(series.samples) > 1]

    @cached_property
    def _took(self) -> list[Took]:
        """What is known of each request whose series grew."""
        spans = {span.trace_id: span for span in self.spans if span.kind == "server"}
        found = []
        for series in self._grew:
            made = [(r, spans[r.trace_id]) for r in self.requests if r.kind[1:] == kind(series) and r.trace_id in spans]
            made.sort(key=lambda one: one[1].end_ns)
            weight = 1 + STRETCH / (len(series.samples) - 1)
            for number, (request, span) in enumerate(made):
                least = span.duration_ms / 1000 - APART
                most = max(least + APART, request.seconds - request.late)
                found.append(Took(least, most, weight, number < series.samples[0][1]))
        return found
