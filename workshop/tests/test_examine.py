"""`workshop examine`: programs that nobody here wrote, faults put into them, and everything else that a command line may be."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from workshop import cli
from workshop.course import lessons
from workshop.course.replay import replay
from workshop.errors import UserError
from workshop.examine import examination, report, rules, subject
from workshop.examine.entries import FAILED, OPEN, PASSED
from workshop.examine.report import Report
from workshop.examine.subject import MARK, Plan
from workshop.setup.environments import environment_of
from workshop.setup.ports import free_port
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span

EXAMINED = Path(__file__).with_name("examined")
AGENT = "opentelemetry-instrument"
HTTPBIN = "flask --app httpbin run -p 0"
# Answers as little as a server can, and takes its port from the machine.
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        {header}
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
"""
SERVE = "\ntry: server.serve_forever()\nexcept KeyboardInterrupt: pass\n"


@pytest.fixture(autouse=True)
def plain_shell(monkeypatch):
    """A shell in which these packages are active, and that exports nothing that an app would notice."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]]))
    for name in os.environ:
        if name.startswith(("OTEL_", "FLASK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")


@functools.cache
def packages() -> Path:
    """An environment with the programs that are examined, and with OpenTelemetry; nothing of the workshop's."""
    return environment_of(EXAMINED / "requirements.txt", progress=print)


def examined(line: str, folder: Path, *paths: str, venv: Path | None = None, signals: bool = False, **more) -> Report:
    requests = tuple(("GET", path, "") for path in paths or ("/",))
    return examination.examine(Plan((line,), folder, requests, venv=venv, **more), signals=signals)


def states(found: Report) -> dict[str, str]:
    return {entry.id: entry.state for entry in (*found.ladder, *found.judged, *found.findings)}


def entry(found: Report, name: str):
    return next(e for e in (*found.ladder, *found.judged, *found.findings) if e.id == name)


def program(folder: Path, text: str, name: str = "program.py") -> str:
    """The command line of a small program that is written into the folder."""
    (folder / name).write_text(text, encoding="utf-8")
    return f"{shlex.quote(sys.executable)} {name}"


def server(status: int = 200, header: str = "pass", before: str = "", after: str = SERVE) -> str:
    return before + SERVER.format(status=status, header=header) + after


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Whatever was examined, none of its processes goes on."""
    yield
    left = []
    for process in psutil.process_iter():
        try:
            if (
                process.ppid() != os.getpid()
                and MARK in process.environ()
                and os.getpid() == int(process.environ().get("EXAMINED_BY", 0))
            ):
                left.append(process.cmdline())
        except (psutil.Error, OSError):
            pass
    assert left == []


@pytest.fixture(autouse=True)
def marked_as_ours(monkeypatch):
    monkeypatch.setenv("EXAMINED_BY", str(os.getpid()))


def uninstrumented(folder: Path) -> None:
    """Put the to-do app into a folder, as it is before it is taught to tell anything."""
    for path, data in replay(lessons.find("300/200/300")).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


# ---- programs that nobody here wrote


def database(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", "import sqlite3; sqlite3.connect('x.db').execute('CREATE TABLE t (a)')"], cwd=folder, check=True
    )


# How it is started, a page of it and its name, and of the agent's default telemetry the score and the broken rules.
# sqlite-web opens its database before anybody has asked for something.
PROGRAMS = {
    "httpbin": (HTTPBIN, "/get", "GET /get", 83.3, ["MET-002", "MET-005"]),
    "moto": ("moto_server -p 0", "/moto-api/", "GET /moto-api/", 83.3, ["MET-002", "MET-005"]),
    "sqlite-web": ("sqlite_web -x -p {port} x.db", "/", "GET /", 73.3, ["SPA-004", "MET-002", "MET-005"]),
    "updog": ("updog -p {port}", "/", "GET /", 83.3, ["MET-002", "MET-005"]),
}


@pytest.fixture(params=PROGRAMS)
def foreign(request, tmp_path) -> tuple:
    """The command line of a program, a page of it, its route's name, and what the agent's telemetry is worth."""
    database(tmp_path)
    line, *more = PROGRAMS[request.param]
    return line.format(port=free_port()), *more


def test_a_program_without_instrumentation_is_told_what_it_lacks(foreign, tmp_path):
    line, page, *_ = foreign
    found = examined(line, tmp_path, page, venv=packages())
    assert [e.id for e in found.ladder if e.state == PASSED] == ["starts", "listens", "answers", "stops"]
    assert entry(found, "exporter").seen == "nothing came: nothing instruments it"
    assert (found.score, found.exit_code) == (None, report.FOUND)


def test_a_program_under_the_agent_is_climbed_to_the_end(foreign, tmp_path, monkeypatch):
    line, page, name, score, broken = foreign
    monkeypatch.setenv("OTEL_SERVICE_NAME", "foreign")
    found = examined(f"{AGENT} {line}", tmp_path, page, venv=packages())
    assert {e.state for e in found.ladder} == {PASSED}, report.text(found)
    assert entry(found, "route").seen == name
    assert [e.id for e in found.judged if e.state == FAILED] == broken
    assert [e.id for e in found.findings if e.state == FAILED] == ["unbounded", "old-names"]
    assert "'requests'" in entry(found, "MET-002").seen  # 0.66b1 without an opt-in
    assert (found.exit_code, round(found.score, 1)) == (report.FINE, score)


def test_a_program_set_up_in_code_is_climbed_to_the_end(foreign, tmp_path):
    line, page, name, *_ = foreign
    found = examined(f"python {EXAMINED / 'coded.py'} {line}", tmp_path, page, venv=packages())
    assert {e.state for e in found.ladder} == {PASSED}, report.text(found)
    assert (entry(found, "name").seen, entry(found, "route").seen) == ("coded", name)
    assert entry(found, "MET-002").seen == "no metrics came"
    assert found.score == 100 and found.bounds[0] < 50  # it told of little, and the report says so


# ---- faults put into one of them

FAULTS = {
    "n-plus-1": ("n-plus-1", r"GET /get: 12 × SELECT \?"),
    "status": ("status", r"'pay' holds an exception, status UNSET"),
    "secret": ("secrets", r"^a value of that name in user\.password of the span 'GET /get'"),
    "address": ("secrets", r"^a password in an address in db\.address of the span 'GET /get'"),
    "log": ("log-trace", r"GET /get: 'nobody knows for whom'"),
    "unbounded": ("unbounded", r"user\.id of visits"),
    "unit": ("MET-002", r"visits 'visits'"),
    "internal-many": ("SPA-001", r"11 INTERNAL spans in one trace"),
    "orphan": ("SPA-002", r"'late' has a parent that nobody told of"),
    "level": ("RES-004", r"service\.name on a span"),
    "client-root": ("SPA-004", r"'ask' is CLIENT and has no parent"),
    "down": ("answers", r"GET /get 503"),
    "propagation": ("traceparent", r"1 of 1 began another trace"),
    "open-span": ("server", r"3 of 3 are INTERNAL"),
}


@functools.cache
def of_healthy(folder: Path) -> Report:
    return examined(f"{AGENT} python {EXAMINED / 'faults.py'} none", folder, "/get", venv=packages())


@pytest.fixture
def today(monkeypatch, tmp_path_factory) -> Path:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "httpbin")
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    return tmp_path_factory.getbasetemp()


def test_a_program_without_a_fault_is_without_one_in_the_report(today):
    found = of_healthy(today)
    broken = [e.id for e in (*found.ladder, *found.judged, *found.findings) if e.state == FAILED]
    assert broken == [] and found.score == 100, report.text(found)
    assert found.decided == 11  # and that is said
    assert "Incomplete: 11 of 19 rules were decided; with the others it lies between 59 and 100" in found.verdict()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_it_alone(fault, today):
    name, seen = FAULTS[fault]
    found = examined(f"{AGENT} python {EXAMINED / 'faults.py'} {fault}", today, "/get", venv=packages())
    assert entry(found, name).state == FAILED, report.text(found)
    assert re.search(seen, entry(found, name).seen), entry(found, name).seen
    assert entry(found, name).do and (entry(found, name).lesson or name == "answers")
    broken = {e.id for e in (*found.ladder, *found.judged, *found.findings) if e.state == FAILED}
    along = {"open-span": {"own-trace", "traceparent", "SPA-002"}, "unit": {"MET-005"}, "n-plus-1": set()}
    assert broken - {name} <= along.get(fault, set()), report.text(found)


def test_a_secret_that_was_sent_in_a_query_is_seen_where_it_is_told(today):
    found = examined(f"{AGENT} {HTTPBIN}", today, "/get?token=hunter2hunter2", venv=packages())
    told = "a secret in a query in url.query of the span 'GET /get', a secret in a query in text of a log record"
    assert entry(found, "secrets").seen == told  # the server's line of each request is a record, too
    assert "hunter2" not in entry(found, "secrets").seen


@pytest.mark.parametrize(
    "setting, rung",
    [
        ("OTEL_TRACES_SAMPLER=always_off", "server"),
        ("OTEL_PYTHON_FLASK_EXCLUDED_URLS=get", "server"),
        ("OTEL_SERVICE_NAME=", "name"),
    ],
)
def test_a_setting_that_hides_telemetry_breaks_its_rung(setting, rung, today):
    found = examined(f"env {setting} {AGENT} {HTTPBIN}", today, "/get", venv=packages())
    assert [e.id for e in found.ladder if e.state == FAILED] == [rung], report.text(found)


def test_a_setting_that_ends_the_set_up_is_named_by_what_the_agent_said(today):
    found = examined(f"env OTEL_TRACES_EXPORTER=otpl {AGENT} {HTTPBIN}", today, "/get", venv=packages())
    assert "Requested component 'otpl' not found" in entry(found, "exporter").seen, report.text(found)


def test_spans_lost_at_sigterm_are_counted_and_a_server_that_ends_in_good_order_loses_none(tmp_path, monkeypatch):
    uninstrumented(tmp_path)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")  # no batch leaves by chance just before
    lost = examined(f"{AGENT} flask run -p 0", tmp_path, signals=True)
    assert entry(lost, "sigterm").seen == "3 of 3 requests that were answered just before"
    kept = examined(f"{AGENT} gunicorn --no-control-socket -b 127.0.0.1:0 wsgi:app", tmp_path, signals=True)
    assert states(kept)["sigterm"] == PASSED


NOTES_SIGNALS = """
import signal


def post_worker_init(worker):
    def note(number, frame):
        with open("told", "a") as told:
            told.write(signal.Signals(number).name + " ")
        worker.handle_quit(number, frame)

    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, note)
"""


def test_a_worker_of_gunicorn_is_told_to_end_once(tmp_path):
    uninstrumented(tmp_path)
    (tmp_path / "gunicorn.conf.py").write_text(NOTES_SIGNALS)
    found = examined(f"{AGENT} gunicorn --no-control-socket -b 127.0.0.1:0 wsgi:app", tmp_path)
    assert entry(found, "stops").state == PASSED
    assert (tmp_path / "told").read_text() == "SIGQUIT "  # gunicorn's own; the one from here would be SIGINT, and come first


def test_telemetry_counts_by_grpc_by_http_and_on_the_console(tmp_path, monkeypatch):
    uninstrumented(tmp_path)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")  # is turned
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
    for flags, way in {
        "--exporter_otlp_protocol grpc": "OTLP over gRPC",
        "--exporter_otlp_protocol http/protobuf": "OTLP over HTTP",
        "--traces_exporter console --metrics_exporter none --logs_exporter none": "the console",
    }.items():
        found = examined(f"{AGENT} {flags} flask run -p 0", tmp_path)
        assert entry(found, "exporter").seen.endswith(f"by {way}")
        assert {e.state for e in found.ladder} == {PASSED}


def test_a_wsgi_app_without_a_framework_is_climbed_to_the_end_and_its_names_hold_no_path(tmp_path):
    text = """
from wsgiref.simple_server import make_server
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": "bare"})))
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

make_server("127.0.0.1", 0, OpenTelemetryMiddleware(app)).serve_forever()
"""
    found = examined(program(tmp_path, text), tmp_path, "/items/1")
    assert [e.id for e in found.ladder if e.state != PASSED] == ["route"], report.text(found)
    assert (entry(found, "name").seen, entry(found, "route").seen) == ("bare", "GET /items/1")


def test_an_address_on_the_command_line_is_turned_and_one_in_the_code_needs_its_port(tmp_path, monkeypatch):
    uninstrumented(tmp_path)
    port = free_port()
    script = f"export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{port} OTEL_EXPORTER_OTLP_TIMEOUT=1\nexec {AGENT} flask run -p 0\n"
    (tmp_path / "fixed.sh").write_text(script)
    away = examined("sh fixed.sh", tmp_path)
    assert entry(away, "exporter").seen.startswith("the app said: ") and "--otlp" in entry(away, "exporter").do
    taken = examination.examine(Plan(("sh", "fixed.sh"), tmp_path), (port,))
    assert states(taken)["exporter"] == PASSED
    named = Plan((AGENT, "--exporter_otlp_endpoint", "http://127.0.0.1:1", "flask", "run", "-p", "0"), tmp_path)
    assert states(examination.examine(named))["exporter"] == PASSED


def test_a_port_for_telemetry_that_is_taken_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="cannot be listened on"):
        examination.examine(Plan(("true",), tmp_path), (taken.getsockname()[1],))


# ---- whatever else a command line may be


def test_a_program_that_does_not_start_is_quoted(tmp_path):
    found = examined(program(tmp_path, "import never_heard_of"), tmp_path)
    assert "No module named 'never_heard_of'" in entry(found, "starts").seen
    assert entry(found, "starts").do.startswith("its environment has no never_heard_of")
    assert {e.state for e in found.ladder[1:]} == {OPEN} and found.exit_code == report.NOT_EXAMINED


def test_a_command_that_is_not_there_is_named(tmp_path):
    assert "nowhere-command is not in your shell's PATH" in entry(examined("nowhere-command", tmp_path), "starts").do


def test_a_port_that_is_taken_is_said_with_its_owner(tmp_path):
    uninstrumented(tmp_path)
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        found = examined(f"flask run -p {taken.getsockname()[1]}", tmp_path)
    assert f"(process {os.getpid()})" in entry(found, "starts").do


def test_a_database_that_is_not_there_is_the_reason_before_and_after_the_start(tmp_path):
    asks = f"import socket; socket.create_connection(('127.0.0.1', {free_port()}))\n"
    before = examined(program(tmp_path, server(before=asks)), tmp_path)
    assert (
        "ConnectionRefusedError" in entry(before, "starts").seen and "start first what it needs" in entry(before, "starts").do
    )
    after = examined(
        program(tmp_path, server(500, "print('OperationalError: no server', file=sys.stderr, flush=True)")), tmp_path
    )
    assert "it said: OperationalError: no server" in entry(after, "answers").seen


def test_a_program_that_never_listens_is_given_up(tmp_path):
    found = examined(program(tmp_path, "print('thinking', flush=True)\nimport signal; signal.pause()"), tmp_path, seconds=0.5)
    assert re.match(r"on no port within 0\.5 s; it printed last\nthinking", entry(found, "listens").seen)
    assert states(found)["starts"] == PASSED and found.exit_code == report.NOT_EXAMINED


def test_a_program_that_listens_elsewhere_is_named_by_its_port(tmp_path):
    found = examined(program(tmp_path, server()), tmp_path, port=free_port(), seconds=0.5)
    assert re.match(r"on (\d+), not on \d+", entry(found, "listens").seen)
    several = server(after="import socket; other = socket.create_server(('127.0.0.1', 0))\n" + SERVE)
    assert "on several ports" in entry(examined(program(tmp_path, several), tmp_path, seconds=0.5), "listens").seen


def test_a_daemon_is_examined_and_ended(tmp_path):
    away = "import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\nfor n in range(3): os.close(n)\nfor n in range(3): os.open('/dev/null', 2)\n"
    found = examined(program(tmp_path, server(before=away)), tmp_path)
    assert states(found)["answers"] == PASSED
    assert entry(found, "stops").seen == "its command returned, and it went on in the background"


def test_a_program_that_forks_is_asked_and_ended_with_its_children(tmp_path):
    forks = "import os\nfor _ in range(3):\n    if not os.fork(): break\n"
    found = examined(program(tmp_path, server(after=forks + SERVE)), tmp_path)
    assert {states(found)[name] for name in ("starts", "listens", "answers", "stops")} == {PASSED}


def test_a_program_that_ignores_ctrl_c_is_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "STOP_SECONDS", 0.3)
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    assert (
        entry(examined(program(tmp_path, server(before=deaf)), tmp_path), "stops").seen
        == "Ctrl-C did nothing; SIGTERM ended it"
    )
    deaf += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    assert (
        entry(examined(program(tmp_path, server(before=deaf)), tmp_path), "stops").seen
        == "Ctrl-C did nothing; SIGKILL ended it"
    )


def test_a_hundred_megabytes_of_words_are_not_kept(tmp_path):
    loud = "import sys\nprint('begin')\nfor _ in range(1000): sys.stdout.write(('x' * 99 + '\\n') * 1000)\nprint('end', flush=True)\n"
    found = examined(program(tmp_path, server(after=loud + SERVE)), tmp_path)
    said = found.evidence.run.output
    assert said.startswith("begin") and "end" in said and len(said) <= 4 * subject.KEPT
    assert {states(found)[name] for name in ("starts", "listens", "answers", "stops")} == {PASSED}


def test_a_page_that_leads_elsewhere_and_one_for_members_only(tmp_path):
    moved = examined(program(tmp_path, server(302, "self.send_header('Location', '/login?next=/')")), tmp_path)
    assert entry(moved, "answers").do.startswith(
        "/ leads to /login?next=/: ask for that page with `--get`; it wants to know who asks"
    )
    member = examined(f"updog -p {free_port()} --password hunter2", tmp_path, venv=packages())
    assert "--header 'Authorization" in entry(member, "answers").do
    known = {"Authorization": "Basic Omh1bnRlcjI="}
    let_in = examined(f"updog -p {free_port()} --password hunter2", tmp_path, venv=packages(), headers=known)
    assert entry(let_in, "answers").seen == "GET / 200"
    assert "Omh1bnRlcjI" not in report.as_json(let_in) + report.text(let_in) + report.html(let_in)


def test_an_answer_that_never_ends_does_not_hold_the_examination(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "ANSWER_SECONDS", 0.2)
    endless = "def drip(self):\n    self.send_response(200)\n    self.end_headers()\n    while True: self.wfile.write(b'x' * 999)\nHandler.do_GET = drip\n"
    found = examined(program(tmp_path, server(after=endless + SERVE)), tmp_path)
    assert entry(found, "answers").seen.startswith("GET /: no answer")


def test_what_is_no_python_is_said_to_be_none(tmp_path):
    perl = """perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 5); while ($c = $s->accept) \
{ sysread($c, $_, 9999); print $c "HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"; close $c }'"""
    assert "what runs is perl, not Python" in entry(examined(perl, tmp_path), "exporter").seen


def test_a_folder_that_is_not_writable_is_no_hindrance_and_one_that_is_not_there_is_said(tmp_path):
    line = program(tmp_path, server())
    before = sorted(tmp_path.rglob("*"))
    tmp_path.chmod(0o555)
    try:
        assert states(examined(line, tmp_path))["answers"] == PASSED
    finally:
        tmp_path.chmod(0o755)
    assert sorted(tmp_path.rglob("*")) == before  # nothing of ours is written there
    with pytest.raises(UserError, match="no such folder"):
        examined(line, tmp_path / "nowhere")
    with pytest.raises(UserError, match="no virtual environment"):
        examined(line, tmp_path, venv=tmp_path)


def test_a_program_that_dies_while_it_is_asked_is_said_to(tmp_path):
    found = examined(program(tmp_path, server(header="import os; os._exit(3)")), tmp_path)
    assert states(found)["answers"] == FAILED
    assert entry(found, "stops").seen.startswith("it ended by itself while it was asked")


# ---- the command


def run(*arguments: str):
    return CliRunner().invoke(cli.main, ["examine", *arguments])


def test_the_command_speaks_text_json_and_a_page_of_its_own(tmp_path):
    line = program(tmp_path, server())
    page = tmp_path / "report.html"
    told = run("--folder", str(tmp_path), "--html", str(page), "--", *shlex.split(line))
    assert told.exit_code == report.FOUND and max(map(len, told.output.splitlines())) <= 80
    assert len(told.output.splitlines()) <= 40  # one screen
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|<script", html) and "its telemetry arrives" in html
    found = json.loads(run("--folder", str(tmp_path), "--json", "--", *shlex.split(line)).output)
    assert found["score"] == {
        "specification": "Instrumentation Score, 2026-04",
        "value": None,
        "category": None,
        "incomplete": True,
        "decided": 0,
        "rules": 19,
        "between": [0, 100],
    }
    assert [rung["state"] for rung in found["ladder"]][:4] == [PASSED, PASSED, PASSED, FAILED]


def test_the_options_of_what_is_started_are_its_own_without_dashes_as_well(tmp_path):
    found = json.loads(run("--folder", str(tmp_path), "--json", "nowhere-command", "--app", "shop", "--json").output)
    assert found["command"] == ["nowhere-command", "--app", "shop", "--json"]


def test_a_program_that_is_gone_before_the_workshop_has_loaded_is_reported_like_any_other():
    done = subprocess.run(
        [Path(sys.prefix) / "bin" / "workshop", "examine", "--", "false"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (report.NOT_EXAMINED, "")
    assert "✗ it starts: it ended by itself with status 1, and it printed nothing" in done.stdout


def test_a_page_that_cannot_be_written_is_said_before_anything_starts(tmp_path):
    told = run("--html", str(tmp_path / "nowhere" / "report.html"), "--", "touch", str(tmp_path / "started"))
    assert "No such file or directory" in told.output and told.exit_code == 1
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    "wrong", [["--send", "add"], ["--header", "Cookie"], ["--least", "101"], ["--seconds", "0"], ["--get"], []]
)
def test_a_command_that_means_nothing_is_a_mistake_of_usage(wrong):
    assert run(*wrong).exit_code == 2


def test_the_exit_code_follows_the_score_and_what_hides_only_if_that_is_wanted(today):
    healthy = of_healthy(today)
    rated = lambda found, **more: Report(found.evidence, found.ladder, found.judged, found.findings, **more).exit_code  # noqa: E731
    assert (rated(healthy, least=100), rated(healthy, strict=True)) == (report.FINE, report.FINE)
    leaky = examined(f"{AGENT} python {EXAMINED / 'faults.py'} secret", today, "/get", venv=packages())
    assert (rated(leaky), rated(leaky, strict=True)) == (report.FINE, report.FOUND)
    low = examined(f"{AGENT} python {EXAMINED / 'faults.py'} client-root", today, "/get", venv=packages())
    assert (rated(low, least=80), rated(low, least=95)) == (report.FINE, report.FOUND)


def test_posts_are_sent_only_when_told(tmp_path):
    post = "def post(self):\n    print('POST', self.rfile.read(int(self.headers['Content-Length'])), flush=True)\n    self.do_GET()\nHandler.do_POST = post\n"
    line = program(tmp_path, server(after=post + SERVE))
    assert "POST" not in examined(line, tmp_path).evidence.run.output
    told = examination.examine(Plan((line,), tmp_path, (("POST", "/add", "text=Milk"),)))
    assert "POST b'text=Milk'" in told.evidence.run.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_examination_that_is_interrupted_leaves_no_process(number, tmp_path):
    listening = tmp_path / "listening"
    # An answer that does not come: the test looks that somebody ends this; should nobody do so, it ends itself at last.
    slow = "import pathlib, time\nHandler.do_GET = lambda self: (pathlib.Path('listening').touch(), time.sleep(60))\n"
    line = program(tmp_path, server(after=slow + SERVE))
    command = [Path(sys.prefix) / "bin" / "workshop", "examine", "--folder", tmp_path, "--", *shlex.split(line)]
    examining = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while not listening.exists() and time.monotonic() < deadline and examining.poll() is None:
            threading.Event().wait(0.02)
        children = psutil.Process(examining.pid).children(recursive=True)
        examining.send_signal(number)
        examining.communicate(timeout=30)
    finally:
        examining.kill()
    assert children and not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert examining.returncode == 128 + number


# ---- the rules by themselves


def span(name: str = "GET /", kind: str = "server", parent: str | None = None, **more) -> Span:
    return Span(
        name,
        kind,
        "a" * 32,
        more.pop("id_", "b" * 16),
        parent,
        0,
        more.pop("took", 9_000_000),
        resource={"service.name": "x"},
        **more,
    )


def metric(name: str, unit: str, **attributes) -> Metric:
    return Metric(name, "sum", (NumberPoint(attributes, 0, 1, (), 1.0),), unit, resource={"service.name": "x"})


def judged(*items) -> dict[str, str]:
    told = Telemetry([i for i in items if isinstance(i, Span)], [i for i in items if isinstance(i, Metric)])
    return {e.id: e.state for e in rules.judge(told)}


def test_the_score_is_the_specifications_own_example():
    """4 of 8 critical, 8 of 10 important, 6 of 8 normal and 1 of 5 low rules come to 63.86."""
    example = {"Critical": (4, 8), "Important": (8, 10), "Normal": (6, 8), "Low": (1, 5)}
    entries = [
        rules.Entry("", "", PASSED if number < kept else FAILED, impact=impact)
        for impact, (kept, total) in example.items()
        for number in range(total)
    ]
    assert round(rules.score(entries), 2) == 63.86
    assert [rules.category(value) for value in (90, 89.9, 75, 50, 49)] == [
        "Excellent", "Good", "Good", "Needs Improvement", "Poor",
    ]  # fmt: skip
    assert rules.score([]) is None


@pytest.mark.parametrize(
    "unit", ["s", "ms", "By", "KiBy", "MBy", "1", "%", "{request}", "By/s", "m/s2", "{packet}/s", "Cel", "10*6"]
)
def test_a_unit_of_ucum_is_one(unit):
    assert judged(metric("x", unit))["MET-002"] == PASSED


@pytest.mark.parametrize("unit", ["", "requests", "seconds", "bytes", "connections", "per second", "{a b", "#"])
def test_a_word_is_no_unit(unit):
    assert judged(metric("x", unit))["MET-002"] == FAILED


@pytest.mark.parametrize(
    "items, rule, state",
    [
        ([metric("job.duration.seconds", "s")], "MET-005", FAILED),
        ([metric("job.duration", "s")], "MET-005", PASSED),
        ([metric("status", "{status}")], "MET-005", PASSED),
        ([metric("http.response.status_code", "1")], "MET-006", FAILED),
        ([metric("http.server.request.duration", "s")], "MET-006", PASSED),
        ([metric("a", "s"), metric("a", "ms")], "MET-003", FAILED),
        ([metric("a", "s")], "MET-003", OPEN),
        ([span(took=1_000_000, id_=f"{n:016x}") for n in range(21)], "SPA-005", FAILED),
        ([span(took=1_000_000, id_=f"{n:016x}") for n in range(20)], "SPA-005", PASSED),
        ([span(kind="internal", id_=f"{n:016x}") for n in range(10)], "SPA-001", PASSED),
        ([span(attributes={"host.name": "a"})], "RES-004", FAILED),
        ([span(attributes={"http.route": "/"})], "RES-004", PASSED),
        ([span()], "SPA-003", OPEN),
        ([span()], "RES-003", OPEN),
        ([span()], "RES-001", FAILED),
    ],
)  # fmt: skip
def test_a_rule_decides(items, rule, state):
    assert judged(*items)[rule] == state


def of_process(number: int, instance: str) -> Span:
    return Span(
        "GET /",
        "server",
        "a" * 32,
        "b" * 16,
        None,
        0,
        1,
        resource={"service.name": "x", "service.instance.id": instance, "process.pid": number},
    )


def test_the_id_of_an_instance_is_compared_where_there_are_two():
    assert judged(of_process(1, "a"), of_process(2, "a"))["RES-002"] == FAILED
    assert judged(of_process(1, "a"), of_process(2, "b"))["RES-002"] == PASSED
    assert judged(of_process(1, "a"))["RES-002"] == OPEN


@pytest.mark.parametrize(
    "severity, number, state", [("INFO", 9, PASSED), ("", 9, PASSED), ("UNSET", 0, FAILED), ("", 0, FAILED)]
)
def test_a_log_record_has_a_severity_by_word_or_by_number(severity, number, state):
    told = Telemetry(logs=[LogRecord("hello", severity, number)])
    assert {e.id: e.state for e in rules.judge(told)}["LOG-002"] == state


def test_every_cure_names_a_lesson_that_there_is():
    there = {lesson.name for lesson in lessons.lessons()}
    assert {lesson for *_, lesson in rules.RULES if lesson} <= there


def test_the_app_that_the_lesson_hands_over_is_that_of_the_lesson_that_it_names():
    given = lessons.ROOT / "400/300/src/mine"
    there = {path.relative_to(given).as_posix(): path.read_bytes() for path in given.rglob("*") if path.is_file()}
    assert there == replay(lessons.find("300/200/300"))
