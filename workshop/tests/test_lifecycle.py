"""The life of a program, with Jaeger for an example: started, for checks, and the learner's own by up, down and status."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from workshop.course.fences import ROOT
from workshop.programs import instance, lifecycle, methods
from workshop.programs.instance import PortTaken, ProgramError
from workshop.programs.jaeger import JAEGER, Jaeger
from workshop.programs.lifecycle import PROJECT, Service, for_checks, free_ports, start
from workshop.programs.methods import kept, obtain
from workshop.setup.commands import inherited_environment
from workshop.setup.downloads import Unavailable
from workshop.setup.ports import port_owner


@pytest.fixture(scope="module")
def binary() -> Path:
    return obtain(JAEGER)


@pytest.fixture
def jaeger(binary, tmp_path):
    with start(JAEGER, binary, tmp_path) as started:
        yield started


@pytest.fixture
def machine(tmp_path, monkeypatch, binary) -> Path:
    """A machine without Docker and with the binary in the cache. Returns the folder on PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh"))
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    kept(JAEGER).parent.mkdir(parents=True)
    kept(JAEGER).symlink_to(binary)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("JAEGER_URL", raising=False)
    return tools


@pytest.fixture
def own(machine, tmp_path):
    """Where `up` writes down what it did, and free ports for it; what it left running is ended after the test."""
    place = {"saved": tmp_path / "saved", "ports": free_ports(JAEGER)}
    yield place
    with contextlib.suppress(ProgramError):
        Service(JAEGER, **place).down(lambda text: None)


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


def test_something_else_that_answers_is_no_jaeger(own):
    with server(own["ports"]["query"]), pytest.raises(ProgramError, match="Jaeger answered 404 to"):
        Service(JAEGER, **own).configured().check()


@pytest.mark.parametrize("which, purpose", [(name, port.purpose) for name, port in JAEGER.ports.items()])
def test_a_taken_port_is_named_with_its_owner_and_purpose(binary, tmp_path, which, purpose):
    ports = free_ports(JAEGER)
    with server(ports[which]) as stranger:
        with pytest.raises(PortTaken) as raised:
            start(JAEGER, binary, tmp_path, ports)
    assert f"port {ports[which]} is taken by " in str(raised.value)
    assert f"(process {stranger.pid}), and Jaeger needs it for {purpose}" in str(raised.value)


def test_a_port_that_is_lost_while_it_starts_is_named_too(tmp_path):
    said = "Error: cannot start pipelines: listen tcp 127.0.0.1:4317: bind: address already in use"
    with pytest.raises(PortTaken, match="port 4317 is taken by"):
        start(JAEGER, script(tmp_path / "jaeger", f"echo '{said}'; exit 1"), tmp_path)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_one_that_ends_at_once_is_quoted(tmp_path):
    with pytest.raises(ProgramError, match="Jaeger ended; it said last:\nillegal instruction"):
        start(JAEGER, script(tmp_path / "jaeger", "echo illegal instruction; exit 4"), tmp_path)


def test_one_that_never_gets_ready_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(instance, "READY_SECONDS", 0.3)
    program = script(tmp_path / "jaeger", f"echo $$ > '{tmp_path / 'pid'}'; exec sleep 600")
    with pytest.raises(ProgramError, match="Jaeger was not ready in 0.3 s"):
        start(JAEGER, program, tmp_path)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_one_that_ignores_sigterm_is_killed(binary, tmp_path, monkeypatch):
    monkeypatch.setattr(instance, "STOP_SECONDS", 0.2)
    with start(JAEGER, binary, tmp_path) as started:
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
    with for_checks(JAEGER) as started:
        assert started.ready()
        assert started.query_url != "http://127.0.0.1:1"


def test_checks_take_the_learners_jaeger_when_there_is_no_binary(jaeger, machine, monkeypatch):
    kept(JAEGER).unlink()
    monkeypatch.setenv("JAEGER_URL", jaeger.query_url)
    found = for_checks(JAEGER)
    assert found.query_url == jaeger.query_url
    found.stop()
    assert jaeger.ready()


def test_checks_without_any_jaeger_say_what_to_do(machine, monkeypatch):
    kept(JAEGER).unlink()
    monkeypatch.setenv("JAEGER_URL", "http://127.0.0.1:1")
    with pytest.raises(ProgramError, match="workshop up"):
        for_checks(JAEGER)


# up, down, status


def test_up_starts_the_binary_and_says_by_which_road_and_where(own):
    told = []
    running = Service(JAEGER, **own).up(told.append)
    assert running.started and running.instance.ready()
    ports = own["ports"]
    assert told == [
        "Docker: not installed",
        f"Jaeger is up: started from {kept(JAEGER)}",
        told[2],
        f"  OTLP over gRPC  http://127.0.0.1:{ports['grpc']}",
        f"  OTLP over HTTP  http://127.0.0.1:{ports['http']}",
    ]
    page = f"  page            http://127.0.0.1:{ports['query']}"
    pageless = "  page            none: this Jaeger was built by Go, without its web page; `workshop trace` draws traces here"
    assert told[2] == (page if running.instance.has_page() else pageless)


def test_a_jaeger_with_its_page_is_linked_through_the_workspace(own, monkeypatch):
    monkeypatch.setattr(Jaeger, "has_page", lambda self: True)
    monkeypatch.setenv("CODESPACES", "true")
    monkeypatch.setenv("CODESPACE_NAME", "potato")
    monkeypatch.delenv("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", raising=False)
    told = []
    Service(JAEGER, **own).up(told.append)
    assert f"  page            https://potato-{own['ports']['query']}.app.github.dev" in told


def test_a_second_up_takes_the_one_that_runs(own):
    first = Service(JAEGER, **own).up(lambda text: None)
    pid = json.loads((own["saved"] / "jaeger.json").read_text())["pid"]
    told = []
    second = Service(JAEGER, **own).up(told.append)
    assert not second.started and second.instance.query_url == first.instance.query_url
    assert told[0] == "Jaeger is up: `workshop up` started it before"
    assert json.loads((own["saved"] / "jaeger.json").read_text())["pid"] == pid


def test_down_ends_it_and_says_so(own):
    Service(JAEGER, **own).up(lambda text: None)
    pid = json.loads((own["saved"] / "jaeger.json").read_text())["pid"]
    process = psutil.Process(pid)
    told = []
    Service(JAEGER, **own).down(told.append)
    assert told == [f"stopped Jaeger (process {pid})"]
    assert not psutil.wait_procs([process], 5)[1]  # it has ended; nobody may have asked for its exit code yet
    assert not Service(JAEGER, **own).down(told.append) and told[1:] == []


def test_it_outlives_the_command_and_its_terminal(own):
    done = command("up", own)
    assert done.returncode == 0, done.stdout
    assert Service(JAEGER, **own).configured().ready()
    pid = json.loads((own["saved"] / "jaeger.json").read_text())["pid"]
    assert os.getsid(pid) == pid
    assert command("down", own).stdout == f"stopped Jaeger (process {pid})\n"


def command(name: str, own: dict) -> subprocess.CompletedProcess:
    with open_command(name, own) as process:
        said, _ = process.communicate(timeout=60)
    return subprocess.CompletedProcess(name, process.returncode, said)


def open_command(name: str, own: dict) -> subprocess.Popen:
    code = (
        f"from pathlib import Path; from workshop.programs.jaeger import JAEGER; from workshop.programs.lifecycle import Service; "
        f"Service(JAEGER, Path({str(own['saved'])!r}), {own['ports']!r}).{name}()"
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
    kept(JAEGER).unlink()
    kept(JAEGER).symlink_to(hanging)
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
    with start(JAEGER, binary, tmp_path, own["ports"]) as stranger:
        assert not Service(JAEGER, **own).up(told.append).started
        assert told[0] == "Jaeger is up: somebody else started it"
        Service(JAEGER, **own).down(told.append)
        assert told[-1] == f"left alone: Jaeger at {stranger.query_url}, which `workshop up` did not start"
        assert stranger.ready()


def test_a_jaeger_without_otlp_is_not_good_enough(own, binary, tmp_path):
    elsewhere = {**free_ports(JAEGER), "query": own["ports"]["query"]}
    with start(JAEGER, binary, tmp_path, elsewhere):
        with pytest.raises(ProgramError) as raised:
            Service(JAEGER, **own).up(lambda text: None)
    assert f"nothing listens on {own['ports']['grpc']} and {own['ports']['http']}" in str(raised.value)


@pytest.mark.parametrize("recorded", ["another time", "no such process", "broken", "a list"])
def test_a_stale_record_ends_no_stranger(own, recorded):
    me, known = psutil.Process(), {"method": "process", "ports": own["ports"]}
    text = {
        "another time": json.dumps({**known, "pid": me.pid, "created": me.create_time() - 3600}),
        "no such process": json.dumps({**known, "pid": 2**22 + 1, "created": 1.0}),
        "broken": '{"method": "bin',
        "a list": "[1]",
    }[recorded]
    own["saved"].mkdir()
    (own["saved"] / "jaeger.json").write_text(text)
    assert Service(JAEGER, **own).status() == [("Jaeger", "not running; `workshop up` starts it")]
    told = []
    assert not Service(JAEGER, **own).down(told.append) and told == []
    assert Service(JAEGER, **own).up(told.append).started


def test_a_strangers_port_stops_up_before_anything_starts(own):
    port = own["ports"]["http"]
    with server(port) as stranger:
        with pytest.raises(PortTaken, match=rf"port {port} is taken by .*process {stranger.pid}.*OTLP over HTTP"):
            Service(JAEGER, **own).up(lambda text: None)
        rows = dict(Service(JAEGER, **own).status())
    assert rows["ports in the way"].startswith(f"{port} (")
    assert not (own["saved"] / "jaeger.json").exists()


def test_status_tells_what_is_known(own):
    Service(JAEGER, **own).up(lambda text: None)
    rows = dict(Service(JAEGER, **own).status())
    assert rows["Jaeger"] == "running: `workshop up` started it before"
    assert rows["OTLP over gRPC"] == f"http://127.0.0.1:{own['ports']['grpc']}"
    assert rows["services"] == "none yet"
    assert " MB, log in " in rows["process"]


def test_the_named_jaeger_comes_first(own, jaeger, monkeypatch):
    monkeypatch.setenv("JAEGER_URL", jaeger.query_url + "/")
    told = []
    running = Service(JAEGER, **own).up(told.append)
    assert not running.started and running.instance.query_url == jaeger.query_url
    assert told[0] == "Jaeger is up: JAEGER_URL names it"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:16686", "http://127.0.0.1:port"])
def test_a_named_jaeger_that_does_not_answer_is_said(own, monkeypatch, url):
    monkeypatch.setenv("JAEGER_URL", url)
    with pytest.raises(ProgramError, match=f"JAEGER_URL is {url}, and that fails: (?s:.*)`unset JAEGER_URL`"):
        Service(JAEGER, **own).up(lambda text: None)
    assert Service(JAEGER, **own).status()[0][1].startswith(f"JAEGER_URL is {url}")


def test_when_no_road_is_open_all_are_listed(own, monkeypatch):
    kept(JAEGER).unlink()
    for name in methods.FAR:
        monkeypatch.setitem(methods.FAR, name, unavailable)
    with pytest.raises(ProgramError) as raised:
        Service(JAEGER, **own).up(lambda text: None)
    for road in (
        "Docker   not installed",
        "PATH     no program",
        "cache    nothing at",
        "archive  closed",
        "Go       closed",
    ):
        assert f"  {road}" in str(raised.value)


def unavailable(*_: object) -> Path:
    raise Unavailable("closed")


def test_a_folder_that_cannot_be_written_is_said(own):
    own["saved"].mkdir()
    (own["saved"] / "jaeger.lock").mkdir()
    with pytest.raises(ProgramError, match="jaeger.lock cannot be written"):
        Service(JAEGER, **own).up(lambda text: None)


# Docker, played by a script


def docker(folder: Path, **answers: str) -> None:
    """A `docker` command that answers `version`, `compose version`, `up` and `rm` with these lines of shell."""
    cases = {"version": "echo 29.0", "compose": "echo v5.0", "up": "exit 1", "rm": "exit 0", **answers}
    script(
        folder / "docker",
        f"""
echo "$@" >> '{folder / "docker.log"}'
case "$*" in
  version*) {cases["version"]};;
  "compose version") {cases["compose"]};;
  *"up -d --wait jaeger") {cases["up"]};;
  *"rm --stop --force jaeger") {cases["rm"]};;
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
        ({"compose": "exit 1"}, "an engine answers, and it has no `docker compose`"),
        ({"up": "echo pull access denied >&2; exit 1"}, "`docker compose up` failed: pull access denied"),
    ],
)
def test_docker_that_does_not_work_is_passed_by_with_the_reason(own, machine, answers, reason):
    docker(machine, **answers)
    told = []
    running = Service(JAEGER, **own).up(told.append)
    assert running.method.startswith("started from")
    assert any(line.startswith(f"Docker: {reason}") for line in told)
    log = (machine / "docker.log").read_text()
    assert ("rm --stop" in log) == ("up" in answers)


def test_a_docker_that_hangs_is_passed_by(own, machine, monkeypatch):
    monkeypatch.setattr(lifecycle, "ANSWER_SECONDS", 0.3)
    docker(machine, version=f"exec {shutil.which('sleep', path=os.defpath)} 600")
    told = []
    Service(JAEGER, **own).up(told.append)
    assert told[0] == "Docker: no engine answers: it took too long and was ended"


def test_docker_compose_is_taken_where_it_works_and_ended_by_down(own, machine, binary):
    pid = machine / "pid"
    launch = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True).pid)"
    start = f"""'{sys.executable}' -c '{launch}' '{binary}' '--config={ROOT / JAEGER.configuration}' > '{pid}' 2> /dev/null"""
    docker(machine, up=start, rm=f"read number < '{pid}'; kill $number")
    told = []
    running = Service(JAEGER, **own).up(told.append)
    try:
        assert running.started and running.instance.ready()
        assert told[:2] == [
            "Docker: starting jaegertracing/jaeger:2.13.0",
            "Jaeger is up: a container by docker compose",
        ]
        assert not Service(JAEGER, **own).up(told.append).started
        assert "`workshop up` started it before" in told[-4]
    finally:
        Service(JAEGER, **own).down(told.append)
    assert told[-1] == "stopped Jaeger's container"
    used = (machine / "docker.log").read_text().splitlines()
    compose = f"compose --file {ROOT / 'docker-compose.yml'} --project-name {PROJECT}"
    assert used[2:] == [
        f"{compose} up -d --wait jaeger",
        f"{compose} rm --stop --force jaeger",
        f"network rm {PROJECT}_default",
    ]
