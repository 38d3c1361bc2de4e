"""Does the app make the spans that are due: of requests, of calls, of SQL statements?"""

from __future__ import annotations

import re

from workshop.diagnosis import settings
from workshop.diagnosis.configuration import CONFIGURATION, agent_gave_up
from workshop.diagnosis.facts import Diagnosis, Facts, Stage, words
from workshop.diagnosis.packages import missing_package, no_package_that_watches
from workshop.diagnosis.script import blank_around_equals
from workshop.diagnosis.starting import shadowed


def not_under_agent(f: Facts) -> Diagnosis | None:
    in_code = any("opentelemetry" in text for text in f.modules.values())
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
    values = {name: setting.value.lower() for name, setting in f.settings.items() if setting.plain}
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
    if setting and ("console" in setting.values or not setting.plain):
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
    if said not in f.output or all(f.spans_of(answer) for answer in f.asked):
        return None
    return Diagnosis(
        "second-provider",
        f"the app said: {said}",
        "one TracerProvider in a process",
        "the first one stays, and what was given to the second, such as its exporters, gets no span",
        "set a provider only where `trace.get_tracer_provider()` is not yet one of the SDK",
        "300/400/500",
    )


def _excludes(setting: settings.Setting, address: str) -> bool:
    """Whether the expressions of a setting find this address, as far as they can be read."""
    try:
        return not setting.plain or any(re.search(one.strip(), address) for one in setting.value.split(","))
    except re.error:
        return True


def no_span(f: Facts) -> Diagnosis | None:
    bare = next((a for a in f.asked if not f.spans_of(a)), None)
    if not bare:
        return None
    excluded = f.settings.get("OTEL_PYTHON_FLASK_EXCLUDED_URLS") or f.settings.get("OTEL_PYTHON_EXCLUDED_URLS")
    if excluded and not _excludes(excluded, f"http://localhost:{f.port}{bare.path}"):
        excluded = None
    others = ", ".join(sorted({span.name for span in f.spans})[:4])
    return Diagnosis(
        "no-span",
        f"{bare}: answered with {bare.status}, and no span was made for it"
        + (f"; {len(f.spans)} others were: {others}" if others else ", nor any other")
        + words(f.output, 3, "\nthe app said last"),
        "one span of kind SERVER for it",
        f"{excluded.where} excludes addresses: {excluded.value}"
        if excluded
        else "the app named no reason; spans come only where Flask was instrumented before the request",
        f"write an expression in {excluded.where} that does not find {bare.path}"
        if excluded
        else f"run `{f.command}` in src/, open {bare.path}, and read what comes before the first request: an error of the set-up stands there",
        "300/300/200" if excluded else "300/300/100",
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
    setting = f.known("OTEL_PROPAGATORS")
    if not setting or "tracecontext" in setting.values:
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
    version = f.packages().installed.get("sqlalchemy", "")
    said = re.search(r"sqlalchemy only instruments .*", f.output)
    if not said and tuple(map(int, re.findall(r"\d+", version)[:2])) < (2, 1):
        return None
    return Diagnosis(
        "sqlalchemy-out-of-range",
        f"SQLAlchemy {version}" if version else said[0][:120],
        "SQLAlchemy 2.0 (below 2.1)",
        "opentelemetry-instrumentation-sqlalchemy 0.66b1 instruments nothing of a newer one, and says so in one line only",
        "run `make install`: it installs the pinned packages",
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


SPANS = Stage(
    "SPANS",
    shadowed,
    blank_around_equals,
    *CONFIGURATION,
    no_package_that_watches,
    agent_gave_up,
    not_under_agent,
    switched_off,
    not_on_console,
    cut_off_by_tee,
    second_provider,
    no_span,
    internal_instead_of_server,
    wrong_service,
)
STATEMENTS = Stage("STATEMENTS", sqlalchemy_out_of_range, missing_package, engine_unwatched)
CALLS = Stage("CALLS", wrong_propagator, missing_package)
