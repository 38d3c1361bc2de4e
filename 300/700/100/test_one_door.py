"""All signals go through one door, the app serves without it, and nothing that the Collector has accepted is lost."""

import secrets
import time

import pytest

from workshop.checks.process import patient
from workshop.checks.sandbox import ADVISOR
from workshop.diagnosis.packages import missing_package
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span

REGION = "cloud.region"
SERVICES = {"todo", "advisor"}
SPANS, SECONDS = 200, 1.0


def through_the_door(checkpoint):
    """One run of the app, whose Collector hangs, is killed, and is there again."""
    behind = [checkpoint.program(name) for name in ("jaeger", "prometheus", "logs")]
    services = {"jaeger": True}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor", "jaeger": True}
    with checkpoint.start("collector") as collector:
        with checkpoint.serve_together(*services) as (app, _):
            first = app.get("/")
            app.until(lambda: {span.service for span in app.find(first)} == SERVICES, 3)
            checkpoint.program("logs").until(lambda: rows_of(first, checkpoint), 3)  # what still waited in memory would be lost
            collector.hang()
            waited = {f"{how} Collector": timed(app) for how in ("a hanging", "still a hanging")}
            collector.kill()
            waited |= {f"{how} Collector": timed(app) for how in ("no", "still no")}
            collector.again()
            back, added = app.get("/"), app.submit("/add", {"text": "Buy milk"})
        collector.until(lambda: app.find(back), 5)
        collector.until(lambda: told_of(added, collector.written("logs.json").logs), 3)
        written = collector.written("logs.json").logs
        if checkpoint.showing:
            there = {program.program.setting("URL"): program.url for program in (*behind, collector)}
            assert checkpoint.run("workshop up", **there).exit_code == 0
            checkpoint.run("workshop trace", **there)
    return app, collector, first, added, waited, back, written


def rows_of(response, checkpoint):
    """What the log store has of a request."""
    return checkpoint.program("logs").query(f'trace_id:="{response.headers.get("X-Trace-Id")}"')


def told_of(response, logs):
    """Whether the app logged anything of a request, whose trace id it hands out."""
    return any(log.trace_id == response.headers.get("X-Trace-Id") for log in logs)


def timed(app):
    """How long a page takes, in seconds."""
    begun = time.monotonic()
    app.get("/")
    return time.monotonic() - begun


@pytest.mark.before("collector-unconfigured")
def test_all_three_signals_come_through_the_collector(checkpoint):
    app, collector, first, added, _, _, written = checkpoint.shared(through_the_door)
    if not app.find(first):
        checkpoint.blame(collector)
    spans = [app.in_jaeger(first, name="GET /")]
    spans += [app.in_jaeger(added, name="POST /add")] if app.find(added) else []
    checkpoint.must(
        all(span.resource.get(REGION) for span in spans),
        "around-the-door",
        seen=f"the trace of {first} is in Jaeger, and its resource has no {REGION}",
        expected="what the Collector adds on the way",
        why="the app still sends to Jaeger itself, or no processor of the traces' pipeline adds it",
        do="OTEL_EXPORTER_OTLP_ENDPOINT in src/run.sh is the Collector's address; the pipeline names the processor `resource`",
    )

    of = {span.service: span.resource.get(REGION) for span in app.find(first)}
    if "advisor" not in of:
        app.require(missing_package, lacks="a span of the advisor")
    checkpoint.must(
        of.get("advisor"),
        "around-the-door",
        seen=f"{first} asks the advisor: its spans are "
        + (f"in Jaeger, without {REGION}" if "advisor" in of else "not in Jaeger"),
        expected=f"the advisor's spans in the same trace, with {REGION} from the Collector",
        why="a door that one service goes around keeps nothing in, and knows nothing of it",
        do="OTEL_EXPORTER_OTLP_ENDPOINT in src/advisor.sh is the Collector's address, too",
    )

    prometheus, instance = checkpoint.program("prometheus"), spans[0].resource["service.instance.id"]
    counted = f'{{__name__=~"http_server_.+_count", instance="{instance}"}}'
    prometheus.until(lambda: prometheus.query(counted), 3)
    known = prometheus.query(f'target_info{{instance="{instance}"}}')
    checkpoint.must(
        prometheus.query(counted) and all(series.labels.get("cloud_region") for series in known),
        "metrics-not-through",
        seen=f"{len(prometheus.query(counted))} series of the app's http.server metrics in Prometheus"
        + ("" if all(s.labels.get("cloud_region") for s in known) else f", whose resource has no {REGION}"),
        expected=f"what the app counts, with {REGION} from the Collector",
        why="metrics take the way of their own pipeline, from the app's exporter to Prometheus",
        do="OTEL_METRICS_EXPORTER in src/run.sh names otlp, and the pipeline `metrics` ends at Prometheus",
        behind=collector,
    )

    rows = checkpoint.program("logs").until(lambda: rows_of(first, checkpoint), 3)
    if not rows:
        app.require(missing_package, lacks="a log record")
    checkpoint.must(
        rows and all(row.get(REGION) for row in rows),
        "logs-not-through",
        seen=f"{len(rows)} log records of the trace of {first} in the log store" + (f", without {REGION}" if rows else ""),
        expected=f"what the app logged of it, with {REGION} from the Collector",
        why="logs take the way of their own pipeline, from the app's exporter to the log store",
        do="OTEL_LOGS_EXPORTER in src/run.sh names otlp, and the pipeline `logs` ends at the log store",
        behind=collector,
    )
    checkpoint.must(
        told_of(added, written),
        "logs-not-written",
        seen=f"{len(written)} log records in logs.json of the Collector's folder, and none of the trace of {added}",
        expected="the records that the log store has",
        why="each exporter of a pipeline gets everything; this is your own step of the lesson",
        do='an exporter `file` with the path "${env:COLLECTOR_DATA}/logs.json", which the pipeline `logs` names',
        behind=collector,
    )


@pytest.mark.before("collector-unconfigured")
def test_the_app_serves_while_the_collector_is_away_and_recovers_by_itself(checkpoint):
    app, collector, _, _, waited, back, _ = checkpoint.shared(through_the_door)
    how, longest = max(waited.items(), key=lambda pair: pair[1])
    checkpoint.must(
        longest < patient(SECONDS),
        "app-waits",
        seen=f"a page took {longest:.1f} s with {how}",
        expected=f"less than {SECONDS:.0f} s, as ever",
        why="whoever asks for a page must not wait for telemetry: it is sent from a thread of its own",
    )
    checkpoint.must(
        app.find(back),
        "not-recovered",
        seen="what was asked after the Collector had come back is not in Jaeger",
        expected="its trace, without a restart of the app",
        why="an outage may cost what nobody could take meanwhile, and nothing after it",
        behind=collector,
    )


@pytest.mark.before("collector-unconfigured")
def test_nothing_that_it_has_accepted_is_lost_by_kill(checkpoint):
    there, now, trace_id, shop = (
        checkpoint.beside("killed"),
        time.time_ns(),
        secrets.token_hex(16),
        f"shop-{secrets.token_hex(4)}",
    )
    of = {"service.name": shop}
    spans = [
        Span(f"task {n}", "internal", trace_id, secrets.token_hex(8), None, now, now + 1, resource=of) for n in range(SPANS)
    ]
    logs = [LogRecord(f"task {n}", "INFO", 9, now, now, trace_id, resource=of) for n in range(SPANS)]
    points = [NumberPoint({"task": str(n)}, now - 10**9, now, (), 1) for n in range(SPANS)]
    with there.start("collector") as collector:  # the ports of what is behind it lead nowhere yet
        for first in range(0, SPANS, 10):
            ten = slice(first, first + 10)
            counted = Metric("tasks", "sum", points[ten], "{task}", "", "cumulative", True, of)
            collector.send(Telemetry(spans[ten], [counted], logs[ten]))
        collector.kill()
        jaeger, prometheus, store = (there.program(name) for name in ("jaeger", "prometheus", "logs"))
        collector.again()
        arrived = lambda: {  # noqa: E731
            "spans": len({span.span_id for span in jaeger.trace(trace_id)}),
            "metric points": len(prometheus.query(f'tasks_total{{job="{shop}"}}')),
            "log records": len(store.query(f'trace_id:="{trace_id}"')),
        }
        store.until(lambda: min(arrived().values()) >= SPANS, 3)
        there_are = arrived()
    there.must(
        set(there_are.values()) == {SPANS},
        "lost-on-kill",
        seen=f"{SPANS} of each accepted while nobody was there to take them, then `kill -9`; afterwards there arrived "
        + ", ".join(f"{count} {what}" for what, count in there_are.items()),
        expected=f"{SPANS} of each",
        why="what waits in memory dies with it: in the processor `batch`, and in a queue without `storage`",
        do="give each exporter `sending_queue` with `storage: file_storage` and `batch`, and take `batch` out of the pipelines",
    )
    if checkpoint.showing:
        checkpoint.on_the_way("python survive.py 200").run("python survive.py 200")
        checkpoint.run("python survive.py 1000")
