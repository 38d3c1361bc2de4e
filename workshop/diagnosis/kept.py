"""Do the log records arrive in the log store?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workshop.diagnosis import settings
from workshop.diagnosis.configuration import CONFIGURATION
from workshop.diagnosis.facts import EXCERPT, Diagnosis, Facts, Stage
from workshop.diagnosis.packages import missing_package
from workshop.diagnosis.spans import not_under_agent

OTLP_PATH = "/insert/opentelemetry/v1/logs"
ENDPOINT = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
DAYS = 7  # of `-retentionPeriod`, in workshop/programs/logs.py
LESSON = "300/600/400"
CANNOT_WRITE = (
    r"cannot add rows into storage in read-only mode[^\n]*|[^\n]*(?:no space left on device|read-only file system)[^\n]*"
)
THROWN_AWAY = r'(too (?:big|small) timestamp=\S+ it must be (?:bigger|smaller) than \S+)[^\n]*"trace_id":"(\w+)"'


@dataclass
class Kept:
    """What a check knows of the log store in which it missed a record: its own `log`, how many `rows` of this app it has, and
    the ids of the `traces` of this run: the log may tell of earlier ones, too."""

    port: int = 9428
    log: str = ""
    rows: int = 0
    traces: frozenset[str] = frozenset()


def logs_not_sent(f: Facts) -> Diagnosis | None:
    setting = f.known("OTEL_LOGS_EXPORTER")
    if not f.kept or not setting or any(value.startswith("otlp") for value in setting.values):
        return None
    return Diagnosis(
        "logs-not-sent",
        f"{setting.where}: {setting.shown} {setting.value}",
        "an exporter that sends log records away: otlp",
        "the records are made, and nobody sends them to the log store",
        f"write `console,otlp` in {setting.where}",
        LESSON,
    )


def logs_cannot_write(f: Facts) -> Diagnosis | None:
    said = re.search(CANNOT_WRITE, f.kept.log) if f.kept else None
    if not said:
        return None
    return Diagnosis(
        "logs-cannot-write",
        f"VictoriaLogs' own log says: {said[0][:EXCERPT]}",
        "a folder with room, in which it may write",
        "where the disk is full it goes on reading and takes nothing more: to who sends it answers 429, try again later",
        "make room on the disk, which `workshop doctor` looks at; then `workshop down logs` and `workshop up logs`",
        LESSON,
    )


def json_refused(f: Facts) -> Diagnosis | None:
    said = re.search(r"json encoding isn't supported[^\n]*", f.kept.log) if f.kept else None
    if not said:
        return None
    setting = f.settings.get("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL") or f.settings.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    json = setting and "json" in setting.value
    return Diagnosis(
        "logs-json-refused",
        f"VictoriaLogs answered 400 to the log records; its own log says: {said[0]}"
        + (f"\n{setting.where}: {setting.shown} {setting.value}" if json else ""),
        "OTLP in protobuf",
        "OTLP has two encodings, and this store reads one of them",
        f"write http/protobuf in {setting.where}" if json else "let what sends them speak http/protobuf",
        LESSON,
    )


def log_too_old(f: Facts) -> Diagnosis | None:
    old = [log for log in f.logs if f.text in str(log.body) and 0 < log.time_ns < log.observed_ns - DAYS * 86_400 * 10**9]
    if not f.kept or not old:
        return None
    said = re.search(r"too small timestamp=\S+", f.kept.log)
    return Diagnosis(
        "log-too-old",
        f"{old[0].body!r} says that it was written {(old[0].observed_ns - old[0].time_ns) / 86_400 / 1e9:.0f} days ago"
        + (f"\nVictoriaLogs' own log says: {said[0]}" if said else ""),
        f"a time within the last {DAYS} days, which is how long this store keeps anything",
        "a record that is older than the retention is answered with 200 and thrown away; the exporter takes that for success",
        "give a record the time at which it was written, in nanoseconds since 1970 where OpenTelemetry asks for one",
        LESSON,
    )


def logs_mistimed(f: Facts) -> Diagnosis | None:
    """No single record is wrong about its time; the two clocks do not agree."""
    said = re.findall(THROWN_AWAY, f.kept.log) if f.kept else []
    told = next((words for words, trace in said if trace in f.kept.traces), "")
    if not told:
        return None
    return Diagnosis(
        "logs-clock-jumped",
        f"VictoriaLogs' own log says: {told}",
        f"times within the last {DAYS} days and the next two, by the clock of VictoriaLogs",
        "what lies outside is answered with 200 and thrown away; a clock that was set wrong and right again, and that of a virtual "
        "machine that has slept, make such times",
        "set both clocks right, the app's and that of VictoriaLogs, in a container the engine's; what was thrown away is gone",
        LESSON,
    )


def logs_over_grpc(f: Facts) -> Diagnosis | None:
    chosen = f.known("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL") or f.known("OTEL_EXPORTER_OTLP_PROTOCOL")
    exporter = f.known("OTEL_LOGS_EXPORTER")
    named = exporter and "otlp_proto_http" in exporter.values
    if not f.kept or f.kept.rows or named or (chosen and chosen.value.startswith("http")):
        return None
    return Diagnosis(
        "logs-protocol",
        f"{chosen.where}: {chosen.shown} {chosen.value}" if chosen else "the default protocol, which is grpc",
        "http/protobuf",
        "this store takes OTLP over HTTP only",
        f"`export OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/protobuf` in src/{f.script}",
        LESSON,
    )


def logs_endpoint(f: Facts) -> Diagnosis | None:
    """Where the exporter goes, when it says itself that it did not come through."""
    refused = re.search(r"Failed to export logs batch [^\n\"]*", f.output)
    unheard = re.search(r"host='[^']*', port=\d+(?=[^\n]*while exporting logs)", f.output)
    if not f.kept or not (refused or unheard):
        return None
    setting = f.known(ENDPOINT) or f.known("OTEL_EXPORTER_OTLP_ENDPOINT")
    right = f"http://localhost:{f.kept.port}{OTLP_PATH}"
    alone = setting and setting.name == ENDPOINT
    wrong = "to the endpoint of all signals /v1/logs is appended, whatever stands there, and Jaeger takes no log records"
    if alone:
        wrong = settings.wrong_address(setting.value, OTLP_PATH)
    return Diagnosis(
        "logs-path" if wrong else "logs-unreachable",
        (f"{setting.where}: {setting.shown} {setting.value}" if setting else f"no {ENDPOINT} in src/{f.script}")
        + f"\n{(refused or unheard)[0][:EXCERPT]}",
        right,
        wrong or "nothing that takes log records listens there",
        f"in src/{f.script}, export {ENDPOINT} as {right}",
        LESSON,
    )


KEPT = Stage(
    "KEPT",
    *CONFIGURATION,
    not_under_agent,
    missing_package,
    logs_not_sent,
    logs_cannot_write,
    json_refused,
    log_too_old,
    logs_mistimed,
    logs_over_grpc,
    logs_endpoint,
)
