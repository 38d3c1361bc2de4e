"""The settings that a run.sh holds, and the names and values that exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from workshop.checks.process import environment
from workshop.diagnosis import settings
from workshop.diagnosis.settings import exporters, is_known, known, nearest, read

AGENT = "opentelemetry-instrument"


def values(text: str) -> dict[str, str]:
    return {name: setting.value for name, setting in read(text).items()}


def test_a_setting_knows_its_name_value_and_place():
    text = f"# how it starts\nexport OTEL_SERVICE_NAME=todo\n{AGENT} \\\n    --traces_exporter console flask run\n"
    service, traces = read(text, "src/start.sh").values()
    assert (service.name, service.value, service.where, service.shown) == (
        "OTEL_SERVICE_NAME",
        "todo",
        "src/start.sh:2",
        "OTEL_SERVICE_NAME",
    )
    assert (traces.name, traces.value, traces.where, traces.shown) == (
        "OTEL_TRACES_EXPORTER",
        "console",
        "src/start.sh:4",
        "--traces_exporter",
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OTEL_A=1 OTEL_B=2 flask run", {"OTEL_A": "1", "OTEL_B": "2"}),
        ("export OTEL_A=1; export OTEL_A=2", {"OTEL_A": "2"}),
        ("env OTEL_A=1 flask run && OTEL_B=2 flask run", {"OTEL_A": "1", "OTEL_B": "2"}),
        ("OTEL_A='x y' OTEL_B=\"it's\" flask run", {"OTEL_A": "x y", "OTEL_B": "it's"}),
        ("OTEL_A=a=1,b='2 3',c=\"4\" flask run", {"OTEL_A": "a=1,b=2 3,c=4"}),
        ('OTEL_A=a\\ b OTEL_B="say \\"hi\\"" x', {"OTEL_A": "a b", "OTEL_B": 'say "hi"'}),
        ("OTEL_A= OTEL_B='' flask run", {"OTEL_A": "", "OTEL_B": ""}),
        ("OTEL_A=http://localhost:4317|tee x", {"OTEL_A": "http://localhost:4317"}),
        ("OTEL_A=$HOST:4317 OTEL_B=${X} y", {"OTEL_A": "$HOST:4317", "OTEL_B": "${X}"}),
        ("MY_OTEL_A=1 X-OTEL_B=2 OTEL_C =3 --OTEL_D=4", {}),
        ("# OTEL_A=1", {}),
        ("   # OTEL_A=1", {}),
        ("flask run # OTEL_A=1 --traces_exporter console", {}),
        ("flask run#OTEL_A=1 ;OTEL_B=#2", {"OTEL_B": "#2"}),
        ("echo 'then OTEL_A=1' \"# OTEL_B=2\"", {}),
        ("OTEL_A=1\\\n  OTEL_B=2 \\\n  flask run", {"OTEL_A": "1", "OTEL_B": "2"}),
        ("OTEL_A=1 \\\r\n  flask run\r\n", {"OTEL_A": "1"}),
        ("OTEL_A=1 it's", {"OTEL_A": "1"}),
    ],
)
def test_variables_are_read_as_a_shell_reads_them(line, expected):
    assert values(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{AGENT} --traces_exporter console flask run", {"OTEL_TRACES_EXPORTER": "console"}),
        (f"{AGENT} --traces_exporter=console flask run", {"OTEL_TRACES_EXPORTER": "console"}),
        (f"{AGENT}   --traces_exporter \t console flask run", {"OTEL_TRACES_EXPORTER": "console"}),
        (f"{AGENT} --service_name 'my todo' flask run", {"OTEL_SERVICE_NAME": "my todo"}),
        (f".venv/bin/{AGENT} --service_name todo flask run", {"OTEL_SERVICE_NAME": "todo"}),
        (f"exec {AGENT} --service_name \\\n  todo flask run", {"OTEL_SERVICE_NAME": "todo"}),
        (f"{AGENT} --disabled_instrumentations jinja2 flask run", {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "jinja2"}),
        (f"{AGENT} --traces_exp console flask run", {"OTEL_TRACES_EXPORTER": "console"}),
        (f"{AGENT} --log_exporter console flask run", {"OTEL_LOG_EXPORTER": "console"}),
        (f"{AGENT} --exporter_otlp x flask run", {"OTEL_EXPORTER_OTLP": "x"}),
        (f"{AGENT} flask --app todo run --port 5001 --host 127.0.0.1", {}),
        (f"{AGENT} --service_name todo gunicorn --workers 2 wsgi:app", {"OTEL_SERVICE_NAME": "todo"}),
        (f"{AGENT} --service_name todo flask run\nflask run --traces_exporter console", {"OTEL_SERVICE_NAME": "todo"}),
        (
            f"{AGENT} \\\n  --service_name a \\\n# --traces_exporter b \\\n  --logs_exporter c flask run",
            {"OTEL_SERVICE_NAME": "a"},
        ),
        ("flask run --traces_exporter console", {}),
        (f"# {AGENT} --traces_exporter console flask run", {}),
        (f"{AGENT} --service_name", {"OTEL_SERVICE_NAME": ""}),
    ],
)
def test_flags_are_those_of_the_agent_and_not_of_the_program_that_it_starts(line, expected):
    assert values(line) == expected


def test_a_flag_wins_over_a_variable_and_a_later_one_over_an_earlier_one():
    text = f"OTEL_SERVICE_NAME=a {AGENT} --service_name b --service_name c flask run\nexport OTEL_SERVICE_NAME=d\n"
    setting = read(text)["OTEL_SERVICE_NAME"]
    assert (setting.value, setting.shown) == ("c", "--service_name")


def test_what_is_read_is_what_the_agent_makes_of_it(tmp_path: Path):
    """The agent itself, with the environment that it makes as the judge."""
    (tmp_path / "run.sh").write_text(
        "OTEL_SERVICE_NAME=lost OTEL_RESOURCE_ATTRIBUTES=team='a b',x=\"1\" \\\n"
        f"{AGENT} --service_name 'my todo' --traces_exp none --metrics_exporter=none --logs_exporter none \\\n"
        "    --disabled_instrumentations jinja2,click \\\n"
        f"    {sys.executable} -c 'import os, sys; print(dict(os.environ), sys.argv)' --port 5001 --traces_exporter x\n"
    )
    done = subprocess.run(["sh", "run.sh"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    made = {name: value for name, value in re.findall(r"'(OTEL_\w+)': '([^']*)'", done.stdout)}
    expected = values((tmp_path / "run.sh").read_text())
    assert {name: made.get(name) for name in expected} == expected
    assert len(expected) == 6


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_TRACES_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_LOGS_EXPORTER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_INSECURE",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_TRACES_SAMPLER",
        "OTEL_PROPAGATORS",
        "OTEL_SDK_DISABLED",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
        "OTEL_PYTHON_LOG_CORRELATION",
        "OTEL_PYTHON_EXCLUDED_URLS",
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
    ],
)
def test_documented_names_are_known(name):
    assert is_known(name)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("OTEL_LOG_EXPORTER", "OTEL_LOGS_EXPORTER"),
        ("OTEL_TRACE_EXPORTER", "OTEL_TRACES_EXPORTER"),
        ("OTEL_METRIC_EXPORTER", "OTEL_METRICS_EXPORTER"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("OTEL_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_RESOURCE_ATTRIBUTE", "OTEL_RESOURCE_ATTRIBUTES"),
    ],
)
def test_a_misspelt_name_is_unknown_and_gets_the_nearest(wrong, right):
    assert not is_known(wrong)
    assert nearest(wrong, known()) == right


def test_every_name_that_the_installed_packages_look_up_is_known():
    looked_up = re.compile(r"""(?:environ\.get\(|getenv\(|environ\[)\s*["']?_?(OTEL_[A-Z0-9_]+)""")
    files = [
        Path(file.locate())
        for package in distributions()
        if package.metadata["Name"].startswith("opentelemetry-")
        for file in package.files or ()
        if file.suffix == ".py" and "tests" not in file.parts
    ]
    names = {name for file in files for name in looked_up.findall(file.read_text(encoding="utf-8"))}
    assert len(names) > 40
    assert sorted(name for name in names if not is_known(name)) == []


def test_exporters_are_those_that_are_installed():
    for signal in ("traces", "metrics", "logs"):
        assert {"console", "otlp", "otlp_proto_grpc", "otlp_proto_http", "none"} <= exporters(signal)
    assert nearest("consol", exporters("traces")) == "console"
    assert nearest("jaeger", exporters("traces")) == ""


def test_names_come_from_what_is_installed_and_not_from_the_shell(monkeypatch):
    monkeypatch.setitem(os.environ, "OTEL_NONSENSE", "1")
    assert not is_known("OTEL_NONSENSE")
    assert settings.AGENT == AGENT
