"""The doctor's findings: each fault is caused, for real where that is possible, and each cure that can be tried is."""

from __future__ import annotations

import ast
import http.server
import json
import os
import queue
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import click
import pytest

from workshop.checks.process import FAST_EXPORT, environment
from workshop.course.fences import ROOT
from workshop.doctor import findings, machine, report
from workshop.doctor.findings import FIX, NOTE, OK
from workshop.doctor.machine import Beside, Machine, Package
from workshop.programs.jaeger import JAEGER
from workshop.programs.lifecycle import free_ports
from workshop.programs.program import programs
from workshop.setup.ports import free_port


@cache
def here() -> Machine:
    """This machine; where the tests may run on different ones, as a healthy one."""
    seen = machine.gather(**some_ports())
    typed = {name: str(seen.prefix / "bin") for name in machine.TYPED}
    known = {"place": "", "docker": None, "exported": {}, "interrupts": True, "memory": 4e9}
    return replace(seen, typed=typed, programs=(replace(JAEGER_HERE, state="running"),), **known)


# A program that is not here, has a container, and takes 3.2 GB to build.
JAEGER_HERE = Beside("jaeger", "Jaeger", "workshop up", build=3.2e9, memory=0.1e9)


def some_ports() -> dict:
    return {"app": free_port(), "ports": {"jaeger": free_ports(JAEGER)}}


def the(name: str, m: Machine) -> findings.Finding:
    """The one finding of this name."""
    (finding,) = [finding for finding in findings.examine(m) if finding.name == name]
    return finding


def shell(**variables: str) -> dict[str, str]:
    """A learner's fresh shell with the environment active, and these variables exported."""
    fresh = {name: value for name, value in environment(Path(sys.prefix)).items() if name not in FAST_EXPORT}
    return {**fresh, **variables}


def ask(name: str, cwd: Path = ROOT, before: str = "", python: str = sys.executable, **variables: str) -> list[str]:
    """What `python -m workshop.doctor` says about one thing, after `before` was typed into the same shell."""
    typed = f"{before}\n'{python}' -m workshop.doctor"
    how = {"cwd": cwd, "env": shell(**variables), "capture_output": True, "preexec_fn": in_the_foreground}
    said = subprocess.run(["bash", "-c", typed], timeout=60, **how)
    text = said.stdout.decode(errors="surrogateescape")
    assert said.returncode == int(bool(re.search("(?m)^fix ", text))), said.stderr.decode(errors="replace")
    return [" ".join(part.split()) for part in re.split(r"\n(?=\S)", text) if re.match(rf"\w+ +{name} ", part)]


def in_the_foreground() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def cure(said: str) -> str:
    """The command that a finding, or only its last line, names."""
    last = said.partition(" expected ")[2].partition(" do ")[2] or said
    return re.search(r"`([^`]+)`", last)[1]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the repository at a path with a space and a letter that is not ASCII."""
    root = tmp_path / "my wörkshop"
    shutil.copytree(ROOT / "workshop", root / "workshop", ignore=shutil.ignore_patterns("tests", "site", "__pycache__"))
    shutil.copy(ROOT / "requirements.txt", root)
    (root / "src").mkdir()
    return root


def test_a_healthy_machine_has_nothing_to_fix():
    found = findings.examine(here())
    assert [finding for finding in found if finding.level == FIX] == []
    assert [finding for finding in found if finding.level != OK and not (finding.expected and finding.do)] == []


# The machine and its Python


def test_windows_itself_is_told_of_wsl_and_nothing_else_is_asked():
    found = findings.examine(Machine(system="Windows"))
    assert [finding.level for finding in found] == [FIX, OK]
    assert "wsl --install" in found[0].do


def test_wsl_is_recognized_and_a_drive_of_windows_is_noted():
    wsl = replace(here(), place="WSL")
    assert the("machine", wsl).level == OK and "in WSL" in the("machine", wsl).seen
    assert the("machine", replace(wsl, root=Path("/mnt/c/Users/me/workshop"))).level == NOTE


@pytest.mark.parametrize(
    "variables, said",
    [
        ({"CODESPACES": "true", "CODESPACE_NAME": "owl"}, "in Codespaces; your app's page will be https://owl-5001."),
        ({"GITPOD_WORKSPACE_URL": "https://me-1.ws.gitpod.io"}, "in Gitpod; your app's page will be https://5001-me"),
        ({"GITPOD_ENVIRONMENT_ID": "0193"}, "in Ona"),
    ],
)
def test_a_cloud_workspace_is_recognized_with_the_address_of_the_app(variables, said, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert said in the("machine", machine.gather(**{**some_ports(), "app": 5001})).seen


def test_an_unknown_system_is_noted():
    assert the("machine", replace(here(), system="FreeBSD")).level == NOTE


def test_an_old_python_is_told_of_a_newer_one_and_nothing_else_is_asked():
    found = findings.examine(replace(here(), python=(3, 9, 18), newer="python3.12"))
    assert [finding.level for finding in found] == [OK, FIX]
    assert cure(found[1].do) == "make clean install PYTHON=python3.12"


def test_a_python_without_pins_and_one_of_32_bit_are_noted():
    assert the("python", replace(here(), python=(3, 15, 0))).level == NOTE
    assert the("python", replace(here(), bits=32)).level == NOTE


def test_python_3_8_can_read_the_doctor():
    for module in (machine, findings, report):
        ast.parse(Path(module.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))


# The environment and its packages


def test_a_shell_without_the_active_environment_is_told_to_activate_it():
    active = str(Path(sys.prefix) / "bin")
    elsewhere = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if folder != active)
    (said,) = ask("environment", PATH=elsewhere)
    assert said.startswith("fix environment this shell finds")
    (cured,) = ask("environment", before=f"cd {ROOT} && {cure(said)}", PATH=elsewhere)
    assert cured.startswith("ok")


def test_a_python_outside_of_the_environment_is_told_what_to_install():
    python = str(Path(sys.base_prefix) / "bin" / "python3")
    (said,) = ask("packages", python=python)
    assert said.startswith("fix packages") and "make install" in said


def test_the_command_of_one_clone_inside_another_is_refused(clone):
    said = subprocess.run(["workshop", "doctor"], cwd=clone, env=shell(), capture_output=True, text=True)
    assert said.returncode == 1
    assert "fix   environment   you stand in" in said.stdout


def test_no_virtual_environment_is_noted():
    assert the("environment", replace(here(), base_prefix=here().prefix)).level == NOTE


def overlay(folder: Path, **versions: str) -> str:
    """A folder for PYTHONPATH in which packages seem to be installed in these versions, with the needs of the real."""
    for name, version in versions.items():
        name = name.replace("_", "-")
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {text}" for text in here().packages[name].requires]
        (info / "METADATA").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return str(folder)


def test_a_sqlalchemy_outside_of_the_instrumented_range_is_named_with_that_range(tmp_path):
    path = overlay(tmp_path, sqlalchemy="2.1.9")
    (said,) = ask("sqlalchemy", PYTHONPATH=path)
    assert said.startswith("fix sqlalchemy 2.1.9 expected <2.1")
    (said,) = ask("packages", PYTHONPATH=path)
    assert said.startswith(f"fix packages sqlalchemy 2.1.9 (pinned: {here().packages['sqlalchemy'].version})")
    (said,) = ask("variables", PYTHONPATH=path)
    assert said.startswith("note variables your shell exports PYTHONPATH") and cure(said) == "unset PYTHONPATH"
    (cured,) = ask("sqlalchemy", before=cure(said), PYTHONPATH=path)
    assert cured.startswith("ok")


def test_two_release_trains_are_told_apart(tmp_path):
    (said,) = ask("release", PYTHONPATH=overlay(tmp_path, opentelemetry_sdk="1.44.0"))
    assert said.startswith("fix release opentelemetry-sdk 1.44.0 beside OpenTelemetry 1.")
    packages = {**here().packages, "opentelemetry-propagator-aws-xray": Package("1.0.2")}
    assert the("release", replace(here(), packages=packages)).level == OK


def test_a_package_that_does_not_find_what_it_needs_is_named(tmp_path):
    (said,) = ask("dependencies", PYTHONPATH=overlay(tmp_path, werkzeug="2.0.0"))
    assert said.startswith("fix dependencies flask needs werkzeug>=3.1")


def test_an_unmet_need_of_a_package_that_is_not_ours_is_noted():
    extra = Package("9.0", ("jedi>=0.16", "no such requirement!", "black; extra == 'black'"))
    finding = the("dependencies", replace(here(), packages={**here().packages, "ipython": extra}))
    assert finding.level == NOTE and finding.seen == "ipython needs jedi>=0.16, and it is missing"


def test_missing_packages_are_counted():
    gone = ("opentelemetry", "flask")
    kept = {name: package for name, package in here().packages.items() if not name.startswith(gone)}
    m = replace(here(), packages=kept)
    assert the("packages", m).level == FIX
    assert re.match(r"flask missing \(pinned: [\d.]+\), .*, and \d+ more$", the("packages", m).seen)
    assert the("release", m).level == the("sqlalchemy", m).level == FIX


def test_names_and_values_are_judged_only_where_the_packages_are_that_know_them():
    exported = {"OTEL_TRACES_EXPORTER": "console", "OTEL_ANY": "1"}
    (finding,) = findings.variables(replace(here(), packages={}, exported=exported))
    assert finding.level == NOTE and finding.seen == "your shell exports OTEL_TRACES_EXPORTER, OTEL_ANY"
    assert findings.variables(replace(here(), exported={"OTEL_TRACES_EXPORTER": "console, otlp,"}))[0].level == NOTE


def test_the_cure_for_packages_depends_on_where_they_are():
    m = replace(here(), packages={**here().packages, "flask": Package("2.0"), "pip": Package("26.3")})
    own, other = replace(m, prefix=m.root / ".venv"), replace(m, prefix=Path("/elsewhere"))
    assert cure(the("packages", own).do) == "make clean install"
    assert cure(the("packages", other).do) == "python -m pip install --require-hashes -r requirements.txt"
    del other.packages["pip"]
    assert cure(the("packages", other).do).startswith("uv pip install")
    assert cure(the("packages", replace(m, prefix=m.base_prefix)).do) == "make install"


def test_pins_of_another_system_or_python_do_not_count():
    old = "a==1 ; python_version < '3' \\\n    --hash=sha256:0\n"
    new = "B_c==2.0 ; python_version >= '3' \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
    assert findings.pins(f"{old}# comment\n{new}") == {"b-c": "2.0"}


# What is on the machine


def test_a_missing_command_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    for name in ("bash", "curl", "git", "apt-get"):
        (tmp_path / name).symlink_to(shutil.which("true"))
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = the("commands", replace(machine.gather(**some_ports()), typed=here().typed))
    assert (finding.level, finding.seen) == (FIX, "no make and no jq")
    assert finding.do.endswith("apt-get install make jq`")
    (tmp_path / "make").symlink_to(tmp_path / "git")
    finding = the("commands", replace(machine.gather(**some_ports()), typed=here().typed))
    assert (finding.level, finding.seen) == (NOTE, "no jq") and finding.expected.startswith("jq: 300/600/400 asks ")


@contextmanager
def listener(port: int, cwd: Path):
    """A program of somebody else that listens on a port."""
    code = f"import socket, sys; s = socket.create_server(('127.0.0.1', {port})); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=cwd, **pipes) as process:
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def ports_of(m: Machine) -> list[tuple[str, str, str]]:
    return [(finding.level, finding.seen, finding.do) for finding in findings.ports(m)]


@pytest.mark.parametrize("name", ["app", "grpc"])
def test_a_stranger_on_a_port_is_named_and_can_be_ended_as_told(name, tmp_path):
    ports = some_ports()
    port = ports["app"] if name == "app" else ports["ports"]["jaeger"][name]
    with listener(port, tmp_path) as stranger:
        taken = next(entry for entry in ports_of(machine.gather(**ports)) if entry[0] == FIX)
        assert re.fullmatch(rf"{port} is taken by .* \(process {stranger.pid}\)", taken[1])
        subprocess.run(["bash", "-c", cure(taken[2])], check=True)
        stranger.wait(10)
    assert [entry[0] for entry in ports_of(machine.gather(**ports))] == [OK]


def test_the_learners_own_app_on_its_port_is_fine(clone):
    ports = some_ports()
    with listener(ports["app"], clone / "src"):
        own, *free = ports_of(machine.gather(root=clone, **ports))
    assert own[0] == OK and own[1].startswith(f"{ports['app']} is your app's: ")
    assert [entry[0] for entry in free] == [OK]


def test_a_port_of_an_unknown_owner_is_still_taken():
    (finding,) = findings.ports(replace(here(), listeners={5001: "another program"}))
    assert finding.level == FIX and "lsof" in finding.do


@contextmanager
def answering(port: int):
    """Something that answers as Jaeger's API does."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"services": []}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def test_a_jaeger_on_its_ports_is_fine(toy):
    toy.write("requirements.txt", "")
    ports = some_ports()
    its = ports["ports"]["jaeger"]
    with answering(its["query"]), answering(its["grpc"]), answering(its["http"]):
        m = machine.gather(toy.root, **ports)
    assert the("jaeger", m).level == OK and the("jaeger", m).seen.startswith("running")
    assert ports_of(m) == [(OK, f"free: {ports['app']}", "")]


def test_a_jaeger_that_takes_no_spans_is_to_fix():
    ports = some_ports()
    its = ports["ports"]["jaeger"]
    with answering(its["query"]):
        finding = the("jaeger", machine.gather(**ports))
    assert finding.level == FIX and f"nothing listens on {its['grpc']} and {its['http']}" in finding.seen


def test_a_setting_that_is_no_port_is_to_fix_and_unset():
    (said,) = ask("jaeger", JAEGER_GRPC_PORT="x")
    assert said.startswith("fix jaeger JAEGER_GRPC_PORT is 'x', and a port is a number")
    assert cure(said) == "unset JAEGER_GRPC_PORT"
    (cured,) = ask("jaeger", before=cure(said), JAEGER_GRPC_PORT="x")
    assert "JAEGER_GRPC_PORT" not in cured


def test_a_jaeger_url_that_nobody_answers_is_to_fix_and_unset():
    url = f"http://127.0.0.1:{free_port()}"
    (said,) = ask("jaeger", JAEGER_URL=url)
    assert said.startswith(f"fix jaeger JAEGER_URL is {url}")
    assert cure(said) == "unset JAEGER_URL"
    (cured,) = ask("jaeger", before=cure(said), JAEGER_URL=url)
    assert "JAEGER_URL" not in cured


def with_jaeger(m: Machine, **known: object) -> Machine:
    return replace(m, programs=(replace(JAEGER_HERE, **known),))


def test_the_nearest_way_to_a_program_is_told():
    m = replace(here(), docker=None)
    assert the("jaeger", with_jaeger(replace(m, docker=""))).level == OK
    assert the("jaeger", with_jaeger(replace(m, docker=""), contained=False)).level == FIX
    assert the("jaeger", with_jaeger(m, here=True)).level == OK
    far = the("jaeger", with_jaeger(m, archive="github.com", go="go1.26.8"))
    assert far.level == NOTE and "github.com" in far.seen and "go1.26.8 can build it" in far.seen
    assert the("jaeger", with_jaeger(m)).level == FIX


def test_the_far_ways_are_looked_for_where_no_near_one_is(toy, tmp_path, monkeypatch):
    toy.write("requirements.txt", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tool(tmp_path / "bin", "go", "echo go1.99.1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    with socket.create_server(("127.0.0.1", 0)) as mirror:
        address = f"http://127.0.0.1:{mirror.getsockname()[1]}"
        monkeypatch.setenv("WORKSHOP_ARCHIVES", address)
        m = machine.gather(toy.root, **some_ports())
        assert [(p.here, p.archive, p.go) for p in m.programs] == [(False, "127.0.0.1", "go1.99.1")]
    tool(tmp_path / "bin", "go", "echo go1.20.1")
    m = machine.gather(toy.root, **some_ports())
    assert [(p.here, p.archive, p.go) for p in m.programs] == [(False, "", "")]


def test_each_program_of_the_lesson_has_a_line(toy):
    toy.page("100/100", "# One\n\n```shell\nworkshop up collector logs prometheus\n```\n")
    toy.write("requirements.txt", "")
    toy.workspace.start(toy.lesson("100/100"))
    ports = {name: free_ports(program) for name, program in programs().items()}
    m = replace(here(), programs=machine.gather(toy.root, free_port(), ports).programs)
    for name in ("jaeger", "collector", "logs", "prometheus"):
        assert f"`workshop up{'' if name == 'jaeger' else f' {name}'}`" in the(name, m).seen + the(name, m).do


def tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    "script, system, level, said, do",
    [
        ("echo 27.1", "Linux", OK, "an engine answers", ""),
        ("[ $1 = version ] && echo 27.1", "Linux", NOTE, "no `docker compose`", "compose plugin"),
        ("echo 'permission denied: socket' >&2; exit 1", "Linux", NOTE, "permission denied", "usermod -aG docker"),
        ("echo 'is the daemon running?' >&2; exit 1", "Linux", NOTE, "no engine answers", "systemctl start docker"),
        ("echo 'is the daemon running?' >&2; exit 1", "Darwin", NOTE, "no engine answers", "open -a Docker"),
        ("exec sleep 60", "Linux", NOTE, "no engine answers", "systemctl"),
    ],
)
def test_docker_is_asked_and_each_way_to_fail_has_its_cure(script, system, level, said, do, tmp_path, monkeypatch):
    tool(tmp_path, "docker", script)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    m = replace(here(), docker=machine.gather(**some_ports()).docker, system=system, place="")
    finding = findings.docker(m)
    assert finding.level == level and said in finding.seen and do in finding.do


def test_docker_desktop_is_told_of_the_host_network_that_some_containers_want(tmp_path, monkeypatch):
    tool(tmp_path, "docker", "[ \"$3\" = '{{.Server.Platform.Name}}' ] && echo Docker Desktop 4.43 || echo 27.1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    m = machine.gather(**some_ports())
    assert m.hosted[:2] == ("collector", "prometheus")
    beside = tuple(Beside(name, name.title(), "") for name in ("jaeger", "collector", "prometheus"))
    finding = findings.docker(replace(m, programs=beside))
    assert finding.level == OK and "; for Collector and Prometheus it wants " in finding.seen
    assert "host networking" not in findings.docker(replace(m, programs=beside[:1])).seen
    assert "host networking" not in findings.docker(replace(m, programs=beside, desktop=False)).seen


def test_docker_is_looked_at_in_wsl_and_in_containers_and_may_be_missing():
    broken = replace(here(), docker="no engine answers: x", place="WSL")
    assert "WSL integration" in findings.docker(broken).do
    assert "outside of this container" in findings.docker(replace(broken, place="a container")).do
    assert findings.docker(replace(here(), docker=None)).level == OK


def test_disk_space_counts_the_build_by_go_only_where_that_is_the_way():
    m = replace(here(), free=2e9)
    assert findings.disk(m).level == OK
    alone = with_jaeger(m, go="go1.26.8")
    assert findings.disk(alone).level == NOTE and "go clean" in findings.disk(alone).do
    assert findings.disk(with_jaeger(m, go="go1.26.8", archive="github.com")).level == OK
    assert findings.disk(replace(m, free=0.2e9)).level == FIX


def test_little_memory_is_noted():
    assert findings.memory(replace(here(), memory=0.3e9))[0].level == NOTE
    assert findings.memory(replace(here(), memory=None)) == []


# What the shell hands down


def test_variables_that_an_app_would_read_are_named_and_can_be_unset_as_told():
    faults = {
        "OTEL_TRACES_EXPORTER=consle": "fix variables OTEL_TRACES_EXPORTER=consle expected console",
        "OTEL_LOGS_EXPORTER=otlp,file": "fix variables OTEL_LOGS_EXPORTER=otlp,file expected",
        "OTEL_SDK_DISABLED=true": "fix variables OTEL_SDK_DISABLED=true expected false",
        "FLASK_APP=other.py": "fix variables FLASK_APP=other.py expected nothing",
        "OTEL_LOG_EXPORTER=console": "note variables OTEL_LOG_EXPORTER: no package reads it expected OTEL_LOGS_",
        "OTEL_NOTHING_LIKE_ANY=1": "note variables OTEL_NOTHING_LIKE_ANY: no package reads it expected a name",
        "FLASK_DEBUG=1": "note variables your shell exports FLASK_DEBUG, OTEL_SERVICE_NAME expected",
        "OTEL_SERVICE_NAME=mine": "note variables your shell exports FLASK_DEBUG, OTEL_SERVICE_NAME expected",
    }
    variables = dict(fault.split("=") for fault in faults)
    said = ask("variables", **variables)
    assert [begin for begin in faults.values() if not any(line.startswith(begin) for line in said)] == []
    (cured,) = ask("variables", before="; ".join(map(cure, said)), **variables)
    assert cured.startswith("ok")


def test_what_only_names_a_version_of_python_is_not_in_the_way():
    (said,) = ask("variables", PYTHON_VERSION="3.13", PYTHONUNBUFFERED="1", FLASK_APP="wsgi:app")
    assert "PYTHON_VERSION" not in said and "FLASK_APP" in said


def test_a_proxy_that_would_get_the_spans_is_named_and_loopback_can_be_spared_as_told():
    variables = {"http_proxy": "http://me:secret@proxy.example:3128", "NO_PROXY": ".corp.example"}
    (said,) = ask("proxy", **variables)
    assert said.startswith("fix proxy http://***@proxy.example:3128 would get your spans: OTLP over HTTP and over gRPC")
    (cured,) = ask("proxy", before=cure(said), **variables)
    assert cured.startswith("ok")


@pytest.mark.parametrize(
    "variables, over",
    [
        ({"http_proxy": "http://p:1", "NO_PROXY": "localhost,127.0.0.1"}, "gRPC"),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, "gRPC"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".corp.example, localhost"}, "HTTP"),
        ({"ALL_PROXY": "http://p:1"}, "HTTP"),
    ],
)
def test_a_proxy_may_get_the_spans_of_one_protocol_only(variables, over):
    finding = the("proxy", replace(here(), exported=variables))
    assert finding.seen == f"http://p:1 would get your spans: OTLP over {over}"


def test_a_proxy_that_spares_loopback_is_fine_and_one_of_the_system_counts():
    spared = {"http_proxy": "http://proxy.example:3128", "no_proxy": "localhost,127.0.0.0/8"}
    assert the("proxy", replace(here(), exported=spared)).level == OK
    assert "secret" not in report.report([the("proxy", replace(here(), system_proxy="http://me:secret@p:1"))])
    assert findings.proxies(replace(here(), exported={"HTTPS_PROXY": "http://proxy.example:3128"})) == []
    assert the("proxy", replace(here(), system_proxy="http://proxy.example:3128")).level == FIX


@contextmanager
def hanging_up(name: str, asked: queue.Queue):
    """A server on loopback that closes each connection; its name is put into the queue. Gives its port."""

    class Asked(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.put(name)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    "protocol, variables, first",
    [
        ("grpc", {"http_proxy": "{proxy}", "NO_PROXY": "localhost,127.0.0.1"}, "proxy"),
        ("grpc", {"https_proxy": "{proxy}", "no_proxy": "*"}, "proxy"),
        ("grpc", {"https_proxy": "{proxy}", "no_proxy": ".corp.example,localhost,127.0.0.1"}, "receiver"),
        ("http", {"HTTP_PROXY": "{proxy}"}, "proxy"),
        ("http", {"HTTP_PROXY": "{proxy}", "NO_PROXY": "localhost,127.0.0.1"}, "receiver"),
        ("http", {"https_proxy": "{proxy}"}, "receiver"),
    ],
)
def test_the_exporters_treat_a_proxy_as_the_doctor_says(protocol, variables, first):
    code = (
        f"from opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter import OTLPSpanExporter as Exporter\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(Exporter()))\n"
        "provider.get_tracer('t').start_span('s').end()\n"
    )
    asked: queue.Queue = queue.Queue()
    with hanging_up("proxy", asked) as proxy, hanging_up("receiver", asked) as receiver:
        variables = {name: value.format(proxy=f"http://127.0.0.1:{proxy}") for name, value in variables.items()}
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{receiver}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
        env = shell(**variables, **endpoint)
        with subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL) as app:
            try:
                assert asked.get(timeout=20) == first
            finally:
                app.kill()


def test_a_background_job_that_ignores_ctrl_c_is_noted():
    (said,) = ask("interrupts", before=f"'{sys.executable}' -m workshop.doctor & wait $!; exit")
    assert said.startswith("note interrupts Ctrl-C is ignored")
    assert ask("interrupts") == []


def test_a_locale_that_cannot_write_the_repositorys_path_is_to_fix(clone):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (said,) = ask("encoding", cwd=clone, **ascii_only)
    assert said.startswith("fix encoding")
    (cured,) = ask("encoding", cwd=clone, before=cure(said), **ascii_only)
    assert cured == "ok encoding UTF-8"
    assert the("encoding", replace(here(), root=Path("/plain"), encodings=("ANSI_X3.4-1968",))).level == NOTE


# The repository


def test_a_path_with_spaces_and_other_letters_is_fine(clone):
    (said,) = ask("repository", cwd=clone)
    assert said.startswith("ok") and said.endswith("my wörkshop, which can be written")


def test_a_saved_that_is_no_folder_can_be_moved_away_as_told(clone):
    (clone / ".saved").write_text("mine", encoding="utf-8")
    (said,) = ask("repository", cwd=clone)
    assert said.startswith("fix repository")
    (cured,) = ask("repository", cwd=clone, before=cure(said))
    assert cured.startswith("ok") and (clone / ".saved.old").read_text(encoding="utf-8") == "mine"


def test_a_folder_of_somebody_else_is_to_be_taken_back():
    refused = {"/home/me/w s/.saved": PermissionError(13, "Permission denied")}
    finding = the("repository", replace(here(), unwritable=refused))
    assert finding.level == FIX and "chown" in finding.do and "'/home/me/w s/.saved'" in finding.do


def test_a_file_that_hides_a_package_can_be_renamed_as_told(clone):
    (clone / "src" / "json.py").touch()
    (said,) = ask("src", cwd=clone)
    assert said.startswith("fix src src/json.py hides")
    assert ask("src", cwd=clone, before=cure(said)) == []


# The report


def test_the_report_fits_80_columns_in_words_and_colors_add_nothing_else():
    long = findings.Finding(NOTE, "docker", "word " * 40, "word " * 40, "`" + "a command " * 12 + "` and more")
    plain = report.report([*findings.examine(here()), long])
    assert [line for line in plain.splitlines() if len(line) > 79 and "`" not in line and "/" not in line] == []
    assert "`" + "a command " * 12 + "`" in plain
    assert click.unstyle(report.report([*findings.examine(here()), long], click.style)) == plain
    assert plain.isascii() or not str(ROOT).isascii()


def test_the_exit_status_and_the_last_line_say_whether_it_is_ready(monkeypatch):
    for m, status, last in [
        (here(), 0, "Ready."),
        (replace(here(), memory=0.1e9), 0, "Ready. 1 to note"),
        (replace(here(), missing=("git",)), 1, "Not ready: 1 to fix."),
    ]:
        said: list[str] = []
        monkeypatch.setattr(report, "gather", lambda m=m: m)
        assert report.main(say=said.append) == status
        assert said[0].splitlines()[-1].startswith(last)


def test_a_taken_port_is_told_where_nothing_is_installed_that_names_its_owner(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = machine.gather(**{**some_ports(), "app": stranger.getsockname()[1]})
    (finding,) = [finding for finding in findings.ports(taken) if finding.level == FIX]
    assert "another program" in finding.seen and "lsof" in finding.do


def test_a_script_with_the_line_ends_of_windows_is_named_and_can_be_mended_as_told(clone):
    script, right = clone / "src" / "run.sh", b"export OTEL_SERVICE_NAME=todo\nflask run\n"
    script.parent.mkdir(exist_ok=True)
    script.write_bytes(right.replace(b"\n", b"\r\n"))
    [found] = findings.source(machine.gather(clone))
    assert found.level == FIX and "src/run.sh: its lines end as on Windows" in found.seen
    subprocess.run(re.findall("`(.+?)`", found.do)[0], shell=True, cwd=clone, check=True)
    assert script.read_bytes() == right and not findings.source(machine.gather(clone))
