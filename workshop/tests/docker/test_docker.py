"""The way through Docker, with a real engine: what `workshop up` and compose start there, on which ports, and what is left."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from workshop.programs.lifecycle import Service, free_ports, port_settings
from workshop.programs.program import find, programs
from workshop.setup.commands import run
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import Metric, NumberPoint
from workshop.telemetry.otlp import Telemetry
from workshop.telemetry.spans import Span
from workshop.tests.docker.engine import NoEngine, engine, running
from workshop.tests.learner import Learner


@pytest.fixture(scope="session")
def docker(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    with ExitStack() as stack:
        try:
            env = stack.enter_context(engine(lambda line: terminal and terminal.write_line(line)))
        except NoEngine as why:  # within some containers no engine may run, whatever is installed there
            pytest.skip(f"nothing is said here of the way through Docker: {why}")
        yield env


@pytest.fixture
def in_docker(docker, tmp_path: Path):
    """`in_docker(learner)` leads a learner's commands to the engine, and to free ports, and away from executables of this machine."""
    learners = []

    def lead(learner: Learner) -> Learner:
        shutil.rmtree(learner.clone / "src" / "otel", ignore_errors=True)  # the lessons' files name the well-known ports
        ports = [port_settings(program, free_ports(program)) for program in programs().values()]
        learner.env |= {**docker, "XDG_CACHE_HOME": str(tmp_path / "cache"), **{k: v for one in ports for k, v in one.items()}}
        learners.append(learner)
        return learner

    yield lead
    for learner in learners:
        learner.runs("workshop down")
    assert containers(docker) == []


def containers(env: dict[str, str]) -> list[dict]:
    """What Docker knows of each container that runs."""
    numbers = run(["docker", "ps", "--quiet"], {**os.environ, **env}).split()
    return json.loads(run(["docker", "inspect", *numbers], {**os.environ, **env})) if numbers else []


def listening(learner: Learner) -> dict[int, set[str]]:
    """The addresses on which the ports of a learner's programs are listened to."""
    ports = {int(learner.env[name]) for program in programs().values() for name in port_settings(program, program.numbers)}
    found: dict[int, set[str]] = {}
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr.port in ports:
            found.setdefault(one.laddr.port, set()).add(one.laddr.ip)
    return found


def test_each_program_comes_as_the_pinned_container_answers_on_this_machine_only_and_goes(learner, in_docker):
    in_docker(learner)
    for name, program in programs().items():
        said = learner.runs(f"workshop up {name}")
        assert "a container by docker compose" in said
        assert program.image_tag in {one["Config"]["Image"] for one in containers(learner.env)}
    assert learner.runs("workshop status").count("running: ") == len(programs())
    open_ports = listening(learner)
    assert set(open_ports) >= {int(learner.env[p.setting(f"{next(iter(p.ports))}_PORT")]) for p in programs().values()}
    assert set().union(*open_ports.values()) == {"127.0.0.1"}
    learner.runs("workshop down")
    assert listening(learner) == {}


def test_a_lessons_check_uses_the_jaeger_that_runs_there(learner, in_docker):
    in_docker(learner)
    learner.runs("workshop start 300/300/300")
    learner.runs("workshop solve")
    learner.runs("workshop up")
    learner.runs("workshop check 300/300/300")
    assert "todo" in learner.runs("workshop status")


def test_a_lessons_own_files_configure_the_containers(learner, in_docker, tmp_path):
    in_docker(learner)
    learner.runs("workshop start 300/700/100")
    learner.runs("workshop solve")
    needed = [find(name) for name in ("jaeger", "prometheus", "logs", "collector")]
    ports = {p.name: {name: int(learner.env[p.setting(f"{name}_PORT")]) for name in p.numbers} for p in needed}
    led = {str(number): str(ports[p.name][name]) for p in needed for name, number in p.numbers.items()}
    for path in (learner.clone / "src" / "otel").glob("*.y*ml"):
        path.write_text(re.sub(r"(?<=:)\d{4,5}\b", lambda port: led.get(port[0], port[0]), path.read_text()))
    for program in needed:
        assert "a container by docker compose" in learner.runs(f"workshop up {program.name}")
    jaeger, prometheus, logs, collector = (Service(p, tmp_path / p.name, ports[p.name]).configured() for p in needed)
    now, of, trace_id = time.time_ns(), {"service.name": "shop"}, secrets.token_hex(16)
    span = Span("buy", "server", trace_id, secrets.token_hex(8), None, now, now + 1, resource=of)
    count = Metric("bought", "sum", [NumberPoint({}, now - 10**9, now, (), 1)], "1", "", "cumulative", True, of)
    collector.send(Telemetry([span], [count], [LogRecord("bought milk", "INFO", 9, now, now, trace_id, resource=of)]))
    arrived = jaeger.until(lambda: jaeger.trace(trace_id))
    assert [one.resource["cloud.region"] for one in arrived]  # which the lesson's Collector adds
    assert prometheus.until(lambda: prometheus.query('bought_total{job="shop"}'))
    assert logs.until(lambda: logs.query(f'trace_id:="{trace_id}"'))


def test_two_clones_have_containers_of_their_own(learner, in_docker, tmp_path):
    other = Learner(shutil.copytree(learner.clone, tmp_path / "other", ignore=shutil.ignore_patterns("bin")))
    for one in (learner, other):
        in_docker(one).runs("workshop up jaeger")
    assert len(containers(learner.env)) == 2
    learner.runs("workshop down")
    assert len(containers(learner.env)) == 1
    assert "running: " in other.runs("workshop status")


def test_compose_alone_is_jaeger_alone(learner, in_docker):
    in_docker(learner)
    learner.runs("docker compose up -d --wait")
    assert [one["Config"]["Image"] for one in containers(learner.env)] == [programs()["jaeger"].image_tag]
    assert "todo" not in learner.runs("workshop status")
    learner.runs("docker compose down")


@pytest.mark.parametrize("last, told", [("mount: operation not permitted", NoEngine), ("bad storage driver", RuntimeError)])
def test_an_engine_that_is_broken_is_a_failure_and_one_that_is_forbidden_is_said(tmp_path, monkeypatch, last, told):
    (tmp_path / "dockerd").write_text(f"#!/bin/sh\necho '{last}'\nexit 1\n")
    (tmp_path / "dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(told, match=last), running(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}):
        pass


def test_a_machine_without_an_engine_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="dockerd is not installed"), engine(print):
        pass
