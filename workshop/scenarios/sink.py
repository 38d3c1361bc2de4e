"""What takes telemetry while its cost is measured: it reads and counts, and decodes nothing. A process of its own, so that it takes
no time from who measures; it prints its port, and ends with its standard input."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(BaseHTTPRequestHandler):
    """Counts what is posted, in bytes as they came, and answers each GET with what it has counted, and with no advice."""

    protocol_version = "HTTP/1.1"
    lock, taken = threading.Lock(), {"requests": 0, "bytes": 0, "advice": ""}

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            self.taken["requests"] += 1
            self.taken["bytes"] += size
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(json.dumps(self.taken).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """What came is counted, not printed."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
