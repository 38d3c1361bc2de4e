"""Secrets that services have told stay inside the Collector; what operators need goes on."""

import secrets
import time
from dataclasses import replace

import pytest

from workshop.checks.privacy import leak, texts
from workshop.course.requirements import requirements
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Event, Span

TASK, MAIL, TOKEN = requirements().canaries
QUERY = f"token={TOKEN}&email={MAIL.replace('@', '%40')}"
USERS = ("4711", "4711", "4712")


def passed_on(checkpoint):
    """What each store has of what a service told that knows no discretion: spans, series, rows, records of the file."""
    jaeger, prometheus, logs = map(checkpoint.program, ("jaeger", "prometheus", "logs"))
    shop, trace_id = f"shop-{secrets.token_hex(4)}", secrets.token_hex(16)
    with checkpoint.start("collector") as collector:
        collector.send(indiscreet(shop, trace_id))
        found = {
            "spans": (3, lambda: jaeger.trace(trace_id)),
            "series": (2, lambda: prometheus.query(f'{{job="{shop}"}}')),
            "rows": (2, lambda: logs.query(f'service.name:="{shop}"')),
            "records": (2, lambda: [log for log in collector.written("logs.json").logs if log.service == shop]),
        }
        jaeger.until(lambda: all(len(ask()) >= count for count, ask in found.values()), 5)
        found = {what: (count, ask()) for what, (count, ask) in found.items()}
    for what, (count, came) in found.items():
        checkpoint.must(
            len(came) >= count,
            "too-much",
            seen=f"{len(came)} {what} of {count} went on to the {'file' if what == 'records' else 'stores'}",
            expected=f"{count}, without their secrets",
            why="who drops the whole to lose a part has nothing left to look at",
            behind=collector,
        )
    return tuple(came for _, came in found.values())


def indiscreet(shop, trace_id):
    """What a service tells whose authors thought of nothing."""
    now = time.time_ns()
    resource = {"service.name": shop, "process.command_args": ["serve", f"--token={TOKEN}"]}
    failed = {
        "exception.type": "IntegrityError",
        "exception.message": f"no room for {TASK}",
        "exception.stacktrace": f"Traceback …\nIntegrityError: no room for {TASK}",
    }
    attributes = {
        "http.route": "/",
        "http.target": f"/?{QUERY}",
        "url.query": QUERY,
        "http.request.header.cookie": [f"session={TOKEN}"],
        "todo.owner": MAIL,
    }
    span = Span("GET /", "server", trace_id, "", None, now, now + 5_000_000, "ERROR", f"IntegrityError: no room for {TASK}")
    events = (Event("exception", now, failed),)
    spans = [
        replace(
            span,
            span_id=secrets.token_hex(8),
            start_ns=now + n,
            attributes={**attributes, "user.id": user},
            events=events,
            resource=resource,
        )
        for n, user in enumerate(USERS)
    ]
    line = LogRecord(f'"GET /?{QUERY} HTTP/1.1" 500', "ERROR", 17, now, now, trace_id, attributes=failed, resource=resource)
    signed_in = LogRecord({"user": {"mail": MAIL}, "text": "signed in"}, "INFO", 9, now, now, resource=resource)
    point = NumberPoint({"http.route": "/", "http.target": f"/?{QUERY}"}, now - 10**9, now, (), 3)
    counted = Metric("shop.requests", "sum", (point,), "{request}", "", "cumulative", True, resource)
    return Telemetry(spans, [counted], [line, signed_in])


@pytest.mark.before("private")
def test_no_secret_leaves_the_collector(checkpoint):
    spans, series, rows, written = checkpoint.shared(passed_on)
    stores = {"Jaeger": spans, "Prometheus": [s.labels for s in series], "the log store": rows, "logs.json": written}
    for store, things in stores.items():
        for place, text in (told for thing in things for told in texts(thing)):
            found = leak(text, requirements().canaries)
            checkpoint.must(
                not found,
                "private",
                seen=f"{found!r} in {place}, in {store}: {text[:80]}",
                expected="it nowhere behind the Collector",
                why="a store is copied, kept and read by many; here is the last place at which it can be taken out",
                do=f"let a processor take it out of {place}, in every pipeline: by its looks, by its name, or the whole field",
            )
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("private")
def test_what_operators_need_goes_on(checkpoint):
    spans, series, rows, _ = checkpoint.shared(passed_on)
    checkpoint.must(
        not any(leak(text, requirements().canaries) for span in spans for _, text in texts(span)),
        "private",
        seen="a secret in Jaeger",
        expected="none; then this test looks at what is left",
        why="who takes nothing out keeps everything, and that is no merit",
    )
    events = [event for span in spans for event in span.events]
    kept = {
        "http.route of the spans": all(span.attributes.get("http.route") == "/" for span in spans),
        "the status ERROR of the spans": all(span.status == "ERROR" for span in spans),
        "the type of an exception in an event": {e.attributes.get("exception.type") for e in events} == {"IntegrityError"},
        "the method and the status in a log line": any("GET /" in row["_msg"] and "500" in row["_msg"] for row in rows),
        "the type of an exception in a log record": any(row.get("exception.type") == "IntegrityError" for row in rows),
        "the words of a log record's map": any("signed in" in row.values() for row in rows),
        "what a metric counted": any(s.labels.get("http_route") == "/" and s.value == 3 for s in series),
    }
    gone = [what for what, there in kept.items() if not there]
    checkpoint.must(
        not gone,
        "too-much",
        seen=f"gone: {', '.join(gone)}",
        expected="names, types, numbers and routes as before: they tell what happened, and nothing of anybody",
        why="a processor took more than the secret",
    )


@pytest.mark.before("user-readable")
def test_a_user_is_known_by_a_hash_and_by_nothing_else(checkpoint):
    spans, _, _, _ = checkpoint.shared(passed_on)
    known = [str(span.attributes.get("user.id", "")) for span in sorted(spans, key=lambda span: span.start_ns)]
    checkpoint.must(
        not set(USERS) & set(known),
        "user-readable",
        seen=f"user.id is {known[0]}, as the app gave it",
        expected="a hash",
        why="a number from your database leads to a name; this is your own step of the lesson",
        do="the action `hash` of an `attributes` processor, for the key user.id, in the pipeline `traces`",
    )
    checkpoint.must(
        known[0] == known[1] != known[2] and all(known),
        "user-not-told-apart",
        seen=f"user.id of two spans of one user, and of one of another: {', '.join(known)}",
        expected="the same value for the same user, another one for another",
        why="support has to find all that happened to one user, without knowing who it is",
        do="hash it instead of masking or deleting it",
    )


def show(checkpoint):
    """What the page shows: what the spans of the app tell of an address, before and after."""
    asked = "curl -s 'http://localhost:16686/api/traces?service=todo&limit=500' | grep -o '\"{}[^\"]*"
    for careless, ask in (("?token", ""), ("?email", "/?")):
        careless = f"curl -s -o /dev/null 'http://localhost:5001/{careless}"
        there = checkpoint.on_the_way(asked.format("")) if not ask else checkpoint.beside("after")
        for name in ("prometheus", "logs"):
            there.program(name)
        with there.start("jaeger") as jaeger, there.start("collector") as collector:
            with there.serve():
                there.run(careless)
            collector.until(lambda: jaeger.traces("todo"), 5)  # noqa: B023
            there.run(asked.format(ask))
