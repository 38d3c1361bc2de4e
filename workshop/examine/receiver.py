"""Where an app under examination sends its telemetry: one address that takes OTLP over gRPC and over HTTP."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from workshop.errors import UserError
from workshop.telemetry.otlp import Telemetry

HTTP_2 = b"PRI"  # how every connection of gRPC begins
SERVICES = {"traces": "trace.v1.TraceService", "metrics": "metrics.v1.MetricsService", "logs": "logs.v1.LogsService"}


class Receiver:
    """Listens while its `with` block lasts: on a free port of 127.0.0.1, and on `more` ports that an app has in its code.

    `protocols` are those by which something came. Raises UserError where one of the ports is taken."""

    def __init__(self, more: tuple[int, ...] = ()):
        self.protocols: set[str] = set()
        self._by_grpc = Telemetry()
        self._doors = [_listen(port) for port in (0, *more)]
        self.port: int = self._doors[0].getsockname()[1]

    @property
    def telemetry(self) -> Telemetry:
        """All that has come, in the order in which it came by each protocol."""
        self._preparing.join()
        both = self._http.stored, self._by_grpc
        return Telemetry(*(list(chain.from_iterable(getattr(one, s) for one in both)) for s in ("spans", "metrics", "logs")))

    def __enter__(self) -> Receiver:
        """Connections are taken at once. What answers them, which takes some tenths of a second, comes up while the app starts."""
        self._preparing = threading.Thread(target=self._prepare)
        self._preparing.start()
        for door in self._doors:
            threading.Thread(target=self._open, args=(door,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for door in self._doors:
            door.close()
        self._preparing.join()
        self._grpc.stop(None)
        self._http.__exit__(None)

    def _prepare(self) -> None:
        import grpc
        import requests  # noqa: F401 - with it the app is asked

        from workshop.checks.fake_server import SIGNALS, FakeServer
        from workshop.examine import report  # noqa: F401 - and with it the report is made

        self._http = FakeServer()
        self._http.__enter__()
        self._grpc = grpc.server(ThreadPoolExecutor(4))
        self._grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        for signal, (request, response) in SIGNALS.items():
            service = f"opentelemetry.proto.collector.{SERVICES[signal]}"
            export = grpc.unary_unary_rpc_method_handler(self._taker(response), request.FromString, response.SerializeToString)
            self._grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": export})])
        self._grpc.start()

    def _taker(self, response: type):
        from google.protobuf.json_format import MessageToDict

        def take(message, _):
            self._by_grpc.add(MessageToDict(message, use_integers_for_enums=True))
            return response()

        return take

    def _open(self, door: socket.socket) -> None:
        """Lead each connection to the server that speaks its protocol."""
        while True:
            try:
                coming, _ = door.accept()
            except OSError:  # closed: the examination is over
                return
            threading.Thread(target=self._lead, args=(coming,), daemon=True).start()

    def _lead(self, coming: socket.socket) -> None:
        try:
            is_grpc = coming.recv(len(HTTP_2), socket.MSG_PEEK) == HTTP_2
            self.protocols.add("gRPC" if is_grpc else "HTTP")
            self._preparing.join()
            inside = socket.create_connection(("127.0.0.1", self._grpc_port if is_grpc else self._http.port))
        except OSError:
            coming.close()
            return
        threading.Thread(target=_pump, args=(inside, coming), daemon=True).start()
        _pump(coming, inside)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UserError(
            f"port {port} cannot be listened on: {error.strerror}. Stop what listens there, such as a Collector or Jaeger "
            "(`workshop down`), or let the app take the address from OTEL_EXPORTER_OTLP_ENDPOINT."
        ) from None


def _pump(here: socket.socket, there: socket.socket) -> None:
    """Hand on what comes until one side ends; both are closed then."""
    try:
        while chunk := here.recv(65536):
            there.sendall(chunk)
    except OSError:
        pass
    for end in (here, there):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()
