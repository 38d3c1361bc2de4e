"""Does what the app logs become log records, each once and with its trace, and does the terminal still show it?"""

from __future__ import annotations

from workshop.diagnosis.configuration import CONFIGURATION
from workshop.diagnosis.facts import Diagnosis, Facts, Stage
from workshop.diagnosis.packages import missing_package
from workshop.diagnosis.spans import not_under_agent
from workshop.telemetry.logs import LogRecord

LESSON = "300/600/100"
WARNING = 13  # severity numbers below are INFO, DEBUG and TRACE
OFF = {
    "OTEL_SDK_DISABLED": "true",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": "false",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "logging",
}


def filter_drops(f: Facts) -> Diagnosis | None:
    found = [one for one in f.dropped if f.text and f.text in one.said]
    if not found:
        return None
    file, _, line = found[0].where.rpartition(":")
    return Diagnosis(
        "filter-drops",
        f"{found[0].where}: this filter returned {found[0].returned} for {found[0].said[:60]!r}",
        "True, for a record that is to be kept",
        "a filter is asked whether its handler gets the record; what is not true, and so also None, which a function without "
        "`return` gives, drops the record without a word",
        f"end the filter in line {line} of {file} with `return True`",
        LESSON,
    )


def logs_switched_off(f: Facts) -> Diagnosis | None:
    found = [f.known(name) for name, value in OFF.items() if f.known(name) and value in f.known(name).value.lower()]
    if f.logs or not found:
        return None
    return Diagnosis(
        "logs-switched-off",
        f"{found[0].where}: {found[0].shown} {found[0].value}",
        "log records that are handed over and exported",
        "this setting switches them off; the terminal shows the lines as before",
        f"take it out of {found[0].where}",
        LESSON,
    )


def logs_elsewhere(f: Facts) -> Diagnosis | None:
    setting = f.settings.get("OTEL_LOGS_EXPORTER")
    if f.logs or (setting and ("console" in setting.values or not setting.plain)):
        return None
    return Diagnosis(
        "logs-elsewhere",
        f"{setting.where}: {setting.shown} {setting.value}" if setting else "no exporter is chosen for logs",
        "log records on the console",
        "they are sent to where the exporter says" + ("" if setting else "; without one that is otlp, not the terminal"),
        f"write `export OTEL_LOGS_EXPORTER=console` in src/{f.script}",
        LESSON,
    )


def level_swallowed(f: Facts) -> Diagnosis | None:
    """Of a logger that said the same on several levels, only the higher ones came."""
    said = _alike(f)
    if not f.text or not said or any(log.severity_number < WARNING for log in said):
        return None
    return Diagnosis(
        "level-swallowed",
        f"{said[0].severity} {said[0].body!r} came, and what the same logger said as INFO did not",
        "both",
        "a logger without a level of its own has that of the root logger, which is WARNING where nobody set one; what is "
        "below it reaches no handler, neither the terminal's nor OpenTelemetry's",
        "set the root logger's level: `logging.basicConfig(level=logging.INFO)`, before the first request",
        LESSON,
    )


def console_silent(f: Facts) -> Diagnosis | None:
    said = _alike(f)
    if not f.text or not said or any(f.text in line for line in f.lines):
        return None
    return Diagnosis(
        "console-silent",
        f"{said[0].severity} {said[0].body!r} is a log record, and no line of the terminal says it",
        "the line on the terminal, too",
        "the root logger has a handler, OpenTelemetry's; so Flask, Werkzeug and `logging` add none of their own that would print",
        "call `logging.basicConfig(…)` where the app is made: it gives the root logger one that prints",
        LESSON,
    )


def handler_twice(f: Facts) -> Diagnosis | None:
    """One call of a logger made two records that are the same, or two such lines."""
    moments = [(log.body, log.time_ns, log.span_id) for log in _alike(f)]
    same = [log for log, moment in zip(_alike(f), moments) if moments.count(moment) > 1]
    lines = [line for line in f.lines if f.text and f.text in line]
    if not same and len(lines) < 2:
        return None
    seen = f"{len(same)} records of the same moment: {same[0].body!r}" if same else f"{len(lines)} lines: {lines[0]}"
    return Diagnosis(
        "handler-twice",
        seen,
        "one" if same else "one line for each call of a logger",
        "a record goes to every handler of its logger and of all loggers above it; the agent has put one of OpenTelemetry "
        "on the root logger already",
        "add no `LoggingHandler` of your own"
        if same
        else "give the root logger one handler that prints, and no other logger any",
        LESSON,
    )


def record_too_late(f: Facts) -> Diagnosis | None:
    late = [log for log in _alike(f) if not log.trace_id and f.span and log.time_ns > f.span.end_ns > 0]
    if not late:
        return None
    return Diagnosis(
        "record-too-late",
        f"{late[0].body!r} was logged {(late[0].time_ns - f.span.end_ns) / 1e6:.1f} ms after the span {f.span.name!r} had ended",
        f"inside it, in trace {f.span.trace_id}",
        "a record takes along the ids of the span that is current where it is written, and a request's span ends when the app "
        "has given its answer back",
        "log it before: in the view, or in a function that `app.after_request` calls",
        LESSON,
    )


def record_without_trace(f: Facts) -> Diagnosis | None:
    bare = [log for log in _alike(f) if not log.trace_id]
    if not f.span or not bare or any(log.trace_id == f.span.trace_id for log in _alike(f)):
        return None
    return Diagnosis(
        "record-without-trace",
        f"{bare[0].body!r} has no trace id",
        f"trace {f.span.trace_id}",
        "the ids are those of the context in which the line is written; another thread has another context, and none of a request",
        "read the ids in the thread that serves the request, not in the one that writes",
        LESSON,
    )


def _alike(f: Facts) -> list[LogRecord]:
    return [log for log in f.logs if f.text in str(log.body)] if f.text else []


LOGS = Stage("LOGS", *CONFIGURATION, not_under_agent, missing_package, filter_drops, logs_switched_off, logs_elsewhere)
PLACED = Stage("PLACED", handler_twice, record_too_late, record_without_trace)
