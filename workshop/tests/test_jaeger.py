"""Jaeger as a real process: started, asked, ended; and the learner's own, by every road of `workshop up`."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from workshop.course.fences import ROOT
from workshop.programs import jaeger as module
from workshop.programs import roads
from workshop.programs.jaeger import (
    Jaeger,
    JaegerError,
    PortTaken,
    configured,
    down,
    for_checks,
    free_ports,
    port_owner,
    status,
    up,
)
from workshop.programs.program import JAEGER
from workshop.setup.commands import inherited_environment

TRACE, SERVER, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def binary() -> Path:
    return roads.obtain(JAEGER)


@pytest.fixture
def jaeger(binary, tmp_path):
    with Jaeger.start(binary, folder=tmp_path) as started:
        yield started


@pytest.fixture
def machine(tmp_path, monkeypatch, binary) -> Path:
    """A machine without Docker and with the binary in the cache. Returns the folder on PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh"))
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    roads.kept(JAEGER).parent.mkdir(parents=True)
    roads.kept(JAEGER).symlink_to(binary)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("JAEGER_URL", raising=False)
    return tools


@pytest.fixture
def own(machine, tmp_path):
    """Where `up` writes down what it did, and free ports for it; what it left running is ended after the test."""
    place = {"saved": tmp_path / "saved", "ports": free_ports()}
    yield place
    with contextlib.suppress(JaegerError):
        down(lambda text: None, **place)


def send_trace(jaeger: Jaeger) -> None:
    """What an app with one request and one statement sends."""
    now = time.time_ns()

    def span(span_id: str, name: str, kind: int, **more: object) -> dict:
        times = {"startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 2_000_000)}
        return {"traceId": TRACE, "spanId": span_id, "name": name, "kind": kind, **times, **more}

    attributes = [{"key": "http.method", "value": {"stringValue": "GET"}}]
    spans = [span(SERVER, "GET /", 2, attributes=attributes), span(CLIENT, "SELECT", 3, parentSpanId=SERVER)]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "todo"}}]}
    body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).encode()
    url = f"http://127.0.0.1:{jaeger.http_port}/v1/traces"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with module.DIRECT.open(request, timeout=5) as answer:
        assert answer.status == 200


# Started and asked


def test_only_what_is_needed_listens_and_only_on_loopback(jaeger):
    listening = {
        connection.laddr
        for connection in psutil.Process(jaeger.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    ports = {address.port for address in listening}
    assert {jaeger.query_port, jaeger.grpc_port, jaeger.http_port} < ports
    # Besides health there is the gRPC query, which cannot be turned off, on a port that the system chose.
    assert len(ports) == 5


def test_what_was_sent_is_there_at_once(jaeger):
    send_trace(jaeger)
    spans = {span.span_id: span for span in jaeger.trace(TRACE)}
    assert set(spans) == {SERVER, CLIENT}
    assert (spans[SERVER].name, spans[SERVER].kind, spans[SERVER].service) == ("GET /", "server", "todo")
    assert spans[CLIENT].parent_id == SERVER
    assert jaeger.services() == ["todo"]
    assert jaeger.operations("todo") == ["GET /"]
    assert jaeger.operations("todo", "client") == ["SELECT"]
    assert jaeger.dependencies() == [{"parent": "todo", "child": "todo", "callCount": 1}]


def test_traces_are_searched_by_service_and_operation(jaeger):
    send_trace(jaeger)
    assert {span.span_id for span in jaeger.traces("todo")} == {SERVER, CLIENT}
    assert {span.span_id for span in jaeger.traces("todo", operation="GET /")} == {SERVER, CLIENT}
    assert jaeger.traces("todo", operation="POST /add") == []
    assert jaeger.traces("advisor") == []


def test_an_unknown_trace_has_no_spans_and_no_id_is_an_error(jaeger):
    assert jaeger.trace("f" * 32) == []
    with pytest.raises(JaegerError, match="Jaeger answered 400 to .*/api/v3/traces/mine"):
        jaeger.trace("mine")


def test_a_proxy_of_the_shell_is_not_asked(jaeger, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert jaeger.ready()


def test_it_takes_requests_when_start_returns(jaeger):
    connection = http.client.HTTPConnection("127.0.0.1", jaeger.http_port, timeout=5)
    connection.request("POST", "/v1/traces", b"{}", {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def test_what_the_shell_exports_for_apps_does_not_reach_it(binary, tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("JAEGER_QUERY_PORT", "1")
    with Jaeger.start(binary, folder=tmp_path) as started:
        environment = psutil.Process(started.process.pid).environ()
    assert "OTEL_SERVICE_NAME" not in environment
    assert environment["JAEGER_QUERY_PORT"] == str(started.query_port)


def test_it_is_gone_after_the_block_also_when_that_fails(binary, tmp_path):
    with pytest.raises(ZeroDivisionError), Jaeger.start(binary, folder=tmp_path) as started:
        process = psutil.Process(started.process.pid)
        raise ZeroDivisionError
    assert not process.is_running()
    assert not started.ready()
    with pytest.raises(JaegerError, match="no Jaeger answers at .*`workshop up` starts one"):
        started.services()


def test_one_that_dies_in_between_is_said(jaeger):
    jaeger.process.kill()
    jaeger.process.wait()
    with pytest.raises(JaegerError, match="no Jaeger answers at"):
        jaeger.trace(TRACE)


def test_something_else_that_answers_is_no_jaeger(own):
    with server(own["ports"]["query"]), pytest.raises(JaegerError, match="Jaeger answered 404 to"):
        configured(own["ports"]).services()


@contextlib.contextmanager
def server(port: int):
    """A stranger's web server on a port, in a process of its own."""
    code = f"""
import http.server
server = http.server.HTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler)
print("listens", flush=True)
server.serve_forever()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout.readline() == b"listens\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("which, purpose", list(module.PURPOSES.items()))
def test_a_taken_port_is_named_with_its_owner_and_purpose(binary, tmp_path, which, purpose):
    ports = free_ports()
    with server(ports[which]) as stranger:
        with pytest.raises(PortTaken) as raised:
            Jaeger.start(binary, folder=tmp_path, ports=ports)
    assert f"port {ports[which]} is taken by " in str(raised.value)
    assert f"(process {stranger.pid}), and Jaeger needs it for {purpose}" in str(raised.value)


def test_a_port_that_is_lost_while_it_starts_is_named_too(tmp_path):
    said = "Error: cannot start pipelines: listen tcp 127.0.0.1:4317: bind: address already in use"
    with pytest.raises(PortTaken, match="port 4317 is taken by"):
        Jaeger.start(script(tmp_path / "jaeger", f"echo '{said}'; exit 1"), folder=tmp_path)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_one_that_ends_at_once_is_quoted(tmp_path):
    with pytest.raises(JaegerError, match="Jaeger ended; it said last:\nillegal instruction"):
        Jaeger.start(script(tmp_path / "jaeger", "echo illegal instruction; exit 4"), folder=tmp_path)


def test_one_that_never_gets_ready_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "READY_SECONDS", 0.3)
    program = script(tmp_path / "jaeger", f"echo $$ > '{tmp_path / 'pid'}'; exec sleep 600")
    with pytest.raises(JaegerError, match="Jaeger was not ready in 0.3 s"):
        Jaeger.start(program, folder=tmp_path)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_one_that_ignores_sigterm_is_killed(binary, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    with Jaeger.start(binary, folder=tmp_path) as started:
        process = psutil.Process(started.process.pid)
        process.suspend()
    assert not process.is_running()


def test_the_owner_of_a_port_is_this_process_or_nobody():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert port_owner(port).endswith(f"(process {os.getpid()})")
    assert port_owner(port) == ""


# For the checks


def test_checks_have_a_jaeger_of_their_own(machine, monkeypatch):
    monkeypatch.setenv("JAEGER_URL", "http://127.0.0.1:1")
    with for_checks() as started:
        assert started.ready()
        assert started.query_url != "http://127.0.0.1:1"


def test_checks_take_the_learners_jaeger_when_there_is_no_binary(jaeger, machine, monkeypatch):
    roads.kept(JAEGER).unlink()
    monkeypatch.setenv("JAEGER_URL", jaeger.query_url)
    found = for_checks()
    assert found.query_url == jaeger.query_url
    found.stop()
    assert jaeger.ready()


def test_checks_without_any_jaeger_say_what_to_do(machine, monkeypatch):
    roads.kept(JAEGER).unlink()
    monkeypatch.setenv("JAEGER_URL", "http://127.0.0.1:1")
    with pytest.raises(JaegerError, match="workshop up"):
        for_checks()


# up, down, status


def test_up_starts_the_binary_and_says_by_which_road_and_where(own):
    told = []
    running = up(told.append, **own)
    assert running.started and running.jaeger.ready()
    ports = own["ports"]
    assert told == [
        "Docker: not installed",
        f"Jaeger is up: started from {roads.kept(JAEGER)}",
        told[2],
        f"  OTLP over gRPC  http://127.0.0.1:{ports['grpc']}",
        f"  OTLP over HTTP  http://127.0.0.1:{ports['http']}",
    ]
    page = f"  page            http://127.0.0.1:{ports['query']}"
    pageless = "  page            none: this Jaeger was built by Go, without its web page; `workshop trace` draws traces here"
    assert told[2] == (page if running.jaeger.has_page() else pageless)


def test_a_jaeger_with_its_page_is_linked_through_the_workspace(own, monkeypatch):
    monkeypatch.setattr(Jaeger, "has_page", lambda self: True)
    monkeypatch.setenv("CODESPACES", "true")
    monkeypatch.setenv("CODESPACE_NAME", "potato")
    monkeypatch.delenv("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", raising=False)
    told = []
    up(told.append, **own)
    assert f"  page            https://potato-{own['ports']['query']}.app.github.dev" in told


def test_a_second_up_takes_the_one_that_runs(own):
    first = up(lambda text: None, **own)
    pid = json.loads((own["saved"] / "jaeger.json").read_text())["pid"]
    told = []
    second = up(told.append, **own)
    assert not second.started and second.jaeger.query_url == first.jaeger.query_url
    assert told[0] == "Jaeger is up: `workshop up` started it before"
    assert json.loads((own["saved"] / "jaeger.json").read_text())["pid"] == pid


def test_down_ends_it_and_says_so(own):
    up(lambda text: None, **own)
    pid = json.loads((own["saved"] / "jaeger.json").read_text())["pid"]
    told = []
    down(told.append, **own)
    assert told == [f"stopped Jaeger (process {pid})"]
    assert not psutil.pid_exists(pid)
    down(told.append, **own)
    assert told[1:] == ["no Jaeger of `workshop up` is running"]


def test_it_outlives_the_command_and_its_terminal(own):
    done = command("up", own)
    assert done.returncode == 0, done.stdout
    assert configured(own["ports"]).ready()
    pid = json.loads((own["saved"] / "jaeger.json").read_text())["pid"]
    assert os.getsid(pid) == pid
    assert command("down", own).stdout == f"stopped Jaeger (process {pid})\n"


def command(name: str, own: dict) -> subprocess.CompletedProcess:
    with open_command(name, own) as process:
        said, _ = process.communicate(timeout=60)
    return subprocess.CompletedProcess(name, process.returncode, said)


def open_command(name: str, own: dict) -> subprocess.Popen:
    code = (
        f"from pathlib import Path; from workshop.programs.jaeger import {name}; "
        f"{name}(saved=Path({str(own['saved'])!r}), ports={own['ports']!r})"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=inherited_environment(), **pipes)


def test_two_ups_at_once_start_one(own):
    with open_command("up", own) as one, open_command("up", own) as other:
        said = one.communicate(timeout=60)[0] + other.communicate(timeout=60)[0]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert said.count("started from") == 1 and said.count("started it before") == 1


def test_an_interrupted_up_leaves_nothing(own, machine):
    hanging = script(
        machine / "hanging", f"echo $$ > '{own['saved'] / 'pid'}'; exec {shutil.which('sleep', path=os.defpath)} 600"
    )
    roads.kept(JAEGER).unlink()
    roads.kept(JAEGER).symlink_to(hanging)
    with open_command("up", own) as process:
        deadline = time.monotonic() + 10
        while not (own["saved"] / "jaeger.json").exists() and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        pid = json.loads((own["saved"] / "jaeger.json").read_text())["pid"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode != 0
    assert not psutil.pid_exists(pid)
    assert not (own["saved"] / "jaeger.json").exists()


def test_the_jaeger_of_somebody_else_is_used_and_left_alone(own, binary, tmp_path):
    told = []
    with Jaeger.start(binary, folder=tmp_path, ports=own["ports"]) as stranger:
        assert not up(told.append, **own).started
        assert told[0] == "Jaeger is up: somebody else started it"
        down(told.append, **own)
        assert told[-1] == f"left alone: a Jaeger that `workshop up` did not start, at {stranger.query_url}"
        assert stranger.ready()


def test_a_jaeger_without_otlp_is_not_good_enough(own, binary, tmp_path):
    elsewhere = {**free_ports(), "query": own["ports"]["query"]}
    with Jaeger.start(binary, folder=tmp_path, ports=elsewhere):
        with pytest.raises(JaegerError) as raised:
            up(lambda text: None, **own)
    assert f"nothing listens on {own['ports']['grpc']} and {own['ports']['http']}" in str(raised.value)


@pytest.mark.parametrize("recorded", ["another time", "no such process", "broken", "a list"])
def test_a_stale_record_ends_no_stranger(own, recorded):
    me = psutil.Process()
    text = {
        "another time": json.dumps({"road": "binary", "pid": me.pid, "created": me.create_time() - 3600}),
        "no such process": json.dumps({"road": "binary", "pid": 2**22 + 1, "created": 1.0}),
        "broken": '{"road": "bin',
        "a list": "[1]",
    }[recorded]
    own["saved"].mkdir()
    (own["saved"] / "jaeger.json").write_text(text)
    assert status(**own) == [("Jaeger", "not running; `workshop up` starts it")]
    told = []
    down(told.append, **own)
    assert told == ["no Jaeger of `workshop up` is running"]
    assert up(told.append, **own).started


def test_a_strangers_port_stops_up_before_anything_starts(own):
    port = own["ports"]["http"]
    with server(port) as stranger:
        with pytest.raises(PortTaken, match=rf"port {port} is taken by .*process {stranger.pid}.*OTLP over HTTP"):
            up(lambda text: None, **own)
        rows = dict(status(**own))
    assert rows["ports in the way"].startswith(f"{port} (")
    assert not (own["saved"] / "jaeger.json").exists()


def test_status_tells_what_is_known(own):
    running = up(lambda text: None, **own)
    send_trace(running.jaeger)
    rows = dict(status(**own))
    assert rows["Jaeger"] == "running: `workshop up` started it before"
    assert rows["OTLP over gRPC"] == f"http://127.0.0.1:{own['ports']['grpc']}"
    assert rows["services"] == "todo"
    assert " MB, log in " in rows["process"]


def test_the_named_jaeger_comes_first(own, jaeger, monkeypatch):
    monkeypatch.setenv("JAEGER_URL", jaeger.query_url + "/")
    told = []
    running = up(told.append, **own)
    assert not running.started and running.jaeger.query_url == jaeger.query_url
    assert told[0] == "Jaeger is up: JAEGER_URL names it"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:16686", "http://127.0.0.1:port"])
def test_a_named_jaeger_that_does_not_answer_is_said(own, monkeypatch, url):
    monkeypatch.setenv("JAEGER_URL", url)
    with pytest.raises(JaegerError, match=f"JAEGER_URL is {url}, and that fails: (?s:.*)`unset JAEGER_URL`"):
        up(lambda text: None, **own)
    assert status(**own)[0][1].startswith(f"JAEGER_URL is {url}")


def test_when_no_road_is_open_all_are_listed(own, monkeypatch):
    roads.kept(JAEGER).unlink()
    for name in roads.FAR:
        monkeypatch.setitem(roads.FAR, name, closed_road)
    with pytest.raises(JaegerError) as raised:
        up(lambda text: None, **own)
    for road in (
        "Docker   not installed",
        "PATH     no program",
        "cache    nothing at",
        "archive  closed",
        "Go       closed",
    ):
        assert f"  {road}" in str(raised.value)


def closed_road(*_: object) -> Path:
    raise roads.RoadClosed("closed")


def test_a_folder_that_cannot_be_written_is_said(own):
    own["saved"].mkdir()
    (own["saved"] / "jaeger.lock").mkdir()
    with pytest.raises(JaegerError, match="jaeger.lock cannot be written"):
        up(lambda text: None, **own)


# Docker, played by a script


def docker(folder: Path, **answers: str) -> None:
    """A `docker` command that answers `version`, `compose version`, `up` and `down` with these lines of shell."""
    cases = {"version": "echo 29.0", "compose": "echo v5.0", "up": "exit 1", "down": "exit 0", **answers}
    script(
        folder / "docker",
        f"""
echo "$@" >> '{folder / "docker.log"}'
case "$*" in
  version*) {cases["version"]};;
  "compose version") {cases["compose"]};;
  *"up -d --wait jaeger") {cases["up"]};;
  *down) {cases["down"]};;
esac
""",
    )


@pytest.mark.parametrize(
    "answers, reason",
    [
        (
            {"version": "echo Cannot connect to the Docker daemon >&2; exit 1"},
            "no engine answers: Cannot connect to the Docker",
        ),
        ({"compose": "exit 1"}, "an engine answers, and `docker compose` is not installed"),
        ({"up": "echo pull access denied >&2; exit 1"}, "`docker compose up` failed: pull access denied"),
    ],
)
def test_docker_that_does_not_work_is_passed_by_with_the_reason(own, machine, answers, reason):
    docker(machine, **answers)
    told = []
    running = up(told.append, **own)
    assert running.road.startswith("started from")
    assert any(line.startswith(f"Docker: {reason}") for line in told)
    log = (machine / "docker.log").read_text()
    assert ("down" in log) == ("up" in answers)


def test_a_docker_that_hangs_is_passed_by(own, machine, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    docker(machine, version=f"exec {shutil.which('sleep', path=os.defpath)} 600")
    told = []
    up(told.append, **own)
    assert told[0] == "Docker: no engine answers: it took too long and was ended"


def test_docker_compose_is_taken_where_it_works_and_ended_by_down(own, machine, binary):
    pid = machine / "pid"
    launch = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True).pid)"
    start = f"""'{sys.executable}' -c '{launch}' '{binary}' '--config={module.CONFIGURATION}' > '{pid}' 2> /dev/null"""
    docker(machine, up=start, down=f"read number < '{pid}'; kill $number")
    told = []
    running = up(told.append, **own)
    try:
        assert running.started and running.jaeger.ready()
        assert told[:2] == [
            "Docker: starting jaegertracing/jaeger:2.13.0",
            "Jaeger is up: a container by docker compose",
        ]
        assert not up(told.append, **own).started
        assert "`workshop up` started it before" in told[-4]
    finally:
        down(told.append, **own)
    assert told[-1] == "stopped Jaeger's container"
    used = (machine / "docker.log").read_text().splitlines()
    compose = f"compose --file {ROOT / 'docker-compose.yml'} --project-name flask-opentelemetry-workshop"
    assert used[2:] == [f"{compose} up -d --wait jaeger", f"{compose} down"]
