"""A server of the check's own, in the place of a backend that takes OTLP, or of a service that the learner's app asks.

What it answers is bytes, or a list of parts that are sent one by one as they are: bytes, or a number of seconds in which it
says nothing. After the last part it closes the connection, so an empty list hangs up without an answer.
"""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain

from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from werkzeug.datastructures import Headers
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request

from workshop.checks.privacy import texts
from workshop.telemetry.otlp import Telemetry

SILENCE = 4.0
PROTOBUF, JSON = "application/x-protobuf", "application/json"


@dataclass
class Received:
    """One request, and what it exported. `path` has the query, `headers` ignore case, `body` is without its compression.

    `problem` says why the body is no OTLP of the signal in the path; empty when it is. `accepted` is whether all of an answer
    of 2xx was sent."""

    method: str
    path: str
    headers: Headers
    body: bytes
    telemetry: Telemetry = field(default_factory=Telemetry)
    problem: str = ""
    accepted: bool = False

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def signal(self) -> str:
        """ "traces", "metrics" or "logs", as the path says; empty when it names none."""
        first, _, signal = self.path.partition("?")[0].rpartition("/")
        return signal if first.endswith("/v1") and signal in SIGNALS else ""


Parts = bytes | Iterable[bytes | float]
Answer = Parts | Callable[[Received], Parts]


class FakeServer:
    """Listens on a port of 127.0.0.1 while its `with` block lasts, and keeps all requests.

    Each request gets the next answer of the script, and the last one stays. Without a script it takes OTLP over HTTP, as a
    Collector does. An answer may be a function of the request; what that raises, the end of the block raises."""

    def __init__(self, *script: Answer, port: int = 0):
        self._script, self._turn = script or (accept,), 0
        self._changed, self._over = threading.Condition(), threading.Event()
        self._failure: Exception | None = None
        self._answering = 0
        self._server = make_server("127.0.0.1", port, self._serve, threaded=True, request_handler=_Quiet)
        self._serving = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.port = self._server.server_port
        self.requests: list[Received] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stored(self) -> Telemetry:
        """What a backend would have kept: all that came in requests which were accepted."""
        kept = [request.telemetry for request in list(self.requests) if request.accepted]
        return Telemetry(*(list(chain.from_iterable(getattr(one, s) for one in kept)) for s in ("spans", "metrics", "logs")))

    def until(self, condition: Callable[[FakeServer], object], seconds: float = 5) -> bool:
        """Wait until a condition holds, which is looked at with each request and each end of one; False if not in time."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: condition(self), seconds))

    def told(self) -> Iterator[tuple[str, str]]:
        """Every text that it was sent, with its place."""
        for request in list(self.requests):
            yield from ((f"{place} of the request {request.method} {request.path}", text) for place, text in texts(request))

    def __enter__(self) -> FakeServer:
        self._serving.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._serving.join()
        self.until(lambda _: not self._answering)  # by then it is known what was taken
        if self._failure and kind is None:
            raise self._failure

    def _serve(self, environ: dict, _: object) -> None:
        request = Request(environ)
        received = _decode(Received(request.method, environ["RAW_URI"], Headers(list(request.headers)), request.get_data()))
        with self._changed:
            answer = self._script[min(self._turn, len(self._script) - 1)]
            self._turn += 1
        try:
            parts = answer(received) if callable(answer) else answer
        except Exception as error:
            self._failure, parts = error, []
        self._note(lambda: self.requests.append(received), answering=1)
        connection, parts = environ["werkzeug.socket"], [parts] if isinstance(parts, bytes) else [*parts]
        left = [part for part in parts if isinstance(part, bytes)]
        taken = b"".join(left).startswith(b"HTTP/1.1 2")
        try:
            for part in parts:
                if isinstance(part, bytes):
                    if len(left) == 1:  # whoever asked knows it next
                        self._note(lambda: setattr(received, "accepted", taken))
                    connection.sendall(left.pop(0))
                elif self._over.wait(part):
                    raise ConnectionAbortedError
            connection.shutdown(2)
        except OSError:  # who asked has left
            self._note(lambda: setattr(received, "accepted", False))
        finally:
            self._note(answering=-1)
        raise ConnectionAbortedError  # WSGI has no other way to say that nothing more is to be sent

    def _note(self, change: Callable[[], None] = lambda: None, answering: int = 0) -> None:
        with self._changed:
            change()
            self._answering += answering
            self._changed.notify_all()


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """What it was asked is kept, not printed."""


# Of each signal: the request, and its response.
SIGNALS: dict[str, tuple[type[Message], type[Message]]] = {
    "traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
    "metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    "logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
}


def _decode(received: Received) -> Received:
    try:
        packed = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(received.headers.get("Content-Encoding", ""))
        received.body = packed(received.body) if packed else received.body
        if not received.signal:
            raise ValueError("the path ends neither in /v1/traces nor in /v1/metrics nor in /v1/logs")
        if received.content_type == JSON:
            received.telemetry.add(json.loads(received.body))
        elif received.content_type == PROTOBUF:
            message = SIGNALS[received.signal][0].FromString(received.body)
            received.telemetry.add(MessageToDict(message, use_integers_for_enums=True))
        else:
            raise ValueError(f"the content type is {received.content_type or 'not given'}")
    except (ValueError, DecodeError, zlib.error, OSError, EOFError) as error:
        received.problem = str(error)
    return received


def accept(received: Received) -> Parts:
    """What a backend says that takes what was sent, or 404, 400 and the like when that cannot be taken."""
    if received.method != "POST":
        return refuse(405)
    if sum(received.path.count(f"/v1/{signal}") for signal in SIGNALS) > 1:  # /api/v1/otlp/v1/metrics is Prometheus's
        return refuse(404, "the path of a signal stands in the endpoint, to which the exporter has appended it")
    if received.problem:
        return refuse(400 if received.signal else 404, received.problem)
    answer = SIGNALS[received.signal][1]()
    body = MessageToJson(answer) if received.content_type == JSON else answer.SerializeToString()
    return response(body, content_type=received.content_type)


def refuse(status: int, message: str = "", **headers: str) -> Parts:
    """An answer of this status, such as `refuse(429, Retry_After="1")`."""
    return response(message, f"{status} {HTTPStatus(status).phrase}", **headers)


def drip(answer: bytes, seconds: float = 0.2) -> Parts:
    """An answer sent byte by byte, so many seconds apart: no pause is long, and the whole takes as long as you like."""
    return [part for byte in answer for part in (bytes([byte]), seconds)]


def response(body: bytes | str = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A response of HTTP; `content_type` and the like are headers."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines])
    return f"{head}\r\n\r\n".encode() + body


def pass_on(received: Received, port: int, without: str) -> Parts:
    """What a proxy does that drops one header: ask the server on a port of 127.0.0.1, and hand back what it says."""
    kept = {name: value for name, value in received.headers if name.lower() != without}
    behind = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    behind.request(received.method, received.path, received.body, kept)
    answer = behind.getresponse()
    body = answer.read()
    behind.close()
    return response(body, f"{answer.status} {answer.reason}", content_type=answer.getheader("Content-Type", ""))
