"""What was sent to the app is what Prometheus answers: each query of the page, held against the requests of the check."""

import re
import signal
from dataclasses import dataclass

import pytest

from workshop.checks.app import App
from workshop.checks.rules import asked, evaluated_soon, play
from workshop.programs.prometheus import Series
from workshop.scenarios import traffic
from workshop.scenarios.expected import STRETCH, Expected, Range, kind

INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
COUNT = 'http_server_request_duration_seconds_count{job="todo"}'
TASKS = 'todo_tasks_added_total{job="todo"}'
FIVE_MINUTES = 300
TASKS_ADDED, ERROR_RATIO = "todo:tasks_added:rate5m", "todo:error_ratio:rate5m"
ANSWERED = "http_server_request_duration_seconds_count"
ADDED = "todo_tasks_added_total"
# What cannot be seen in the minute of a check: series a minute, and what the two rules make of them at the end.
PLAYED = {
    "the last two minutes have errors": (
        {
            f'{ANSWERED}{{job="todo",http_response_status_code="200"}}': "0+30x22",
            f'{ANSWERED}{{job="todo",http_response_status_code="422"}}': "0+10x22",
            f'{ANSWERED}{{job="todo",http_response_status_code="500"}}': "100x20 120+20x1",
            f'{ANSWERED}{{job="other",http_response_status_code="500"}}': "0+90x22",
        },
        {f"round(sum({ERROR_RATIO}), 0.001)": 0.2},
    ),
    "nothing has failed yet": (
        {f'{ANSWERED}{{job="todo",http_response_status_code="200"}}': "0+30x22"},
        {f"round(sum({ERROR_RATIO}), 0.001)": 0},
    ),
    "two processes add six tasks a minute each, and three from files": (
        {
            f'{ADDED}{{job="todo",instance="a",todo_task_source="form"}}': "0+6x22",
            f'{ADDED}{{job="todo",instance="b",todo_task_source="form"}}': "0+6x22",
            f'{ADDED}{{job="todo",instance="b",todo_task_source="file"}}': "0+3x22",
            f'{ADDED}{{job="other",instance="c",todo_task_source="form"}}': "0+60x22",
        },
        {
            f'round(sum({TASKS_ADDED}{{todo_task_source="form"}}) * 60, 0.001)': 12,
            f'round(sum({TASKS_ADDED}{{todo_task_source="file"}}) * 60, 0.001)': 3,
            f"count({TASKS_ADDED})": 2,
        },
    ),
}


@dataclass
class Visited:
    """One run: what follows from what was sent, what Prometheus answered to each query, and where its buckets end.

    `tasks` is the rate at which tasks came."""

    app: App
    expected: Expected
    answers: dict[str, list[Series]]
    bounds: list[float]
    tasks: Range


def failed(kind: tuple[str, str]) -> bool:
    return kind[1] >= "500"


def visit(checkpoint) -> Visited:
    """One run with people. First one of each kind comes: what lies before a series' first sample is no increase."""
    checkpoint.environment[INTERVAL] = "200"
    checkpoint.sandbox.run_as("otel/*.y*ml", evaluated_soon)
    with checkpoint.start("prometheus") as prometheus:
        with checkpoint.serve() as app, traffic.trouble(checkpoint.database, slow_rows=70):
            requests = traffic.send_one_of_each(app.url)
            if prometheus.until(lambda: arrived(prometheus), 3):
                prometheus.until(lambda: arrived(prometheus) >= len(requests), 10)
            requests += traffic.send(app.url, traffic.plan(12, 1.8, errors=0.2, slow=0.1)).requests
        silent = [request for request in requests if request.problem]
        checkpoint.must(
            not silent,
            "no-answer",
            seen=f"{len(silent)} of {len(requests)} requests got no answer",
            expected="an answer to each of them",
            why="many people came at once, and the app did not keep up",
        )
        own_interval(checkpoint, app)
        app.scraped(prometheus, "prometheus")  # first: who scrapes the app asks it, too
        app.in_prometheus(prometheus, f"sum({COUNT})", exactly=len(requests))
        promoted(checkpoint, prometheus)
        expected = Expected(requests, prometheus.query(f"{COUNT}[5m]"), app.spans)
        app.recorded(prometheus, ERROR_RATIO, lambda found: len(found) == 1 and lies(found[0].value, expected.share(failed)))
        tasks = tasks_added(app, prometheus, expected)
        app.recorded(prometheus, TASKS_ADDED, lambda found: by_source(found, tasks))
        at_other_times(checkpoint)
        answers = {block.text: prometheus.query(block.text) for block in checkpoint.lesson.blocks if block.kind == "query"}
        buckets = prometheus.query(f"count by (le) ({COUNT.replace('_count', '_bucket')})")
    bounds = [float(series.labels["le"]) for series in buckets if series.labels["le"] != "+Inf"]
    return Visited(app, expected, answers, bounds, tasks)


def own_interval(checkpoint, app: App) -> None:
    """The interval in the script, in whose place the check has set a short one, is one that the SDK takes."""
    setting = app.facts().known(INTERVAL)
    checkpoint.must(
        setting is None or re.fullmatch(r"[1-9]\d{2,5}(\.\d*)?", setting.value),
        "interval",
        seen=f"{setting.where}: {INTERVAL} is {setting.value!r}" if setting else "",
        expected="milliseconds, as a bare number: 5000",
        why="what is no number the SDK passes over, says so in one line, and sends once a minute; the check has set an interval "
        "of its own",
    )


def at_other_times(checkpoint) -> None:
    """The rules are right, too, when nothing fails, in the minutes after errors, and beside other apps and processes."""
    scenarios = [
        {
            "interval": "1m",
            "input_series": [
                {"series": told, "values": values}
                for name, values in series.items()
                for told in sorted({name, name.replace("_count{", '_bucket{le="+Inf",')})
            ],
            "promql_expr_test": [asked(query, name, "22m", value) for query, value in wanted.items()],
        }
        for name, (series, wanted) in PLAYED.items()
    ]
    for wrong in play(checkpoint, {"1m": scenarios}):
        checkpoint.must(
            False,
            "rule-value",
            seen=f"{wrong['of']}: {wrong['query']} is {wrong['got']}",
            expected=f"{float(wrong['wanted']):g}",
            why="a rule is asked when nobody looks: when nothing fails, and when other apps and processes tell the same metric",
            do="compare it in src/otel/rules.yml with the queries of the page",
        )


def tasks_added(app: App, prometheus, expected: Expected) -> Range:
    """The rate at which tasks come by the form, in tasks a second."""
    app.in_prometheus(prometheus, f"sum({TASKS})", exactly=expected.counts["POST /add", "302"])
    least = most = 0.0
    for series in prometheus.query(f"{TASKS}[5m]"):
        grown = series.samples[-1][1] - series.samples[0][1]
        least += grown
        most += grown * (1 + STRETCH / max(1, len(series.samples) - 1))
    return least / FIVE_MINUTES, most / FIVE_MINUTES


def by_source(found: list[Series], rate: Range) -> bool:
    return [series.labels.get("todo_task_source") for series in found] == ["form"] and lies(found[0].value, rate)


def lies(value: float, between: Range) -> bool:
    return between[0] - 1e-9 <= value <= between[1] + 1e-9


def arrived(prometheus) -> float:
    return sum(series.value for series in prometheus.query(COUNT))


def promoted(checkpoint, prometheus) -> None:
    """Each series says where the app runs, which the app itself says only once."""
    bare = [series for series in prometheus.query(COUNT) if series.labels.get("deployment_environment_name") != "workshop"]
    checkpoint.must(
        not bare,
        "not-promoted",
        seen=f"{bare[0].labels}" if bare else "",
        expected='deployment_environment_name="workshop" on every series',
        why="of the resource only job and instance stand on each series; the rest is in `target_info`, unless it is promoted",
        do="list deployment.environment.name, as OpenTelemetry writes it, under `otlp: promote_resource_attributes:` in "
        "src/otel/prometheus.yml",
    )


def one(checkpoint, visited: Visited, start: str, between: Range) -> None:
    """The page's query that begins so has one value, between these two."""
    found = [series.value for series in visited.answers[checkpoint.block("query", start).text]]
    least, most = between
    checkpoint.must(
        len(found) == 1 and lies(found[0], between),
        "query-value",
        seen=f"{start}\ncomes to {', '.join(f'{value:g}' for value in found) or 'nothing'}",
        expected=f"one value between {least:g} and {most:g}, which follows from what was sent",
        why="a query that nobody holds against known requests may be wrong for years",
    )


@pytest.mark.before("prometheus-unconfigured")
def test_every_request_is_in_prometheus_with_its_route_and_its_answer(checkpoint):
    visited = checkpoint.shared(visit)
    by_route = visited.answers[checkpoint.block("query", "sum by (http_route, http_response_status_code)").text]
    told = {(kind(series)[0].strip(), kind(series)[1]): series.value for series in by_route}
    sent: dict[tuple[str, str], int] = {}
    for (request, answer), count in visited.expected.counts.items():
        route = request.partition(" ")[2]
        sent[route, answer] = sent.get((route, answer), 0) + count
    checkpoint.must(
        told == sent,
        "query-value",
        seen=f"{told}",
        expected=f"{sent}",
        why="each request is counted once, in the series of its route and its answer",
    )
    pushes = visited.answers[checkpoint.block("query", "sum by (code)").text]
    codes = {series.labels["code"]: series.value for series in pushes}
    checkpoint.must(
        set(codes) == {"200"},
        "pushes-refused",
        seen=f"pushes by their answer: {codes or 'none that Prometheus knows of'}",
        expected="200, each time",
        why="Prometheus counts what it answers, and scrapes these counters from itself",
    )
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("prometheus-unconfigured")
def test_rates_and_shares_are_those_of_the_requests(checkpoint):
    visited = checkpoint.shared(visit)
    expected = visited.expected
    least, most = expected.increase()
    one(checkpoint, visited, "sum(rate(", (least / FIVE_MINUTES, most / FIVE_MINUTES))
    one(checkpoint, visited, "sum(increase(", (expected.grown, expected.grown))
    one(checkpoint, visited, "sum by (todo_task_source)", visited.tasks)
    least, most = expected.share(failed)
    one(checkpoint, visited, "(sum(rate(", (least, most))
    one(checkpoint, visited, "1 - (sum(increase(", (1 - most, 1 - least))

    grown = {}
    for request, _ in expected.counts:
        route = request.partition(" ")[2]
        grown[route] = expected.increase(lambda kind, route=route: kind[0].endswith(f" {route}"))
    top = visited.answers[checkpoint.block("query", "topk(3").text]
    for series, wanted in zip(top, sorted(grown.values(), reverse=True)[:3], strict=True):
        least, most = grown[kind(series)[0].strip()]
        rate = series.value * FIVE_MINUTES
        checkpoint.must(
            least - 1e-6 <= rate <= most + 1e-6 and wanted[0] <= most,
            "query-value",
            seen=f"{series.labels} comes to {rate:g} in five minutes",
            expected=f"between {least:g} and {most:g}, and none of the others is more",
            why="the busiest routes are those that people asked for most",
        )


@pytest.mark.before("prometheus-unconfigured")
def test_percentiles_lie_in_the_bucket_of_the_request_that_they_mean(checkpoint):
    visited = checkpoint.shared(visit)
    for share in (0.5, 0.95, 0.99):
        one(checkpoint, visited, f"histogram_quantile({share},", visited.expected.quantile(share, visited.bounds))


def show(checkpoint):
    """What the page shows: names and resource after some traffic; differences that are refused; native histograms."""
    with checkpoint.start("prometheus") as prometheus:
        root = checkpoint.folder.parent
        checkpoint.run("workshop up", folder=root, PROMETHEUS_URL=prometheus.url)
        with checkpoint.serve() as app:
            there = {"WORKSHOP_TRAFFIC_URL": app.url, "WORKSHOP_TRAFFIC_DATABASE": str(checkpoint.database)}
            checkpoint.run("workshop traffic", folder=root, **there)
        names = checkpoint.run("workshop tool promtool query labels", folder=root).output
        assert "http_server_request_duration_seconds_bucket" in names
        assert 'job="todo"' in checkpoint.run("workshop tool promtool query instant", folder=root).output

        with checkpoint.serve(checkpoint.block("command", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY").text, shown=True) as app:
            app.get("/")
            assert app.until(lambda: "Failed to export metrics" in app.output)
        assert "invalid temporality and type combination" in prometheus.log.read_text()

        checkpoint.environment[INTERVAL] = "200"
        fraction = checkpoint.block("query", "histogram_fraction").text
        with checkpoint.serve(checkpoint.block("command", "OTEL_EXPORTER_OTLP_METRICS_DEFAULT").text) as app:
            app.get("/")
            assert prometheus.until(lambda: prometheus.query('http_server_request_duration_seconds{job="todo"}'))
            answers = [app.get("/") for _ in range(8)]
        took = [app.server_span(answer).duration_ms / 1000 for answer in answers]
        least, most = (sum(seconds <= 0.3 + apart for seconds in took) / len(took) for apart in (-0.05, 0.05))
        (share,) = prometheus.query(fraction)
        assert least - 0.01 <= share.value <= most + 0.01

        checkpoint.environment[INTERVAL] = "60000"
        assert kept_when_ended_by(checkpoint, prometheus, signal.SIGTERM) == 0
        assert kept_when_ended_by(checkpoint, prometheus, signal.SIGINT) == 3


def kept_when_ended_by(checkpoint, prometheus, number: int) -> float:
    """Of three requests to an app that a signal ends, those that Prometheus has."""
    before = arrived(prometheus)
    with checkpoint.serve() as app:
        for _ in range(3):
            app.get("/")
        for process in app.processes():
            process.send_signal(number)
        assert app.until(lambda: not app.processes())
    return arrived(prometheus) - before
