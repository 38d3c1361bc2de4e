"""Spans as they are read from what an app really printed, and from what Jaeger answers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import datetime, timezone

import pytest

from workshop.checks.process import environment
from workshop.setup.ports import free_port
from workshop.telemetry.spans import Event, Link, read_console, read_jaeger

APP = """
from flask import Flask
from opentelemetry import trace
from opentelemetry._logs import get_logger

app = Flask(__name__)
tracer = trace.get_tracer("shop")


@app.get("/")
def home():
    with tracer.start_as_current_span("count 5 €", kind=trace.SpanKind.CLIENT) as span:
        span.set_attributes({"shop.name": "Café", "shop.open": True, "shop.tags": ["a", "b"]})
        span.add_event("counted", {"items": 5})
        print('{"level": "info", "kind": "of log", "message": "of the app itself"}')
        print("{ not JSON at all")
        get_logger("shop").emit(body="almost empty", severity_text="WARN")
    return "ok"


@app.get("/fail")
def fail():
    raise RuntimeError("no more tea")


@app.get("/linked")
def linked():
    here = trace.get_current_span().get_span_context()
    nowhere = trace.set_span_in_context(trace.INVALID_SPAN)
    with tracer.start_as_current_span("follow up", links=[trace.Link(here)], context=nowhere):
        return "ok"
"""
COMMAND = (
    "opentelemetry-instrument --traces_exporter console --metrics_exporter console --logs_exporter console"
    " --service_name shop flask --app shop run -p {port}"
)
SENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a small app prints under the agent: it is asked four times, then stopped with Ctrl-C."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(APP, encoding="utf-8")
    port = free_port()
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            COMMAND.format(port=port).split(),
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        ask(f"http://127.0.0.1:{port}/", process, {"traceparent": f"00-{SENT[0]}-{SENT[1]}-01"})
        for path in ("/fail", "/linked", "/nowhere"):
            ask(f"http://127.0.0.1:{port}{path}", process)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return (folder / "out").read_text(encoding="utf-8")


def ask(url: str, process: subprocess.Popen, headers: dict[str, str] | None = None) -> None:
    """Send a request, again and again until the app listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10).close()
            return
        except urllib.error.HTTPError as answered:
            answered.close()
            return
        except OSError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            assert process.poll() is None and time.monotonic() < deadline, "the app never listened"


def by_name(text: str) -> dict:
    return {span.name: span for span in read_console(text).spans}


def test_each_span_that_the_app_printed_is_read(printed):
    spans = by_name(printed)
    assert set(spans) == {"GET /", "count 5 €", "GET /fail", "GET /linked", "follow up", "GET /nowhere"}
    assert {name: span.kind for name, span in spans.items()} == {
        "GET /": "server",
        "count 5 €": "client",
        "GET /fail": "server",
        "GET /linked": "server",
        "follow up": "internal",
        "GET /nowhere": "server",
    }
    assert all(span.service == "shop" for span in spans.values())


def test_ids_are_bare_and_tell_who_is_whose_child(printed):
    spans = by_name(printed)
    home, count = spans["GET /"], spans["count 5 €"]
    assert (home.trace_id, home.parent_id) == SENT
    assert (count.trace_id, count.parent_id) == (home.trace_id, home.span_id)
    assert spans["GET /fail"].parent_id is None
    assert all(len(span.trace_id) == 32 and len(span.span_id) == 16 for span in spans.values())
    linked = spans["GET /linked"]
    assert spans["follow up"].links == (Link(linked.trace_id, linked.span_id),)
    assert spans["follow up"].trace_id != linked.trace_id


def test_times_are_nanoseconds_and_children_lie_within_their_parents(printed):
    spans = by_name(printed)
    home, count = spans["GET /"], spans["count 5 €"]
    assert home.start_ns <= count.start_ns < count.end_ns <= home.end_ns
    assert 0 < home.duration_ms < 60_000
    assert home.duration_ms == (home.end_ns - home.start_ns) / 1e6
    ago = datetime.now(timezone.utc) - datetime.fromtimestamp(home.end_ns / 1e9, timezone.utc)
    assert 0 <= ago.total_seconds() < 600


def test_status_attributes_and_events_are_kept(printed):
    spans = by_name(printed)
    failed, count = spans["GET /fail"], spans["count 5 €"]
    assert (failed.status, failed.status_text) == ("ERROR", "RuntimeError: no more tea")
    assert [event.name for event in failed.events] == ["exception"]
    assert failed.events[0].attributes["exception.message"] == "no more tea"
    assert failed.start_ns <= failed.events[0].time_ns <= failed.end_ns
    assert (count.status, count.status_text) == ("UNSET", "")
    assert count.attributes == {"shop.name": "Café", "shop.open": True, "shop.tags": ["a", "b"]}
    assert count.events[0].attributes == {"items": 5}
    assert spans["GET /nowhere"].attributes["http.status_code"] == 404


def test_metrics_and_logs_are_told_from_spans_and_from_the_apps_own_json(printed):
    console = read_console(printed)
    durations = [metric for metric in console.metrics if metric["name"] == "http.server.duration"]
    assert durations[0]["unit"] == "ms"
    assert sum(point["count"] for point in durations[-1]["data"]["data_points"]) == 4
    assert [(log["body"], log["severity_text"]) for log in console.logs] == [("almost empty", "WARN")]
    own = [value for _, value in console.objects if value.get("kind") == "of log"]
    assert own == [{"level": "info", "kind": "of log", "message": "of the app itself"}]


def test_each_object_is_given_with_its_text_as_it_was_printed(printed):
    console = read_console(printed)
    assert all(text in printed and text.startswith("{") and text.endswith("}") for text, _ in console.objects)
    assert "{ not JSON at all" in printed
    assert [text.splitlines()[0] for text, value in console.objects if "context" in value] == ["{"] * 6


def test_log_lines_between_objects_do_not_matter(printed):
    mixed = printed.replace("\n{\n", '\n127.0.0.1 - - "GET / HTTP/1.1" 200 -\n{"half": \n{\n')
    assert by_name(mixed) == by_name(printed)


def test_an_object_that_is_cut_off_is_left_alone_and_the_rest_is_read(printed):
    spans = read_console(printed).spans
    last = [text for text, value in read_console(printed).objects if "context" in value][-1]
    cut = printed[: printed.index(last) + len(last) - 3]
    assert read_console(cut).spans == spans[:-1]
    assert read_console(last[:-40] + "\n" + printed).spans == spans


def test_colors_and_line_ends_do_not_matter(printed):
    colored = "".join(f"\x1b[31m{line}\x1b[0m\n" for line in printed.splitlines())
    assert by_name(colored) == by_name(printed)
    assert "\x1b" not in read_console(colored).text
    assert by_name(printed.replace("\n", "\r\n")) == by_name(printed)


@pytest.mark.parametrize("text", ["", "{", "{}\n", "{ }\n", '{"kind": 5}\n', '{"kind": "SERVER", "context": "c"}\n', "}{\n"])
def test_what_is_no_span_is_none(text):
    console = read_console(text)
    assert (console.spans, console.metrics, console.logs) == ([], [], [])


# --- Jaeger ----------------------------------------------------------------------------------------------------------

TRACE = "83a9a4a4f1b4d5e6a7b8c9d0e1f20304"
ANSWER = {
    "data": [
        {
            "traceID": TRACE,
            "spans": [
                {
                    "traceID": TRACE,
                    "spanID": "1111111111111111",
                    "operationName": "POST /add",
                    "references": [
                        {"refType": "CHILD_OF", "traceID": TRACE, "spanID": "0000000000000abc"},
                        {"refType": "FOLLOWS_FROM", "traceID": TRACE, "spanID": "0000000000000abc"},
                        {"refType": "FOLLOWS_FROM", "traceID": "f" * 32, "spanID": "2222222222222222"},
                    ],
                    "startTime": 1795000000000001,
                    "duration": 2500,
                    "tags": [
                        {"key": "otel.scope.name", "type": "string", "value": "opentelemetry.instrumentation.flask"},
                        {"key": "span.kind", "type": "string", "value": "server"},
                        {"key": "http.status_code", "type": "int64", "value": 500},
                        {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                        {"key": "otel.status_description", "type": "string", "value": "RuntimeError: no"},
                    ],
                    "logs": [
                        {
                            "timestamp": 1795000000000200,
                            "fields": [
                                {"key": "event", "type": "string", "value": "exception"},
                                {"key": "exception.type", "type": "string", "value": "RuntimeError"},
                            ],
                        }
                    ],
                    "processID": "p1",
                    "warnings": ["clock skew adjustment disabled"],
                },
                {
                    "traceID": TRACE,
                    "spanID": "3333333333333333",
                    "operationName": "connect",
                    "references": [],
                    "startTime": 1795000000000100,
                    "duration": 0,
                    "tags": [],
                    "logs": [],
                    "processID": "p2",
                    "warnings": None,
                },
            ],
            "processes": {
                "p1": {
                    "serviceName": "todo",
                    "tags": [{"key": "telemetry.sdk.language", "type": "string", "value": "python"}],
                },
                "p2": {"serviceName": "advisor", "tags": []},
            },
            "warnings": None,
        }
    ],
    "total": 0,
    "limit": 0,
    "offset": 0,
    "errors": None,
}


def test_jaegers_answer_has_the_same_shape():
    add, connect = read_jaeger(ANSWER)
    assert (add.name, add.kind, add.service, add.trace_id, add.span_id) == (
        "POST /add",
        "server",
        "todo",
        TRACE,
        "1" * 16,
    )
    assert (add.start_ns, add.end_ns, add.duration_ms) == (1795000000000001000, 1795000000002501000, 2.5)
    assert (add.status, add.status_text) == ("ERROR", "RuntimeError: no")
    assert add.attributes["http.status_code"] == 500
    assert add.resource == {"service.name": "todo", "telemetry.sdk.language": "python"}
    assert add.scope == "opentelemetry.instrumentation.flask"
    assert add.warnings == ("clock skew adjustment disabled",)
    assert add.events == (Event("exception", 1795000000000200000, {"exception.type": "RuntimeError"}),)
    assert (connect.kind, connect.parent_id, connect.service, connect.status) == ("internal", None, "advisor", "UNSET")
    assert (connect.events, connect.links, connect.warnings, connect.duration_ms) == ((), (), (), 0)


def test_jaegers_references_are_a_parent_and_links_even_to_the_same_span():
    add = read_jaeger(ANSWER)[0]
    assert add.parent_id == "0000000000000abc"
    assert add.links == (Link(TRACE, "0000000000000abc"), Link("f" * 32, "2222222222222222"))


@pytest.mark.parametrize("answer", [{"data": []}, {"data": None}, {}, {"data": None, "errors": [{"code": 404}]}])
def test_an_answer_without_traces_has_no_spans(answer):
    assert read_jaeger(answer) == []
