"""What a file sets up tells the same as what variables set up, and it says two things that they cannot."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from workshop.checks.app import App
from workshop.checks.fake_server import FakeServer
from workshop.checks.sandbox import OTLP_HTTP
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span

CONFIGURED, VARIABLES = "sh configured.sh", "sh run.sh"
LOST = "telemetry.auto.version"
# What differs from one request, or one start, to the next.
OWN = {"http.user_agent", "user_agent.original", "net.peer.port", "client.port", "service.instance.id", LOST}
OLD, KEPT = "http.server.duration", {"http.method", "http.target", "http.status_code"}


@contextmanager
def serve(checkpoint, command: str, shown: bool = False) -> Iterator[tuple[App, FakeServer]]:
    """The app with a backend that takes what it sends: who is not answered stops later."""
    with FakeServer(port=checkpoint.sandbox.own_ports[OTLP_HTTP]) as backend, checkpoint.serve(command, shown=shown) as app:
        yield app, backend


@dataclass
class Both:
    """The same requests, sent to the app by variables and to the app by the file."""

    plain: App
    filed: App
    sent: Telemetry
    refused: set[str]


def both(checkpoint) -> Both:
    with serve(checkpoint, CONFIGURED, shown=True) as (filed, backend):
        visit(filed)
    filed.server_span(filed.responses[0])
    refused = {request.path for request in backend.requests if not request.accepted}
    with serve(checkpoint.beside("variables"), VARIABLES) as (plain, _):
        visit(plain)
    return Both(plain, filed, backend.stored, refused)


def visit(app: App) -> None:
    app.submit("/add", {"text": "Buy milk"})
    app.get("/", traceparent=True)
    app.get("/no-such-page", wanted=404)


def told(app: App) -> list[list[tuple]]:
    """What the spans of each request say: name, kind, status, attributes, events, each below its parent's name."""
    found = []
    for response in app.responses:
        server = app.server_span(response)
        below = [span for span in app.below(server) if span.name != "connect"]  # chance says who finds the pool empty
        names = {span.span_id: span.name for span in (server, *below)}
        found.append(sorted(line(span, names.get(span.parent_id, "")) for span in (server, *below)))
    return found


def line(span: Span, parent: str) -> tuple:
    known = sorted((name, str(value)) for name, value in span.attributes.items() if name not in OWN)
    return span.name, span.kind, parent, span.status, known, [event.name for event in span.events]


@pytest.mark.before("no-run-file")
def test_the_file_tells_what_the_variables_tell_span_by_span(checkpoint):
    run = checkpoint.shared(both)
    plain, filed = told(run.plain), told(run.filed)
    for one, other, response in zip(plain, filed, run.filed.responses, strict=True):
        differ = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
        checkpoint.must(
            one == other,
            "not-the-same-spans",
            seen=f"{response}: {len(other)} spans with the file, {len(one)} with variables" + shown(differ),
            expected="the same spans with the same attributes",
            why="a file that replaces variables must not change what the app tells",
        )
    resources = [{k: v for k, v in app.spans[0].resource.items() if k not in OWN} for app in (run.plain, run.filed)]
    checkpoint.must(
        resources[0] == resources[1],
        "not-the-same-resource",
        seen=f"{sorted(resources[1].items() ^ resources[0].items())}",
        expected="the resource that src/run.sh makes",
        why="dashboards and alerts find an app by these attributes",
    )
    checkpoint.must(
        run.filed.spans[0].resource.get("service.instance.id"),
        "no-instance",
        seen="no service.instance.id in the resource",
        expected="one for each process",
        why="without it all workers are one, and their counters jump; the file assumes no detector",
        do="`detection/development` with the detector `service`, below `resource` in src/otel/sdk.yaml",
    )
    for what in ("metrics", "logs"):
        one, other = (said(app, what) for app in (run.plain, run.filed))
        checkpoint.must(
            one == other,
            f"not-the-same-{what}",
            seen=f"{what} differ in {', '.join(sorted(one ^ other)[:3])}",
            expected=f"the {what} that src/run.sh makes",
            why="a file that replaces variables must not change what the app tells",
        )


def shown(differ: list) -> str:
    if not differ:
        return ""
    one, other = differ[0]
    return f"\n{one[:4]} and {other[:4]}; attributes that differ: {sorted(set(one[4]) ^ set(other[4]))[:4]}"


def said(app: App, what: str) -> set[str]:
    """The names of the metrics of app and libraries, or the texts of what the app logged."""
    if what == "metrics":
        return {metric.name for metric in app.console.metrics if not metric.name.startswith("otel.sdk.")}
    return {str(record.body) for record in app.console.logs if record.trace_id.strip("0")}


@pytest.mark.before("no-run-file")
def test_all_three_signals_leave_by_otlp_as_well(checkpoint):
    run = checkpoint.shared(both)
    lost = [signal for signal in ("spans", "metrics", "logs") if not getattr(run.sent, signal)]
    checkpoint.must(
        not lost,
        "not-sent",
        seen=f"no {' and no '.join(lost)} came to the port of the Collector"
        + (f", and what was sent to {', '.join(sorted(run.refused))} was refused" if run.refused else ""),
        expected="spans, metrics and logs, at /v1/traces, /v1/metrics and /v1/logs",
        why="the console shows what is exported to the console; `otlp_http` adds no path to its endpoint",
        do="`otlp_http` for each signal in src/otel/sdk.yaml, with the path of that signal behind its address",
    )


@pytest.mark.before("no-run-file")
def test_a_view_keeps_three_attributes_of_the_old_histogram(checkpoint):
    run = checkpoint.shared(both)
    points = run.filed.metric(OLD).points
    strange = sorted({name for point in points for name in point.attributes} ^ KEPT)
    checkpoint.must(
        not strange,
        "attributes-kept",
        seen=f"{OLD} has {len(points)} series; too much or too little are {', '.join(strange)}",
        expected=f"{', '.join(sorted(KEPT))} and nothing else",
        why="each further attribute multiplies series; this is your own step of the lesson",
        do="`views` below `meter_provider` in src/otel/sdk.yaml",
    )
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("no-run-file")
def test_every_write_is_kept_and_of_reads_as_many_as_asked(checkpoint):
    checkpoint.environment["READ_SHARE"] = "0"
    checkpoint.environment |= {
        "OTEL_SERVICE_NAME": "other",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_TRACES_SAMPLER": "always_off",
    }
    command = f"OTEL_SERVICE_NAME=other OTEL_TRACES_EXPORTER=none OTEL_TRACES_SAMPLER=always_off {CONFIGURED}"
    with serve(checkpoint, command if checkpoint.showing else CONFIGURED, shown=True) as (app, _):
        form = app.form("/add")
        written = app.post("/add", {**form, "text": "Buy milk"})
        reads = [app.get("/") for _ in range(3)]
        called = app.get("/", traceparent=True)
    app.server_span(written, name="POST /add")
    kept = [read for read in reads if any(span.user_agent == read.agent for span in app.spans)]
    checkpoint.must(
        not kept,
        "reads-kept",
        seen=f"with READ_SHARE=0, {len(kept)} of {len(reads)} reads have spans",
        expected="none",
        why="the last rule decides for all that is no POST, by the share that READ_SHARE names",
        do="`ratio: ${READ_SHARE:-1}` in the rules of the sampler in src/otel/sdk.yaml",
    )
    app.server_span(called)


def show(checkpoint):
    """What the page says of a misspelt key, of a forgotten propagator, and of the package that reads the file."""
    for command in ("sed s/processors", "sed s/tracer_provider"):
        checkpoint.run(command)
    bare = checkpoint.beside("bare")
    file = bare.folder / "otel/sdk.yaml"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(text for text in lines if "propagator" not in text and "composite:" not in text), encoding="utf-8")
    with pytest.raises(Exception, match="names no propagator"), serve(bare, CONFIGURED) as (app, _):
        app.get("/")
    assert app.responses[0].status in (0, 500)
    without = checkpoint.beside("without")
    hides = without.folder.with_name("hides")
    hides.mkdir()
    (hides / "yaml.py").write_text("raise ImportError\n", encoding="utf-8")
    without.environment["PYTHONPATH"] += f"{os.pathsep}{hides}"
    with serve(without, CONFIGURED) as (app, _):
        app.get("/")
    with pytest.raises(Exception, match="the package that reads the file"):
        app.server_span(app.responses[0])
    for setting, value, said in (
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64", "max_export_batch_size must be less than or equal"),
        ("OTEL_SDK_DISABLED", "true", ""),
    ):
        counts = checkpoint.beside(setting)
        counts.environment[setting] = value
        with serve(counts, CONFIGURED) as (app, _):
            app.get("/")
        assert said in app.output and not app.spans
