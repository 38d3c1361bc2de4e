"""The trace of each request arrives in a real Jaeger, over OTLP and HTTP."""

import json

import pytest

GRPC = 4317


@pytest.mark.before("not-exported")
def test_every_request_is_one_trace_in_jaeger(checkpoint):
    with checkpoint.serve(jaeger=True) as app:
        page = app.get("/")
        continued = app.get("/", traceparent=True)
        added = app.submit("/add", {"text": "Buy milk"})

    app.in_jaeger(page, name="GET /", route="/")
    app.in_jaeger(continued)
    span = app.in_jaeger(added, name="POST /add", route="/add")
    app.sql_below(span, where="jaeger")
    checkpoint.picture("trace.svg", app.find(added))

    answers = checkpoint.jaeger.query_url
    assert "JAEGER_URL" in checkpoint.run("workshop up", JAEGER_URL=answers).output
    checkpoint.run("workshop trace", JAEGER_URL=answers)
    assert "todo" in json.loads(checkpoint.run("curl -s http://localhost:16686/api/services").output)["data"]


@pytest.mark.before("not-exported")
def test_the_trace_arrives_where_only_http_is_let_through(checkpoint):
    with checkpoint.serve(jaeger=True, closed=GRPC) as app:
        page = app.get("/")

    app.in_jaeger(page)
