"""What the course taught, asked of an app that we never saw: the rungs from its start to its telemetry, and what hides in that."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from workshop.checks.privacy import texts
from workshop.diagnosis.facts import exception, words
from workshop.examine.entries import FAILED, OPEN, PASSED, Entry, some
from workshop.examine.rules import short
from workshop.examine.subject import Asked, Plan, Run
from workshop.setup.ports import port_owner
from workshop.telemetry.console import read_console
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span

REPEATED = 5  # the same statement so often below one request looks like a query in a loop
OLD_NAMES = {
    "http.method",
    "http.status_code",
    "http.target",
    "http.url",
    "db.statement",
    "db.system",
    "net.peer.ip",
    "net.host.name",
}
UNBOUNDED = re.compile(
    r"(http\.(target|url|user_agent)|url\.(full|path|query)|user_agent\.original|(client|net\.(sock\.)?peer)\.(address|addr|port|ip)"
    r"|(user|enduser|session|request|task|order|customer|account|trace|span)[._]?id|db\.(statement|query\.text)|\w*e-?mail)"
)
ID = re.compile(r"\b[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}\b|\b[\da-f]{16,}\b|[^@\s]+@[^@\s]+\.\w+", re.I)
OWN_ID = re.compile(r"(trace|span|parent|service\.instance|service_instance|container|host|k8s\.\w+)[._]?(u?id)?$")
SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?|secret|token(?!s)|api[-_.]?key|authorization|cookie|credential|private[-_.]?key|card[-_.]?number",
    re.I,
)
SECRET = {
    "a password in an address": re.compile(r"\w+://[^/\s:@]+:[^/\s:@*]+@"),
    "a secret in a query": re.compile(r"(?:^|[?&])(?:password|passwd|token|access_token|api_?key|secret|sig|signature)=(?!REDACTED|\*)[^&\s]+", re.I),
    "a bearer token": re.compile(r"\bBearer\s+[\w.~+/-]{8,}", re.I),
    "a JSON web token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    "an access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z\d]{16}\b|\bgh[pousr]_\w{30,}|\bsk-[\w-]{20,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}  # fmt: skip
HARMLESS = re.compile(r"^(\W*|REDACTED|\[?redacted\]?|None|null|true|false|\d{1,6})$", re.I)
REFUSED = re.compile(r"(Failed to export|Transient error|Exception while exporting|Connection refused)[^\n]*", re.I)
NO_PROVIDER = "Failed to auto initialize OpenTelemetry", "Configuration of configurator failed", "failed to initialize"


@dataclass
class Evidence:
    """All that is known of one examination: the app's life, what it told by OTLP and on its console, and by which ways.

    `ended` and `ended_told` are a second life, which SIGTERM ended, where that was wanted."""

    plan: Plan
    run: Run
    told: Telemetry = field(default_factory=Telemetry)
    ways: tuple[str, ...] = ()
    ended: Run | None = None
    ended_told: Telemetry = field(default_factory=Telemetry)

    def servers(self, asked: Asked) -> list[Span]:
        """The spans of a request, outermost first: by its User-Agent, its trace, or the moment in which it was answered."""
        about = asked.response
        spans = self.told.spans
        found = [s for s in spans if s.user_agent == about.agent] or [s for s in spans if s.trace_id == about.trace_id]
        within = (s for s in spans if s.is_http and asked.begun_ns <= s.start_ns and s.end_ns <= asked.ended_ns)
        found = found or list(within)
        return sorted((s for s in found if s.kind in ("server", "internal")), key=lambda s: (s.kind != "server", s.start_ns))

    def below(self, span: Span) -> list[Span]:
        """All spans of its trace that hang on it, however deep."""
        ids, found = {span.span_id}, []
        for other in sorted((s for s in self.told.spans if s.trace_id == span.trace_id), key=lambda s: s.start_ns):
            if other.parent_id in ids:
                ids.add(other.span_id)
                found.append(other)
        return found


def together(told: Telemetry, stdout: str) -> Telemetry:
    """What came by OTLP and what stands on the console, each span once."""
    console = read_console(stdout)
    known = {span.span_id for span in told.spans}
    own = [span for span in console.spans if span.span_id not in known]
    logs = console.logs if not told.logs else []
    return Telemetry([*told.spans, *own], [*told.metrics, *(console.metrics if not told.metrics else [])], [*told.logs, *logs])


# ---- the ladder


def ladder(e: Evidence) -> list[Entry]:
    """The rungs, in the order in which an app comes to life. What stands behind a broken one that others need is open."""
    climbed: list[Entry] = []
    broken: set[str] = set()
    for rung, *needs in RUNGS:
        entry = rung(e)
        if broken.intersection(needs):
            entry = Entry(entry.id, entry.title, OPEN, "not reached")
        if entry.state == FAILED:
            broken.add(entry.id)
        climbed.append(entry)
    return climbed


def starts(e: Evidence) -> Entry:
    title, run = "it starts", e.run
    if not run.gone:
        return Entry("starts", title, PASSED, f"{run.start_seconds:.1f} s until it listened" if run.listened else "")
    do = f"run it yourself in {e.plan.folder}: {e.plan.line}"
    if missing := re.search(r"([\w./-]+): (?:command )?not found", run.output):
        where = f"{e.plan.venv}/bin" if e.plan.venv else "your shell's PATH"
        do = f"{missing[1]} is not in {where}; name the app's own environment with `--venv`, or the command with its path"
    elif re.search(r"[Aa]ddress already in use|Port \d+ is in use", run.output):
        taken = re.search(r"(?:Port |:|, )(\d{2,5})\b", run.output)
        owner = port_owner(int(taken[1])) if taken else ""
        do = f"stop what listens there{f': {owner}' if owner else ''}, or let the app take another port"
    elif module := re.search(r"No module named '([\w.]+)'", run.output):
        do = f"its environment has no {module[1]}; install it there, or name another environment with `--venv`"
    elif re.search(r"OperationalError|could not connect|Connection refused|could not translate host name", run.output):
        do = "start first what it needs, such as its database, then examine again"
    ended = f"it ended by itself with status {run.exit_code}" if run.exit_code else "it ended by itself"
    return Entry("starts", title, FAILED, ended + words(run.output, 3), do, "300/200/100")


def listens(e: Evidence) -> Entry:
    run, title = e.run, "it listens"
    if run.listened:
        host, port = run.address
        return Entry("listens", title, PASSED, f"{host}:{port}")
    ports = [str(port) for port in run.elsewhere]
    if e.plan.port and ports:
        return Entry(
            "listens", title, FAILED, f"on {some(ports)}, not on {e.plan.port}", f"say `--port {ports[0]}`, or leave it out"
        )
    if ports:
        do = f"say which of them is the app, such as `--port {ports[-1]}`"
        return Entry("listens", title, FAILED, f"on several ports and says of none that it is the app's: {some(ports)}", do)
    do = "is it a server? One that listens on a file (a Unix socket) is not examined; one that is slow wants `--seconds`"
    seen = f"on no port within {e.plan.seconds:g} s" + words(run.output, 3)
    return Entry("listens", title, FAILED, seen, do, "300/200/100")


def answers(e: Evidence) -> Entry:
    title = "it answers"
    responses = [asked.response for asked in e.run.asked]
    silent = next((r for r in responses if not r.status), None)
    if silent:
        seen = f"{silent}: no answer ({short(silent.problem, 90)})" + words(e.run.output, 2)
        return Entry("answers", title, FAILED, seen, "read what it said, and ask it yourself with curl")
    seen = some([f"{r} {r.status}" for r in responses], 4)
    if all(r.status >= 500 for r in responses):
        why = exception(e.run.output)
        cure = "read what it said; where something that it needs is missing, such as a database, start that first"
        return Entry("answers", title, FAILED, f"{seen}; it said: {why}" if why != "it failed" else seen, cure)
    notes = []
    if moved := next((r for r in responses if 300 <= r.status < 400), None):
        notes.append(f"{moved.path} leads to {moved.headers.get('Location', '')}: ask for that page with `--get`")
    if any(r.status in (401, 403) for r in responses) or (
        moved and re.search("login|sign-?in|auth", moved.headers.get("Location", ""))
    ):
        notes.append("it wants to know who asks: `--header 'Authorization: …'` or `--header 'Cookie: …'`")
    return Entry("answers", title, PASSED, seen, "; ".join(notes))


def tells(e: Evidence) -> Entry:
    title, told = "its telemetry arrives", e.told
    if told.spans or told.metrics or told.logs:
        counts = f"{len(told.spans)} spans, {len({m.name for m in told.metrics})} metrics, {len(told.logs)} log records"
        return Entry("exporter", title, PASSED, f"{counts}, by {some(list(e.ways))}")
    lesson = "300/300/100"
    if refused := REFUSED.search(e.run.output):
        do = "leave the address to OTEL_EXPORTER_OTLP_ENDPOINT; where it is in the code, say its port: `--otlp 4318`"
        return Entry("exporter", title, FAILED, f"the app said: {short(refused[0], 150)}", do, lesson)
    if gave_up := next((text for text in NO_PROVIDER if text in e.run.output), ""):
        return Entry(
            "exporter",
            title,
            FAILED,
            f"the agent said: {gave_up}; {exception(e.run.output)}",
            "mend what the error names, such as a setting that is misspelled",
            "300/300/200",
        )
    if e.run.programs and not any("python" in name.lower() for name in e.run.programs):
        do = "what stands here of Flask does not help it; OpenTelemetry has a page for its language"
        return Entry("exporter", title, FAILED, f"nothing came, and what runs is {some(list(e.run.programs))}, not Python", do)
    if not e.run.under_agent:
        do = "put `opentelemetry-instrument` in front of its command, and OTEL_SERVICE_NAME=<name> before that"
        return Entry("exporter", title, FAILED, "nothing came: nothing instruments it", do, lesson)
    do = (
        "does a script or the code name an address of its own? Then say its port: `--otlp 4318`. Is an exporter `none`? Is an "
        "instrumentation for its framework installed in its environment?"
    )
    return Entry("exporter", title, FAILED, "nothing came, though the agent is there", do, "300/300/200")


def server_spans(e: Evidence) -> Entry:
    title = "each request is a SERVER span"
    kinds = [[s.kind for s in e.servers(asked)][:1] for asked in e.run.asked]
    right = sum(kind == ["server"] for kind in kinds)
    if right == len(kinds):
        return Entry("server", title, PASSED, f"{right} of {len(kinds)}")
    if ["internal"] in kinds:
        do = "something opens a span before it serves, and does not leave it"
        return Entry("server", title, FAILED, f"{kinds.count(['internal'])} of {len(kinds)} are INTERNAL", do, "300/400/600")
    do = "instrument before the app is made, or `FlaskInstrumentor().instrument_app(app)`; look for excluded addresses and samplers"
    return Entry("server", title, FAILED, f"{right} of {len(kinds)}", do, "300/400/500")


def own_trace(e: Evidence) -> Entry:
    title = "each request is a trace of its own"
    roots = [(asked, e.servers(asked)[0]) for asked in e.run.asked if e.servers(asked) and not asked.response.trace_id]
    counts = Counter(span.trace_id for _, span in roots)
    if not roots:
        return Entry("own-trace", title, OPEN, "no span of a request")
    if max(counts.values()) > 1:
        do = "a span stays open around the server; leave it before serving"
        return Entry("own-trace", title, FAILED, f"{len(roots)} requests, {len(counts)} traces", do, "300/400/600")
    return Entry("own-trace", title, PASSED, f"{len(roots)} requests, {len(counts)} traces")


def continues(e: Evidence) -> Entry:
    title = "it continues a traceparent"
    sent = [(asked.response, e.servers(asked)) for asked in e.run.asked if asked.response.trace_id and e.servers(asked)]
    if not sent:
        return Entry("traceparent", title, OPEN, "no span of a request")
    lost = [r for r, spans in sent if (spans[0].trace_id, spans[0].parent_id) != (r.trace_id, r.parent_id)]
    if lost:
        do = "OTEL_PROPAGATORS must have tracecontext, which it has by default; no proxy may drop the header"
        return Entry("traceparent", title, FAILED, f"{len(lost)} of {len(sent)} began another trace", do, "300/400/300")
    return Entry("traceparent", title, PASSED, f"{len(sent)} of {len(sent)}")


def route_named(e: Evidence) -> Entry:
    """A path with nothing variable in it is its own route; so only a longer one without a route says something."""
    title = "the span's name is a route"
    named = [(asked.response, e.servers(asked)[0]) for asked in e.run.asked if e.servers(asked)]
    if not named:
        return Entry("route", title, OPEN, "no span of a request")
    literal = [
        s.name
        for r, s in named
        if not s.attributes.get("http.route") and (path := r.path.partition("?")[0]) != "/" and path in s.name
    ]
    if literal:
        do = "a path that no route knows, or an instrumentation that knows no routes: set the name, and http.route, yourself"
        return Entry("route", title, FAILED, some(literal), do, "300/300/500")
    return Entry("route", title, PASSED, some([s.name for _, s in named]))


def named(e: Evidence) -> Entry:
    title = "it has a name"
    names = list(
        dict.fromkeys(str(item.resource.get("service.name", "")) for item in (*e.told.spans, *e.told.metrics, *e.told.logs))
    )
    bad = [name for name in names if not name or name.startswith("unknown_service")]
    if bad:
        return Entry("name", title, FAILED, some([name or "none" for name in bad]), "OTEL_SERVICE_NAME=<name>", "300/300/100")
    return Entry("name", title, PASSED if names else OPEN, some(names))


def stops(e: Evidence) -> Entry:
    title, run = "it stops as it is told", e.run
    if run.detached:
        do = "leave out what sends it into the background, such as `--daemon`: who starts it cannot know when it ends"
        return Entry("stops", title, FAILED, "its command returned, and it went on in the background", do)
    if run.stopped_by and run.stopped_by != "SIGINT":
        do = "look for what ignores or catches the signal; what waits in a batch may be lost with it"
        return Entry("stops", title, FAILED, f"Ctrl-C did nothing; {run.stopped_by} ended it", do, "300/400/500")
    if not run.stopped_by:
        return Entry("stops", title, FAILED, "it ended by itself while it was asked" + words(run.output, 3))
    return Entry("stops", title, PASSED, f"{run.stop_seconds:.1f} s after Ctrl-C")


# Each with the rungs without which it says nothing.
RUNGS = (
    (starts,),
    (listens, "starts"),
    (answers, "starts", "listens"),
    (tells, "starts", "listens"),
    *((rung, "starts", "listens", "exporter") for rung in (server_spans, own_trace, continues, route_named, named)),
    (stops, "starts", "listens"),
)


# ---- what hides in it


def findings(e: Evidence) -> list[Entry]:
    """What the course taught to look for; open where there was nothing to look at."""
    spans, logs, metrics = e.told.spans, e.told.logs, e.told.metrics
    return [
        _found("n-plus-1", "no statement is repeated for one request", _repeated(e), any(s.statement for s in spans),
               "load what the page needs in one statement", "300/300/400"),
        _found("status", "what fails has the status ERROR", _unmarked(e), spans,
               "set the status where the exception is caught", "300/400/200"),
        _found("secrets", "no secret in what it tells", secrets_in(e), spans or logs or metrics,
               "take it out where it comes in; the Collector's `redaction` is the second door", "300/700/200"),
        _found("log-trace", "logs know their trace", _without_trace(e), logs,
               "install opentelemetry-instrumentation-logging, and log inside the request", "300/600/100"),
        _found("unbounded", "attributes of metrics have few values", _unbounded(e), metrics,
               "take it out, by a view or in the Collector; OTEL_SEMCONV_STABILITY_OPT_IN=http takes http.target out", "300/500/200"),
        _found("old-names", "names are those of today's conventions", _old(spans), spans,
               "OTEL_SEMCONV_STABILITY_OPT_IN=http,database, with /dup as long as somebody asks for the old ones", "300/300/500"),
        _found("sigterm", "nothing is lost at SIGTERM", _lost(e), e.ended is not None,
               "a server that ends in good order, such as gunicorn, or a handler that calls sys.exit(0)", "300/400/500",
               "say `--signals` to try it"),
    ]  # fmt: skip


def _found(id_: str, title: str, found: Iterable[str], asked: object, do: str, lesson: str, otherwise: str = "") -> Entry:
    if not asked:
        return Entry(id_, title, OPEN, otherwise or "there was nothing to look at")
    found = list(found)
    return Entry(id_, title, FAILED, some(found), do, lesson) if found else Entry(id_, title, PASSED)


def _repeated(e: Evidence) -> Iterator[str]:
    for asked in e.run.asked:
        for span in e.servers(asked)[:1]:
            for statement, count in Counter(s.statement for s in e.below(span) if s.statement).items():
                if count >= REPEATED:
                    yield f"{asked.response}: {count} × {short(statement, 80)}"


def _unmarked(e: Evidence) -> Iterator[str]:
    for asked in e.run.asked:
        for span in e.servers(asked)[:1]:
            if asked.response.status >= 500 and span.status != "ERROR":
                yield f"{asked.response}: {asked.response.status}, status {span.status}"
    for span in e.told.spans:
        if span.status != "ERROR" and any(event.name == "exception" for event in span.events):
            yield f"{short(span.name, 40)!r} holds an exception, status {span.status}"


def secrets_in(e: Evidence) -> Iterator[str]:
    """Where something stands that looks like a secret. The secret itself is not repeated."""
    seen = set()
    for what, holder in _holders(e.told):
        for place, text in texts(holder):
            key = place.rpartition(" ")[2]
            kind = next((kind for kind, pattern in SECRET.items() if pattern.search(text)), "")
            if e.run.canary and e.run.canary in text:
                kind = "the visitor's cookie"
            elif not kind and SECRET_NAME.search(key) and not HARMLESS.match(text) and not place.startswith("a name"):
                kind = "a value of that name"
            if kind and (kind, place) not in seen:
                seen.add((kind, place))
                yield f"{kind} in {place or 'the text'} of {what}"


def _holders(told: Telemetry) -> Iterator[tuple[str, dict]]:
    for span in told.spans:
        yield f"the span {short(span.name, 40)!r}", {"name": span.name, **span.attributes, "status": span.status_text}
        for event in span.events:
            yield f"an event of {short(span.name, 40)!r}", event.attributes
    for log in told.logs:
        yield "a log record", {"text": log.body, **log.attributes}
    for metric in told.metrics:
        for point in metric.points:
            yield f"the metric {metric.name}", point.attributes
    for item in [*told.spans[:1], *told.metrics[:1], *told.logs[:1]]:
        yield "the resource", item.resource


def _without_trace(e: Evidence) -> Iterator[str]:
    """Records that were written while a request was answered, and do not know of which. Requests do not overlap."""
    for asked in e.run.asked:
        for span in e.servers(asked)[:1]:
            for log in e.told.logs:
                if span.start_ns < (log.time_ns or log.observed_ns) < span.end_ns and not log.trace_id:
                    yield f"{asked.response}: {short(str(log.body))!r}"


def _unbounded(e: Evidence) -> Iterator[str]:
    agents = {asked.response.agent for asked in e.run.asked}
    for metric in e.told.metrics:
        for point in metric.points:
            for key, value in point.attributes.items():
                if UNBOUNDED.fullmatch(key) or (not OWN_ID.search(key) and ID.search(str(value))) or str(value) in agents:
                    yield f"{key} of {metric.name}"


def _old(spans: list[Span]) -> list[str]:
    """Old names, unless the new ones stand beside them: that is a change under way."""
    fresh = {"http.request.method", "db.system.name", "url.path", "db.query.text"}
    return sorted({key for span in spans if not fresh & span.attributes.keys() for key in span.attributes if key in OLD_NAMES})


def _lost(e: Evidence) -> Iterator[str]:
    if e.ended:
        agents = {asked.response.agent for asked in e.ended.asked}
        came = len({s.user_agent for s in e.ended_told.spans if s.user_agent in agents})
        if came < len(agents):
            yield f"{len(agents) - came} of {len(agents)} requests that were answered just before"
