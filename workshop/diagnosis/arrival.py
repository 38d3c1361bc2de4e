"""Do the spans arrive where they are stored?"""

from __future__ import annotations

import re

from workshop.diagnosis.backend import ANSWERS, WORDS
from workshop.diagnosis.facts import EXCERPT, Diagnosis, Facts, Stage, line_at, words
from workshop.diagnosis.settings import Setting
from workshop.programs.jaeger import JAEGER
from workshop.programs.program import Program

IN_CODE = re.compile(r"""OTLPSpanExporter\(\s*(?:endpoint\s*=\s*)?["']([^"']+)["']""")


def endpoint(f: Facts) -> Setting | None:
    """Where the app sends its spans: as its code says, else by the setting of traces, else by that of all signals."""
    for path, text in f.modules.items():
        if found := IN_CODE.search(text):
            return Setting("endpoint", found[1], f"src/{path}:{line_at(text, found.start())}", "endpoint=")
    return f.known("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f.known("OTEL_EXPORTER_OTLP_ENDPOINT")


def protocol(f: Facts) -> str:
    """grpc or http: what the app speaks to its endpoint. The distribution's own default is grpc (0.66b1)."""
    setting = endpoint(f)
    if setting and setting.name == "endpoint":
        return "http" if "proto.http" in f.files[setting.where.removeprefix("src/").rpartition(":")[0]] else "grpc"
    chosen = f.settings.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or f.settings.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    exporter = f.settings.get("OTEL_TRACES_EXPORTER")
    if exporter and "otlp_proto_http" in exporter.value:
        return "http"
    return "http" if chosen and chosen.value.startswith("http") else "grpc"


def heard(f: Facts) -> str:
    """The exporter's own last words, to be put behind what was seen; empty where it said nothing."""
    lines = re.findall(r"^((?:Failed to export|Transient error|Exception while exporting).*)$", f.output, re.MULTILINE)
    return f"\n{lines[-1][:EXCERPT]}" if lines else ""


def not_exported(f: Facts) -> Diagnosis | None:
    setting = f.known("OTEL_TRACES_EXPORTER")
    if f.stored != [] or not setting or any(value.startswith("otlp") for value in setting.values):
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
    return not_up(JAEGER, f.jaeger_problem) if f.jaeger_problem else None


def not_up(program: Program, problem: str) -> Diagnosis:
    """What to do about a program that a check needs and that cannot be had."""
    return Diagnosis(
        f"{program.name}-not-up",
        problem,
        f"a {program.title} that answers",
        "telemetry is sent there; without it there is nowhere to send it, and nothing to ask",
        f"run `{program.up}`, then check again",
        "300/300/300" if program.for_all_lessons else "",
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
    receiver, grpc, http = taker(f, port or "")
    right, other = (grpc, http) if protocol(f) == "grpc" else (http, grpc)
    if port == other:
        return Diagnosis(
            "wrong-port",
            f"{setting.where}: {setting.shown} {setting.value}, and the protocol is {protocol(f)}{heard(f)}",
            f"http://{host}:{right}",
            f"{grpc} speaks OTLP over gRPC, {http} speaks OTLP over HTTP; neither understands the other",
            f"write {_address(host, right, protocol(f), setting)} in {setting.where}"
            if setting.name == "endpoint"
            else f"write port {right} in {setting.where}, or set OTEL_EXPORTER_OTLP_PROTOCOL="
            + ("http/protobuf" if protocol(f) == "grpc" else "grpc"),
            "300/300/300",
        )
    if scheme == "https":
        return Diagnosis(
            "endpoint-https",
            f"{setting.where}: {setting.shown} {setting.value}",
            f"http://{host}:{port or right}",
            f"https:// asks for TLS, and this {receiver} speaks without",
            f"write http:// in {setting.where}",
            "300/300/300",
        )
    per_signal = setting.name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "endpoint")
    if protocol(f) == "http" and per_signal != bool(path and path.strip("/")):
        return Diagnosis(
            "endpoint-path",
            f"{setting.where}: {setting.shown} {setting.value}{heard(f)}",
            f"http://{host}:{port or right}" + ("/v1/traces" if per_signal else ""),
            "the endpoint for all signals gets /v1/traces appended; the endpoint for traces alone"
            + (", and one in code, are used as they are" if setting.name == "endpoint" else " is used as it is"),
            f"write http://{host}:{port or right}{'/v1/traces' if per_signal else ''} in {setting.where}",
            "300/300/300",
        )
    return None


def _address(host: str, port: str, protocol: str, setting: Setting) -> str:
    return f"http://{host}:{port}" + ("/v1/traces" if protocol == "http" and setting.name == "endpoint" else "")


def taker(f: Facts, port: str) -> tuple[str, str, str]:
    """Who takes OTLP in a lesson, on which ports for gRPC and for HTTP: Jaeger, and later the Collector."""
    jaegers = not port.startswith("53") and f.lesson < "300/700"
    return ("Jaeger", "4317", "4318") if jaegers else ("Collector", "5317", "5318")


def unreachable(f: Facts) -> Diagnosis | None:
    refused = "UNAVAILABLE|Connection refused|Transient error|max retries|Max retries|aborting retry"
    # What stands in a span that was printed is about a call of the app's own, not about the exporter.
    if f.stored != [] or not re.search(rf'^(?! *").*(?:{refused})', f.output, re.MULTILINE):
        return None
    setting = endpoint(f)
    _, grpc, http = taker(f, "")
    return Diagnosis(
        "unreachable",
        (f"{setting.where}: {setting.shown} {setting.value}" if setting else "the default endpoint") + heard(f),
        f"http://localhost:{grpc} (grpc) or http://localhost:{http} (http)",
        "the exporter reached nobody there who takes spans, and dropped them",
        f"mend the address in {setting.where}; `workshop status` says who listens where"
        if setting
        else "run `workshop status`",
        "300/300/300",
    )


def not_arrived(f: Facts) -> Diagnosis | None:
    if f.stored != []:
        return None
    setting = endpoint(f)
    return Diagnosis(
        "not-arrived",
        f"{len(f.spans)} spans on the console, and Jaeger has none of this trace{heard(f) or words(f.output, 3, '; the app said last')}",
        "the trace in Jaeger"
        + (f"; {setting.where} sends it to {setting.value}" if setting else "; no setting says where to send it"),
        "the check found no cause: the exporter reported no error that it knows",
        f"run `workshop status`, then `{f.command}` in src/, and read what it says between Ctrl-C and its end",
        "300/300/300",
    )


# For a backend of the check's own: why nothing came, where the endpoint says it.
ROAD = (endpoint_without_scheme, endpoint_of_wrong_kind, unreachable)
ARRIVAL = Stage(
    "ARRIVAL",
    jaeger_not_up,
    not_exported,
    endpoint_without_scheme,
    endpoint_of_wrong_kind,
    *WORDS,
    *ANSWERS,
    unreachable,
    not_arrived,
)
