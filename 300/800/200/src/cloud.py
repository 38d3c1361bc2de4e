"""A backend that takes OTLP over HTTP from who has its key: in the place of a provider, and without an account.

It makes a new key at each start, which `/key` shows; it may come as Basic, with the instance, or alone as Bearer or ApiKey.
`/seen` tells what has come, and from whom. After a POST to `/answer/429` it says that, whatever it is asked; 200 takes what
comes, 0 is silence.
"""

import gzip
import secrets
import zlib
from base64 import b64encode
from threading import Event

from flask import Flask, abort, request
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TEXT, PROTOBUF = {"Content-Type": "text/plain"}, {"Content-Type": "application/x-protobuf"}
app = Flask(__name__)
app.config["ANSWER"] = 200
instance, token = str(100_000 + secrets.randbelow(900_000)), f"glc_{secrets.token_hex(48)}"
keys = f"Basic {b64encode(f'{instance}:{token}'.encode()).decode()}", f"Bearer {token}", f"ApiKey {token}"
seen = {"traces": 0, "metrics": 0, "logs": 0, "from": "nobody"}


@app.get("/key")
def show_key():
    """The key, in the form of a file that a shell reads."""
    return f"CLOUD_INSTANCE={instance}\nCLOUD_TOKEN={token}\n", TEXT


@app.get("/seen")
def show_seen():
    """How many spans, metrics and log records were taken, and from whom."""
    return "".join(f"{what}: {value}\n" for what, value in seen.items()), TEXT


@app.post("/answer/<int:status>")
def answer(status: int):
    """What is said from now on."""
    app.config["ANSWER"] = status
    return f"from now on: {status or 'silence'}\n", TEXT


@app.before_request
def judge():
    """Say what is to be said to an export, or that the key is wrong."""
    if request.endpoint not in ("traces", "metrics", "logs"):
        return
    if app.config["ANSWER"] == 0:
        Event().wait(60)
    if app.config["ANSWER"] != 200:
        return "", app.config["ANSWER"], {"Retry-After": "30"}
    if request.headers.get("Authorization") not in keys:
        abort(401)
    seen["from"] = request.user_agent.string


def body() -> bytes:
    unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(request.headers.get("Content-Encoding"), bytes)
    return unpack(request.data)


@app.post("/v1/traces", endpoint="traces")
@app.post("/otlp/v1/traces", endpoint="traces")
def take_traces():
    """Take spans."""
    taken = ExportTraceServiceRequest.FromString(body())
    seen["traces"] += sum(len(scope.spans) for resource in taken.resource_spans for scope in resource.scope_spans)
    return b"", PROTOBUF


@app.post("/v1/metrics", endpoint="metrics")
@app.post("/otlp/v1/metrics", endpoint="metrics")
def take_metrics():
    """Take metrics."""
    taken = ExportMetricsServiceRequest.FromString(body())
    seen["metrics"] += sum(len(scope.metrics) for resource in taken.resource_metrics for scope in resource.scope_metrics)
    return b"", PROTOBUF


@app.post("/v1/logs", endpoint="logs")
@app.post("/otlp/v1/logs", endpoint="logs")
def take_logs():
    """Take log records."""
    taken = ExportLogsServiceRequest.FromString(body())
    seen["logs"] += sum(len(scope.log_records) for resource in taken.resource_logs for scope in resource.scope_logs)
    return b"", PROTOBUF
