"""`make bench-class`: how many learners one Jaeger of `workshop up` carries, all spans kept; and how many a Collector does, whose
Jaeger writes into OpenSearch (where Java and Maven are). Two tables and no test.

The apps are simulated. The finished app answers one request under the agent, and what it exports is kept. Each simulated app is a
service of its own; every five seconds, as the SDK's batch processor does, it posts what its requests since then would have been:
copies of that export, in OTLP as protobuf over HTTP by a connection that it keeps, with new ids and the time of now. At one rate
after the other, from one request a second for each app, until the first span is lost: refused, not taken within the exporter's ten
seconds, or accepted and not in Jaeger 30 seconds later. Only the newest are asked for: a Jaeger without a store forgets the oldest on
purpose, after the time in the last column. Above 20 requests a second an SDK would send sooner, for a batch is full at 512 spans."""

from __future__ import annotations

import http.client
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from workshop.checks.beside import Beside
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.fake_server import FakeServer
from workshop.checks.sandbox import END, OTLP_HTTP
from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.dev.opensearch import opensearch
from workshop.programs.collector import COLLECTOR
from workshop.programs.instance import Instance, ProgramError
from workshop.programs.jaeger import JAEGER
from workshop.programs.lifecycle import for_checks, port_settings
from workshop.setup.downloads import Unavailable

BATCH, TIMEOUT = 5, 10  # seconds, of the SDK
PATIENCE = 30  # seconds, until a queue and a store have what was accepted
LATE = 1  # so much behind its time an app is no longer one request a second
ASKED, NEWEST = 200, 5000
RATES = 1, 2, 4, 8, 16, 32, 64, 128
PROCESSES = 2


def one_export() -> bytes:
    """What the finished app exports for one request for its list; the advisor is away, and the call to it fails."""
    with tempfile.TemporaryDirectory(prefix="workshop-class-") as folder:
        checkpoint = Checkpoint(lessons.find("300/900/300"), END, Path(folder), Beside(True).program)
        checkpoint.environment["MODE"] = "otlp"
        with FakeServer(port=checkpoint.sandbox.own_ports[OTLP_HTTP]) as backend, checkpoint.serve("sh modes.sh $MODE") as app:
            app.get("/health")  # what it tells of its start is no request's
            backend.until(lambda server: server.stored.spans)
            agent = app.get("/").agent
            backend.until(lambda server: any(span.user_agent == agent for span in server.stored.spans))
        trace_id = next(span.trace_id for span in backend.stored.spans if span.user_agent == agent)
        kept = ExportTraceServiceRequest()
        for request in backend.requests:
            for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
                for scope in resource.scope_spans:
                    mine = [span for span in scope.spans if span.trace_id.hex() == trace_id]
                    if mine:
                        one = kept.resource_spans.add(resource=resource.resource)
                        one.scope_spans.add(scope=scope.scope, spans=mine)
    return kept.SerializeToString()


def batch(template: ExportTraceServiceRequest, service: str, requests: int) -> tuple[bytes, list[str]]:
    """The export of so many requests of a service, and their trace ids."""
    message, shift = ExportTraceServiceRequest(), time.time_ns() - min(span.start_time_unix_nano for span in spans_of(template))
    trace_ids = [random.randbytes(16) for _ in range(requests)]
    own_ids = [{span.span_id: random.randbytes(8) for span in spans_of(template)} for _ in trace_ids]
    for resource in template.resource_spans:
        one = message.resource_spans.add(resource=resource.resource)
        for attribute in one.resource.attributes:
            if attribute.key == "service.name":
                attribute.value.string_value = service
        for scope in resource.scope_spans:
            spans = one.scope_spans.add(scope=scope.scope).spans
            for trace_id, ids in zip(trace_ids, own_ids, strict=True):
                for original in scope.spans:
                    span = spans.add()
                    span.CopyFrom(original)
                    span.trace_id, span.span_id = trace_id, ids[original.span_id]
                    span.parent_span_id = ids.get(original.parent_span_id, b"")
                    span.start_time_unix_nano += shift
                    span.end_time_unix_nano += shift
    return message.SerializeToString(), [trace_id.hex() for trace_id in trace_ids]


def spans_of(message: ExportTraceServiceRequest) -> list:
    return [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]


def learners(
    template: bytes, port: int, apps: list[int], rate: int, seconds: float
) -> tuple[int, int, list[tuple[float, str]]]:
    """Some apps of the class, in a process of their own: requests that were lost, that were sent late, and when which trace left."""
    parsed, lock = ExportTraceServiceRequest.FromString(template), threading.Lock()
    lost, late, left = 0, 0, []
    begun = time.monotonic()

    def app(number: int) -> None:
        nonlocal lost, late
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        due, pause = begun + random.random() * BATCH, threading.Event()
        while due < begun + seconds:
            pause.wait(max(0, due - time.monotonic()))
            body, ids = batch(parsed, f"todo-{number:03}", rate * BATCH)
            behind = time.monotonic() - due > LATE
            try:
                connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                answer = connection.getresponse()
                answer.read()
                taken = answer.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
                taken = False
            with lock:
                lost, late = lost + (not taken) * len(ids), late + behind * len(ids)
                left.extend((time.time(), trace_id) for trace_id in ids if taken)
            due += BATCH
        connection.close()

    threads = [threading.Thread(target=app, args=(number,)) for number in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return lost, late, left


def step(way: list[Instance], template: bytes, apps: int, rate: int, seconds: float) -> tuple[int, int, float, float]:
    """One rate: requests that were lost or sent late, the memory of all on the way (MB), and the p99 of a question to Jaeger (ms)."""
    spans, door, jaeger = len(spans_of(ExportTraceServiceRequest.FromString(template))), way[0], way[-1]
    processes, memory, questions = [psutil.Process(one.process.pid) for one in way], 0.0, []
    with ProcessPoolExecutor(PROCESSES) as pool:
        parts = [
            pool.submit(learners, template, door.ports["http"], list(range(first, apps, PROCESSES)), rate, seconds)
            for first in range(PROCESSES)
        ]
        while not all(part.done() for part in parts):
            begun = time.monotonic()
            try:
                jaeger.traces(f"todo-{random.randrange(apps):03}", limit=20)
            except ProgramError:
                pass  # it took its five seconds
            questions.append(time.monotonic() - begun)
            memory = max(memory, sum(process.memory_info().rss for process in processes) / 1e6)
            threading.Event().wait(0.1)
        done = [part.result() for part in parts]
    newest = [trace_id for _, trace_id in sorted(pair for _, _, left in done for pair in left)[-NEWEST:]]
    missing = set(random.sample(newest, min(ASKED, len(newest))))

    def all_there() -> bool:
        missing.difference_update([trace_id for trace_id in missing if len(jaeger.trace(trace_id)) >= spans])
        return not missing

    jaeger.until(all_there, PATIENCE)
    lost, late = sum(part[0] for part in done) + len(missing), sum(part[1] for part in done)
    return lost, late, memory, statistics.quantiles(questions, n=100)[-1] * 1000


@contextmanager
def jaeger_alone() -> Iterator[list[Instance]]:
    """The Jaeger of `workshop up`."""
    with for_checks(JAEGER) as jaeger:
        yield [jaeger]


@contextmanager
def with_a_store() -> Iterator[list[Instance]]:
    """The Collector of `workshop up`, OpenSearch, and between them the Jaeger of lesson 300/900/500."""
    with (
        opensearch() as store,
        for_checks(
            JAEGER, lessons.find("300/900/500").folder / "src/scale/jaeger-opensearch.yaml", {"OPENSEARCH": store.url}
        ) as jaeger,
        for_checks(COLLECTOR, ROOT / COLLECTOR.default, port_settings(JAEGER, jaeger.ports)) as collector,
    ):
        yield [collector, store, jaeger]


@click.command()
@click.option("--apps", default=200, show_default=True)
@click.option("--seconds", default=60, show_default=True, help="How long each rate lasts.")
def main(apps: int, seconds: int) -> None:
    """Measure, and print a row for each rate."""
    template = one_export()
    print(f"{apps} apps; a request has {len(spans_of(ExportTraceServiceRequest.FromString(template)))} spans, ", end="")
    print(f"{len(template)} bytes; {seconds} s at each rate")
    remembered = int(re.search(r"max_traces: (\d+)", (ROOT / JAEGER.configuration).read_text(encoding="utf-8"))[1])
    for way, kept in (jaeger_alone, remembered), (with_a_store, 0):
        try:
            with way() as programs:
                print(f"\n{', '.join(str(one.program) for one in programs)}")
                climb(programs, template, apps, seconds, kept)
        except Unavailable as why:
            print(f"\nNot measured with OpenSearch: {why}")


def climb(way: list[Instance], template: bytes, apps: int, seconds: int, remembered: int) -> None:
    """A row for each rate, until something is lost or this machine cannot make the load."""
    spans = len(spans_of(ExportTraceServiceRequest.FromString(template)))
    print(
        f"{'each, requests/s':>16} {'spans/s':>9} {'requests lost':>14} {'late':>6} {'MB':>6} {'question p99 ms':>16} {'forgets after s':>16}"
    )
    for rate in RATES:
        lost, late, memory, p99 = step(way, template, apps, rate, seconds)
        forgets = f"{remembered / (apps * rate):.0f}" if remembered else "-"
        print(f"{rate:>16} {apps * rate * spans:>9} {lost:>14} {late:>6} {memory:>6.0f} {p99:>16.0f} {forgets:>16}", flush=True)
        if late:
            print("Late: this machine cannot make the load. What is lost may be so for want of a faster one.")
        if lost or late:
            break


if __name__ == "__main__":
    main()
