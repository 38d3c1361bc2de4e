"""A server of the check's own, in the place of one that the learner's app asks."""

from __future__ import annotations

import http.client
import socketserver
import threading
from collections.abc import Callable, Iterable

SILENCE_SECONDS = 4


class StandIn(socketserver.ThreadingTCPServer):
    """Listens on a port of 127.0.0.1 while its `with` block lasts.

    `answer` gets the head of each request and returns what to send, part by part; None is a long silence. `heads` holds all
    heads so far."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port: int, answer: Callable[[str], Iterable[bytes | None]]):
        super().__init__(("127.0.0.1", port), _Visit)
        self.answer, self.heads = answer, []
        self.over = threading.Event()
        self._serving = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._serving.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self._serving.join()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A visitor who has left is no error."""


class _Visit(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        lines = list(iter(lambda: self.rfile.readline().decode("latin-1").rstrip("\r\n"), ""))
        head = "\n".join(lines)
        parts = self.server.answer(head)
        self.server.heads.append(head)
        for part in parts:
            if part is None:
                self.server.over.wait(SILENCE_SECONDS)
            else:
                self.wfile.write(part)


def response(body: bytes | str = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A response of HTTP; `content_type` and the like are headers."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines])
    return f"{head}\r\n\r\n".encode() + body


def pass_on(head: str, port: int, without: str) -> bytes:
    """What a proxy does that drops one header: ask the server on a port of 127.0.0.1, and hand back what it says."""
    first, *lines = head.split("\n")
    headers = dict(line.split(": ", 1) for line in lines)
    kept = {name: value for name, value in headers.items() if name.lower() != without}
    behind = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    method, path, _ = first.split(" ")
    behind.request(method, path, headers=kept)
    answer = behind.getresponse()
    body = answer.read()
    behind.close()
    return response(body, f"{answer.status} {answer.reason}", content_type=answer.getheader("Content-Type", ""))
