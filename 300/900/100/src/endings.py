"""Serve by a command, ask forty times, end it, and count what arrived; each ending has a server of its own.

python endings.py TERM,time-out,KILL gunicorn -w 2 wsgi:app
"""

import gzip
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.request import urlopen

import psutil
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

ASKED = 40
FORM = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n"
UNFINISHED = b"POST /add HTTP/1.1\r\nHost: localhost\r\n" + FORM + b"\r\n"  # and no body
MINUTE = "60000"  # nothing leaves by itself: what arrives, arrives because of the end
SETTINGS = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_BSP_SCHEDULE_DELAY": MINUTE,
    "OTEL_BLRP_SCHEDULE_DELAY": MINUTE,
    "OTEL_METRIC_EXPORT_INTERVAL": MINUTE,
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
}


class Receiver(BaseHTTPRequestHandler):
    """What takes telemetry in the Collector's place, and counts what is about the page that is asked for."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        spans, measured, logged = self.server.arrived
        if self.path == "/v1/traces":
            scopes = [scope for part in TracesData.FromString(body).resource_spans for scope in part.scope_spans]
            spans += [span for scope in scopes for span in scope.spans if span.kind == Span.SPAN_KIND_SERVER]
        elif self.path == "/v1/metrics":
            scopes = [scope for part in MetricsData.FromString(body).resource_metrics for scope in part.scope_metrics]
            found = [m for scope in scopes for m in scope.metrics if m.name == "http.server.request.duration"]
            measured += [point for metric in found for point in metric.histogram.data_points]
        else:
            scopes = [scope for part in LogsData.FromString(body).resource_logs for scope in part.scope_logs]
            logged += [log for scope in scopes for log in scope.log_records if log.body.string_value.startswith(("GET /", "POST /"))]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def ends(how: str, command: list[str]) -> str:
    """One line about one ending."""
    receiver = ThreadingHTTPServer(("localhost", 0), Receiver)
    receiver.arrived = [], [], []
    Thread(target=receiver.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            **SETTINGS,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{receiver.server_port}",
            "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/tasks.db",
            "GUNICORN_CMD_ARGS": f"-b localhost:{port} --no-control-socket" + (" -t 2" if how == "time-out" else ""),
        }
        with open(os.path.join(folder, "log"), "w+") as log:
            server = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True)
            try:
                asked = sum(answers(server, port) for _ in range(ASKED))
                if server.poll() is not None:
                    log.seek(0)
                    said = [line.strip() for line in log if "Error: " in line] or ["it has said why, if you start it yourself"]
                    raise SystemExit(f"`{' '.join(command)}` has ended by itself: {said[0]}")
                visitor = end(how, server, port)
                server.wait(60)
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)
    spans, measured, logged = receiver.arrived
    failed = sum(span.status.code == Status.STATUS_CODE_ERROR or status_code(span) >= 500 for span in spans)
    return f"{how + visitor:13} {asked:8} {len(spans):8} {failed:8} {sum(point.count for point in measured):9} {len(logged):7}"


def status_code(span: Span) -> int:
    """The one that the visitor got; 0 where the span does not say."""
    return next((a.value.int_value for a in span.attributes if a.key == "http.response.status_code"), 0)


def answers(server: subprocess.Popen, port: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return urlopen(f"http://localhost:{port}/", timeout=30).close() is None
        except OSError:
            Event().wait(0.05)  # not up yet
    return False


def end(how: str, server: subprocess.Popen, port: int) -> str:
    """End it; returns what the visitor was answered whose request was cut off."""
    visitor = ""
    if how == "KILL":
        for worker in psutil.Process(server.pid).children():
            worker.kill()
    elif how == "time-out":  # a request that does not come to its end
        with socket.create_connection(("localhost", port)) as client:
            client.sendall(UNFINISHED)
            visitor = f": {client.recv(12).decode().split()[-1]}"
    server.terminate()
    return visitor


print(f"{'ended by':13} {'answered':>8} {'spans':>8} {'failed':>8} {'measured':>9} {'logged':>7}")
with ThreadPoolExecutor() as together:
    for line in together.map(lambda how: ends(how, sys.argv[2:]), sys.argv[1].split(",")):
        print(line)
