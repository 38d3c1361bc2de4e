"""The server in the place of Azure, the fence around an app, and the connection string against the exporter's own reading of it."""

import gzip
import json
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from workshop.checks.checkpoint import OBSERVE, packages
from workshop.checks.ingestion import Ingestion
from workshop.checks.process import environment
from workshop.course import lessons
from workshop.diagnosis.connection_string import ELSEWHERE, NAME, fault
from workshop.diagnosis.facts import Facts
from workshop.diagnosis.spans import SPANS
from workshop.diagnosis.stages import expanded
from workshop.doctor import findings
from workshop.doctor.machine import Machine

KEY = "b7ad6b71-6920-4331-8b27-0af7651916cd"
ENDPOINT = "https://westeurope-5.in.applicationinsights.azure.com/"
ITEM = {
    "iKey": KEY,
    "time": "2026-11-24T10:00:00Z",
    "tags": {"ai.operation.id": "a" * 32, "ai.operation.parentId": "b" * 16},
    "data": {"baseType": "RequestData", "baseData": {"name": "GET /", "id": "c" * 16}},
}
OFF = [f"APPLICATIONINSIGHTS_{what}_DISABLED" for what in ("CONTROLPLANE", "SDKSTATS")] + [
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL"
]
RIGHT = [
    f"InstrumentationKey={KEY};IngestionEndpoint={ENDPOINT};LiveEndpoint={ENDPOINT};ApplicationId={KEY}",
    f"instrumentationkey={KEY};INGESTIONENDPOINT=http://localhost:5324",
    f"EndpointSuffix=applicationinsights.azure.cn;InstrumentationKey={KEY}",
]
# What is wrong, and whether the exporter itself says so.
WRONG = {
    "": ("an empty string", True),
    ";": ("a ; at its end", True),
    f"InstrumentationKey={KEY};IngestionEndpoint={ENDPOINT};": ("a ; at its end", True),
    f"InstrumentationKey={KEY};;IngestionEndpoint={ENDPOINT}": ("a ; twice in a row", True),
    f"InstrumentationKey:{KEY};IngestionEndpoint={ENDPOINT}": (f"'InstrumentationKey:{KEY}'", True),
    f"InstrumentationKey={KEY};IngestionEndpoint={ENDPOINT}?a=b": (f"'IngestionEndpoint={ENDPOINT}?a=b'", True),
    KEY: (f"'{KEY}'", True),
    f"IngestionEndpoint={ENDPOINT}": ("no InstrumentationKey", True),
    f"InstrumentationKey=;IngestionEndpoint={ENDPOINT}": ("no InstrumentationKey", True),
    f"InstrumentationKey={KEY.upper()};IngestionEndpoint={ENDPOINT}": (f"InstrumentationKey={KEY.upper()}", True),
    f"InstrumentationKey={KEY[:-1]};IngestionEndpoint={ENDPOINT}": (f"InstrumentationKey={KEY[:-1]}", True),
    f"InstrumentationKey='{KEY}';IngestionEndpoint={ENDPOINT}": (f"InstrumentationKey='{KEY}'", True),
    f"InstrumentationKey={KEY}": (f"no IngestionEndpoint, so it sends to {ELSEWHERE}", False),
    f"InstrumentationKey={KEY};IngestionEndpoint=localhost:5324": ("IngestionEndpoint=localhost:5324", False),
}


def run(code: str, *arguments: str, **variables: str) -> list[str]:
    """What a Python of the lesson's environment prints."""
    prefix = packages(lessons.find("300/800/300"))
    how = {"env": {**environment(prefix), **variables}, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([prefix / "bin" / "python", "-c", code, *arguments], **how)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def fenced(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{OBSERVE}:{OBSERVE / 'fence'}", "WORKSHOP_ASKED": str(folder / "asked.txt"), "TMPDIR": str(folder)}


# The server in the place of Azure


@pytest.mark.parametrize("pack", [lambda body: (body, {}), lambda body: (gzip.compress(body), {"Content-Encoding": "gzip"})])
def test_a_list_of_envelopes_is_taken_counted_and_kept(pack):
    body, headers = pack(json.dumps([ITEM, {**ITEM, "sampleRate": 50}]).encode())
    with Ingestion() as azure:
        answer = requests.post(f"{azure.url}//v2.1/track", body, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (200, {"itemsReceived": 2, "itemsAccepted": 2, "errors": []})
    whole, half = azure.envelopes
    assert (whole.kind, whole.trace_id, whole.parent_id, whole.key, whole.rate) == ("Request", "a" * 32, "b" * 16, KEY, 100)
    assert (half.rate, str(half)) == (50, "Request GET /")
    assert azure.of("Request", "a" * 32) == [whole, half] and azure.of("Request", "b" * 32) == azure.of("Metric") == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v2/track", "[]", 404), ("/v2.1/track", "no JSON", 400), ("/v2.1/track", '{"a": 1}', 400), ("/v2.1/track", "[{}]", 400)],
)
def test_what_is_no_list_of_envelopes_is_refused_and_not_kept(path, body, status):
    with Ingestion() as azure:
        assert requests.post(azure.url + path, body, timeout=5).status_code == status
    assert len(azure.requests) == 1 and azure.envelopes == []


# The fence


def test_a_fenced_app_reaches_this_machine_and_no_other(tmp_path):
    code = """
import socket, sys
from urllib.request import urlopen
print(urlopen(sys.argv[1]).status)
for ask in (lambda: socket.create_connection(("192.0.2.1", 80)), lambda: urlopen("http://example.invalid/")):
    try:
        ask()
    except OSError as error:
        print(error)
"""
    with Ingestion(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as here:
        reached, direct, named = run(code, here.url, **fenced(tmp_path))
    assert reached == "200" and "192.0.2.1 was asked for" in direct and "example.invalid was asked for" in named
    assert (tmp_path / "asked.txt").read_text().split() == ["192.0.2.1", "example.invalid"]


EXPORT = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter
import threading
trace.set_tracer_provider(TracerProvider())
exporter = AzureMonitorTraceExporter(retry_total=0)
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
with trace.get_tracer("t").start_as_current_span("s"):
    pass
for thread in threading.enumerate():
    if thread.name == "ConfigurationWorker":
        thread.join(1)
trace.get_tracer_provider().shutdown()
"""


def test_the_exporter_asks_two_addresses_more_and_none_when_that_is_switched_off(tmp_path):
    """What 300/800/300 says of exporter 1.0.0b58, with the address of a region; nothing of it leaves this machine."""
    asked, region = {}, ENDPOINT.split("/")[2]
    for what, switches in {"plain": {}, "off": dict.fromkeys(OFF, "true")}.items():
        folder = tmp_path / what
        folder.mkdir()
        string = f"InstrumentationKey={uuid.uuid4()};IngestionEndpoint={ENDPOINT}"
        run(EXPORT, **fenced(folder), **switches, **{NAME: string})
        asked[what] = set((folder / "asked.txt").read_text().split())
    assert asked == {"plain": {region, "settings.sdk.monitor.azure.com", "169.254.169.254"}, "off": {region}}


# The connection string


def test_what_is_said_of_a_string_is_what_the_exporter_does_with_it():
    code = """
import sys
from azure.monitor.opentelemetry.exporter._connection_string_parser import ConnectionStringParser
for text in sys.argv[1:]:
    try:
        print(ConnectionStringParser(text or ";").endpoint)
    except ValueError as error:
        print("ValueError", error)
"""
    for text, said in zip([*RIGHT, *WRONG], run(code, *RIGHT, *WRONG)):
        wrong = fault(text)
        assert (wrong.seen if wrong else None, said.startswith("ValueError")) == WRONG.get(text, (None, False)), text


def test_doctor_names_the_place_of_a_wrong_string():
    bad = f"InstrumentationKey={KEY};IngestionEndpoint={ENDPOINT};"
    machine = replace(Machine(), connection_strings={"your shell": bad, "src/azure.sh:1": RIGHT[0]}, exported={NAME: bad})
    wrong, right = findings.connection_strings(machine)
    assert (wrong.level, right.level) == (findings.FIX, findings.OK)
    assert wrong.seen == f"{NAME} of your shell has a ; at its end" and wrong.do == "take that ; away, in your shell"
    assert NAME not in findings.variables(machine)[0].seen


@pytest.mark.parametrize(
    ("line", "said", "seen", "do"),
    [
        (f"export {NAME}='{KEY}'", "Invalid connection string", f"src/azure.sh:1: {NAME} has '{KEY}'", "write it as"),
        (
            f"export {NAME}S='{RIGHT[0]}'",
            "Instrumentation key cannot be none or empty.",
            f"{NAME}S",
            f"write {NAME} in place of",
        ),
        ("flask run", "Instrumentation key cannot be none or empty.", f"src/azure.sh: no {NAME}", f"export {NAME} as"),
        (f"export {NAME}=$KEY", "Invalid connection string", "what the exporter cannot read", "look at its quotes"),
        (
            f"export {NAME}=InstrumentationKey={KEY};IngestionEndpoint=x",
            "",
            "no IngestionEndpoint",
            "put the whole string into quotes",
        ),
    ],
)
def test_a_check_names_the_line_and_the_cure(line, said, seen, do):
    output = f"Traceback\nValueError: {said}\n" if said else ""
    facts = Facts("300/800/300", "sh azure.sh", {"azure.sh": f"{line}\n"}, output, lacks="traces")
    [rung] = [r for r in expanded(lessons.find("300/800/300"), [SPANS]) if r.__name__ == "connection_string"]
    found = rung(facts)
    assert found.rung == "connection-string" and seen in found.seen and do in found.do
    assert rung(replace(facts, files={"azure.sh": f"export {NAME}='{RIGHT[0]}'"}, output="")) is None
