"""The app traces itself where no agent does it: the same spans either way, each once, and none is left behind."""

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from workshop.checks.app import App
from workshop.checks.fake_server import FakeServer, response
from workshop.checks.sandbox import OTLP_HTTP
from workshop.diagnosis.facts import Response, climb
from workshop.diagnosis.spans import STATEMENTS
from workshop.telemetry.spans import Span

IN_CODE, UNDER_AGENT = "AGENT= sh run.sh", "sh run.sh"
TRACE = "workshop trace --log output.log"
LATE = f'{TRACE} --name "GET /"'
BAGGAGE = "todo.check=7"
OWN = {"service.instance.id", "telemetry.auto.version"}


@dataclass
class Run:
    """The app started one way and asked for all that might differ; `sent` are the spans that came by OTLP."""

    app: App
    sent: list[Span]
    calls: list
    agent: bool
    added: Response
    refused: Response
    missing: Response
    page: Response
    untraced: list[Response]

    @property
    def complaint(self) -> str:
        """What the app said of spans that it could not send."""
        return next((line for line in self.app.output.splitlines() if "ailed to export" in line or "UNAVAILABLE" in line), "")[
            :160
        ]


def runs(checkpoint):
    """The same requests to the app without the agent and under it, both at the same time."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(ask, (checkpoint, checkpoint.beside("agent")), (IN_CODE, UNDER_AGENT)))


def ask(checkpoint, command, shown=False):
    checkpoint.environment["OTEL_BSP_SCHEDULE_DELAY"] = "60000"  # nothing leaves before the end
    backend = FakeServer(port=checkpoint.sandbox.own_ports[OTLP_HTTP])
    with backend, FakeServer(response('{"advice": "Go on."}')) as advisor:
        checkpoint.environment["FLASK_ADVISOR_URL"] = advisor.url
        with checkpoint.serve(command, shown=shown) as app:
            unsampled = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
            asked = {
                "added": app.submit("/add", {"text": "Buy milk"}),
                "refused": app.post("/add", {"text": "forged"}, wanted=400),
                "missing": app.get("/no-such-page", wanted=404),
                "page": app.get("/", traceparent=True, headers={"baggage": BAGGAGE}),
                "untraced": [app.get("/", traced=False, headers={"traceparent": unsampled}), app.get("/health", traced=False)],
            }
    return Run(app, backend.stored.spans, advisor.requests, app.under_agent, **asked)


@pytest.mark.before("still-under-agent")
def test_the_spans_are_the_same_with_the_agent_and_without(checkpoint):
    in_code, under_agent = traced(checkpoint)
    for run in (in_code, under_agent):
        complete(checkpoint, run)
    same(checkpoint, spans(in_code), spans(under_agent))
    made, given = resource(in_code), resource(under_agent)
    checkpoint.must(
        made == given,
        "resource",
        seen=f"without the agent: {made}",
        expected=f"as with it: {given}",
        why="a resource that is put together by hand does not read what stands in the environment",
        do=f"make it with `Resource.create()` in {checkpoint.place('Resource[(.]', 'src/telemetry.py')}",
    )
    if checkpoint.showing:
        show(checkpoint, under_agent)


@pytest.mark.before("still-under-agent")
def test_trace_and_baggage_go_on_to_the_advisor(checkpoint):
    in_code, _ = traced(checkpoint)
    below = in_code.app.below(in_code.app.server_span(in_code.page))
    checkpoint.must(
        any(span.kind == "client" and span.is_http for span in below),
        "no-client-span",
        seen="GET / calls the advisor, and no span below it tells of that",
        expected="a CLIENT span of the call",
        why="the instrumentation of `requests` makes that span, and writes the headers of the call",
        do=f"call RequestsInstrumentor().instrument() at {set_up_at(checkpoint)}",
    )
    [call] = [call for call in in_code.calls if in_code.page.trace_id in call.headers.get("traceparent", "")] or [None]
    checkpoint.must(
        call and call.headers.get("baggage") == BAGGAGE,
        "baggage-lost",
        seen="GET / came with baggage, and the call to the advisor went on without"
        + ("" if call else " it, nor with the trace"),
        expected=f"the headers traceparent and baggage ({BAGGAGE})",
        why="OpenTelemetry carries both by itself; `set_global_textmap` replaces what carries them, and the last call counts",
        do=f"take it out of {checkpoint.place('^(?!from|import).*set_global_textmap', 'src/telemetry.py')}: the default is tracecontext and baggage",
    )


def traced(checkpoint):
    """Both runs, of which that in code has no agent and tells of spans."""
    in_code, under_agent = checkpoint.shared(runs)
    checkpoint.must(
        not in_code.agent,
        "still-under-agent",
        seen=f"`{IN_CODE}` starts the agent",
        expected="the app without it",
        why="src/run.sh starts the agent although AGENT is empty; `${AGENT:-…}` with a colon does so, too",
        do="let src/run.sh start the app in one line only, which begins with ${AGENT-opentelemetry-instrument}; look at "
        + checkpoint.place(r"\$\{AGENT:|^(?!.*\$).*opentelemetry-instrument", "it", "run.sh"),
    )
    checkpoint.must(
        in_code.app.spans,
        "no-word",
        seen=f"`{IN_CODE}`: the app answers, and does not tell of any span until its end",
        expected="a SERVER span for each request",
        why="nothing sets telemetry up, or what waits in the batch is not sent when Python ends",
    )
    checkpoint.must(
        under_agent.agent or under_agent.app.spans,
        "agent-gone",
        seen=f"`{UNDER_AGENT}` starts the app without the agent, and it tells of no span",
        expected="the agent, where AGENT is not set",
        why="`${AGENT-…}` is what stands behind the -, unless AGENT is set",
        do="let the line begin with ${AGENT-opentelemetry-instrument}: "
        + checkpoint.place("flask run", "the last one of src/run.sh", "run.sh"),
    )
    return in_code, under_agent


def complete(checkpoint, run):
    """Each request has its one SERVER span, below it its statements, and nothing is there that nobody asked for."""
    app = run.app
    app.sql_below(app.server_span(run.page, name="GET /", route="/"))
    app.sql_below(app.server_span(run.added, name="POST /add", route="/add"))
    app.server_span(run.missing, name="GET /no-such-page")
    checkpoint.must(
        app.facts().spans_of(run.refused),
        "refused-unseen",
        seen="a forged form was refused with 400, and no span tells of it",
        expected="a SERVER span for every request, also for one that is refused at once",
        why="what hooks into the app first runs first; the form was refused before the instrumentation saw it",
        do=f"set telemetry up before {checkpoint.place('CSRFProtect[(]', 'CSRFProtect(app)')}: as soon as there is an app, or before "
        "it is imported",
    )
    app.server_span(run.refused)
    recorded = [str(answer) for answer in run.untraced if app.facts().spans_of(answer)]
    checkpoint.must(
        not recorded,
        "unsampled",
        seen=f"spans for {' and '.join(recorded)}",
        expected="none for a health probe, and none where `traceparent` ends in 00, not recorded",
        why="a sampler that is given in code replaces the default, which follows the caller",
        do=f"leave the sampler out of {checkpoint.place('sampler=', 'src/telemetry.py')}, and the provider asks OTEL_TRACES_SAMPLER",
    )
    checkpoint.must(
        len(run.sent) == len(app.spans),
        "not-sent",
        seen=f"{len(app.spans)} spans on the console, and {len(run.sent)} came by OTLP"
        + (f"; the app said: {run.complaint}" if run.complaint else ""),
        expected="each span once in both places",
        why="an exporter that is made in code sends as it was made: with the protocol of its package, to the `endpoint` as it is"
        if run.complaint
        else "each span processor hands the spans to its own exporter, and only to that",
        do=f"at {checkpoint.place(r'OTLPSpanExporter|proto', 'src/telemetry.py')}, write OTLPSpanExporter() without an endpoint, "
        "from opentelemetry.exporter.otlp.proto.http.trace_exporter"
        if run.complaint
        else f"at {set_up_at(checkpoint)}, give the provider one BatchSpanProcessor for ConsoleSpanExporter() and one for "
        "OTLPSpanExporter()",
    )


def set_up_at(checkpoint):
    """Where the learner's code makes its provider, or else asks for instrumentations."""
    return checkpoint.place(r"TracerProvider\(", checkpoint.place(r"\.instrument\(", "src/telemetry.py"))


def spans(run):
    """Each span of a run, without what is another one in each run: ids, times, values."""
    database = str(run.app.checkpoint.database)  # some spans are named after it
    names = {span.span_id: span.name.replace(database, "todo.db") for span in run.sent}
    return Counter(
        (
            f"{span.kind.upper()} {names[span.span_id]}, {span.status}, by {span.scope} {span.scope_version}"
            + (f", below {names.get(span.parent_id, 'a span of the caller')}" if span.parent_id else ""),
            ", ".join(sorted(span.attributes)),
        )
        for span in run.sent
    )


def resource(run):
    return {name: value for name, value in run.app.spans[0].resource.items() if name not in OWN}


def same(checkpoint, in_code, under_agent):
    found = {"lost": list(under_agent - in_code), "added": list(in_code - under_agent)}
    checkpoint.must(
        not any(found.values()),
        "other-spans",
        seen="\n".join(f"{how}: {what} {more}" for how, some in found.items() for what, more in some[:3]),
        expected="span for span what comes under the agent",
        why="the agent instruments all that is installed and known; your set-up instruments what it names",
        do=f"name it at {set_up_at(checkpoint)}, beside the others",
    )


def show(checkpoint, under_agent):
    """What the page shows: the call that does what the agent does, spans that are lost, and what SIGTERM costs."""
    with ThreadPoolExecutor() as pool:
        shown = [pool.submit(lost, checkpoint), pool.submit(ended, checkpoint)]
        initialized = ask(checkpoint.on_the_way(IN_CODE), IN_CODE, shown=True)
        for part in shown:
            part.result()
    same(checkpoint, spans(initialized), spans(under_agent))


def lost(checkpoint):
    late = checkpoint.on_the_way(LATE)
    with late.serve(IN_CODE) as app:
        app.get("/")
        late.run("curl -s -o /dev/null -w")
    late.run(LATE)
    late.run("grep -c 'POST")
    assert {span.name for span in app.spans if span.kind == "server"} >= {"GET /"}
    assert climb(app.facts(), STATEMENTS).rung == "too-late"


def ended(checkpoint):
    checkpoint.run(f"{TRACE} | grep")
    for misspelt in ("opentelemetry-instrument", "AGENT="):
        checkpoint.run(f"OTEL_TRACES_EXPORTER=consle {misspelt}")
    for server in ("flask", "gunicorn"):
        checkpoint.run(f"AGENT= python terminate.py {server}", OTEL_BSP_SCHEDULE_DELAY="60000")
