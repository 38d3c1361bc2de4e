"""Seven faults of a configuration are cured and named, and a running Collector can be looked into."""

import re
import secrets
import time

import pytest

from workshop.programs.collector import Collector
from workshop.programs.instance import Instance, ProgramError
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span

DRILL, FAULTS = "otel/drill.yaml", "otel/faults.txt"
NAMES = {
    "yaml-twice",
    "unknown-key",
    "removed-component",
    "not-configured",
    "variable-missing",
    "old-component",
    "collector-loop",
}


def one_span() -> Span:
    now = time.time_ns()
    return Span(
        "drill", "internal", secrets.token_hex(16), secrets.token_hex(8), None, now, now + 1, resource={"service.name": "drill"}
    )


def accepted(collector: Collector) -> float:
    """How many spans it says that it has received."""
    return counted(collector, "otelcol_receiver_accepted_spans")


def counted(collector: Collector, name: str, exporter: str = "") -> float:
    """What its own numbers of this name add up to; of exporters only those whose names begin so."""
    try:
        own = collector.metrics()
    except ProgramError:
        return 0
    mine = (s for s in own if s.labels.get("exporter", "").startswith(exporter))
    return sum(s.value for s in mine if s.labels["__name__"].startswith(name))


@pytest.mark.before("yaml-twice")
def test_the_cured_file_passes_one_span_on_once(checkpoint):
    jaeger, span = checkpoint.program("jaeger"), one_span()
    with checkpoint.start("collector", DRILL) as collector:
        collector.send(Telemetry([span]))
        jaeger.until(lambda: jaeger.trace(span.trace_id), 3)
        collector.until(lambda: accepted(collector) > 1, 0.5)
        came, received = len(jaeger.trace(span.trace_id)), accepted(collector)
        sent = counted(collector, "otelcol_exporter_sent_spans", "otlp")  # Jaeger shows a span that came twice as one
    checkpoint.must(
        came == 1 and received <= 1 and sent <= 1,
        "not-passed-on",
        seen=f"one span was sent to it; it has received {received:.0f} and sent on {sent:.0f}; Jaeger has {came}",
        expected="one, once",
        why="what comes in goes out, to who is meant, and once",
        behind=collector,
    )
    if "alias is deprecated" in collector.said:
        checkpoint.blame(collector)


@pytest.mark.before("fault-not-named")
def test_each_fault_is_named(checkpoint):
    path = checkpoint.folder / FAULTS
    named = set(path.read_text(encoding="utf-8").split()) if path.exists() else set()
    wrong = sorted(named - NAMES)
    checkpoint.must(
        named == NAMES,
        "fault-not-named",
        seen=f"src/{FAULTS} " + (f"names {len(named & NAMES)} of 7" if path.exists() else "does not exist"),
        expected="the names of the seven faults, one a line" + (f"; {wrong[0]} is not among them" if wrong else ""),
        why="a fault that has a name is found the next time in a minute",
        do="compare what you have cured with the table of the page",
    )


@pytest.mark.before("no-zpages")
def test_a_running_collector_can_be_looked_into(checkpoint):
    for name in ("jaeger", "prometheus", "logs"):
        checkpoint.program(name)
    with checkpoint.start("collector") as collector:
        pages = Instance(collector.program, f"http://127.0.0.1:{collector.ports['zpages']}", collector.ports, collector.folder)
        try:
            page = pages.ask("/debug/pipelinez")
        except ProgramError:
            page = ""
        checkpoint.must(
            "traces" in page,
            "no-zpages",
            seen="nothing answers at http://localhost:5321/debug/pipelinez",
            expected="a page that shows the pipelines",
            why="an extension runs only where it is configured and service names it; this is your own step of the lesson",
            do="`zpages` below extensions, with an endpoint, and in the list `extensions` below service",
            behind=collector,
        )
        if checkpoint.showing:
            checkpoint.run("curl -s http://localhost:5321")
    if checkpoint.showing:
        show(checkpoint)


def show(checkpoint):
    """What the page shows on its way: no, a hole in an address, and a span that goes round."""
    for command in ("workshop tool otelcol-contrib validate", "workshop tool otelcol-contrib print-config"):
        assert checkpoint.on_the_way(command).run(command).output
    numbers = "curl -s http://localhost:5319/metrics"
    there = checkpoint.on_the_way(numbers)
    with there.start("collector", DRILL) as collector:
        there.run("curl -s http://localhost:5318/v1/traces")
        collector.until(lambda: accepted(collector) >= 1000, 5)
        assert re.search(r"\d{4}", there.run(numbers).output)
