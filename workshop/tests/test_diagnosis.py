"""The diagnosis ladder: a healthy run breaks no rung, and each fault breaks exactly its own."""

import os
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
from workshop.course.pins import Packages
from workshop.course.turns import HEADINGS, WRONG, Turn
from workshop.course.turns import of as turns_of
from workshop.diagnosis import facts
from workshop.diagnosis.answering import ANSWERS
from workshop.diagnosis.arrival import ARRIVAL
from workshop.diagnosis.backend import BACKEND, Backend
from workshop.diagnosis.background import BACKGROUND
from workshop.diagnosis.collector import COLLECTOR
from workshop.diagnosis.facts import Broken, Diagnosis, Dropped, Facts, Response, climb
from workshop.diagnosis.kept import KEPT, Kept
from workshop.diagnosis.logs import LOGS, PLACED, console_silent, level_swallowed
from workshop.diagnosis.metrics import METRICS, POINTS
from workshop.diagnosis.spans import CALLS, SPANS, STATEMENTS
from workshop.diagnosis.starting import STARTS
from workshop.diagnosis.stored import MISTIMED, PUSHED, UNWRITTEN, Store
from workshop.programs.jaeger import for_checks
from workshop.setup.ports import free_port
from workshop.telemetry.logs import LogRecord
from workshop.telemetry.metrics import HistogramPoint, Metric, NumberPoint
from workshop.telemetry.spans import Span

SIGNALS = (*PUSHED, *METRICS, *POINTS, *LOGS, level_swallowed, console_silent, *PLACED, *KEPT)
ALL = (*STARTS, *ANSWERS, *SPANS, *STATEMENTS, *CALLS, *ARRIVAL, *BACKGROUND, *COLLECTOR, *SIGNALS, *BACKEND)
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
LOG = LogRecord("said", "INFO", 9, time_ns=500_000, trace_id=SPAN.trace_id, span_id=SPAN.span_id)
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
    logs=[LOG],
    lines=["INFO:todo:said"],
    span=SPAN,
    text="said",
    packages=lambda: Packages({"sqlalchemy": "2.0.58", "opentelemetry-sdk": "1.45.1"}, {"opentelemetry-sdk": "1.45.1"}),
)
SILENT = {"listened": False, "responses": [], "spans": [], "stored": None}
LOST = {"stored": []}


def with_run_sh(old: str, new: str) -> dict:
    assert old in RUN_SH
    return {"files": {**HEALTHY.files, "run.sh": RUN_SH.replace(old, new)}}


def trace_of(where: str, error: str) -> str:
    return f'Traceback (most recent call last):\n  File "{where}", line 7, in <module>\n    boom()\n{error}\n'


def answered(status: int, wanted: int = 200, text: str = "") -> dict:
    return {"responses": [Response("POST", "/add", "workshop-check/1", (wanted,), status=status, text=text)]}


def with_file(path: str, text: str) -> dict:
    return {"files": {**HEALTHY.files, path: text}}


def counted(*values: float, monotonic: bool = False, attribute: str = "id") -> dict:
    """A sum that each process tells with so many series, one of each value."""
    points = tuple(NumberPoint({attribute: number}, 0, 1, (), value) for number, value in enumerate(values))
    made = Metric("shop.open", "sum", points, "{task}", "", "cumulative", monotonic)
    return {"metric": "shop.open", "metrics": [replace(made, resource={"service.instance.id": n}) for n in "ab"]}


SECONDS = Metric("http.server.request.duration", "histogram", (HistogramPoint({}, 0, 1, (), 1, 0.1),), "s")
DOOR = """\
receivers:
  otlp:
    protocols:
      http: {endpoint: localhost:5318}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 256}
exporters:
  otlp_http/jaeger: {endpoint: http://localhost:4318}
  otlp_http/prometheus: {metrics_endpoint: http://localhost:9090/api/v1/otlp/v1/metrics}
extensions:
  health_check: {endpoint: localhost:5316}
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [otlp_http/jaeger]}
    metrics: {receivers: [otlp], processors: [memory_limiter], exporters: [otlp_http/prometheus]}
"""
NO_YAML = (
    "Error: failed to get config: cannot resolve the configuration: retrieved value (type=string) cannot be used as a Conf: "
    "assuming string type since contents are not valid YAML: yaml: "
)
NO_CONFIG = (
    "Error: failed to get config: cannot unmarshal the configuration: decoding failed due to the following error(s):\n\n"
)
LINE = '2026-11-27T03:05:43.531Z\t{}\tx/y.go:1\t{}\t{{"resource": {{"service.name": "otelcol-contrib"}}, {}}}\n'


def door(said: str, old: str = "", new: str = "", **files: str) -> dict:
    """What the Collector says on DOOR with one thing changed."""
    assert old in DOOR
    return {"collector": said, "files": {**HEALTHY.files, "otel/collector.yaml": DOOR.replace(old, new, 1), **files}}


def keeping(*lines: str, output: str = HEALTHY.output, **kept) -> dict:
    """A run in whose log store something was missed; these are its settings of logs."""
    settings = "".join(f"export OTEL_{line}\n" for line in lines)
    return {
        **with_run_sh("export OTEL_SERVICE_NAME", f"{settings}export OTEL_SERVICE_NAME"),
        "output": output,
        "kept": Kept(**kept),
    }


def lost_by(said: str, asked_of: dict | None = None, path: str = "/otlp/v1/traces") -> dict:
    """What a backend lacks, as the exporter said; it was asked with these headers, where the check has played it."""
    played = Backend("http://localhost:5350/otlp", "Basic MTI6YQ==", [(path, asked_of)]) if asked_of is not None else None
    return {"output": f"{said}\n", **({"backend": played} if played else LOST)}


TO_STORE = (
    "LOGS_EXPORTER=console,otlp",
    "EXPORTER_OTLP_LOGS_PROTOCOL=http/protobuf",
    "EXPORTER_OTLP_LOGS_ENDPOINT=http://localhost:9428/insert/opentelemetry/v1/logs",
)
UNNAMED = replace(SPAN, resource={"service.name": "unknown_service:python3"})
FAULTS = {
    "windows-line-ends": with_run_sh("=todo\n", "=todo\r\n"),
    "byte-order-mark": with_run_sh("export OTEL_SERVICE_NAME", "\ufeffexport OTEL_SERVICE_NAME"),
    "diff-marks": {
        **with_file("todo/templates/index.html", '<ul>\n+  {% include "_task.html" %}\n</ul>'),
        **answered(200, text="<ul>\n+  <li>milk"),
    },
    "line-not-continued": {
        **SILENT,
        **with_run_sh("opentelemetry-instrument ", "opentelemetry-instrument --traces_exporter console\n--logs_exporter none "),
        "output": "run.sh: 5: --logs_exporter: not found\n",
    },
    "shell-syntax": {**SILENT, "output": 'run.sh: 2: Syntax error: "(" unexpected\n', "exit_code": 2},
    "blank-around-equals": {
        **SILENT,
        **with_run_sh("OTEL_SERVICE_NAME=todo", "OTEL_SERVICE_NAME = todo"),
        "output": "run.sh: 1: export: : bad variable name\n",
        "exit_code": 2,
    },
    "unknown-flag": {
        **SILENT,
        **with_run_sh("instrument flask", "instrument --trace_exporter console flask"),
        "output": "opentelemetry-instrument: error: unrecognized arguments: --trace_exporter\n",
        "exit_code": 2,
    },
    "blank-in-list": {
        **with_run_sh("=console,otlp", "=console, otlp"),
        "spans": [],
        "output": "RuntimeError: Requested component '' not found in entry point 'opentelemetry_traces_exporter'\n",
    },
    "agent-starts-nothing": {
        **SILENT,
        **with_run_sh("instrument flask", "instrument flsk"),
        "output": "TypeError: execv: path should be string, bytes or os.PathLike, not NoneType\n",
        "exit_code": 1,
    },
    "not-active": {**SILENT, "inactive": ".venv", "output": "run.sh: 4: flask: not found\n", "exit_code": 127},
    "not-utf-8": {
        **SILENT,
        **with_file("todo/forms.py", "x = 1\nname = 'M\ufffdller'\n"),
        "output": trace_of("src/todo/forms.py", "SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xfc"),
    },
    "missing-package": {"spans": [], "packages": lambda: Packages({"flask": "3"}, {"opentelemetry-sdk": "1.45.1"})},
    "two-trains": {
        "spans": [],
        "packages": lambda: Packages({"opentelemetry-sdk": "1.45.2"}, {"opentelemetry-sdk": "1.45.1"}),
    },
    "wrong-protocol": {
        **with_run_sh("4317", "4317\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http"),
        "spans": [],
        "output": "RuntimeError: Unsupported OTLP protocol 'http' is configured\n",
    },
    "queue-below-batch": {
        **with_run_sh("4317", "4317\nexport OTEL_BSP_MAX_QUEUE_SIZE=64"),
        "spans": [],
        "output": "Failed to auto initialize OpenTelemetry\n"
        "ValueError: max_export_batch_size must be less than or equal to max_queue_size.\n",
    },
    "no-such-module": {
        **SILENT,
        **with_file("todo/view.py", ""),
        "files": {"run.sh": RUN_SH, "wsgi.py": "", "todo/__init__.py": "", "todo/view.py": ""},
        "output": trace_of(
            "src/todo/__init__.py", "ImportError: cannot import name 'views' from partially initialized module 'todo'"
        ),
    },
    "same-name-twice": {
        **SILENT,
        **with_file("todo/views.py", "def index(): ...\n\n\ndef index(): ...\n"),
        "output": trace_of(
            "src/wsgi.py", "AssertionError: View function mapping is overwriting an existing endpoint function: t.index"
        ),
    },
    "factory-without-return": {
        **SILENT,
        **with_file("todo/__init__.py", "def create_app():\n    app = Flask(__name__)\n"),
        "output": "Error: Failed to find Flask application or factory in module 'wsgi'.\n",
        "exit_code": 2,
    },
    "no-app-for-gunicorn": {**SILENT, "output": "Failed to find application object: 'ap'\n", "exit_code": 4},
    "token-forgotten": {
        **with_file("todo/templates/index.html", '<form action="/add" method="post">\n</form>'),
        **answered(400, 302, "The CSRF token is missing."),
    },
    "form-not-shown": {
        **with_file("todo/templates/_import.html", '<form action="/add" method="post">{{ csrf_token() }}</form>'),
        **answered(400, 302, "This page is too old."),
    },
    "unregistered": {
        **with_file("todo/imports.py", 'bp = Blueprint("imports", __name__)\n\n\n@bp.post("/add")\ndef take(): ...\n'),
        **answered(404, 302),
    },
    "agent-gave-up": {"spans": [], "output": "Failed to auto initialize OpenTelemetry\nImportError: cannot import name 'x'\n"},
    "export-forgotten": {**with_run_sh("export OTEL_SERVICE_NAME", "OTEL_SERVICE_NAME"), "spans": [UNNAMED]},
    "background-failed": {
        "output": '\n127.0.0.1 - - [27/Nov/2026 19:45:52] "GET /health HTTP/1.1" 200 -\n{\n    "name": "x"\n}\n'.join(
            ["Exception in thread Thread-1:", *trace_of("src/todo/imports.py", "NameError: name 'x'").split("\n", 1)]
        )
    },
    "held-by-a-future": {"held": trace_of("src/todo/imports.py", "TypeError: read() takes 1 argument")},
    "shadowed": {
        **SILENT,
        "shadows": ("src/sqlalchemy.py",),
        "output": "ModuleNotFoundError: No module named 'sqlalchemy.orm'; 'sqlalchemy' is not a package\n",
    },
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
    "misspelt-setting": {**with_run_sh("OTEL_SERVICE_NAME", "OTEL_SERVICE_NAM"), "spans": [UNNAMED]},
    "wrong-exporter": {
        **with_run_sh("console,otlp", "console,oltp"),
        "spans": [],
        "output": "RuntimeError: Requested component 'oltp' not found in entry point 'opentelemetry_traces_exporter'\n",
    },
    "not-under-agent": {**with_run_sh("opentelemetry-instrument ", ""), "spans": [], "stored": None},
    "switched-off": {**with_run_sh("=console,otlp", "=none"), "spans": [], "stored": None},
    "not-on-console": {**with_run_sh("=console,otlp", "=otlp"), "spans": [], "stored": None},
    "cut-off-by-tee": {**with_run_sh("tee -i", "tee"), "spans": [], "stored": None},
    "second-provider": {"output": "Overriding of current TracerProvider is not allowed\n", "spans": [], "stored": None},
    "no-span": {"spans": [replace(SPAN, attributes={})], "stored": None},
    "metrics-elsewhere": {
        **with_run_sh("4317", "4317\nexport OTEL_METRICS_EXPORTER=otlp"),
        "metric": "http.server.duration",
        "lacks": "the metric http.server.duration",
    },
    "nothing-exported": {
        **with_run_sh("4317", "4317\nexport OTEL_METRIC_EXPORT_INTERVAL=60000"),
        "metric": "http.server.duration",
        "lacks": "the metric http.server.duration",
    },
    "callback-failed": {
        **with_file("todo/counts.py", 'meter.create_observable_gauge("shop.open", [look])\n'),
        "output": "Callback failed for instrument shop.open.\n"
        + trace_of("src/todo/counts.py", "RuntimeError: Working outside of application context.\n\nThis typically means…"),
        "metric": "shop.open",
    },
    "unit-changed": {
        **with_run_sh("4317", "4317\nexport OTEL_SEMCONV_STABILITY_OPT_IN=http"),
        "metric": "http.server.duration",
        "metrics": [SECONDS],
    },
    "counted-twice": {**counted(3), "expected": 3},
    "series-grow": {**counted(*range(100)), "most": 2},
    "internal": {"spans": [replace(SPAN, kind="internal", parent_id="c" * 16)]},
    "wrong-service": {"spans": [UNNAMED]},
    "sqlalchemy-out-of-range": {"packages": lambda: Packages({"sqlalchemy": "2.1.9"})},
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
    "logs-switched-off": {
        **with_run_sh(
            "export OTEL_SERVICE_NAME", "export OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION=False\nexport OTEL_SERVICE_NAME"
        ),
        "logs": [],
        "lines": [],
    },
    "logs-elsewhere": {"logs": [], "lines": []},
    "level-swallowed": {"logs": [replace(LOG, severity="WARN", severity_number=13)]},
    "console-silent": {"lines": [" * Debug mode: off"]},
    "handler-twice": {"logs": [LOG, replace(LOG, observed_ns=1, attributes={"code.line.number": 7})]},
    "record-too-late": {"logs": [replace(LOG, trace_id="", span_id="", time_ns=1_200_000)]},
    "record-without-trace": {"logs": [replace(LOG, trace_id="", span_id="")]},
    "yaml-tab": door(f"{NO_YAML}line 6: found character that cannot start any token", "  memory", "\tmemory"),
    "yaml-twice": door(
        f'{NO_YAML}unmarshal errors:\n  line 9: mapping key "otlp_http/jaeger" already defined at line 8',
        "prometheus",
        "jaeger",
    ),
    "yaml-syntax": door(f"{NO_YAML}line 3: did not find expected ',' or '}}'", "5318}", "5318"),
    "unknown-key": door(
        f"{NO_CONFIG}'processors' error reading configuration for \"memory_limiter\": decoding failed due to the following "
        "error(s):\n\n'memorylimiter.Config' has invalid keys: chek_interval",
        "check",
        "chek",
    ),
    "removed-component": door(
        f"{NO_CONFIG}'exporters' the logging exporter has been deprecated, use the debug exporter instead",
        "  otlp_http/jaeger:",
        "  logging:",
    ),
    "unknown-component": door(
        f'{NO_CONFIG}\'exporters\' unknown type: "otlp_htpp" for id: "otlp_htpp/jaeger" (valid values: [debug otlp_http file])',
        "otlp_http/jaeger",
        "otlp_htpp/jaeger",
    ),
    "not-configured": door(
        'Error: service::pipelines::traces: references exporter "otlp_http" which is not configured',
        "[otlp_http/jaeger]",
        "[otlp_http]",
    ),
    "variable-missing": door(
        LINE.format("warn", "Configuration references unset environment variable", '"name": "JAEGER"'),
        "http://localhost:4318",
        '"http://${env:JAEGER}:4318"',
    ),
    "configuration-refused": door(
        "Error: processors::memory_limiter: 'check_interval' must be greater than zero", "check_interval: 1s, "
    ),
    "port-used-twice": door(
        'Error: cannot start pipelines: failed to start "otlp" receiver: listen tcp 127.0.0.1:4318: bind: address already in use',
        "5318",
        "4318",
    ),
    "no-health-check": door(
        LINE.format("info", "Everything is ready. Begin running and processing data.", '"a": 1'), "extensions: [health_check]\n"
    ),
    "disk-full": door(
        LINE.format(
            "error",
            "Exporting failed. Rejecting data.",
            '"otelcol.component.id": "otlp_http/jaeger", "error": "write /data/queue/otlp: no space left on device"',
        )
    ),
    "queue-full": door(
        LINE.format(
            "error",
            "Exporting failed. Rejecting data.",
            '"otelcol.component.id": "otlp_http/jaeger", "error": "sending queue is full"',
        )
    ),
    "collector-loop": door("", "localhost:4318", "localhost:5318"),
    "jaeger-refuses": door(
        LINE.format(
            "error",
            "Exporting failed. Dropping data.",
            '"error": "not retryable error: Permanent error: rpc error: code = Unimplemented desc = unknown service '
            'opentelemetry.proto.collector.metrics.v1.MetricsService"',
        )
    ),
    "exporter-fails": door(
        LINE.format(
            "info",
            "Exporting failed. Will retry the request after interval.",
            '"otelcol.component.id": "otlp_http/jaeger", "error": "failed to make an HTTP request: Post \\"localhost:4318/v1/traces\\": '
            'unsupported protocol scheme \\"localhost\\"", "interval": "7s"',
        )
    ),
    "bound-to-localhost": door(
        "",
        **{
            "compose.yaml": "services:\n  collector:\n    image: otel/opentelemetry-collector-contrib\n    ports: ['5318:5318']\n"
            "    volumes: ['./otel/collector.yaml:/etc/otelcol-contrib/config.yaml:ro']\n"
        },
    ),
    "old-component": door(
        LINE.format("warn", '"otlphttp" alias is deprecated; use "otlp_http" instead', '"a": 1'), "otlp_http", "otlphttp"
    ),
    "logs-not-sent": keeping("LOGS_EXPORTER=console"),
    "prometheus-cannot-write": {"store": Store(counts={UNWRITTEN: 6})},
    "clock-jumped": {
        "store": Store(counts={MISTIMED[1]: 2}),
        "output": "Failed to export metrics batch code: 400, reason: Bad Request\n",
    },
    "logs-cannot-write": keeping(
        *TO_STORE, log="warn x.go:47 cannot add rows into storage in read-only mode; the storage can be in read-only mode\n"
    ),
    "logs-json-refused": keeping(
        "LOGS_EXPORTER=console,otlp",
        "EXPORTER_OTLP_LOGS_PROTOCOL=http/json",
        log="warn json encoding isn't supported for opentelemetry format. Use protobuf encoding\n",
    ),
    "log-too-old": {
        **keeping(
            *TO_STORE, log="warn skipping log entry with too small timestamp=1970-01-01T00:00:00.0005Z; it must be\n", rows=1
        ),
        "logs": [replace(LOG, observed_ns=1_795_749_372 * 10**9)],
    },
    "logs-clock-jumped": keeping(
        *TO_STORE,
        log="warn skipping log entry with too big timestamp=2026-12-01T03:40:08.434587921Z; it must be smaller than "
        f'2026-11-30T00:00:00Z according to the configured -futureRetention=2d; log entry: {{"trace_id":"{"a" * 32}"}}\n',
        traces=frozenset({"a" * 32}),
    ),
    "logs-protocol": keeping("LOGS_EXPORTER=console,otlp"),
    "logs-path": keeping(
        *TO_STORE[:2],
        "EXPORTER_OTLP_LOGS_ENDPOINT=http://localhost:9428/v1/logs",
        output='{"message": "Failed to export logs batch code: 400, reason: Bad Request", "service": "todo"}\n',
    ),
    "logs-unreachable": keeping(
        *TO_STORE[:2],
        TO_STORE[2].replace("9428", "9429"),
        output="WARNING:Transient error HTTPConnectionPool(host='localhost', port=9429): Max retries exceeded with url: /insert "
        "encountered while exporting logs batch, retrying in 0.94s.\n",
    ),
    "header-format": lost_by(
        "Header format invalid! Header values in environment variables must be URL encoded per the OpenTelemetry Protocol Exporter "
        "specification or a comma separated list of name=value occurrences: Authorization=Basic%20MTI6\nYQ=="
    ),
    "proxy-between": lost_by(
        "Transient error HTTPConnectionPool(host='localhost', port=9): Max retries exceeded with url: http://x/v1/traces (Caused by "
        "ProxyError('Unable to connect to proxy')) encountered while exporting spans batch, retrying in 1.13s."
    ),
    "tls-to-plain": lost_by(
        "Transient error HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /v1/traces (Caused by SSLError("
        "SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number'))) encountered while exporting spans batch, retrying in 1s."
    ),
    "certificate-unknown": lost_by(
        "Transient error HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /v1/traces (Caused by SSLError("
        "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))) encountered while exporting"
    ),
    "key-refused": lost_by("Failed to export spans batch code: 401, reason: Unauthorized"),
    "key-forbidden": lost_by("Failed to export spans batch code: 403, reason: Forbidden"),
    "rate-limited": lost_by("Transient error Too Many Requests encountered while exporting spans batch, retrying in 2.00s."),
    "body-too-large": lost_by("Failed to export spans batch code: 413, reason: Request Entity Too Large"),
    "plain-to-tls": lost_by(
        "Transient error ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer')) encountered while exporting",
        asked_of={"Authorization": "Basic MTI6YQ=="},
    ),
    "backend-silent": lost_by(
        "Failed to export spans batch due to timeout, max retries or shutdown.", asked_of={"Authorization": "Basic MTI6YQ=="}
    ),
    "path-doubled": lost_by("Failed to export spans batch code: 404", asked_of={}, path="/otlp/v1/traces/v1/traces"),
    "path-wrong": lost_by("Failed to export spans batch code: 404", asked_of={}, path="/v1/traces"),
    "key-missing": lost_by("", asked_of={"'authorization": "Basic MTI6YQ=="}),
    "filter-drops": {
        "dropped": [Dropped("src/todo/masks.py:40", "None", "said by others"), Dropped("src/todo/masks.py:40", "None", "said")]
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


def test_every_rung_of_the_ladder_has_a_fault_or_a_wrong_turn_that_breaks_it():
    named = {"jaeger-not-up"}  # made of the program's name
    for stage in Path(facts.__file__).parent.glob("*.py"):
        for first in re.findall(r"Diagnosis\(\s*(\".*),$", stage.read_text(encoding="utf-8"), re.MULTILINE):
            named.update(re.findall(r'"([\w-]+)"', first))
    turned = {turn.rung for lesson in lessons.lessons() for turn in turns_of(lesson, WRONG)}
    in_prometheus = {"scrape-shared", "counter-without-total"}  # test_stored.py lets a real one meet them
    assert set(FAULTS) <= named <= set(FAULTS) | turned | in_prometheus


# What is right, or right in another way than the page's: no rung condemns it.
RIGHT = {
    "log records that are sent by the exporter's own name": keeping("LOGS_EXPORTER=otlp_proto_http,console"),
    "a log store that misses what was written a minute ago": {
        **keeping(*TO_STORE),
        "logs": [replace(LOG, time_ns=1_795_749_312 * 10**9, observed_ns=1_795_749_372 * 10**9)],
    },
    "the app logs that a file of somebody else is not UTF-8": {
        "output": trace_of("src/todo/notice.py", "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9 in position 3"),
        "responses": [replace(HEALTHY.responses[0], wanted=(500,), status=500)],
    },
    "an exporter that the shell works out": with_run_sh("=console,otlp", "=${EXPORTER:-console,otlp}"),
    "an exporter that only the shell knows": with_run_sh("=console,otlp", "=$(cat exporter)"),
    "a setting of a package that the workshop does not have": with_run_sh(
        "4317", "4317\nexport OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true"
    ),
    "a misspelt name beside telemetry that is all there": with_run_sh("4317", "4317\nexport OTEL_LOG_EXPORTER=none"),
    "a variable for the shell alone": with_run_sh("4317", "4317\nOTEL_LOGS_EXPORTER=none"),
    "an option at the beginning of a line": with_run_sh("flask run -p 5001", "flask run \\\n-p 5001"),
    "a list in a template that begins with dashes": {
        **with_file("todo/templates/index.html", "- milk\n- bread"),
        **answered(200, text="- milk\n- bread"),
    },
    "a number below zero at the beginning of a line": with_file("todo/views.py", "x = (\n-1)\n"),
    "a file with the name of a module that nobody imports": {"shadows": ("src/test.py",)},
    "another release than the pinned one, and all there": {
        "packages": lambda: Packages({"opentelemetry-sdk": "1.45.2"}, {"opentelemetry-sdk": "1.45.1"})
    },
    "neighbors in CSS": with_file(
        "todo/static/a.css",
        "h1\n+ p { top: 0; }\n.a {\n+ .b { top: 0; }\n}\n.c {\n-webkit-hyphens: auto;\nwidth: calc(9px\n- 1px);\n}\n",
    ),
    "one sum of two processes that counted three each": {**counted(3, monotonic=True), "expected": 6},
    "two series in each of two processes": {**counted(1, 2), "most": 2},
    "metrics that came elsewhere than to the console": {"metric": "shop.open", "wants": ""},
    "a list in YAML": with_file("otel/a.yaml", "- a\n-   b: c\n"),
    "an endpoint in code that works": with_file("todo/telemetry.py", 'OTLPSpanExporter(endpoint="http://localhost:4318")'),
}


@pytest.mark.parametrize("what", RIGHT)
def test_no_rung_condemns_what_is_right(what: str):
    assert climb(replace(HEALTHY, **RIGHT[what]), ALL) is None


# The same mistake in other words: a shell is dash or bash, and a mistake has more than one place.
OTHERWISE = [
    ("line-not-continued", "run.sh: line 5: --logs_exporter: command not found\n", {}),
    ("shell-syntax", 'run.sh: 12: Syntax error: ")" unexpected (expecting ";;")\n', {}),
    ("shell-syntax", "run.sh: line 2: syntax error near unexpected token `('\n", {}),
    ("shell-syntax", "run.sh: 9: Syntax error: Unterminated quoted string\n", {}),
    ("shell-syntax", "run.sh: line 9: unexpected EOF while looking for matching `''\n", {}),
    (
        "blank-around-equals",
        "run.sh: line 1: export: `=': not a valid identifier\n",
        with_run_sh("OTEL_SERVICE_NAME=todo", "OTEL_SERVICE_NAME = todo"),
    ),
    ("no-such-command", "run.sh: line 4: flsk: command not found\n", {}),
    ("diff-marks", "run.sh: 4: -flask: not found\n", with_run_sh("opentelemetry-instrument flask", "-flask")),
    ("diff-marks", "", with_run_sh("opentelemetry", "+opentelemetry")),
    ("diff-marks", "", with_run_sh("opentelemetry", "@@\nopentelemetry")),
    (
        "diff-marks",
        trace_of("src/todo/a.py", "SyntaxError: invalid syntax"),
        with_file("todo/a.py", "1\n" * 6 + "+from x import y\n"),
    ),
    ("not-utf-8", "SyntaxError: source code string cannot contain null bytes\n", with_file("todo/a.py", "\ufffd")),
    (
        "factory-without-return",
        trace_of("src/wsgi.py", "TypeError: 'NoneType' object is not callable"),
        with_file("todo/__init__.py", "def create_app():\n    Flask(__name__)\n"),
    ),
    ("wrong-exporter", trace_of("src/todo/telemetry.py", "KeyError: 'consle'"), with_run_sh("console,otlp", "consle")),
    (
        "no-such-module",
        trace_of("src/todo/views.py", "ModuleNotFoundError: No module named 'todo.forms'"),
        {},
    ),
]


def test_a_module_in_the_wrong_folder_is_found_there():
    said = trace_of("src/todo/views.py", "ModuleNotFoundError: No module named 'todo.notice'")
    files = {**HEALTHY.files, "notice.py": "", "todo/notices.py": ""}
    found = climb(replace(HEALTHY, **{**SILENT, "output": said, "exit_code": 2, "files": files}), ALL)
    assert found.rung == "no-such-module" and "move src/notice.py to src/todo/notice.py" in found.do


def test_a_module_that_the_command_line_names_is_found_there():
    files = {**HEALTHY.files, "todo/telemetry.py": "FlaskInstrumentor().instrument()\n", "model.py": ""}
    said = "Error: Could not import 'todo.model'.\n"
    found = climb(replace(HEALTHY, **{**SILENT, "output": said, "exit_code": 2, "files": files}), ALL)
    assert found.rung == "no-such-module" and "move src/model.py to src/todo/model.py" in found.do


@pytest.mark.parametrize("rung, said, more", OTHERWISE)
def test_a_mistake_is_known_by_other_words_too(rung: str, said: str, more: dict):
    found = climb(replace(HEALTHY, **{**SILENT, "output": said, "exit_code": 2, **more}), ALL)
    assert found and found.rung == rung, found


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
    return Checkpoint(found, END, tmp_path, lambda name: jaeger(), turn=Turn("", "", parse(text, "a test")[0]))


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
    assert found.rung == "port-taken" and str(port) in found.seen and f"(process {os.getpid()})" in found.seen


def test_an_app_is_not_taken_for_the_one_that_answers_on_its_port(tmp_path: Path):
    checkpoint = turned(tmp_path, "300/200/100", "")
    with checkpoint.serve() as first:
        assert first.get("/health").text == "ok"
        assert rung_of(checkpoint.serve().__enter__).rung == "port-taken"
        assert first.get("/health").text == "ok"


@pytest.mark.parametrize(
    ("said", "rung", "seen"),
    [
        ("ModuleNotFoundError: No module named 'prodution'\n", "not-installed", "src/run.sh: No module named 'prodution'"),
        ('  File "src/wsgi.py", line 1\n    x = 1\nIndentationError: unexpected indent\n', "does-not-import", "src/wsgi.py:1"),
        ("Failed to parse arguments as literal values: 'make(batch)'\n", "no-app-for-gunicorn", "Failed to parse"),
        ("Failed to find attribute 'ap' in 'wsgi'.\n", "no-app-for-gunicorn", "Failed to find attribute 'ap'"),
    ],
)
def test_a_worker_that_cannot_import_the_app_is_told_from_an_app_that_is_busy(said, rung, seen):
    trace = "" if said.startswith("Failed") else "Exception in worker process\nTraceback (most recent call last):\n"
    output = f"Listening at: http://127.0.0.1:5001\n{trace}{said}"
    found = climb(replace(HEALTHY, output=output, responses=[Response("GET", "/", "a", (200,), problem="reset")]), ANSWERS)
    assert found.rung == rung and found.seen.startswith(seen)
    assert not climb(replace(HEALTHY, output=output), ANSWERS)


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


def test_a_failure_is_named_although_the_log_is_lines_of_json(tmp_path: Path):
    first_line = '     """Say that the app is alive, without asking the database."""'

    def ask() -> None:
        with turned(
            tmp_path, "300/600/300", diff("src/todo/views.py", first_line, '+    raise LookupError("no health")')
        ).serve() as app:
            app.get("/health")

    found = rung_of(ask)
    assert found.rung == "wrong-status" and "LookupError: no health" in found.seen
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


def test_what_only_the_comparison_shows_is_named_with_its_line(tmp_path: Path):
    checkpoint = turned(
        tmp_path,
        "300/300/100",
        diff("src/todo/views.py", " ", '-bp = Blueprint("tasks", __name__)', '+bp = Blueprint("x", __name__)'),
    )
    text = checkpoint.sandbox.files()["todo/views.py"]
    line = text.splitlines().index('bp = Blueprint("x", __name__)') + 1
    assert f"look at src/todo/views.py:{line} with the page" in checkpoint.where_it_differs()
    assert checkpoint.place(r"^bp = ", "nowhere") == f"src/todo/views.py:{line}"
    assert checkpoint.place(r"^bp = ", "nowhere", "*.sh") == "nowhere"


BACKGROUND_WORK = {
    "a Future that nobody asks": ("ThreadPoolExecutor(1).submit(lambda: nobody_knows)", "held-by-a-future"),
    "arguments that do not fit": ("ThreadPoolExecutor(1).submit(health, 1, 2)", "held-by-a-future"),
    "no app context": ("ThreadPoolExecutor(1).submit(db.session.commit)", "held-by-a-future"),
    "a Future that is asked": ("ThreadPoolExecutor(1).submit(lambda: nobody_knows).exception()", "no-work"),
    "a thread": ("Thread(target=lambda: nobody_knows).start()", "background-failed"),
}


@pytest.mark.parametrize("lesson", ["300/200/200", "300/300/100"])
def test_what_fails_in_the_background_is_shown_without_a_change_of_the_app(tmp_path: Path, lesson: str):
    """One run for each piece of work would take long: they stand in views of their own, and each app fails in one way."""
    for number, (what, (work, rung)) in enumerate(BACKGROUND_WORK.items()):
        if lesson == "300/200/200" and number not in (0, 4):
            continue
        first_line = '     """Say that the app is alive, without asking the database."""'
        imports = ["+    from concurrent.futures import ThreadPoolExecutor", "+    from threading import Thread"]
        checkpoint = turned(tmp_path / str(number), lesson, diff("src/todo/views.py", first_line, *imports, f"+    {work}"))
        with checkpoint.serve() as app:
            app.get("/health")
            # The work may still run when the request is answered.
            assert app.until(lambda noted=checkpoint.held: noted.exists() and '"raised": "' in noted.read_text("utf-8")), what
        found = rung_of(lambda checkpoint=checkpoint: checkpoint.must(False, "no-work", "no work", "work", "it is due"))
        assert found.rung == rung, what
        if rung != "no-work":
            assert re.search(r"src/todo/views\.py:\d+|Working outside of application context", found.seen), found.seen
        assert "workshop_observe" not in app.output and "sitecustomize" not in app.output


def test_what_ends_a_process_in_the_background_is_shown(tmp_path: Path):
    first_line = '     """Say that the app is alive, without asking the database."""'
    work = ["+    from multiprocessing import Process", "+    Process(target=int, args=('nobody',)).start()"]
    checkpoint = turned(tmp_path, "300/200/200", diff("src/todo/views.py", first_line, *work))
    with checkpoint.serve() as app:
        app.get("/health")
        assert app.until(lambda: "ValueError" in app.output)
    found = rung_of(lambda: checkpoint.must(False, "no-work", "no work", "work", "it is due"))
    assert found.rung == "background-failed" and "ValueError" in found.seen and "Process-1" in found.seen


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
