"""The trace that the page names says why saving one task was slow.

This lesson changes nothing in `src/`: the check serves the finished app. Before it, nothing that the app sends arrives.
"""

import re

import pytest

from workshop.checks.sandbox import START
from workshop.scenarios.demo import finished_app

SHOWN = re.compile(r"workshop trace ([0-9a-f]{32})")
OTLP_OVER_HTTP = 4318


@pytest.mark.before("unreachable")
def test_the_trace_named_on_the_page_shows_that_the_insert_was_slow(checkpoint, tmp_path):
    closed = OTLP_OVER_HTTP if checkpoint.at == START else 0
    with finished_app(checkpoint.jaeger, tmp_path / "finished", beside=True, closed=closed) as app:
        app.submit("/add", {"text": "Buy milk"})
        quick = SHOWN.findall(app.get("/").text)
        slow_answer = app.submit("/add", {"text": "Write the report"})
        slow = SHOWN.findall(app.get("/").text)

    span = app.in_jaeger(slow_answer, name="POST /add", route="/add")
    assert [span.trace_id] == slow and span.parent_id is None and quick
    insert = next(s for s in app.sql_below(span, where="jaeger") if s.statement.startswith("INSERT"))
    fast = next(s for s in checkpoint.jaeger.trace(quick[0]) if s.statement.startswith("INSERT"))
    assert insert.duration_ms > 0.5 * span.duration_ms and insert.duration_ms > 10 * fast.duration_ms
    checkpoint.shows("workshop demo", app.console)
    checkpoint.run("workshop trace", JAEGER_URL=checkpoint.jaeger.query_url)
    checkpoint.picture("trace.svg", checkpoint.jaeger.trace(slow[0]))


@pytest.mark.before("no-demo")
def test_one_command_shows_it_and_leaves_nothing_behind(checkpoint):
    own = checkpoint.jaeger
    ports = {"JAEGER_GRPC_PORT": str(own.grpc_port), "JAEGER_HTTP_PORT": str(own.http_port)}
    address = "http://127.0.0.1:9" if checkpoint.at == START else own.query_url
    demo = checkpoint.run("workshop demo", JAEGER_URL=address, WORKSHOP_BESIDE="1", **ports)
    checkpoint.must(
        demo.exit_code == 0 and "POST /add" in demo.output,
        "no-demo",
        seen=demo.output[-200:],
        expected="the trace of a task that was added",
        why="the demo needs a Jaeger that answers",
        do="`workshop status` says what is known of Jaeger",
    )
