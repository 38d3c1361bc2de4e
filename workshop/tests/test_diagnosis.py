"""The diagnosis ladder: a healthy run breaks no rung, and each fault breaks exactly its own."""

import re
import socket
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from workshop.checks.checkpoint import Checkpoint
from workshop.checks.fake_server import FakeServer, pass_on
from workshop.checks.process import environment
from workshop.checks.sandbox import ADVISOR, END
from workshop.course import lessons
from workshop.course.fences import parse
from workshop.course.turns import HEADINGS, WRONG, Turn
from workshop.diagnosis import facts
from workshop.diagnosis.answering import ANSWERS
from workshop.diagnosis.arrival import ARRIVAL
from workshop.diagnosis.facts import Broken, Diagnosis, Facts, Response, climb
from workshop.diagnosis.spans import CALLS, SPANS, STATEMENTS
from workshop.diagnosis.starting import STARTS
from workshop.programs.jaeger import for_checks
from workshop.setup.ports import free_port
from workshop.telemetry.spans import Span

ALL = (*STARTS, *ANSWERS, *SPANS, *STATEMENTS, *CALLS, *ARRIVAL)
RUN_SH = """\
export OTEL_SERVICE_NAME=todo
export OTEL_TRACES_EXPORTER=console,otlp
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317
opentelemetry-instrument flask run -p 5001 | tee -i output.log
"""
SPAN = Span(
    "GET /",
    "server",
    "a" * 32,
    "b" * 16,
    None,
    0,
    1_000_000,
    attributes={"http.user_agent": "workshop-check/1"},
    resource={"service.name": "todo"},
)
HEALTHY = Facts(
    "300/300/300",
    "sh run.sh",
    files={"run.sh": RUN_SH, "wsgi.py": "", "todo/views.py": ""},
    output=" * Running on http://127.0.0.1:5001\n",
    exit_code=0,
    listened=True,
    responses=[Response("GET", "/", "workshop-check/1", (200,), status=200)],
    spans=[SPAN],
    stored=[SPAN],
    wants="console",
    packages={"sqlalchemy": "2.0.58"},
)
SILENT = {"listened": False, "responses": [], "spans": [], "stored": None}
LOST = {"stored": []}


def with_run_sh(old: str, new: str) -> dict:
    assert old in RUN_SH
    return {"files": {**HEALTHY.files, "run.sh": RUN_SH.replace(old, new)}}


def trace_of(where: str, error: str) -> str:
    return f'Traceback (most recent call last):\n  File "{where}", line 7, in <module>\n    boom()\n{error}\n'


FAULTS = {
    "shadowed": {**SILENT, "shadows": ("src/sqlalchemy.py",)},
    "no-such-command": {**SILENT, "output": "run.sh: 4: flsk: not found\n", "exit_code": 0},
    "no-run-file": {**SILENT, "output": "sh: 0: cannot open run.sh: No such file\n", "exit_code": 2},
    "not-installed": {**SILENT, "output": trace_of("src/wsgi.py", "ModuleNotFoundError: No module named 'flask_wtf'")},
    "does-not-import": {**SILENT, "output": trace_of("src/todo/views.py", "NameError: name 'bp' is not defined")},
    "no-app": {**SILENT, "output": "Error: Failed to find Flask application or factory in module 'wsgi'.\n", "exit_code": 2},
    "flask-replaced": {
        **SILENT,
        "files": {**HEALTHY.files, "todo/telemetry.py": "FlaskInstrumentor().instrument()\n"},
        "output": "Error: Failed to find Flask application or factory in module 'wsgi'.\n",
        "exit_code": 2,
    },
    "port-taken": {**SILENT, "output": "Address already in use\nPort 5001 is in use by another program.\n", "exit_code": 1},
    "listens-elsewhere": {**SILENT, "listening_ports": (5000,), "exit_code": None},
    "ends-at-once": {**SILENT, "output": "", "exit_code": 3},
    "never-listens": {**SILENT, "output": "", "exit_code": None},
    "does-not-answer": {"responses": [Response("GET", "/", "workshop-check/1", (200,), problem="timed out")]},
    "missing-column": {
        "responses": [Response("GET", "/", "workshop-check/1", (200,), status=500)],
        "output": "sqlite3.OperationalError: no such column: task.due\n",
    },
    "wrong-status": {"responses": [Response("GET", "/", "workshop-check/1", (200,), status=500)]},
    "does-not-stop": {"stopped": False},
    "misspelt-setting": with_run_sh("OTEL_SERVICE_NAME", "OTEL_SERVICE_NAM"),
    "wrong-exporter": with_run_sh("console,otlp", "console,oltp"),
    "not-under-agent": {**with_run_sh("opentelemetry-instrument ", ""), "spans": [], "stored": None},
    "switched-off": {**with_run_sh("=console,otlp", "=none"), "spans": [], "stored": None},
    "not-on-console": {**with_run_sh("=console,otlp", "=otlp"), "spans": [], "stored": None},
    "cut-off-by-tee": {**with_run_sh("tee -i", "tee"), "spans": [], "stored": None},
    "second-provider": {"output": "Overriding of current TracerProvider is not allowed\n"},
    "no-span": {"spans": [replace(SPAN, attributes={})], "stored": None},
    "internal": {"spans": [replace(SPAN, kind="internal", parent_id="c" * 16)]},
    "wrong-service": {"spans": [replace(SPAN, resource={"service.name": "unknown_service:python3"})]},
    "sqlalchemy-out-of-range": {"packages": {"sqlalchemy": "2.1.9"}},
    "too-late": {"spans": [SPAN, replace(SPAN, name="connect", kind="client")]},
    "wrong-propagator": with_run_sh("OTEL_SERVICE_NAME=todo", "OTEL_SERVICE_NAME=todo OTEL_PROPAGATORS=b3"),
    "jaeger-not-up": {**LOST, "jaeger_problem": "Jaeger does not answer at http://127.0.0.1:16686"},
    "not-exported": {**LOST, **with_run_sh("=console,otlp", "=console")},
    "endpoint-without-scheme": {**LOST, **with_run_sh("http://localhost:4317", "0.0.0.0:4317")},
    "wrong-port": {**LOST, **with_run_sh(":4317", ":4318")},
    "endpoint-https": {**LOST, **with_run_sh("http://", "https://")},
    "endpoint-path": {
        **LOST,
        **with_run_sh(
            "http://localhost:4317", "http://localhost:4318/v1/traces\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        ),
    },
    "unreachable": {
        **LOST,
        "output": "Transient error StatusCode.UNAVAILABLE encountered while exporting traces to localhost:4317",
    },
    "not-arrived": {
        **LOST,
        "output": '            "exception.message": "HTTPConnectionPool(port=5002): Max retries exceeded"\n',
    },
}


def test_a_healthy_run_breaks_no_rung():
    assert climb(HEALTHY, ALL) is None


@pytest.mark.parametrize("rung", FAULTS)
def test_each_fault_breaks_exactly_its_own_rung(rung: str):
    found = climb(replace(HEALTHY, **FAULTS[rung]), ALL)
    assert found and found.rung == rung
    assert found.seen and found.expected and found.why and found.do


@pytest.mark.parametrize("rung", FAULTS)
def test_a_diagnosis_fits_a_screen_and_names_a_lesson_that_exists(rung: str):
    found = climb(replace(HEALTHY, **FAULTS[rung]), ALL)
    lines = str(found).splitlines()
    assert len(lines) <= 20 and max(map(len, lines)) <= 80
    assert lessons.find(found.lesson)


def test_every_rung_of_the_ladder_has_a_fault_that_breaks_it():
    stages = Path(facts.__file__).parent.glob("*.py")
    named = {rung for stage in stages for rung in re.findall(r'Diagnosis\(\s*"([\w-]+)"', stage.read_text(encoding="utf-8"))}
    assert named == set(FAULTS)


def test_a_long_output_is_cut_and_a_long_word_is_not_broken():
    word = "x" * 200
    shown = str(Diagnosis("r", f"first\n{word}\nlast", word, "why", "do"))
    assert word in shown and "last" in shown


def test_every_lesson_that_changes_src_keeps_three_wrong_turns():
    few = []
    for lesson in lessons.lessons():
        if any(block.title.startswith("src/") for block in lesson.blocks):
            path = lesson.folder / WRONG
            if not path.exists() or len(HEADINGS[WRONG].findall(path.read_text(encoding="utf-8"))) < 3:
                few.append(lesson.name)
    assert not few


# With real processes: what no wrong turn of a lesson causes.


def turned(tmp_path: Path, lesson: str, *blocks: str, jaeger=lambda: None) -> Checkpoint:
    """A checkpoint on the end of a lesson, changed by these blocks."""
    text = "\n".join(blocks)
    found = lessons.find(lesson)
    return Checkpoint(found, END, tmp_path, jaeger, turn=Turn("", "", parse(text, "a test")[0]))


def diff(path: str, *lines: str) -> str:
    return "\n".join([f'```diff title="{path}"', *lines, "```"])


def rung_of(check) -> Diagnosis:
    with pytest.raises(Broken) as caught:
        check()
    return caught.value.diagnosis


def test_a_port_that_a_stranger_holds_is_named_with_its_holder(tmp_path: Path):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        checkpoint = turned(tmp_path, "300/200/100", diff("src/run.sh", "-flask run -p 5001", f"+flask run -p {port}"))
        found = rung_of(checkpoint.serve().__enter__)
    assert found.rung == "port-taken" and str(port) in found.seen and "python" in found.seen


def test_an_app_is_not_taken_for_the_one_that_answers_on_its_port(tmp_path: Path):
    checkpoint = turned(tmp_path, "300/200/100", "")
    with checkpoint.serve() as first:
        assert first.get("/health").text == "ok"
        assert rung_of(checkpoint.serve().__enter__).rung == "port-taken"
        assert first.get("/health").text == "ok"


def test_an_app_that_does_not_answer_is_told_from_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workshop.checks.browser.RESPONSE_SECONDS", 0.5)
    first_line = '     """Say that the app is alive, without asking the database."""'
    hang = diff("src/todo/views.py", first_line, "+    import threading", "+    threading.Event().wait(30)")
    fail = diff("src/todo/views.py", first_line, '+    raise LookupError("no health today")')

    def ask(block: str, folder: str) -> None:
        with turned(tmp_path / folder, "300/200/200", block).serve() as app:
            app.get("/health")

    assert rung_of(lambda: ask(hang, "hang")).rung == "does-not-answer"
    found = rung_of(lambda: ask(fail, "fail"))
    assert found.rung == "wrong-status" and "LookupError: no health today" in found.seen
    assert re.search(r"src/todo/views\.py:\d+", found.seen)


def test_an_app_that_ignores_ctrl_c_is_named_and_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workshop.checks.app.STOP_SECONDS", 0.5)
    deaf = diff(
        "src/wsgi.py",
        "+import atexit",
        "+import threading",
        "+",
        " from todo import create_app",
        "+atexit.register(threading.Event().wait)",
    )
    checkpoint = turned(tmp_path, "300/200/100", deaf)

    def serve() -> None:
        with checkpoint.serve() as app:
            app.get("/")
            serve.members = app.processes()

    assert rung_of(serve).rung == "does-not-stop"
    assert serve.members and not psutil.wait_procs(serve.members, 5)[1]


def test_a_span_that_is_open_while_the_app_serves_makes_every_request_internal(tmp_path: Path):
    opened = diff(
        "src/wsgi.py",
        "+from opentelemetry import trace",
        "+",
        " from todo import create_app",
        " ",
        " app = create_app()",
        '+serving = trace.get_tracer("serve").start_as_current_span("serve")',
        "+serving.__enter__()",
    )
    single = diff(
        "src/run.sh",
        "-    flask run -p 5001 | tee -i output.log",
        "+    flask run --without-threads -p 5001 | tee -i output.log",
    )

    def check() -> None:
        with turned(tmp_path, "300/300/100", opened, single).serve() as app:
            page = app.get("/")
        app.server_span(page)

    found = rung_of(check)
    assert found.rung == "internal" and "INTERNAL" in found.seen


def test_a_proxy_that_drops_the_header_between_two_services_is_named(tmp_path: Path):
    checkpoint, port = turned(tmp_path, "300/400/300"), free_port()
    checkpoint.environment["FLASK_ADVISOR_URL"] = f"http://localhost:{port}"
    with checkpoint.serve("sh advisor.sh", port=ADVISOR, service="advisor") as advisor, checkpoint.serve() as app:
        with FakeServer(lambda request: pass_on(request, advisor.port, without=dropped), port=port):
            dropped = "x-anything"
            whole = app.get("/")
            dropped = "traceparent"
            broken = app.get("/")
    assert app.called(app.server_span(whole), advisor)
    found = rung_of(lambda: app.called(app.server_span(broken), advisor))
    assert found.rung == "trace-broken" and app.server_span(broken).trace_id in found.seen


def test_a_jaeger_that_dies_during_the_check_is_the_diagnosis(tmp_path: Path):
    own = for_checks()
    try:

        def check() -> None:
            with turned(tmp_path, "300/300/300", jaeger=lambda: own).serve(jaeger=True) as app:
                page = app.get("/")
                own.stop()
            app.in_jaeger(page)

        assert rung_of(check).rung == "jaeger-not-up"
    finally:
        own.stop()


def test_what_the_shell_exports_does_not_reach_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "OTEL_SDK_DISABLED": "true",
        "FLASK_DEBUG": "1",
        "http_proxy": "http://127.0.0.1:9",
        "PYTHONPATH": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    checkpoint = turned(tmp_path, "300/300/100")
    with checkpoint.serve() as app:
        page = app.get("/")
    assert app.server_span(page)
    assert not {"OTEL_SDK_DISABLED", "FLASK_DEBUG", "http_proxy", "PYTHONPATH"} & set(environment())
