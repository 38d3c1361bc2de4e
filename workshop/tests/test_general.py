"""General mistakes, each tried in several lessons: before any telemetry, under the agent, and where the app is set up in code.

A mistake changes the copy of a lesson's end; the lesson's first check must then be red with the diagnosis that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workshop import plugin
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import END
from workshop.course import lessons
from workshop.course.turns import Turn
from workshop.diagnosis.facts import Broken, Diagnosis

PLAIN, AGENT, JAEGER, CODE = "300/200/200", "300/300/200", "300/300/300", "300/400/200"
ALL = (PLAIN, AGENT, CODE)
TODO = "todo/__init__.py"
TOKEN = '  <input type="hidden" name="csrf_token" value="{{ csrf_token() }}">\n'

Change = Callable[[Path], object]


def put(path: str, data: bytes | str) -> Change:
    """Write a file."""
    return lambda src: (src / path).write_bytes(data.encode() if isinstance(data, str) else data)


def swap(path: str, old: str, new: str) -> Change:
    """Put `new` in the first place where `old` stands in a file."""

    def change(src: Path) -> None:
        text = (src / path).read_bytes().decode()
        assert old in text
        (src / path).write_bytes(text.replace(old, new, 1).encode())

    return change


def whole(path: str, make: Callable[[bytes], bytes]) -> Change:
    """Make a file anew of its bytes."""
    return lambda src: (src / path).write_bytes(make((src / path).read_bytes()))


def marked(path: str) -> Change:
    """Put a plus sign before every line."""
    return whole(path, lambda data: b"".join(b"+" + line for line in data.splitlines(keepends=True)))


IN_CODE = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="{endpoint}")))
trace.set_tracer_provider(provider)
FlaskInstrumentor().instrument()
"""


def in_code(protocol: str, endpoint: str) -> Change:
    """Set the app up in code instead of by the agent, with this endpoint."""

    def change(src: Path) -> None:
        put("telemetry.py", IN_CODE.format(protocol=protocol, endpoint=endpoint))(src)
        whole("wsgi.py", lambda data: b"import telemetry\n" + data)(src)
        swap("run.sh", "opentelemetry-instrument ", "")(src)

    return change


MISTAKES: list[tuple[str, str, tuple[str, ...], Change]] = [
    ("windows-line-ends", "CRLF in run.sh", ALL, whole("run.sh", lambda data: data.replace(b"\n", b"\r\n"))),
    ("byte-order-mark", "a byte order mark in run.sh", ALL, whole("run.sh", lambda data: b"\xef\xbb\xbf" + data)),
    ("diff-marks", "marks pasted into run.sh", ALL, marked("run.sh")),
    ("diff-marks", "@@ pasted into run.sh", ALL, whole("run.sh", lambda data: b"@@\n" + data)),
    ("diff-marks", "marks pasted into Python", ALL, marked(TODO)),
    ("diff-marks", "one mark in the midst of Python", ALL, swap(TODO, "    return app", "+    return app")),
    ("diff-marks", "marks pasted into a template", ALL, marked("todo/templates/base.html")),
    ("diff-marks", "a mark before one line of a template", ALL, swap("todo/templates/index.html", "{% if tasks %}", "+{% if tasks %}")),
    ("diff-marks", "marks pasted into a style sheet", ALL, marked("todo/static/style.css")),
    ("diff-marks", "a rule pasted with its marks", (AGENT,), whole("todo/static/style.css", lambda data: data + b"-.old { color: blue; }\n+.new {\n+  color: red;\n+}\n")),
    ("diff-marks", "marks pasted into YAML", (AGENT,), lambda src: (src / "otel").mkdir() or put("otel/prometheus.yaml", "+scrape_configs:\n+  - job_name: todo\n")(src)),
    ("not-utf-8", "Latin-1 in Python", ALL, whole(TODO, lambda data: data + 'NAME = "Müller"\n'.encode("latin-1"))),
    ("not-utf-8", "UTF-16 in Python", ALL, whole("todo/views.py", lambda data: data.decode().encode("utf-16"))),
    ("not-utf-8", "Latin-1 in a template", ALL, whole("todo/templates/base.html", lambda data: data + "ü".encode("latin-1"))),
    ("factory-without-return", "create_app without return", ALL, swap(TODO, "    return app\n", "")),
    ("shadowed", "a file called sqlalchemy.py", ALL, put("sqlalchemy.py", "")),
    ("shadowed", "a package called flask_sqlalchemy", ALL, lambda src: (src / "flask_sqlalchemy").mkdir() or put("flask_sqlalchemy/__init__.py", "")(src)),
    ("shadowed", "a file called opentelemetry.py", (AGENT, CODE), put("opentelemetry.py", "")),
    ("no-such-module", "a module deleted", ALL, lambda src: (src / "todo/models.py").unlink()),
    ("no-such-module", "a view in view.py", ALL, lambda src: (src / "todo/views.py").rename(src / "todo/view.py")),
    ("same-name-twice", "two views of one name", ALL, whole("todo/views.py", lambda data: data + b'\n\n@bp.get("/two")\ndef index():\n    return ""\n')),
    ("no-run-file", "run.sh deleted", ALL, lambda src: (src / "run.sh").unlink()),
    ("no-app", "wsgi.py deleted", ALL, lambda src: (src / "wsgi.py").unlink()),
    ("does-not-import", "a bracket not closed", ALL, whole(TODO, lambda data: data + b"print(\n")),
    ("export-forgotten", "export forgotten", (AGENT, CODE), swap("run.sh", "export OTEL_SERVICE_NAME", "OTEL_SERVICE_NAME")),
    ("blank-around-equals", "blanks around =", (AGENT, CODE), swap("run.sh", "OTEL_SERVICE_NAME=", "OTEL_SERVICE_NAME = ")),
    ("blank-around-equals", "a blank behind =", (AGENT, CODE), swap("run.sh", "OTEL_SERVICE_NAME=", "OTEL_SERVICE_NAME= ")),
    ("shell-syntax", "no quotes around an expression", (AGENT, CODE), swap("run.sh", "'/health(\\?.*)?$'", "/health(\\?.*)?$")),
    ("shell-syntax", "a quote not closed", (AGENT, CODE), swap("run.sh", "?$'", "?$")),
    ("wrong-exporter", "an exporter misspelt", (AGENT, CODE), swap("run.sh", "TRACES_EXPORTER=console", "TRACES_EXPORTER=consle")),
    ("misspelt-setting", "a setting misspelt", (AGENT, CODE), swap("run.sh", "OTEL_SERVICE_NAME", "OTEL_SERVICENAME")),
    ("token-forgotten", "a form without its token", ("300/200/300", CODE), swap("todo/templates/index.html", TOKEN, "")),
    ("token-forgotten", "buttons without their token", ("300/200/300",), swap("todo/templates/_task.html", TOKEN, "")),
    ("line-not-continued", "a \\ forgotten", ("300/300/100",), swap("run.sh", "--metrics_exporter console \\\n", "--metrics_exporter console\n")),
    ("line-not-continued", "a blank behind \\", ("300/300/100",), swap("run.sh", "--metrics_exporter console \\\n", "--metrics_exporter console \\ \n")),
    ("line-not-continued", "a \\ forgotten before flask", ("300/300/100",), swap("run.sh", "=workshop \\\n", "=workshop\n")),
    ("unknown-flag", "a flag misspelt", ("300/300/100",), swap("run.sh", "--traces_exporter", "--trace_exporter")),
    ("blank-in-list", "a blank in a flag's list", ("300/300/100",), swap("run.sh", "--traces_exporter console", "--traces_exporter console, otlp")),
    ("endpoint-path", "an endpoint in code without its path", (JAEGER,), in_code("http", "http://localhost:4318")),
    ("wrong-port", "an endpoint in code with the other port", (JAEGER,), in_code("grpc", "http://localhost:4318")),
    ("endpoint-without-scheme", "an endpoint in code without http://", (JAEGER,), in_code("http", "localhost:4318/v1/traces")),
    ("wrong-protocol", "a protocol that nobody knows", (JAEGER,), swap("run.sh", "http/protobuf", "http")),
]  # fmt: skip


def first_red(lesson: str, folder: Path, change: Change, jaeger) -> Diagnosis | None:
    """What the lesson's first check says of its end with this change; None where it is green."""
    found = lessons.find(lesson)
    checkpoint = Checkpoint(found, END, folder, lambda name: jaeger(), turn=Turn("", "a general mistake", ()))
    change(checkpoint.folder)
    try:
        next(plugin._checks(found))(checkpoint)
    except Broken as broken:
        return broken.diagnosis
    return None


@pytest.fixture(scope="module")
def jaeger():
    from workshop.programs.jaeger import for_checks

    own = []

    def start():
        own.extend([] if own else [for_checks()])
        return own[0]

    yield start
    for one in own:
        one.stop()


@pytest.mark.parametrize(
    "rung, lesson, change",
    [pytest.param(rung, lesson, change, id=f"{what}-{lesson}") for rung, what, where, change in MISTAKES for lesson in where],
)
def test_a_general_mistake_is_named_in_every_lesson(tmp_path: Path, jaeger, rung: str, lesson: str, change: Change):
    found = first_red(lesson, tmp_path, change, jaeger)
    assert found and found.rung == rung, found
    assert f"{tmp_path}" not in str(found)
