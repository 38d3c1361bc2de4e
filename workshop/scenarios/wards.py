"""The wards of the clinic: what is examined of a `src/` to say that its telemetry is right, by the verbs of the lessons.

A ward takes one or two seconds, for many faults are proved on it, and a learner waits.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from workshop.checks.app import App
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.fake_server import FakeServer, pass_on, refuse
from workshop.checks.privacy import leak, texts
from workshop.checks.rules import asked, play
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.diagnosis.facts import Broken, Diagnosis, Response
from workshop.programs.collector import COLLECTOR, Collector
from workshop.programs.instance import Instance, ProgramError
from workshop.programs.program import find
from workshop.programs.prometheus import Prometheus
from workshop.setup.ports import free_port
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry, write_otlp
from workshop.telemetry.spans import Event, Span

GRPC_SETTINGS = b"\x00\x00\x18\x04\x00\x00\x00\x00\x00\x00\x04\x00\x3f\xff\xff"  # how a server of gRPC begins
WORK, NUMBER, ADDED, TIME = "find first step", "todo.import.id", "todo.tasks.added", "todo.task.time_to_done"
OWN = {"read notice", "search tasks", WORK}
REQUESTS = "http.server.request.duration"
CLOCK_SECONDS = 1.5  # by so much two clocks of one machine may differ, rounded generously


@dataclass
class Finding:
    """What a ward has found: what is wrong, if anything, as the check and in one sentence; and what each program said."""

    ward: str
    red: Diagnosis | None = None
    wrong: str = ""
    said: dict[str, str] = field(default_factory=dict)


def examine(checkpoint: Checkpoint, ward: str) -> Finding:
    """Examine a copy of `src/` on a ward."""
    found = Finding(ward)
    try:
        WARDS[ward](checkpoint, found)
    except Broken as broken:
        found.red = broken.diagnosis
    return found


@dataclass
class Visit:
    """One run of both services. `door` took what they exported, and `asked` counts the calls of the advisor by their words."""

    app: App
    advisor: App
    door: FakeServer
    asked: Counter
    begun_ns: int
    pages: dict[str, Response] = field(default_factory=dict)
    over_ns: int = 0

    def span(self, page: str, name: str = "", route: str = "") -> Span:
        """The SERVER span of one of the requests."""
        return self.app.server_span(self.pages[page], name, route)


def app_ward(checkpoint: Checkpoint, found: Finding) -> None:
    """Both services: who did what, for how long, how often, and whether it all arrives, and nothing private."""
    found.wrong = "the app does not start, or does not answer as it should"
    with visited(checkpoint, found) as run:
        for proof in (traces, statements, calls, background, failures, logs, metrics, times, private, arrived):
            found.wrong = " ".join(proof.__doc__.split())
            proof(checkpoint, run)


@contextmanager
def visited(checkpoint: Checkpoint, found: Finding) -> Iterator[Visit]:
    """Tasks are added, searched, done and imported; the notice cannot be read; the advisor has no answer to two words."""
    counted, port = Counter(), free_port()
    checkpoint.environment |= {"FLASK_ADVISOR_URL": f"http://localhost:{port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}

    def advise(request):
        words = (re.findall(r"/step\?words=(\d)", request.path) or [""])[0]
        counted[words] += 1
        return refuse(503) if words == "2" else pass_on(request, run.advisor.port, without="")

    begun = time.time_ns()
    with FakeServer() as door, FakeServer(GRPC_SETTINGS) as grpc:
        checkpoint.sandbox.lead_to(COLLECTOR, {**dict.fromkeys(COLLECTOR.ports, door.port), "grpc": grpc.port})
        services = {}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor"}
        try:
            with checkpoint.serve_together(*services) as both, FakeServer(advise, port=port):
                run = Visit(*both, door, counted, begun)
                use(checkpoint, run)
        finally:
            if "run" in locals():
                found.said = {"app": run.app.output, "advisor": run.advisor.output}
        run.over_ns = time.time_ns()
    yield run


def use(checkpoint: Checkpoint, run: Visit) -> None:
    """What a user does."""
    app, page, (task, *_) = run.app, run.pages, requirements().canaries
    form = app.form("/add")
    page["add"] = app.post("/add", {**form, "text": task}, traceparent=True)
    page["import"] = app.post("/import", form, files={"file": ("some.txt", b"Run\nBuy milk\n")})
    app.until(lambda: run.asked["1"] and run.asked["2"] >= 2, 2)
    page["search"] = app.post("/search", {**form, "words": task}, wanted=200)
    page["done"] = app.post("/tasks/1/done", form)
    page["again"] = app.post("/tasks/2/done", form)
    page["health"] = app.get("/health", traced=False)
    notice = checkpoint.folder / "instance" / "notice.txt"
    notice.write_bytes(b"\xff")
    page["list"] = app.get("/")
    notice.unlink()


def traces(checkpoint: Checkpoint, run: Visit) -> None:
    """Each request has its one span, with a name that lasts, and nothing else looks like one."""
    run.span("list", "GET /", "/")
    run.span("add", "POST /add", "/add")
    run.span("import", "POST /import", "/import")
    run.span("search", "POST /search", "/search")
    for page in ("done", "again"):
        run.span(page, "POST /tasks/<id:task_id>/done", "/tasks/<id:task_id>/done")
    agents = {response.agent for response in run.app.responses}
    strange = [span.name for span in run.app.spans if span.kind == "server" and span.user_agent not in agents]
    checkpoint.must(
        not strange,
        "server-spans",
        seen=f"a SERVER span that no request has made: {', '.join(sorted(set(strange))[:3])}",
        expected="one for each request and no other",
        why="whoever counts requests counts the spans of this kind",
        lesson="300/400/100",
    )
    healthy = [span for span in run.app.spans if span.user_agent == run.pages["health"].agent]
    checkpoint.must(
        not healthy,
        "health-traced",
        seen=f"{len(healthy)} spans of GET /health",
        expected="none: it is asked every few seconds, and tells nothing",
        why="OTEL_PYTHON_FLASK_EXCLUDED_URLS leaves it out",
        lesson="300/300/500",
    )
    run.app.attribute(run.span("add"), "todo.task.length", len(requirements().canaries[0]))
    run.app.attribute(run.span("list"), "deployment.environment.name", "workshop")
    for name in ("http.request.method", "http.response.status_code", "url.path", "user_agent.original"):
        checkpoint.must(
            name in run.span("list").attributes,
            "attribute",
            seen=f"GET / has no {name}, but {', '.join(sorted(run.span('list').attributes))}",
            expected=name,
            why="who searches by the stable names finds only what has them",
            lesson="300/300/500",
        )


def statements(checkpoint: Checkpoint, run: Visit) -> None:
    """As many statements as the pages have, however many tasks there are."""
    run.app.sql_below(run.span("add"), at_least=1)
    run.app.sql_below(run.span("list"), exactly=2)
    run.app.sql_below(run.span("search"), exactly=2)


def calls(checkpoint: Checkpoint, run: Visit) -> None:
    """What the app asks the advisor is one trace."""
    run.app.called(run.span("list"), run.advisor)


def background(checkpoint: Checkpoint, run: Visit) -> None:
    """What threads do stays in the trace that sent it, with the number of the import; who gets no answer asks twice."""
    span = run.span("import")
    tried = [s for s in run.app.below(span) if s.name == WORK]
    everywhere = [s for s in run.app.spans if s.name == WORK]
    checkpoint.must(
        len(tried) == len(everywhere),
        "no-work",
        seen=f"{len(everywhere)} spans {WORK!r}, {len(tried)} of them in the trace of POST /import",
        expected="all of them below it",
        why="a thread has the context that it is given, and without one it begins a trace of its own",
        lesson="300/400/400",
    )
    checkpoint.must(
        (run.asked["1"], run.asked["2"]) == (1, 2),
        "attempts",
        seen=f"of two imported tasks, the advisor was asked {run.asked['1']} times about the one, for which it has an answer, and "
        f"{run.asked['2']} times about the other, for which it has none",
        expected="once, and twice",
        why="a retry costs the other side most when it is worst off; many at once keep it down",
        lesson="300/400/450",
    )
    checkpoint.must(
        len(tried) == 3 and sum(s.status == "ERROR" for s in tried) == 2,
        "attempts",
        seen=f"{len(tried)} spans {WORK!r}, {sum(s.status == 'ERROR' for s in tried)} of them ERROR",
        expected="3, and 2 of them ERROR: those to which the advisor had no answer",
        why="an attempt that brings nothing has failed, and is to be seen",
        lesson="300/400/450",
    )
    number = span.attributes.get(NUMBER)
    noted = [s.attributes.get(NUMBER) for s in run.advisor.spans if s.kind == "server" and s.trace_id == span.trace_id]
    checkpoint.must(
        number and noted and set(noted) == {number},
        "baggage-lost",
        seen=f"{NUMBER} is {number} on POST /import, and {', '.join(sorted(map(str, noted))) or 'nothing'} on the advisor's spans "
        "of its trace",
        expected="the same number on all of them",
        why="baggage takes it along, if the context is attached and the propagator for it is there",
        lesson="300/400/450",
    )


def failures(checkpoint: Checkpoint, run: Visit) -> None:
    """What fails says so, on its span and in the log."""
    span = run.span("list")
    reads = [s for s in run.app.below(span) if s.name == "read notice"]
    checkpoint.must(
        len(reads) == 1,
        "no-own-span",
        seen=f"{len(reads)} spans 'read notice' below GET /",
        expected="one",
        why="what the app does itself is to be seen where it was done",
        lesson="300/400/100",
    )
    checkpoint.must(
        reads[0].status == "ERROR" and reads[0].attributes.get("error.type") == "UnicodeDecodeError",
        "no-error",
        seen=f"the notice could not be read; its span has the status {reads[0].status}, and error.type "
        f"{reads[0].attributes.get('error.type')}",
        expected="ERROR, UnicodeDecodeError",
        why="what was handled has failed all the same, and somebody will look for it",
        lesson="300/400/200",
    )
    run.app.log_record(reads[0], text="The notice cannot be read.", severity="ERROR")


def logs(checkpoint: Checkpoint, run: Visit) -> None:
    """A line of the log knows its trace and its time, as a record and as a line on the terminal."""
    span = run.span("add")
    run.app.log_record(span, text="A task was added.", severity="INFO")
    line = run.app.log_record(span, text="A task was added.", severity="INFO", logs=run.app.json_lines)
    checkpoint.must(
        abs(line.time_ns - span.end_ns) < CLOCK_SECONDS * 1e9,
        "log-time",
        seen=f"a line of POST /add is {abs(line.time_ns - span.end_ns) / 1e9:.0f} s away from its span",
        expected="the same moment",
        why="logs of several machines are put in order by their times; a time without its zone is read as another one",
        lesson="300/600/200",
    )
    run.app.log_record(run.span("done"), event_name="todo.task.done")


def metrics(checkpoint: Checkpoint, run: Visit) -> None:
    """What was counted is what was done, in the right unit, by few series, with a way to a trace."""
    app = run.app
    counted = sum(response.path == "/" for response in app.responses)
    app.metric(REQUESTS, unit="s", kind="histogram")
    app.histogram(REQUESTS, {"http.route": "/"}, count=counted)
    app.metric(ADDED, unit="{task}", kind="sum")
    app.series(ADDED, at_most=2)
    app.total(ADDED, {"todo.task.source": "form"}, exactly=1)
    app.total(ADDED, {"todo.task.source": "file"}, exactly=2)
    app.metric("todo.tasks.open", kind="gauge")
    app.metric(TIME, unit="s")
    done = app.histogram(TIME, count=2, bounds=[60, 3600, 86400])
    checkpoint.must(
        0 < done.sum < 60,
        "metric-value",
        seen=f"{TIME}: two tasks that were open for less than a second come to {done.sum:g} s",
        expected="less than 60 s, and more than 0",
        why="the unit of a metric is what its numbers are in, and both ends of a time are read from one clock",
        lesson="300/500/200",
    )
    points = [point for metric in app.console.metrics if metric.name == REQUESTS for point in metric.points]
    examples = {one.trace_id for point in points for one in point.exemplars}
    checkpoint.must(
        examples & {span.trace_id for span in app.spans},
        "no-exemplar",
        seen=f"{REQUESTS}: {len(examples)} exemplars, and none with a trace of these requests",
        expected="at least one",
        why="an exemplar is the way from a number to a trace",
        lesson="300/500/300",
    )
    app.series(REQUESTS, at_most=10)


def times(checkpoint: Checkpoint, run: Visit) -> None:
    """Every span lies within the time of the visit, and none ends before it begins."""
    slack = CLOCK_SECONDS * 1e9
    for span in (*run.app.spans, *run.advisor.spans):
        checkpoint.must(
            run.begun_ns - slack <= span.start_ns <= span.end_ns <= run.over_ns + slack,
            "span-time",
            seen=f"{span.service}: {span.name} began {(span.start_ns - run.begun_ns) / 1e9:.0f} s after this check, and took "
            f"{span.duration_ms / 1000:.0f} s",
            expected="both within the check",
            why="spans are drawn against one clock, that of the wall",
            lesson="100/300",
        )


def private(checkpoint: Checkpoint, run: Visit) -> None:
    """Nothing that users wrote is told."""
    run.app.keeps_secrets(run.advisor, run.door)


def arrived(checkpoint: Checkpoint, run: Visit) -> None:
    """All that the console shows has come to the door of the Collector, too."""
    stored = run.door.stored
    for one in (run.app, run.advisor):
        own = [span for span in stored.spans if span.service == one.service]
        console = {span.span_id: span.name for span in one.spans}
        came = {span.span_id for span in own} & console.keys()
        missing = OWN & set(console.values()) - {span.name for span in own}
        checkpoint.must(
            len(came) * 2 > len(console) and not missing,  # a machine that is busy may lose an export
            "not-arrived",
            seen=f"{one.service}: of {len(console)} spans on the console {len(came)} came to localhost:5318"
            + (f", and no {missing.pop()!r}" if missing else "")
            + _told(one.output),
            expected="all of them",
            why="what is on the console was made; endpoint, protocol, proxy and the other side decide whether it arrives",
            lesson="300/300/300",
        )
    names = {metric.name for metric in stored.metrics if metric.resource.get("service.name") == "todo"}
    checkpoint.must(
        {REQUESTS, ADDED, TIME} <= names,
        "metrics-not-arrived",
        seen=f"metrics that came to localhost:5318: {', '.join(sorted(names)[:4]) or 'none'}" + _told(run.app.output),
        expected=f"{REQUESTS} and the app's own",
        why="each signal has an exporter of its own, and a setting that says which",
        lesson="300/500/300",
    )
    deltas = sorted({metric.name for metric in stored.metrics if metric.temporality == "delta"})
    checkpoint.must(
        not deltas,
        "delta",
        seen=f"{len(deltas)} metrics tell only what came since the last export, such as {deltas and deltas[0]}",
        expected="cumulative: all since the start",
        why="Prometheus takes nothing else, unless it is told to",
        lesson="300/500/300",
    )
    checkpoint.must(
        any("A task was added." in str(log.body) for log in stored.logs),
        "logs-not-arrived",
        seen=f"{len(stored.logs)} log records came to localhost:5318" + _told(run.app.output),
        expected="those on the console",
        why="each signal has an exporter of its own, and a setting that says which",
        lesson="300/600/100",
    )


def _told(output: str) -> str:
    """What an exporter has said of it, if anything."""
    said = re.findall(r".*(?:Failed to export|Transient error|Exception while exporting).*", output)
    return f"\n{said[-1].strip()[:300]}" if said else ""


# The Collector


def collector_ward(checkpoint: Checkpoint, found: Finding) -> None:
    """What a service tells comes out behind the Collector: all of it, without its secrets, and counted."""
    found.wrong = "what is sent to the Collector does not come out behind it as it should"
    sent = told(f"shop-{secrets.token_hex(4)}")
    quickened(checkpoint, "otel/collector.yaml", "metrics_flush_interval: 1s", "metrics_flush_interval: 100ms")
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
    """What a service tells whose authors thought of nothing: six requests, two of them for its health, a number, a line."""
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


# Prometheus


COUNT, BUCKET = "http_server_request_duration_seconds_count", "http_server_request_duration_seconds_bucket"
NAMED = {"todo:error_ratio:rate5m", "todo:tasks_added:rate5m", "ErrorBudgetBurns", "LatencyBudgetBurns", "RequestsWithoutSpans"}


def prometheus_ward(checkpoint: Checkpoint, found: Finding) -> None:
    """It asks its targets, takes what is pushed, and its rules come to what they should when people meet errors."""
    found.wrong = "Prometheus does not have the numbers that it should have"
    rules_hold(checkpoint)
    with checkpoint.start("prometheus") as prometheus:
        try:
            asks(checkpoint, prometheus)
        finally:
            found.said = {"prometheus": prometheus.said}


def rules_hold(checkpoint: Checkpoint) -> None:
    """Nine hours are played to the rules: six are well, then many requests fail for 40 minutes, then all are slow and without spans."""
    ok, bad = (f'{{job="todo",http_response_status_code="{status}"' for status in (200, 500))
    answered, failed = "0+100x360 36060+60x39 38500+100x130", "0x360 40+40x39 1600x130"
    series = {
        f"{COUNT}{ok}}}": answered,
        f"{COUNT}{bad}}}": failed,
        f'{BUCKET}{ok},le="0.25"}}': "0+100x360 36060+60x39 38410+10x130",
        f'{BUCKET}{ok},le="+Inf"}}': answered,
        f'{BUCKET}{bad},le="0.25"}}': failed,
        f'{BUCKET}{bad},le="+Inf"}}': failed,
        'otel_sdk_span_started_total{job="todo",otel_span_parent_origin="none"}': "0+100x400 40000x130",
        'todo_tasks_added_total{job="todo",todo_task_source="form"}': "0+6x531",
    }
    fires = lambda alert: f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'  # noqa: E731
    failing, over, slow = "398m", "435m", "529m"  # when it is over, the long window of an hour is still full
    wanted = [
        ("todo:error_ratio:rate5m", "round(sum(todo:error_ratio:rate5m), 0.001)", failing, 0.4),
        ("todo:tasks_added:rate5m", "round(sum(todo:tasks_added:rate5m) * 60, 0.001)", failing, 6),
        *(
            (alert, fires(alert), moment, value)
            for alert, values in (
                ("ErrorBudgetBurns", (1, 0, 0)),
                ("LatencyBudgetBurns", (0, 0, 1)),
                ("RequestsWithoutSpans", (0, 1, 1)),
            )
            for moment, value in zip((failing, over, slow), values)
            if (alert, moment) != ("LatencyBudgetBurns", over)
        ),
    ]
    scenario = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [asked(query, name, moment, value) for name, query, moment, value in wanted],
    }
    for wrong in play(checkpoint, {"1m": [scenario]}):
        checkpoint.must(
            False,
            "rule-value",
            seen=f"{wrong['of']}: after {wrong['time']} of errors and of slow answers it is {float(wrong['got'].split()[-1]):g}",
            expected=f"{float(wrong['wanted']):g}",
            why="a rule that nobody tried is silent when it counts, or cries wolf",
            lesson="300/500/400",
        )


def asks(checkpoint: Checkpoint, prometheus: Prometheus) -> None:
    """What runs is asked and fed."""
    now, resource = time.time_ns(), {"service.name": "todo", "deployment.environment.name": "workshop"}
    point = NumberPoint({"todo.task.source": "form"}, now - 10**9, now, (), 3)
    metric = Metric("todo.tasks.added", "sum", (point,), "{task}", "", "cumulative", True, resource)
    refused = ""
    try:
        prometheus.post(f"{prometheus.url}/api/v1/otlp/v1/metrics", write_otlp(Telemetry([], [metric], []))["metrics"])
    except ProgramError as error:
        refused = str(error)
    found = prometheus.until(lambda: prometheus.query("todo_tasks_added_total"), 1) if not refused else []
    checkpoint.must(
        found,
        "push-refused",
        seen=refused or "todo_tasks_added_total comes to nothing, though it was pushed",
        expected="the number that was pushed",
        why="Prometheus takes OTLP where it is told to, and refuses what is too old or too new for it",
        lesson="300/500/300",
    )
    labels = found[0].labels
    checkpoint.must(
        labels.get("deployment_environment_name") == "workshop" and labels.get("todo_task_source") == "form",
        "not-promoted",
        seen=f"{labels}",
        expected='deployment_environment_name="workshop" and todo_task_source="form" on the series',
        why="of the resource only job and instance stand on each series, unless more is promoted",
        lesson="300/500/300",
    )
    targets = scraped(prometheus)
    silent = [url for url in targets if not answers_numbers(prometheus, url)]
    checkpoint.must(
        not silent and targets,
        "target-down",
        seen=f"nothing that Prometheus could read is at {checkpoint.sandbox.unswap(silent[0])}" if silent else "no target",
        expected="numbers at each address that it scrapes, its own among them",
        why="what cannot be scraped has no numbers, and no alert about them fires",
        lesson="300/500/300",
    )
    names = {rule.name for rule in prometheus.rules()}
    checkpoint.must(
        names >= NAMED,
        "no-rule",
        seen=f"rules: {', '.join(sorted(names)) or 'none'}; there is no {', no '.join(sorted(NAMED - names))}",
        expected="the rules of src/otel/rules.yml",
        why="Prometheus reads the files that `rule_files` names, and one that is not there is no error",
        lesson="300/500/300",
    )


def scraped(prometheus: Prometheus) -> list[str]:
    """The addresses that it is going to scrape: its first look comes after five seconds, and a check does not wait so long."""
    text = prometheus.json("/api/v1/status/config")["data"]["yaml"].partition("scrape_configs:")[2]
    found = []
    for job in text.split("- job_name: ")[1:]:
        known = {name: value for name, value in re.findall(r"^  (scheme|metrics_path): (\S+)$", job, re.MULTILINE)}
        for target in re.findall(r"^    - (\S+:\d+)$", job, re.MULTILINE):
            found.append(f"{known.get('scheme', 'http')}://{target}{known.get('metrics_path', '/metrics')}")
    return found


def answers_numbers(prometheus: Prometheus, url: str) -> bool:
    at = urlsplit(url)
    try:
        return "# TYPE" in Instance(prometheus.program, f"{at.scheme}://{at.netloc}", prometheus.ports, prometheus.folder).ask(
            at.path
        )
    except ProgramError:
        return False


def quickened(checkpoint: Checkpoint, file: str, slow: str, fast: str) -> None:
    """Let the check's own copy wait less; the telemetry stays the same."""
    path = checkpoint.folder / file
    if path.exists():
        path.write_bytes(path.read_bytes().replace(slow.encode(), fast.encode()))


WARDS = {"app": app_ward, "collector": collector_ward, "prometheus": prometheus_ward}
