"""A start by a stand-in says and does what a whole start does."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

from workshop.checks import warm
from workshop.checks.checkpoint import OBSERVE, packages
from workshop.checks.process import Process, environment
from workshop.course import lessons

PREFIX = Path(sys.prefix)
TELLS = "import os, signal, sys, flask, opentelemetry.propagate as p; print('pid', os.getpid(), flush=True); "


@pytest.fixture(params=["whole", "warm"])
def begin(request, tmp_path: Path):
    """`begin(command, program)` runs a command in a folder where `program` is the app, whole or warm."""
    begun = []

    def run(command: str, program: str, prefix: Path = PREFIX, **more: str) -> Process:
        (tmp_path / "app.py").write_text(program)
        env = {**environment(prefix), **more}
        env = warm.environment(env, prefix, tmp_path) if request.param == "warm" else env
        begun.append(Process(command, tmp_path, env))
        assert (Path(shutil.which("flask", path=env["PATH"])).parent != prefix / "bin") == (request.param == "warm")
        return begun[-1]

    yield run
    for process in begun:
        process.kill()


AGENT = "opentelemetry-instrument --traces_exporter none --metrics_exporter none --logs_exporter none "


@pytest.mark.parametrize("agent", ["", AGENT])
def test_arguments_settings_streams_and_the_exit_status_are_the_programs_own(begin, agent):
    tells = "import time; print('ahead', time.localtime().tm_gmtoff, p.get_global_textmap().fields, sys.argv, os.getcwd()); "
    program = TELLS + tells + "print('no', file=sys.stderr); sys.exit(7)"
    process = begin(f"{agent}flask --app app routes", program, OTEL_PROPAGATORS="baggage", TZ="TST-9")
    assert process.wait(20)
    assert process.exit_code == 7
    assert f"ahead 32400 {{'baggage'}} ['{PREFIX}/bin/flask', '--app', 'app', 'routes']" in process.output
    assert "\nno\n" in process.output


def test_an_exception_is_told_in_the_words_of_a_whole_start(begin):
    process = begin("flask --app app routes", "import nothing_of_this_name")
    assert process.wait(20)
    assert process.exit_code == 2
    assert "No module named 'nothing_of_this_name'" in process.output
    assert "warm" not in process.output


def test_the_clock_on_the_wall_is_that_of_the_zone_that_is_set(begin):
    process = begin("flask --app app routes", "import time; print('hour', time.localtime(0).tm_hour)", TZ="JST-9")
    assert process.wait(20)
    assert "hour 9\n" in process.output


def test_an_unknown_program_is_told_by_the_agent(begin):
    process = begin("opentelemetry-instrument flusk run", "")
    assert process.wait(20)
    assert process.exit_code == 1
    assert "execv: path should be" in process.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_program_and_its_end_is_told(begin, number):
    program = TELLS + f"signal.signal({number.value}, signal.SIG_DFL); print('armed', flush=True); signal.pause()"
    process = begin(f"exec {AGENT}flask --app app routes", program)
    assert process.wait_until(lambda: "armed" in process.output, 20)
    process._signal(number)
    assert process.wait(20)
    assert process.exit_code == -number


def test_what_is_killed_leaves_no_process(begin):
    process = begin("exec flask --app app routes", TELLS + "signal.pause()")
    assert process.wait_until(lambda: "\n" in process.output, 20)
    number = int(process.output.split()[1])
    assert number in [member.pid for member in process.members()]
    process.kill()
    assert process.wait(20)
    assert not psutil.pid_exists(number) or psutil.Process(number).wait(20) is None


def test_gunicorn_has_its_workers_in_its_folder_and_ends_with_them(begin, tmp_path: Path):
    (tmp_path / "instance").mkdir()
    program = "import os; print('worker', os.getpid(), 'of', os.getppid(), 'in', os.getcwd(), flush=True); app = print"
    line = "exec opentelemetry-instrument --traces_exporter none --metrics_exporter none --logs_exporter none gunicorn -w 2"
    process = begin(f"{line} -b 127.0.0.1:0 --pid instance/pid app:app", program, packages(lessons.find("300/900/100")))
    assert process.wait_until(lambda: process.output.count(f" in {tmp_path}\n") == 2, 20), process.output
    first = int((tmp_path / "instance/pid").read_text())
    assert process.output.count(f" of {first} in {tmp_path}\n") == 2
    assert {first, *(child.pid for child in psutil.Process(first).children())} <= {member.pid for member in process.members()}
    process._signal(signal.SIGTERM)
    assert process.wait(20)
    assert process.exit_code == 0 and not (tmp_path / "instance/pid").exists()


@pytest.mark.parametrize("name", ["flask.py", "requests", "queue.py", "psutil"])
def test_what_has_the_name_of_a_loaded_module_is_started_whole(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    env = environment()
    assert warm.environment(env, PREFIX, tmp_path) == env


def test_an_instrumentation_reads_which_urls_to_leave_out(begin):
    program = "from flask import Flask; app = Flask(__name__); app.add_url_rule('/', 'index', lambda: 'hello')\n"
    program += "with app.app_context(): print(app.test_client().get('/').text, flush=True)"
    line = (
        "opentelemetry-instrument --traces_exporter console --metrics_exporter none --logs_exporter none flask --app app routes"
    )
    process = begin(line, program, OTEL_PYTHON_FLASK_EXCLUDED_URLS="left-out")
    assert process.wait(20)
    assert '"kind": "SpanKind.SERVER"' in process.output
    process = begin(line, program, OTEL_PYTHON_FLASK_EXCLUDED_URLS="localhost")
    assert process.wait(20)
    assert "hello" in process.output and "SERVER" not in process.output


def test_the_agent_finds_what_stands_on_other_paths(begin, tmp_path: Path):
    process = begin(f"{AGENT}flask --app app routes", TELLS, PYTHONPATH=str(OBSERVE), WORKSHOP_HELD=str(tmp_path / "held"))
    assert process.wait(20)
    assert '"agent"' in (tmp_path / "held").read_text()
