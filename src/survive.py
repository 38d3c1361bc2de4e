"""Hand a Collector so many spans while Jaeger is away, kill it, start it again with Jaeger there, and count what arrives."""

import gzip
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.error import URLError
from urllib.request import Request, urlopen

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CONFIGURATION = Path("otel/collector.yaml")
HEALTH, GRPC, HTTP, JAEGER = 5316, 5317, 5318, 4318
arrived = set()


class Store(BaseHTTPRequestHandler):
    """What takes spans in Jaeger's place."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            arrived.update(span.span_id for scope in resource.scope_spans for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        Event().wait(0.05)
    return condition()


def start(file: Path, port: int) -> subprocess.Popen:
    command = ["workshop", "tool", "otelcol-contrib", f"--config={file}"]
    collector = subprocess.Popen(command, env={**os.environ, "COLLECTOR_DATA": str(file.parent)}, stderr=subprocess.DEVNULL)
    if not until(lambda: answers(f"http://localhost:{port}/"), 30):
        collector.kill()
        raise SystemExit(f"no Collector runs with {CONFIGURATION}: `workshop up collector` says why")
    return collector


def answers(url: str, body: bytes | None = None) -> bool:
    try:
        urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=5).close()
    except (URLError, OSError):
        return False
    return True


def ten_spans() -> bytes:
    now = str(time.time_ns())
    times = {"startTimeUnixNano": now, "endTimeUnixNano": now}
    spans = [{"name": "task", "traceId": secrets.token_hex(16), "spanId": secrets.token_hex(8), **times} for _ in range(10)]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


with tempfile.TemporaryDirectory() as folder:
    ports = {HEALTH: free_port(), GRPC: free_port(), HTTP: free_port(), JAEGER: free_port()}
    text = CONFIGURATION.read_text(encoding="utf-8")
    if not re.search(rf"\b{JAEGER}\b", text):
        raise SystemExit(f"{CONFIGURATION} sends nothing to port {JAEGER}, at which this stands in for Jaeger, with OTLP over HTTP alone")
    for port, other in ports.items():
        text = re.sub(rf"\b{port}\b", str(other), text)
    file = Path(folder, "collector.yaml")
    file.write_text(text, encoding="utf-8")
    collector = start(file, ports[HEALTH])
    accepted = sum(10 for _ in range(0, int(sys.argv[1]), 10) if answers(f"http://localhost:{ports[HTTP]}/v1/traces", ten_spans()))
    os.kill(collector.pid, signal.SIGKILL)
    collector.wait()
    store = ThreadingHTTPServer(("localhost", ports[JAEGER]), Store)
    Thread(target=store.serve_forever, daemon=True).start()
    collector = start(file, ports[HEALTH])
    until(lambda: len(arrived) == accepted, 5)
    collector.kill()
    collector.wait()
print(f"{len(arrived)} of {accepted} accepted spans arrived")
