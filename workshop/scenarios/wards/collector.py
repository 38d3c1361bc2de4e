"""What comes out behind the Collector of what a service tells."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from dataclasses import replace

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.fake_server import FakeServer
from workshop.checks.privacy import leak, texts
from workshop.course.requirements import requirements
from workshop.programs.collector import Collector
from workshop.programs.instance import Instance, ProgramError
from workshop.programs.program import find
from workshop.scenarios.wards.finding import Finding
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Event, Span

PLAIN = 30


def examine(checkpoint: Checkpoint, found: Finding) -> None:
    """What a service tells comes out behind the Collector: all of it, without its secrets, and counted."""
    found.wrong = "what is sent to the Collector does not come out behind it as it should"
    sent = told(f"shop-{secrets.token_hex(4)}")
    quickened(checkpoint, "otel/collector.yaml", "metrics_flush_interval: 1s", "metrics_flush_interval: 100ms")
    quickened(checkpoint, "otel/collector.yaml", "decision_wait: 2s", "decision_wait: 500ms")
    with FakeServer() as store:
        for name in ("jaeger", "prometheus", "logs"):
            program = find(name)
            checkpoint.sandbox.lead_to(program, dict.fromkeys(program.ports, store.port))
        with checkpoint.start("collector") as collector:
            try:
                behind(checkpoint, collector, store, sent)
            finally:
                found.said = {"collector": collector.said}


def told(shop: str) -> Telemetry:
    """What a service tells whose authors thought of nothing: six requests, two of them for its health, a number, a line; and requests
    of which nothing is to be told, each in a trace of its own."""
    _, mail, token = requirements().canaries
    now, resource = time.time_ns(), {"service.name": shop}
    query = {"url.query": f"token={token}&email={mail}", "user.id": "4711", "http.request.header.cookie": [f"session={token}"]}
    span = Span("GET /", "server", secrets.token_hex(16), "", None, now - 5_000_000, now, resource=resource)
    failed = Event("exception", now, {"exception.type": "KeyError", "exception.message": mail})
    spans = [
        replace(span, attributes={"http.route": "/", **query}),
        replace(span, attributes={"http.route": "/", **query}, status="ERROR", status_text=mail, events=(failed,)),
        replace(span, name="GET /health", attributes={"http.route": "/health"}),
        replace(span, name="GET /health", attributes={"http.route": "/health"}, status="ERROR"),
        replace(span, name="GET /health/records", attributes={"http.route": "/health/records"}),
        replace(span, name="GET /status", kind="client", attributes={"url.path": "/health"}),
    ]
    spans += [replace(spans[0], trace_id=secrets.token_hex(16)) for _ in range(PLAIN)]
    spans = [replace(one, span_id=secrets.token_hex(8)) for one in spans]
    point = NumberPoint({"http.route": "/", "url.query": query["url.query"]}, now - 10**9, now, (), 3)
    counted = Metric("shop.requests", "sum", (point,), "{request}", "", "cumulative", True, resource)
    line = LogRecord(f"GET /?token={token} 200", "INFO", 9, now, now, span.trace_id, spans[0].span_id, resource=resource)
    return Telemetry(spans, [counted], [line])


def behind(checkpoint: Checkpoint, collector: Collector, store: FakeServer, sent: Telemetry) -> None:
    """What the stores get of what was sent."""
    shop = sent.spans[0].service
    quiet = sent.spans[2]  # a health check that went well
    taken(checkpoint, collector, sent)

    def counts() -> dict[str, float]:
        """What the Collector has counted of the spans, by their names."""
        last = {}
        for metric in store.stored.metrics:
            if metric.name == "traces.span.metrics.calls":
                last |= {(p.attributes["span.name"], p.attributes["status.code"]): p.value for p in metric.points}
        return last

    def seen() -> tuple[float, ...]:
        found = store.stored
        measured = [metric for metric in found.metrics if metric.name == "shop.requests"]
        return (len(found.spans), len(measured), len(found.logs), sum(counts().values()))

    wanted = (len(sent.spans) - 1, 1, 1, len(sent.spans) - 1)
    collector.until(lambda: all(have >= want for have, want in zip(seen(), wanted)), 2)
    taken(checkpoint, collector, Telemetry([], [], sent.logs))  # some time after it has started
    spans = {span.span_id: span for span in store.stored.spans}
    lost = [span for span in sent.spans if span is not quiet and span.span_id not in spans]
    checkpoint.must(
        not lost,
        "spans-lost",
        seen=f"{len(lost)} spans of {len(sent.spans) - 1} did not come out at localhost:4318, such as "
        + (f"{lost[0].name}, {lost[0].status}" if lost else ""),
        expected="all but the health check that went well",
        why="a filter says what is dropped, and an exporter where the rest goes",
        behind=collector,
        lesson="300/700/300",
    )
    checkpoint.must(
        quiet.span_id not in spans,
        "health-kept",
        seen="a health check that went well came out",
        expected="only one that failed",
        why="it is asked every few seconds, and tells nothing",
        lesson="300/700/300",
    )
    for what, number, place in (("metrics", seen()[1], "localhost:9090"), ("log records", seen()[2], "localhost:9428")):
        checkpoint.must(
            number,
            f"{what.split()[0].rstrip('s')}s-lost",
            seen=f"the {what} of the service did not come out at {place}",
            expected="all of them",
            why="each signal has a pipeline of its own",
            behind=collector,
            lesson="300/700/100",
        )
    found = store.stored
    canaries = tuple(canary.casefold() for canary in requirements().canaries)
    for signal, things in (("spans", found.spans), ("metrics", found.metrics), ("logs", found.logs)):
        for place, text in (one for thing in things for one in texts(thing)):
            checkpoint.must(
                not leak(text, canaries),
                "private",
                seen=f"{leak(text, canaries)!r} in {place}, of the {signal}",
                expected="it nowhere behind the Collector",
                why="a store is copied, kept and read by many",
                lesson="300/700/200",
            )
    first = spans[sent.spans[0].span_id]
    checkpoint.must(
        first.attributes.get("http.route") == "/" and first.attributes.get("user.id") not in (None, "4711"),
        "user",
        seen=f"http.route is {first.attributes.get('http.route')}, user.id is {first.attributes.get('user.id')}; it came as 4711",
        expected="/ and a hash",
        why="support has to find all that happened to one user, without knowing who it is",
        lesson="300/700/200",
    )
    checkpoint.must(
        first.resource.get("cloud.region") == "my-desk" and first.service == shop,
        "resource",
        seen=f"cloud.region is {first.resource.get('cloud.region')}",
        expected="my-desk",
        why="the Collector knows where it runs; the app need not",
        lesson="300/700/100",
    )
    calls = Counter({span.name: 0 for span in sent.spans})
    for (name, _), value in counts().items():
        calls[name] += value
    expected = Counter(span.name for span in sent.spans if span is not quiet)
    checkpoint.must(
        +calls == expected,
        "miscounted",
        seen=f"the Collector has counted {_counted(calls)}",
        expected=_counted(expected),
        why="numbers are made of all that happened, and only then is a part of it kept",
        lesson="300/700/300",
    )
    kept: set[str] = set()
    failed, plain = sent.spans[1].span_id, {span.span_id for span in sent.spans[-PLAIN:]}

    def failure_kept() -> bool:
        kept.update(span.span_id for span in collector.written("kept.json").spans)
        return failed in kept

    checkpoint.must(
        collector.until(failure_kept, 4),
        "failure-thrown-away",
        seen="the trace of a request that failed is not in kept.json of the Collector's folder",
        expected="it, whatever becomes of the others",
        why="somebody will ask about it",
        behind=collector,
        lesson="300/700/300",
    )
    checkpoint.must(
        not plain <= kept,
        "all-kept",
        seen=f"all of {PLAIN} traces in which nothing happened are in kept.json",
        expected="about a fifth of them",
        why="what nobody will look at is paid for all the same",
        lesson="300/700/300",
    )
    tells = Instance(collector.program, f"http://127.0.0.1:{collector.ports['metrics']}", collector.ports, collector.folder)
    try:
        tells.ask("/metrics")
        silent = ""
    except ProgramError as error:
        silent = str(error)
    checkpoint.must(
        not silent,
        "silent",
        seen="nothing answers at localhost:5319/metrics",
        expected="the Collector's own numbers",
        why="who watches the door counts what came in, and what went out",
        lesson="300/700/400",
    )


def taken(checkpoint: Checkpoint, collector: Collector, telemetry: Telemetry) -> None:
    """Hand it over."""
    refused = ""
    try:
        collector.send(telemetry)
    except ProgramError as error:
        refused = str(error)
    checkpoint.must(
        not refused,
        "refused",
        seen=checkpoint.sandbox.unswap(refused),
        expected="200: it has taken what was sent",
        why="what the Collector does not take stays with the app, which drops it when its queue is full",
        behind=collector,
        lesson="300/700/100",
    )


def _counted(calls: Counter) -> str:
    return ", ".join(f"{name} {number:g}" for name, number in sorted(calls.items()) if number) or "nothing"


def quickened(checkpoint: Checkpoint, file: str, slow: str, fast: str) -> None:
    """Let the check's own copy wait less; the telemetry stays the same."""
    path = checkpoint.folder / file
    if path.exists():
        path.write_bytes(path.read_bytes().replace(slow.encode(), fast.encode()))
