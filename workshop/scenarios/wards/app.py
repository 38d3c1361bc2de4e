"""What the app and the advisor tell of what users do, and whether it arrives."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field

from workshop.checks.app import App
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.fake_server import FakeServer, pass_on, refuse
from workshop.checks.sandbox import ADVISOR
from workshop.course.requirements import requirements
from workshop.diagnosis.facts import Response
from workshop.programs.collector import COLLECTOR
from workshop.scenarios.wards.finding import Finding
from workshop.setup.ports import free_port
from workshop.telemetry.spans import Span

GRPC_SETTINGS = b"\x00\x00\x18\x04\x00\x00\x00\x00\x00\x00\x04\x00\x3f\xff\xff"  # how a server of gRPC begins
WORK, NUMBER, ADDED, TIME = "find first step", "todo.import.id", "todo.tasks.added", "todo.task.time_to_done"
# All telemetry leaves when the apps stop, one signal after the other: it is less work, and what the end loses is seen.
AT_THE_END = {
    "OTEL_BSP_SCHEDULE_DELAY": "30000",
    "OTEL_BLRP_SCHEDULE_DELAY": "30000",
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
}
OWN = {"read notice", "search tasks", WORK}
REQUESTS = "http.server.request.duration"
CLOCK_SECONDS = 1.5  # by so much two clocks of one machine may differ, rounded generously


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


def examine(checkpoint: Checkpoint, found: Finding) -> None:
    """Both services: who did what, for how long, how often, and whether it all arrives, and nothing private."""
    found.wrong = "the app does not start, or does not answer as it should"
    run = visited(checkpoint, found)
    for proof in (traces, statements, calls, background, failures, logs, metrics, times, private, arrived):
        found.wrong = f"not so: {' '.join(proof.__doc__.split())}"
        proof(checkpoint, run)


def visited(checkpoint: Checkpoint, found: Finding) -> Visit:
    """Tasks are added, searched, done and imported; the notice cannot be read; the advisor has no answer to two words."""
    counted, port = Counter(), free_port()
    checkpoint.environment |= {"FLASK_ADVISOR_URL": f"http://localhost:{port}", **AT_THE_END}

    def advise(request):
        words = (re.findall(r"/step\?words=(\d)", request.path) or [""])[0]
        counted[words] += 1
        return refuse(503) if words == "2" else pass_on(request, run.advisor.port, without="")

    begun, run = time.time_ns(), None
    with FakeServer() as door, FakeServer(GRPC_SETTINGS) as grpc:
        checkpoint.sandbox.lead_to(COLLECTOR, {**dict.fromkeys(COLLECTOR.ports, door.port), "grpc": grpc.port})
        services = {}, {"command": "sh advisor.sh", "port": ADVISOR, "service": "advisor"}
        try:
            with checkpoint.serve_together(*services) as both, FakeServer(advise, port=port):
                run = Visit(*both, door, counted, begun)
                use(checkpoint, run)
        finally:
            if run:
                found.said = {"app": run.app.output, "advisor": run.advisor.output}
        run.over_ns = time.time_ns()
    return run


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
