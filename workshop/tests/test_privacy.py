"""The search for canaries: in every corner of what an app tells, in many disguises, and not in ordinary words."""

from __future__ import annotations

import io
import uuid
from contextlib import ExitStack, contextmanager
from urllib.parse import quote, quote_plus

import pytest
import requests
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from workshop.checks.fake_server import FakeServer
from workshop.checks.privacy import leak
from workshop.course.requirements import requirements
from workshop.diagnosis.facts import Broken, Response
from workshop.programs.jaeger import for_checks
from workshop.tests import small_app
from workshop.tests.finished import Finished
from workshop.tests.sdk import Work

CANARIES = requirements().canaries
TASK, MAIL, TOKEN = CANARIES


@pytest.mark.parametrize("canary", requirements().canaries)
def test_a_canary_is_found_in_every_disguise(canary):
    disguises = [
        *(
            canary,
            canary.upper(),
            canary.title(),
            canary.swapcase(),
            f"«{canary}»",
            canary[:6],
            canary[:6].upper(),
            canary[:10],
        ),
        *(quote(canary, safe=""), quote(quote(canary, safe=""), safe=""), quote_plus(f"?q={canary} "), canary[:-1], canary[1:]),
        *("".join(f"%{ord(letter):02x}" for letter in canary), canary.replace("-", "").replace("@", ""), canary.split("@")[0]),
    ]
    assert [text for text in disguises if not leak(f"before {text} after", CANARIES)] == []
    assert leak(f"/search?words={quote(canary.upper(), safe='')}", CANARIES) == canary


def test_the_last_letters_tell_it_too():
    assert [leak(f"…{canary[-6:]}", CANARIES) for canary in (TASK, TOKEN)] == [TASK[-6:], TOKEN[-6:]]


ORDINARY = """
task tasks token csrf_token my-task daily-task add-task-form #task-7 task-7f retry-token mary@example.com http://example.com/
binary-task primary-task cannery canal canaan examples example.org can-ary 7f3a1 f3a1c canar INSERT INTO task (text) VALUES (?)
"""


def test_no_alarm_is_raised_by_ordinary_words_and_ids():
    for text in [
        *ORDINARY.split(),
        ORDINARY,
        "0" * 10 + "7f3a1c" + "0" * 16,
        "5be902ff5be902ff",
        str(uuid.UUID("ab5be902" * 4)),
    ]:
        assert leak(text, CANARIES) == "", text


def test_no_alarm_is_raised_by_a_real_run_that_keeps_them(tmp_path):
    """The small app answers requests, fails and logs, with nothing private in it; and the SDK's work of all signals."""

    def ask(app) -> None:
        app.get("/?page=2")
        app.post("/add", {"text": "bound"})
        app.post("/add?fail=1", {"text": "Buy milk"})

    console = small_app.run(tmp_path, ask, OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true")
    assert console.spans and console.metrics and console.logs
    Finished(console.text).keeps_secrets()
    Finished(Work().printed).keeps_secrets()


# Every corner. Each plants a value somewhere in real telemetry; the place is then named.


def span_with(**more):
    def plant(value: str, tracer, meter, logger) -> None:
        filled = {name: fill(value) for name, fill in more.items()}
        with tracer.start_as_current_span(filled.pop("name", "GET /"), **filled):
            pass

    return plant


def on_span(do):
    def plant(value: str, tracer, meter, logger) -> None:
        with tracer.start_as_current_span("GET /") as span:
            do(span, value)

    return plant


def exemplar(value: str, tracer, meter, logger) -> None:
    with tracer.start_as_current_span("GET /"):
        meter.create_counter("shop.asked").add(1, {"route": "/", "dropped": value})


def nowhere(value: str):
    return [trace.Link(trace.SpanContext(1, 2, True), {"to": value})]


CORNERS = {
    "name of the span": span_with(name=str),
    "attributes url.full of the span 'GET /'": span_with(attributes=lambda v: {"url.full": f"http://localhost/?q={v}"}),
    "attributes http.request.header.cookie of": span_with(
        attributes=lambda v: {"http.request.header.cookie": [f"session={v}"]}
    ),
    "a name in attributes of the span": span_with(attributes=lambda v: {f"todo.{v}": 1}),
    "links attributes to of the span": span_with(links=nowhere),
    "events attributes exception.message of": on_span(lambda span, v: span.record_exception(ValueError(v))),
    "events name of the span": on_span(lambda span, v: span.add_event(v)),
    "status_text of the span": on_span(lambda span, v: span.set_status(trace.StatusCode.ERROR, v)),
    "points attributes task of the metric 'shop.sold'": lambda v, t, meter, lo: meter.create_counter("shop.sold").add(
        1, {"task": v}
    ),
    "points exemplars attributes dropped of the metric 'shop.asked'": exemplar,
    "unit of the metric": lambda v, t, meter, lo: meter.create_counter("shop.sold", f"{{{v}}}").add(1),
    "body said of a log record": lambda v, t, m, logger: logger.emit(body={"said": ["no", v]}),
    "attributes task of a log record": lambda v, t, m, logger: logger.emit(body="no", attributes={"task": v}),
    "event_name of a log record": lambda v, t, m, logger: logger.emit(event_name=v),
}


@contextmanager
def is_private(*said: str):
    with pytest.raises(Broken) as broken:
        yield
    assert broken.value.diagnosis.rung == "private"
    assert [part for part in said if part not in broken.value.diagnosis.seen] == []


def told(plant, value: str, **resource: str) -> str:
    """What the console exporters of a real SDK print when a value is planted."""
    out, of = io.StringIO(), Resource({"service.name": "todo", **resource})
    tracers, loggers = TracerProvider(resource=of, shutdown_on_exit=False), LoggerProvider(resource=of, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out)))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=out)))
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(out=out), export_interval_millis=600_000)
    views = [View(instrument_name="shop.asked", attribute_keys={"route"})]
    meters = MeterProvider([reader], of, shutdown_on_exit=False, views=views)
    plant(value, tracers.get_tracer("shop"), meters.get_meter("shop"), loggers.get_logger("shop"))
    meters.shutdown()
    return out.getvalue()


@pytest.mark.parametrize(("place", "plant"), CORNERS.items(), ids=CORNERS)
def test_every_corner_of_every_signal_is_searched(place, plant):
    Finished(told(plant, "bound")).keeps_secrets()
    for value, seen in (
        (TASK, "the text of a task in "),
        (MAIL.upper(), "an e-mail address in "),
        (TOKEN[:9], "'canary', a piece of"),
    ):
        with is_private(seen, place, " on the console"):
            Finished(told(plant, value)).keeps_secrets()


@pytest.mark.parametrize("plant", [CORNERS["name of the span"], CORNERS["body said of a log record"]], ids=["span", "log"])
def test_the_resource_is_searched(plant):
    with is_private("resource process.command_args of"):
        Finished(told(plant, "bound", **{"process.command_args": f"--password={TOKEN}"})).keeps_secrets()


def test_the_terminal_is_searched_and_so_are_other_apps():
    quiet, loud = Finished("started\n"), Finished(f"started\nCannot keep {TASK.upper()}\n", "advisor")
    quiet.keeps_secrets()
    with is_private("the text of a task in a line on the terminal"):
        quiet.keeps_secrets(loud)


def test_what_a_fake_server_was_sent_is_searched_in_whatever_form():
    app = Finished("started\n")
    with FakeServer() as server:
        for kept in ({}, {"headers": {"X-Task": "bound"}}):
            requests.get(f"{server.url}/advice?left=4", timeout=5, **kept)
        app.keeps_secrets(server)
        for number, leaky in enumerate(({"params": {"first": TASK}}, {"headers": {"X-Task": TASK}}, {"data": TASK.upper()})):
            requests.post(f"{server.url}/advice", timeout=5, **leaky)
            with is_private("the text of a task in ", ["path", "headers", "body"][number], " of the request POST /advice"):
                app.keeps_secrets(server)
            server.requests.pop()


# Jaeger


@pytest.fixture(scope="module")
def jaeger():
    with ExitStack() as end:
        jaeger = for_checks()
        end.callback(jaeger.stop)
        yield jaeger


def sent(jaeger, service: str, name: str, parent=None, instance: str = "", **attributes: str):
    """Send one span to Jaeger, and return its context. Nothing of it is printed."""
    resource = Resource({"service.name": service, "service.instance.id": instance or service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{jaeger.http_port}/v1/traces")))
    below = trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent else context.Context()
    span = provider.get_tracer("shop").start_span(name, below, attributes=attributes)
    span.end()
    provider.shutdown()
    return span.get_span_context()


def test_in_jaeger_the_spans_of_all_services_of_its_traces_are_searched(jaeger):
    page = Response("GET", "/", agent="check-1")
    app = Finished("", "todo-1", jaeger)
    app.responses.append(page)
    here = sent(jaeger, "todo-1", "GET /", **{"user_agent.original": page.agent})
    sent(jaeger, "todo-1", "GET /", instance="of another run", **{"url.query": TASK})
    app.keeps_secrets()
    sent(jaeger, "advisor", "GET /advice", here, **{"url.query": f"first={quote(TASK.title(), safe='')}"})
    with is_private("the text of a task in attributes url.query of the span 'GET /advice' in Jaeger"):
        app.keeps_secrets()


def test_in_jaeger_what_its_process_did_without_a_request_is_searched(jaeger):
    app = Finished("", "todo-2", jaeger)
    app.responses.append(Response("GET", "/", agent="check-2"))
    sent(jaeger, "todo-2", "GET /", instance="this run", **{"user_agent.original": "check-2"})
    app.keeps_secrets()
    sent(jaeger, "todo-2", "clean up", instance="this run", task=TASK[:8])
    with is_private("'canary', a piece of what was typed, in attributes task of the span 'clean up' in Jaeger"):
        app.keeps_secrets()
