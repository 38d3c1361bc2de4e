"""What goes wrong where an app sets up its telemetry itself."""

import re

from workshop.diagnosis.facts import Diagnosis, Facts


def watched_too_late(f: Facts) -> Diagnosis | None:
    """`flask.Flask` was replaced after the app's module had imported it."""
    said = re.search(r"^Error: (Failed to find Flask application.*)$", f.output, re.MULTILINE)
    where = _line(f, r"^(?!from|import).*(FlaskInstrumentor\(\)\.instrument\(|initialize\()")
    if f.listened or not said or not where:
        return None
    return Diagnosis(
        "flask-replaced",
        f"{where} is called when the app is already imported; `flask run` says: {said[1]}",
        "the set-up in src/wsgi.py before `from todo import create_app`",
        "it puts another class in the place of `flask.Flask`; who imported `Flask` before has the old one, "
        "and `flask run` does not know its app",
        "call it before that import",
        "300/400/500",
    )


def agent_not_expanded(f: Facts) -> Diagnosis | None:
    """What stands before `flask` is not what the shell takes for a value that may be empty."""
    found = next(
        ((n, line) for n, line in enumerate(f.run_sh.splitlines(), 1) if re.search(r"\"\$\{?AGENT|\$AGENT-", line)), None
    )
    if f.listened or not found:
        return None
    quoted = '"$' in found[1]
    return Diagnosis(
        "agent-not-expanded",
        f"src/{f.script}:{found[0]}: {found[1].split('flask')[0].strip()}",
        "${AGENT-opentelemetry-instrument}, with braces and without quotes",
        "in quotes an empty value is still a word, and the shell takes it for a command"
        if quoted
        else "without braces the name ends before the -, and the rest is a word of its own",
        f"write ${{AGENT-opentelemetry-instrument}} in src/{f.script}:{found[0]}",
        "300/400/500",
    )


def flask_unwatched(f: Facts) -> Diagnosis | None:
    """Libraries tell of spans, and no request does."""
    called = _line(f, r"FlaskInstrumentor\(\)\.instrument(_app)?\(")
    apart = _line(f, r"FlaskInstrumentor\(\)\.instrument(_app)?\(.*tracer_provider")
    where = apart or _line(f, r"FlaskInstrumentor\(\)\.instrument\b") or _line(f, r"SQLAlchemyInstrumentor\(\)\.instrument\(")
    told = any(s.kind == "server" for s in f.spans)
    if not f.command.startswith("AGENT=") or not where or told or not f.spans or (called and not apart):
        return None
    return Diagnosis(
        "flask-unwatched",
        f"no SERVER span of any request; what the app asks is told of: {', '.join(sorted({s.name for s in f.spans})[:3])}",
        "a SERVER span for each request",
        "its instrumentation is given a provider of its own, to which no exporter was added"
        if apart
        else "nothing watches Flask: its instrumentation is not called; a name without parentheses calls nothing",
        f"write `FlaskInstrumentor().instrument()` at {where}"
        + ("; it asks for the provider that was set for the process" if apart else ""),
        "300/400/500",
    )


def excluded_in_code(f: Facts) -> Diagnosis | None:
    where = _line(f, r"excluded_urls\s*=")
    bare = next((a for a in f.asked if not f.spans_of(a)), None)
    if not bare or not where:
        return None
    return Diagnosis(
        "excluded-in-code",
        f"{bare}: answered with {bare.status}, and no span; {where} excludes addresses",
        "one span of kind SERVER for it",
        "what stands in code comes before OTEL_PYTHON_FLASK_EXCLUDED_URLS, and it fits more addresses than it seems to",
        f"take `excluded_urls` out of {where}: the instrumentation reads the setting in src/{f.script}",
        "300/400/500",
    )


def resource_in_code(f: Facts) -> Diagnosis | None:
    where = _line(f, r"Resource\((?!\))|Resource\.create\((?!\))|service\.name|\bSERVICE_NAME\b")
    strange = next((s for s in f.spans if s.service != f.service), None)
    if not strange or not where or any(s.service == f.service for s in f.spans):
        return None
    return Diagnosis(
        "resource-in-code",
        f"service.name is {strange.service!r}; {where} puts the resource together",
        f"{f.service!r}, as OTEL_SERVICE_NAME in src/{f.script} says",
        "`Resource(...)` does not read the environment; `Resource.create()` does, and what it is given in code comes first",
        f"write `Resource.create()` in {where}",
        "300/400/500",
    )


def _line(f: Facts, pattern: str) -> str:
    """The first line of the learner's Python that looks so, as `src/file:line`; empty where there is none."""
    for name, text in sorted(f.files.items()):
        for number, line in enumerate(text.splitlines(), 1):
            if name.endswith(".py") and "opentelemetry" in text and re.search(pattern, line):
                return f"src/{name}:{number}"
    return ""


STARTS = (agent_not_expanded, watched_too_late)
SPANS = (flask_unwatched, excluded_in_code, resource_in_code)
