"""What Prometheus must answer about requests whose answers and durations are known: as the least and the most that are right.

`rate` and `increase` look at the samples inside a window. What came before the first sample is no increase, and what lies
between the first and the last is stretched to the edges of the window, at each by as much as half the time between two samples,
or up to 1.1 of it where the window ends sooner. A bucket's count is known, the place of a measurement inside the bucket is not.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from workshop.programs.prometheus import Series
from workshop.scenarios.traffic import Request
from workshop.telemetry.spans import Span

STRETCH = 0.5 + 1.1  # in times between two samples, at both edges together
APART = 0.02  # seconds by which a request's span and its measurement may differ: each is timed by itself
Kind = tuple[str, str]  # of requests: the method with the route, and the answer
Range = tuple[float, float]  # the least and the most that is right


def kind(series: Series) -> Kind:
    """What kind of requests a series of `http.server.request.duration` is about; what it does not say is empty."""
    route = re.sub(r"<id:\w+>", "<id>", series.labels.get("http_route", ""))
    return f"{series.labels.get('http_request_method', '')} {route}", series.labels.get("http_response_status_code", "")


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

    def within(self, limit: float) -> Range:
        """The share of requests that took at most so many seconds."""
        shares = [bisect_right(self._took, limit + apart) / len(self._took) for apart in (-APART, APART)]
        return shares[0] - 1 / len(self._took), shares[1] + 1 / len(self._took)

    def quantile(self, share: float, bounds: Iterable[float]) -> Range:
        """What `histogram_quantile` comes to: it lies in the bucket in which that request lies, between two of the `bounds`."""
        ends, last = sorted({0.0, *bounds}), len(self._took) - 1
        low, high = (self._took[min(last, max(0, ceil(share * len(self._took)) - 1 + by))] for by in (-1, 1))
        below = max((end for end in ends[:-1] if end < low - APART), default=0.0)
        return below, min((end for end in ends if end >= high + APART), default=ends[-1])

    @cached_property
    def _took(self) -> list[float]:
        """How long the requests took, in seconds, that were over after the first sample of their series."""
        first = {kind(series): series.samples[0][0] for series in self.samples}
        spans = {span.trace_id: span for span in self.spans if span.kind == "server"}
        made = [(request.kind[1:], spans[request.trace_id]) for request in self.requests if request.trace_id in spans]
        return sorted(span.duration_ms / 1000 for kind, span in made if span.end_ns / 1e9 > first[kind])
