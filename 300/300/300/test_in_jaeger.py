"""The trace of each request arrives in a real Jaeger, over OTLP and HTTP."""

import json

import pytest

GRPC = 4317


def visit(checkpoint):
    """One run of the app, where only OTLP over HTTP is let through: the app, and what it answered."""
    with checkpoint.serve(jaeger=True, closed=GRPC) as app:
        page = app.get("/")
        continued = app.get("/", traceparent=True)
        added = app.submit("/add", {"text": "Buy milk"})
    return app, page, continued, added


@pytest.mark.before("not-exported")
def test_every_request_is_one_trace_in_jaeger(checkpoint):
    app, page, _, added = checkpoint.shared(visit)

    app.in_jaeger(page, name="GET /", route="/")
    span = app.in_jaeger(added, name="POST /add", route="/add")
    app.sql_below(span, where="jaeger")
    checkpoint.picture("trace.svg", app.find(added))

    answers = checkpoint.jaeger.query_url
    assert "JAEGER_URL" in checkpoint.run("workshop up", JAEGER_URL=answers).output
    checkpoint.run("workshop trace", JAEGER_URL=answers)
    services = app.checkpoint.run("curl -s http://localhost:16686/api/services").output
    assert "todo" in json.loads(services)["data"]


@pytest.mark.before("not-exported")
def test_a_request_that_carries_a_trace_continues_it_in_jaeger(checkpoint):
    app, _, continued, _ = checkpoint.shared(visit)

    app.in_jaeger(continued)
