"""The server in the place of Azure, the fence around an app, and the connection string against the exporter's own reading of it."""

import gzip
import json
import re
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from packaging.requirements import Requirement

from workshop.checks.checkpoint import OBSERVE, packages
from workshop.checks.fake_server import refuse
from workshop.checks.ingestion import Ingestion, items
from workshop.checks.process import environment
from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.course.pins import Packages
from workshop.diagnosis.connection_string import ELSEWHERE, NAME, fault
from workshop.diagnosis.facts import Facts, climb
from workshop.diagnosis.packages import missing_package
from workshop.diagnosis.spans import SPANS
from workshop.diagnosis.stages import expanded
from workshop.doctor import findings
from workshop.doctor.machine import Machine
from workshop.setup.environments import environment_of

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
    f"InstrumentationKey={KEY}; IngestionEndpoint={ENDPOINT}": (f"no IngestionEndpoint, so it sends to {ELSEWHERE}", False),
    f"InstrumentationKey={KEY};IngestionEndpoint=localhost:5324": ("IngestionEndpoint=localhost:5324", False),
}


def run(code: str, *arguments: str, prefix: Path | None = None, **variables: str) -> list[str]:
    """What a Python prints: that of the lesson's environment, or the one at `prefix`."""
    prefix = prefix or packages(lessons.find("300/800/300"))
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
    [wrong] = findings.connection_strings(machine)
    [right] = findings.connection_strings(replace(machine, connection_strings={"your shell": RIGHT[0]}))
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


def test_a_check_names_the_command_that_installs_the_exporter():
    output = "RuntimeError: Requested component 'azure_monitor_opentelemetry_exporter' not found in entry point 'opentelemetry_traces_exporter'"
    facts = Facts("300/800/300", "sh azure.sh", {"azure.sh": ""}, output)
    found = climb(facts, expanded(lessons.find("300/800/300"), [SPANS]))
    assert found.rung == "missing-package" and "300/800/300/requirements.txt" in found.do


def test_an_app_with_an_environment_of_its_own_is_not_judged_by_what_else_is_installed():
    found = Packages({"flask": "3"}, {"opentelemetry-sdk": "1.45.1"})
    own = {"distro.sh": "folder=$(workshop environment 300/800/350/distro-requirements.txt) || exit 1\n"}
    output = "ModuleNotFoundError: No module named 'opentelemetry.sdk'\n"
    facts = Facts("300/800/350", "sh distro.sh", own, output, packages=lambda: found)
    assert missing_package(facts) is None
    assert missing_package(replace(facts, files={"distro.sh": ""})).rung == "missing-package"


@pytest.mark.parametrize(
    "said", ["not loaded, configurator already loaded", "not loaded because configurator is set by OTEL_PYTHON_CONFIGURATOR"]
)
def test_a_check_names_two_distros_by_what_the_agent_says(said):
    output = f"Configuration of azure_monitor_opentelemetry_configurator {said}\n"
    facts = Facts("300/800/350", "sh distro.sh", {"distro.sh": ""}, output, lacks="traces")
    [rung] = [r for r in expanded(lessons.find("300/800/350"), [SPANS]) if r.__name__ == "two_distros"]
    assert rung(facts).rung == "two-distros"
    assert rung(replace(facts, lacks="")) is None
    assert rung(replace(facts, output=output.replace("azure_monitor_opentelemetry_", ""))) is None


# What 300/800/350 says of the samplers


MADE = """
import json, os, sys
def sampler():
    if sys.argv[1] == "distro":
        from azure.monitor.opentelemetry import _configure
        made = []
        _configure.set_tracer_provider = made.append
        _configure._setup_tracing(_configure._get_configurations())
        return made[0].sampler
    from opentelemetry.sdk._configuration import _get_sampler, _import_sampler
    from opentelemetry.sdk.trace import TracerProvider
    return TracerProvider(sampler=_import_sampler(_get_sampler())).sampler  # as the agent does
for name, argument in json.loads(sys.argv[2]):
    os.environ |= {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument} if name else {}
    one = sampler()
    made = [one.should_sample(None, (i * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128, "t", attributes={}) for i in range(1, 401)]
    kept = [result.attributes.get("_MS.sampleRate", 100) for result in made if result.decision.is_sampled()]
    print(json.dumps([len(kept), sum(100 / rate for rate in kept), one.get_description()]))
"""
SAYS = {
    "all": lambda kept, counted, what: kept == counted == 400,
    "half, each counts twice": lambda kept, counted, what: 150 < kept < 250 and counted == 2 * kept,
    "half, each counts **once**": lambda kept, counted, what: 150 < kept < 250 and counted == kept,
    "5 a second": lambda kept, counted, what: kept < 60 and what.startswith("RateLimitedSampler{5"),
    "1000 a second": lambda kept, counted, what: what.startswith("RateLimitedSampler{1000"),
}


def test_the_table_of_samplers_is_true(tmp_path):
    page = lessons.find("300/800/350").folder / "README.md"
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line][1:]
    assert len(rows) == 5
    asked = json.dumps(
        [[(named := re.findall(r"[\w.]+", name)) and named[0] * (named[0] != "none"), named[-1]] for name, *_ in rows]
    )
    strings = {NAME: f"InstrumentationKey={uuid.uuid4()};IngestionEndpoint=http://localhost:1"}
    in_code = run(MADE, "distro", asked, prefix=distro(), **fenced(tmp_path), **strings, **dict.fromkeys(OFF, "true"))
    under_agent = run(MADE, "sdk", asked, **fenced(tmp_path))
    for (name, in_code_says, agent_says), distros, exporters in zip(rows, in_code, under_agent, strict=True):
        assert SAYS[in_code_says](*json.loads(distros)), (name, distros)
        assert SAYS[agent_says](*json.loads(exporters)), (name, exporters)


def distro() -> Path:
    return environment_of(ROOT / "300/800/350/distro-requirements.txt", progress=print)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="releases of 2024 do not run there")
def test_the_pins_of_2024_answer_with_the_flask_of_today_and_make_no_span(tmp_path):
    (tmp_path / "dice.py").write_text("from flask import Flask\napp = Flask(__name__)\napp.get('/')(lambda: 'six')\n")
    old = environment_of(ROOT / "300/800/350/old-requirements.txt", progress=print)
    ask = "from dice import app; print(app.test_client().get('/').text)"
    agent = [
        "opentelemetry-instrument",
        "--traces_exporter",
        "console",
        "--metrics_exporter",
        "none",
        "--logs_exporter",
        "none",
    ]
    how = {"env": environment(old), "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([*agent, "python", "-c", ask], **how)
    assert done.stdout == "six\n" and "span_id" not in done.stderr and "onflict" not in done.stderr
    [needs] = [line for line in run(NEEDS, prefix=old) if line.startswith("flask")]
    assert "<3.0" in needs and "instruments" in needs


NEEDS = "from importlib.metadata import requires\nprint(*requires('opentelemetry-instrumentation-flask'), sep='\\n')"


def test_the_exporter_of_today_cannot_be_installed_beside_the_pins_of_2024():
    pins = (ROOT / "300/800/350/old-requirements.txt").read_text(encoding="utf-8")
    old = re.search(r"^opentelemetry-sdk==(\S+)", pins, re.MULTILINE)[1]
    needs = run(NEEDS.replace("opentelemetry-instrumentation-flask", "azure-monitor-opentelemetry-exporter"))
    [sdk] = [need for need in map(Requirement, needs) if need.name == "opentelemetry-sdk"]
    assert not sdk.specifier.contains(old) and sdk.specifier.contains("1.45.1")


def test_the_agent_takes_azures_distro_by_name_which_is_a_preview(tmp_path):
    names = {f"OTEL_PYTHON_{what.upper()}": f"azure_monitor_opentelemetry_{what}" for what in ("distro", "configurator")}
    string = f"InstrumentationKey={uuid.uuid4()};IngestionEndpoint=http://localhost:1"
    told = run(
        "import subprocess, sys\n"
        "ask = 'from opentelemetry import trace; print(type(trace.get_tracer_provider().sampler).__module__)'\n"
        "done = subprocess.run(['opentelemetry-instrument', 'python', '-c', ask], capture_output=True, text=True)\n"
        "print(done.stdout, done.stderr)",
        prefix=distro(),
        **fenced(tmp_path),
        **names,
        **dict.fromkeys(OFF, "true"),
        **{NAME: string, "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "azure_app_service"},
    )
    assert told[0].startswith("azure.monitor.opentelemetry.exporter") and "is in preview" in "\n".join(told)


# What 300/800/300 says of answers


@pytest.mark.parametrize(
    ("answer", "posts", "stored", "said"),
    [
        (refuse(503), 4, 1, ""),
        (refuse(429, Retry_After="0"), 4, 1, ""),
        (refuse(400, "{}"), 1, 0, "Non-retryable server side error"),
    ],
)
def test_what_an_answer_does_to_a_batch(tmp_path, answer, posts, stored, said):
    code = EXPORT.replace("retry_total=0", "retry_backoff_factor=0")
    with Ingestion(answer) as azure:
        string = {NAME: f"InstrumentationKey={uuid.uuid4()};IngestionEndpoint={azure.url}"}
        told = run(
            f"import logging; logging.basicConfig(stream=__import__('sys').stdout)\n{code}",
            **fenced(tmp_path),
            **string,
            **dict.fromkeys(OFF, "true"),
        )
    assert (len(azure.requests), len(list(tmp_path.glob("Microsoft-AzureMonitor-*/*/*.blob*")))) == (posts, stored)
    assert said in "\n".join(told)


def test_what_cannot_be_sent_is_kept_for_48_hours():
    code = (
        "from inspect import signature\n"
        "from azure.monitor.opentelemetry.exporter._storage import LocalFileStorage\n"
        "print(signature(LocalFileStorage.__init__).parameters['retention_period'].default)"
    )
    assert run(code) == [f"{48 * 60 * 60}"]
    assert "up to 48 hours old" in (lessons.find("300/800/300").readme.read_text(encoding="utf-8"))


def test_batches_are_tuned_as_those_of_any_exporter(tmp_path):
    code = EXPORT.replace("SimpleSpanProcessor", "BatchSpanProcessor").replace(
        "    pass\n", "    [trace.get_tracer('t').start_span('u').end() for _ in range(24)]\n"
    )
    with Ingestion() as azure:
        string = {
            NAME: f"InstrumentationKey={uuid.uuid4()};IngestionEndpoint={azure.url}",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
        }
        run(code, **fenced(tmp_path), **string, **dict.fromkeys(OFF, "true"))
    spans = [len([item for item in items(request) if item.kind == "RemoteDependency"]) for request in azure.requests]
    assert sorted(spans) == [5, 10, 10]


@pytest.mark.thorough
def test_stopping_waits_half_a_minute_for_a_signal_that_hangs(tmp_path):
    code = "import time\n" + EXPORT.replace("SimpleSpanProcessor", "BatchSpanProcessor")
    stop = "trace.get_tracer_provider().shutdown()"
    code = code.replace(stop, f"begun = time.monotonic()\n{stop}\nprint(time.monotonic() - begun)")
    with Ingestion([60.0]) as azure:
        string = {NAME: f"InstrumentationKey={uuid.uuid4()};IngestionEndpoint={azure.url}"}
        [took] = run(code, **fenced(tmp_path), **string, **dict.fromkeys(OFF, "true"))
    assert 29 < float(took) < 45
