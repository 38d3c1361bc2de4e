"""From what was seen to what to do: the diagnosis ladder.

Each rung is a pure function of `Facts`: it returns a `Diagnosis` when it is the broken one, else None. The rungs stand in the
order in which an app comes to life, so the first broken rung is the cause and not one of its effects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from textwrap import fill

from workshop import settings
from workshop.app import Answer
from workshop.errors import UserError
from workshop.settings import Setting
from workshop.spans import Span

FRAME = re.compile(r'File "(src/[^"]+)", line (\d+)')
ELSEWHERE = "nothing listens there"


@dataclass(frozen=True)
class Diagnosis:
    """One broken rung. `rung` is its name; `do` is the next action; `lesson` is where to read about it."""

    rung: str
    seen: str
    expected: str
    why: str
    do: str
    lesson: str = ""

    def __str__(self) -> str:
        read = f"{self.lesson}/README.md" if self.lesson else ""
        rows = [("seen", self.seen), ("expected", self.expected), ("why", self.why), ("do", self.do), ("read", read)]
        return "\n".join(_row(name, text) for name, text in rows if text)


def _row(name: str, text: str) -> str:
    first, *more = text.splitlines() or [""]
    head = fill(
        first, 79, initial_indent=f"{name:>10}  ", subsequent_indent=" " * 12, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([head, *(" " * 12 + line[:66] for line in more)])


class Broken(UserError):
    """A check is red; `diagnosis` says why."""

    def __init__(self, diagnosis: Diagnosis):
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis


@dataclass
class Facts:
    """All that a check knows about one run of the learner's app. Paths and ports are the learner's own, not the copy's."""

    lesson: str
    command: str
    files: dict[str, str] = field(default_factory=dict)
    output: str = ""
    exit_code: int | None = None
    listened: bool = False
    port: int = 5001
    listening_ports: tuple[int, ...] = ()
    port_owner: str = ""
    stopped: bool = True
    answers: list[Answer] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    stored: list[Span] | None = None
    jaeger_problem: str = ""
    wants: str = ""
    about: Answer | None = None
    service: str = "todo"
    shadows: tuple[str, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def script(self) -> str:
        """The learner's file that holds the command line: run.sh, or what the lesson starts instead."""
        return script(self.command)

    @property
    def run_sh(self) -> str:
        return self.files.get(self.script, "")

    @property
    def settings(self) -> dict[str, Setting]:
        return settings.read(self.run_sh, f"src/{self.script}")

    @property
    def asked(self) -> list[Answer]:
        """The requests that the check is about: one, or all that must be traced."""
        return [self.about] if self.about else [answer for answer in self.answers if answer.traced]

    def spans_of(self, answer: Answer) -> list[Span]:
        return [span for span in self.spans if user_agent(span) == answer.agent]


Rung = Callable[[Facts], "Diagnosis | None"]


def user_agent(span: Span) -> str | None:
    """The User-Agent that a request's span carries, under its old or its stable name."""
    return span.attributes.get("http.user_agent") or span.attributes.get("user_agent.original")


def is_http(span: Span) -> bool:
    """Whether a span is about an HTTP request, by its old or its stable names."""
    return "http.method" in span.attributes or "http.request.method" in span.attributes


def script(command: str) -> str:
    """The file that a command line runs, such as run.sh in `sh run.sh`."""
    found = re.search(r"\bsh ([\w-]+\.sh)\b", command)
    return found[1] if found else "run.sh"


def climb(facts: Facts, rungs: Iterable[Rung], otherwise: Diagnosis | None = None) -> Diagnosis | None:
    """The first broken rung, or `otherwise` when all hold."""
    for rung in rungs:
        if found := rung(facts):
            return found
    return otherwise


def tail(text: str, lines: int = 5) -> str:
    """The last lines of what an app printed."""
    kept = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


# --- does it start? -------------------------------------------------------------------------------------------------


def shadowed(f: Facts) -> Diagnosis | None:
    if f.listened or not f.shadows:
        return None
    name = f.shadows[0]
    return Diagnosis(
        "shadowed",
        f"{name} has the name of a Python package, and the app does not start",
        "your own files under names that no package uses",
        "Python looks in the app's folder first, so every `import` of that package gets your file",
        f"rename {name}, also where you import it, then check again",
        "300/200/100",
    )


def no_such_command(f: Facts) -> Diagnosis | None:
    missing = re.search(r"(?:line )?(\d+): ([\w./-]+): (?:command )?not found", f.output)
    if missing and not f.listened:
        line, name = missing.groups()
        known = settings.nearest(name, frozenset({"flask", "gunicorn", "opentelemetry-instrument", "tee", "python", "sh"}))
        known = "" if known == name else known
        return Diagnosis(
            "no-such-command",
            f"src/{f.script}:{line}: {name}: command not found",
            f"the command `{known}`" if known else f"a command of the name {name}",
            "it is misspelt" if known else "it is not installed in the environment in which the app runs",
            f"write `{known}` in src/{f.script}:{line}"
            if known
            else "run `make install`, or `workshop doctor` to see what is missing",
            "300/100",
        )
    script = re.escape(f.script)
    if re.search(rf"{script}: No such file|can't open '?{script}|cannot open {script}", f.output):
        return Diagnosis(
            "no-run-file",
            f"there is no file src/{f.script}",
            f"src/{f.script} with the command line that starts the app",
            "the check starts your app by your own command line, and finds none",
            f"write src/{f.script} as the lesson shows; `workshop diff {f.lesson}` shows it",
            f.lesson,
        )
    return None


def not_installed(f: Facts) -> Diagnosis | None:
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", f.output)
    if f.listened or not missing or missing[1].split(".")[0] in {name.split("/")[0].removesuffix(".py") for name in f.files}:
        return None
    where = _frame(f.output)
    return Diagnosis(
        "not-installed",
        f"{where}: No module named {missing[1]!r}",
        f"a package that brings {missing[1].split('.')[0]!r}, or another spelling",
        "the environment in which the app runs does not have it",
        f"look at the spelling in {where}; if it is right, run `make install`",
        "300/100",
    )


def does_not_import(f: Facts) -> Diagnosis | None:
    if f.listened:
        return None
    trace = "Traceback (most recent call last)" in f.output or "SyntaxError" in f.output
    if trace and (where := _frame(f.output)):
        return Diagnosis(
            "does-not-import",
            f"{where}: {_exception(f.output)}",
            "an app that Python can import",
            "your code raised this error while it was loaded, so no request can be served",
            f"look at {where}, and compare: `workshop diff {f.lesson}`",
            f.lesson,
        )
    no_app = re.search(r"^Error: (.*(?:Flask application|Could not import|Failed to find).*)$", f.output, re.MULTILINE)
    if no_app and any("FlaskInstrumentor().instrument()" in text for text in f.files.values()):
        return Diagnosis(
            "flask-replaced",
            no_app[1],
            "an app of the class that `flask.Flask` names now",
            "`FlaskInstrumentor().instrument()` puts another class in its place; who imported `Flask` before has the old one, "
            "and `flask run` does not know its app",
            "write `FlaskInstrumentor().instrument_app(app)`, which watches the app that is there",
            "300/400/500",
        )
    if no_app:
        return Diagnosis(
            "no-app",
            no_app[1],
            "src/wsgi.py, which makes `app`",
            "`flask run` looks for `app` in wsgi.py or app.py of the folder in which it is started",
            f"compare src/wsgi.py: `workshop diff {f.lesson}`",
            "300/200/100",
        )
    return None


def port_taken(f: Facts) -> Diagnosis | None:
    if not re.search(r"Address already in use|Port \d+ is in use|Errno 98\]|Errno 48\]", f.output):
        return None
    port = re.search(r"Port (\d+)|127\.0\.0\.1['\", :]+(\d+)", f.output)
    number = next((group for group in port.groups() if group), f.port) if port else f.port
    return Diagnosis(
        "port-taken",
        f"port {number} is in use" + (f" by {f.port_owner}" if f.port_owner else ""),
        f"an app that listens on port {f.port}",
        "two programs cannot listen on one port" + (", and 5000 is AirPlay's on a Mac" if str(number) == "5000" else ""),
        f"stop that program, or write `-p {f.port}` in src/{f.script}",
        "300/200/100",
    )


def listens_elsewhere(f: Facts) -> Diagnosis | None:
    if f.listened or not f.listening_ports:
        return None
    return Diagnosis(
        "listens-elsewhere",
        f"the app listens on port {f.listening_ports[0]}",
        f"port {f.port}",
        f"all lessons and their checks ask http://localhost:{f.port}",
        f"write `-p {f.port}` in src/{f.script} (gunicorn: `-b 127.0.0.1:{f.port}`)",
        "300/200/100",
    )


def ends_at_once(f: Facts) -> Diagnosis | None:
    if f.listened or f.exit_code is None:
        return None
    return Diagnosis(
        "ends-at-once",
        f"`{f.command}` ended with status {f.exit_code} and never listened"
        + (f"; it printed last\n{tail(f.output)}" if f.output.strip() else ", and printed nothing"),
        f"an app that listens on port {f.port} until Ctrl-C",
        "the command line did not start a server",
        f"run `{f.command}` in src/ yourself and read what it says; compare: `workshop diff {f.lesson}`",
        f.lesson,
    )


def never_listens(f: Facts) -> Diagnosis | None:
    if f.listened:
        return None
    return Diagnosis(
        "never-listens",
        f"`{f.command}` runs, but listens on no port"
        + (f"; it printed last\n{tail(f.output)}" if f.output.strip() else ", and prints nothing"),
        f"an app that listens on port {f.port}",
        "something in it waits before the server starts",
        f"run `{f.command}` in src/ and see where it stays; compare: `workshop diff {f.lesson}`",
        f.lesson,
    )


# --- does it answer? ------------------------------------------------------------------------------------------------


def does_not_answer(f: Facts) -> Diagnosis | None:
    silent = next((a for a in f.answers if not a.status), None)
    if not silent:
        return None
    return Diagnosis(
        "does-not-answer",
        f"{silent}: no answer ({silent.problem[:200]})",
        "an answer within ten seconds",
        "the app closed the connection or is busy with something that does not end",
        f"run `{f.command}` in src/ and ask it yourself: curl -i http://localhost:{f.port}{silent.path}",
        f.lesson,
    )


def missing_column(f: Facts) -> Diagnosis | None:
    missing = re.search(r"no such column: ([\w.]+)", f.output)
    if not missing or not any(a.status == 500 for a in f.answers):
        return None
    where = _frame(f.output)
    return Diagnosis(
        "missing-column",
        f"{where + ': ' if where else ''}no such column: {missing[1]}",
        "columns that the database has had since its table was made",
        "`create_all()` makes a table that is missing, and never a column of one that is there",
        "leave the columns of a table as they are, and give what is new a table of its own",
        "300/300/400",
    )


def wrong_status(f: Facts) -> Diagnosis | None:
    wrong = next((a for a in f.answers if a.wanted and a.status not in a.wanted), None)
    if not wrong:
        return None
    error = _exception(f.output) if wrong.status >= 500 and "Traceback" in f.output else ""
    where = _frame(f.output) if error else ""
    return Diagnosis(
        "wrong-status",
        f"{wrong}: status {wrong.status}" + (f", {where}: {error}" if where else f", {error}" if error else ""),
        f"status {' or '.join(map(str, wrong.wanted))}",
        _status_why(wrong, bool(error)),
        f"look at {where or 'the view of this route'}; compare: `workshop diff {f.lesson}`",
        f.lesson,
    )


def _status_why(answer: Answer, raised: bool) -> str:
    if raised:
        return "your code raised this error while it answered"
    return {
        404: "no route of the app has this address, or it says that the thing asked for does not exist",
        405: "the route exists, but not for this method",
        400: "the app refused the form",
        500: "the app failed while it answered",
    }.get(answer.status, "the view of this route answered otherwise")


def does_not_stop(f: Facts) -> Diagnosis | None:
    if f.stopped:
        return None
    return Diagnosis(
        "does-not-stop",
        f"`{f.command}` still ran ten seconds after Ctrl-C",
        "an app that ends when it is told to",
        "something in it catches or ignores the interrupt, or waits for an answer that does not come",
        f"run `{f.command}` in src/, press Ctrl-C and see what stays; compare: `workshop diff {f.lesson}`",
        f.lesson,
    )


# --- does it make spans? --------------------------------------------------------------------------------------------


def misspelt_setting(f: Facts) -> Diagnosis | None:
    for setting in f.settings.values():
        if not settings.is_known(setting.name):
            right = settings.nearest(setting.name, settings.known())
            if setting.shown.startswith("--"):
                right = "--" + right.removeprefix("OTEL_").lower() if right else ""
            return Diagnosis(
                "misspelt-setting",
                f"{setting.where}: {setting.shown}",
                right or "a name that OpenTelemetry knows",
                "no package reads this name, and an unknown name is not an error: the default stays",
                f"write {right} in {setting.where}" if right else "look up the name: `opentelemetry-instrument --help`",
                "300/300/200" if setting.shown.startswith("OTEL") else "300/300/100",
            )
    return None


def wrong_exporter(f: Facts) -> Diagnosis | None:
    for signal in ("traces", "metrics", "logs"):
        setting = f.settings.get(f"OTEL_{signal.upper()}_EXPORTER")
        for value in setting.value.split(",") if setting else ():
            if value.strip() not in settings.exporters(signal):
                right = settings.nearest(value, settings.exporters(signal)) or "console"
                return Diagnosis(
                    "wrong-exporter",
                    f"{setting.where}: {setting.shown} {value}",
                    f"one of {', '.join(sorted(settings.exporters(signal)))}",
                    "no exporter has this name, so the agent gives up its set-up and the app runs without any telemetry",
                    f"write {right} in {setting.where}",
                    "300/300/100",
                )
    return None


def not_under_agent(f: Facts) -> Diagnosis | None:
    in_code = any("opentelemetry" in text for name, text in f.files.items() if name.endswith(".py"))
    if f.spans or settings.AGENT in f.run_sh or (in_code and "TracerProvider" in "".join(f.files.values())):
        return None
    return Diagnosis(
        "not-under-agent",
        "the app answers, and makes no span",
        "one span of kind SERVER for each request",
        "the app is started without `opentelemetry-instrument`, so nothing watches it",
        f"put `opentelemetry-instrument` before `flask run` in src/{f.script}",
        "300/300/100",
    )


def switched_off(f: Facts) -> Diagnosis | None:
    if any(f.spans_of(answer) for answer in f.asked):
        return None
    values = {name: setting.value.lower() for name, setting in f.settings.items()}
    off = None
    if values.get("OTEL_SDK_DISABLED") == "true":
        off = "OTEL_SDK_DISABLED"
    elif "always_off" in values.get("OTEL_TRACES_SAMPLER", ""):
        off = "OTEL_TRACES_SAMPLER"
    elif values.get("OTEL_TRACES_EXPORTER") == "none":
        off = "OTEL_TRACES_EXPORTER"
    elif "flask" in values.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", ""):
        off = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    if not off:
        return None
    setting = f.settings[off]
    return Diagnosis(
        "switched-off",
        f"{setting.where}: {setting.shown} {setting.value}",
        "tracing that is on",
        "this setting switches the spans of your requests off",
        f"take it out of {setting.where}",
        "300/300/200",
    )


def not_on_console(f: Facts) -> Diagnosis | None:
    setting = f.settings.get("OTEL_TRACES_EXPORTER")
    if f.spans or "console" not in f.wants or "Overriding" in f.output:
        return None
    if setting and "console" in setting.value.split(","):
        return None
    return Diagnosis(
        "not-on-console",
        f"{setting.where}: {setting.shown} {setting.value}" if setting else "no exporter is chosen for traces",
        "spans on the console",
        "spans are sent to where the exporter says" + ("" if setting else "; without one that is otlp, not the terminal"),
        f"choose the console exporter: `--traces_exporter console` in src/{f.script}",
        "300/300/100",
    )


def cut_off_by_tee(f: Facts) -> Diagnosis | None:
    plain_tee = re.search(r"\|\s*tee\s+(?!-i\b|--ignore-interrupts)", f.run_sh)
    if not plain_tee or all(f.spans_of(answer) for answer in f.asked):
        return None
    return Diagnosis(
        "cut-off-by-tee",
        "the app made no span that reached the end of `tee`",
        f"`tee -i` in src/{f.script}",
        "Ctrl-C goes to both ends of the pipe; a plain `tee` is gone first, and the last batch of spans has nowhere to go",
        f"write `| tee -i output.log` in src/{f.script}",
        "300/300/100",
    )


def second_provider(f: Facts) -> Diagnosis | None:
    said = "Overriding of current TracerProvider is not allowed"
    if said not in f.output:
        return None
    return Diagnosis(
        "second-provider",
        f"the app said: {said}",
        "one TracerProvider in a process",
        "the first one stays, and what was given to the second, such as its exporters, gets no span",
        "set a provider only where `trace.get_tracer_provider()` is not yet one of the SDK",
        "300/400/500",
    )


def no_span(f: Facts) -> Diagnosis | None:
    bare = next((a for a in f.asked if not f.spans_of(a)), None)
    if not bare:
        return None
    excluded = f.settings.get("OTEL_PYTHON_FLASK_EXCLUDED_URLS")
    return Diagnosis(
        "no-span",
        f"{bare}: answered with {bare.status}, and no span was made for it"
        + (f" ({len(f.spans)} other spans)" if f.spans else ""),
        "one span of kind SERVER for it",
        f"{excluded.where} excludes addresses: {excluded.value}"
        if excluded
        else "nothing instruments Flask when the app is made",
        f"compare: `workshop diff {f.lesson}`; read what the app said: `{f.command}`",
        "300/300/100",
    )


def internal_instead_of_server(f: Facts) -> Diagnosis | None:
    for answer in f.asked:
        own = f.spans_of(answer)
        if own and not any(span.kind == "server" for span in own):
            parent = next((s for s in f.spans if s.span_id == own[0].parent_id), None)
            about = f" below the span {parent.name!r}" if parent else " below a span that never ended"
            return Diagnosis(
                "internal",
                f"{answer}: its span is {own[0].kind.upper()},{about}",
                "kind SERVER, without a parent in this process",
                "another span was already open when the request came, so the instrumentation takes the request for a part of it",
                "find what opens that span (a click command, `start_as_current_span` around the server) and leave it before serving",
                "300/400/600",
            )
    return None


def wrong_service(f: Facts) -> Diagnosis | None:
    strange = next((s for s in f.spans if s.service != f.service), None)
    if not f.service or not strange or any(s.service == f.service for s in f.spans):
        return None
    return Diagnosis(
        "wrong-service",
        f"service.name is {strange.service!r}",
        f"{f.service!r}",
        "a backend groups everything by this name"
        + ("; without one the SDK says unknown_service" if strange.service.startswith("unknown_service") else ""),
        f"set it in src/{f.script}: OTEL_SERVICE_NAME={f.service}, or `--service_name {f.service}`",
        "300/300/100",
    )


def wrong_propagator(f: Facts) -> Diagnosis | None:
    setting = f.settings.get("OTEL_PROPAGATORS")
    if not setting or "tracecontext" in setting.value.split(","):
        return None
    return Diagnosis(
        "wrong-propagator",
        f"{setting.where}: {setting.shown} {setting.value}",
        "tracecontext among them, or no such setting: the default is tracecontext,baggage",
        "a propagator writes and reads the headers between services, and only tracecontext knows `traceparent`",
        f"take it out of {setting.where}",
        "300/400/300",
    )


def sqlalchemy_out_of_range(f: Facts) -> Diagnosis | None:
    version = f.packages.get("sqlalchemy", "")
    said = re.search(r"sqlalchemy only instruments .*", f.output)
    if not said and tuple(map(int, re.findall(r"\d+", version)[:2])) < (2, 1):
        return None
    return Diagnosis(
        "sqlalchemy-out-of-range",
        f"SQLAlchemy {version}" if version else said[0][:120],
        "SQLAlchemy 2.0 (below 2.1)",
        "opentelemetry-instrumentation-sqlalchemy 0.66b1 instruments nothing of a newer one, and says so in one line only",
        "install the pinned packages: `make install`",
        "300/100",
    )


def engine_unwatched(f: Facts) -> Diagnosis | None:
    connects = any(span.name == "connect" for span in f.spans)
    if not connects or any({"db.statement", "db.query.text"} & span.attributes.keys() for span in f.spans):
        return None
    return Diagnosis(
        "too-late",
        "spans of the name `connect`, and none of a statement",
        "a CLIENT span for each statement",
        "SQLAlchemy was instrumented when the engine was already made: connections are watched, that engine's statements are not",
        "instrument SQLAlchemy before the engine is made: before `db.init_app(app)`",
        "300/400/500",
    )


# --- does it arrive? ------------------------------------------------------------------------------------------------


def endpoint(f: Facts) -> Setting | None:
    return f.settings.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f.settings.get("OTEL_EXPORTER_OTLP_ENDPOINT")


def protocol(f: Facts) -> str:
    """grpc or http: what the app speaks to its endpoint. The distribution's own default is grpc (0.66b1)."""
    chosen = f.settings.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or f.settings.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    exporter = f.settings.get("OTEL_TRACES_EXPORTER")
    if exporter and "otlp_proto_http" in exporter.value:
        return "http"
    return "http" if chosen and chosen.value.startswith("http") else "grpc"


def not_exported(f: Facts) -> Diagnosis | None:
    setting = f.settings.get("OTEL_TRACES_EXPORTER")
    if f.stored is None or f.stored or not setting or any(v.startswith("otlp") for v in setting.value.split(",")):
        return None
    return Diagnosis(
        "not-exported",
        f"{setting.where}: {setting.shown} {setting.value}",
        "an exporter that sends traces away: otlp",
        "the spans are made, and go only to the terminal",
        f"write `console,otlp` in {setting.where}",
        "300/300/300",
    )


def jaeger_not_up(f: Facts) -> Diagnosis | None:
    if not f.jaeger_problem:
        return None
    return Diagnosis(
        "jaeger-not-up",
        f.jaeger_problem,
        "a Jaeger that answers",
        "traces are kept by Jaeger; without it there is nowhere to send them",
        "run `workshop up`, then check again",
        "300/300/300",
    )


def endpoint_without_scheme(f: Facts) -> Diagnosis | None:
    setting = endpoint(f)
    if f.stored != [] or not setting or re.match(r"https?://", setting.value):
        return None
    insecure = f.settings.get("OTEL_EXPORTER_OTLP_INSECURE")
    if insecure and insecure.value.lower() == "true" and protocol(f) == "grpc":
        return None
    return Diagnosis(
        "endpoint-without-scheme",
        f"{setting.where}: {setting.shown} {setting.value}",
        f"http://{setting.value.replace('0.0.0.0', 'localhost')}",
        "without http:// the exporter speaks TLS (grpc) or finds no host (http)",
        f"write http:// before the host in {setting.where}",
        "300/300/300",
    )


def endpoint_of_wrong_kind(f: Facts) -> Diagnosis | None:
    setting = endpoint(f)
    if f.stored != [] or not setting:
        return None
    match = re.match(r"(https?)://([^:/]+)(?::(\d+))?(/\S*)?", setting.value)
    if not match:
        return None
    scheme, host, port, path = match.groups()
    right = {"grpc": "4317", "http": "4318"}[protocol(f)]
    other = {"grpc": "4318", "http": "4317"}[protocol(f)]
    if port == other:
        return Diagnosis(
            "wrong-port",
            f"{setting.where}: {setting.shown} {setting.value}, and the protocol is {protocol(f)}",
            f"http://{host}:{right}",
            "4317 speaks OTLP over gRPC, 4318 speaks OTLP over HTTP; neither understands the other",
            f"write port {right} in {setting.where}, or set OTEL_EXPORTER_OTLP_PROTOCOL="
            + ("http/protobuf" if protocol(f) == "grpc" else "grpc"),
            "300/300/300",
        )
    if scheme == "https":
        return Diagnosis(
            "endpoint-https",
            f"{setting.where}: {setting.shown} {setting.value}",
            f"http://{host}:{port or right}",
            "https:// asks for TLS, and this Jaeger speaks without",
            f"write http:// in {setting.where}",
            "300/300/300",
        )
    per_signal = setting.name == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    if protocol(f) == "http" and per_signal != bool(path and path.strip("/")):
        return Diagnosis(
            "endpoint-path",
            f"{setting.where}: {setting.shown} {setting.value}",
            f"http://{host}:{port or right}" + ("/v1/traces" if per_signal else ""),
            "the endpoint for all signals gets /v1/traces appended; the endpoint for traces alone is used as it is",
            f"write it so in {setting.where}",
            "300/300/300",
        )
    return None


def unreachable(f: Facts) -> Diagnosis | None:
    refused = "UNAVAILABLE|Connection refused|Transient error|max retries|Max retries|aborting retry"
    # What stands in a span that was printed is about a call of the app's own, not about the exporter.
    if f.stored != [] or not re.search(rf'^(?! *").*(?:{refused})', f.output, re.MULTILINE):
        return None
    setting = endpoint(f)
    return Diagnosis(
        "unreachable",
        f"{setting.where}: {setting.shown} {setting.value}: {ELSEWHERE}" if setting else f"the default endpoint: {ELSEWHERE}",
        "http://localhost:4317 (grpc) or http://localhost:4318 (http)",
        "the exporter could not connect, so the spans were dropped",
        f"mend the address in {setting.where}" if setting else "run `workshop status`",
        "300/300/300",
    )


def not_arrived(f: Facts) -> Diagnosis | None:
    if f.stored != []:
        return None
    return Diagnosis(
        "not-arrived",
        f"{len(f.spans)} spans were made, and Jaeger has none of this trace"
        + (f"; the app said last\n{tail(f.output, 3)}" if f.output else ""),
        "the trace in Jaeger",
        "the exporter reported no error that is known here",
        f"run `workshop status`, then `{f.command}` in src/ and read what it says when it stops",
        "300/300/300",
    )


STARTS = (
    shadowed,
    no_such_command,
    not_installed,
    does_not_import,
    port_taken,
    listens_elsewhere,
    ends_at_once,
    never_listens,
)
ANSWERS = (does_not_answer, missing_column, wrong_status, does_not_stop)
SPANS = (
    misspelt_setting,
    wrong_exporter,
    not_under_agent,
    switched_off,
    not_on_console,
    cut_off_by_tee,
    second_provider,
    no_span,
    internal_instead_of_server,
    wrong_service,
)
STATEMENTS = (sqlalchemy_out_of_range, engine_unwatched)
CALLS = (wrong_propagator,)
ARRIVAL = (
    jaeger_not_up,
    not_exported,
    endpoint_without_scheme,
    endpoint_of_wrong_kind,
    unreachable,
    not_arrived,
)


def _frame(output: str) -> str:
    frames = FRAME.findall(output)
    return ":".join(frames[-1]) if frames else ""


def _exception(output: str) -> str:
    lines = re.findall(r"^((?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|NotFound|Warning)(?:: .*)?)$", output, re.MULTILINE)
    return lines[-1][:200] if lines else "it failed"
