"""What must follow in Prometheus from known requests: in which bucket a percentile lies, however slow the machine is."""

from workshop.programs.prometheus import Series
from workshop.scenarios.expected import Expected
from workshop.scenarios.traffic import Request
from workshop.telemetry.spans import Span

BOUNDS = (0.1, 0.25, 0.5, 1)
COUNT = {"http_request_method": "GET", "http_route": "/", "http_response_status_code": "200"}


def expected(*took: tuple[float, float], samples: int = 100, first: float = 5) -> Expected:
    """Requests, each with the seconds that its span says, and those that its sender does; one of `first` seconds came before the
    first sample."""
    requests, spans = [], []
    for number, (inside, outside) in enumerate([(first, first), *took]):
        trace_id = f"{number:032x}"
        requests.append(Request("reader", "GET", "/", 0, 0, trace_id, outside, 200))
        end = (number + 10) * 10**9
        spans.append(Span("GET /", "server", trace_id, "b" * 16, None, end - int(inside * 1e9), end))
    grown = len(took) / (samples - 1)
    return Expected(requests, [Series(COUNT, tuple((at, 1 + at * grown) for at in range(samples)))], spans)


def test_a_percentile_lies_in_the_bucket_of_its_request():
    told = expected(*[(0.02, 0.021)] * 90, *[(0.3, 0.301)] * 10)
    assert told.quantile(0.5, BOUNDS) == (0, 0.1)
    assert told.quantile(0.95, BOUNDS) == (0.25, 0.5)
    assert told.quantile(0.99, BOUNDS) == (0.25, 0.5)


def test_what_waited_on_a_busy_machine_may_lie_in_each_bucket_between_span_and_sender():
    assert expected(*[(0.2, 0.21)] * 50).quantile(0.5, BOUNDS) == (0.1, 0.25)
    assert expected(*[(0.2, 0.6)] * 50).quantile(0.5, BOUNDS) == (0.1, 1)


def test_few_samples_leave_open_what_lies_at_the_edge():
    edge = [(0.02, 0.021)] * 94 + [(0.3, 0.301)] * 6
    assert expected(*edge).quantile(0.95, BOUNDS) == (0.25, 0.5)
    assert expected(*edge, samples=10, first=0.3).quantile(0.95, BOUNDS) == (0, 0.5)
    assert expected(*edge, samples=10).quantile(0.5, BOUNDS) == (0, 0.1)


def test_a_slow_one_before_the_first_sample_lets_the_others_seem_slower():
    """Buckets that it is not in began lower, and so are stretched by less: what lies between the two seems to hold some requests."""
    fast = [(0.02, 0.021)] * 50
    assert expected(*fast, samples=10, first=0.3).quantile(0.99, BOUNDS) == (0, 0.5)
    assert expected(*fast, samples=10, first=0.02).quantile(0.99, BOUNDS) == (0, 0.1)
    assert expected(*fast, samples=10, first=0.3).quantile(0.5, BOUNDS) == (0, 0.1)


def test_what_is_slower_than_all_bounds_is_said_to_be_the_last_of_them():
    assert expected(*[(3, 3.1)] * 20).quantile(0.95, BOUNDS) == (1, 1)
