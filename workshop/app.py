"""Running a command line of a lesson as a learner would, and asking the app that it starts.

The command runs in its own process group with a clean environment. It is stopped as Ctrl-C does it, by SIGINT to the whole
group: under `flask run` SIGTERM loses the spans that wait in a batch.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from workshop.environments import undisturbed
from workshop.spans import COLOR

LISTENS = re.compile(r"(?:Running on|Listening at:) (https?://[^\s(]+:(\d+))")
INHERITED = re.compile(r"^(OTEL_|FLASK_|GUNICORN_|WERKZEUG_|PYTHON(PATH|HOME|STARTUP)$|(https?|all|no|grpc)_proxy$)", re.I)
# Settings of the check itself: short batches, and a dead endpoint that gives up at once (facts of SDK 1.45).
QUICK = {
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    "PYTHONUTF8": "1",
}
LISTEN_SECONDS = 10
STOP_SECONDS = 10
ANSWER_SECONDS = 10


def inherited() -> dict[str, str]:
    """What the shell exports and an app would notice: `OTEL_*`, `FLASK_*`, where Python looks for modules, proxies."""
    return {name: value for name, value in sorted(os.environ.items()) if INHERITED.match(name)}


def environment(prefix: Path = Path(sys.prefix)) -> dict[str, str]:
    """The environment of a learner's fresh shell with the virtual environment at `prefix` active."""
    clean = {name: value for name, value in os.environ.items() if not INHERITED.match(name)}
    own = [str(prefix / "bin"), str(Path(sys.prefix) / "bin")]  # `workshop` itself is in ours
    clean["PATH"] = os.pathsep.join([*own, clean.get("PATH", os.defpath)])
    return {**clean, "VIRTUAL_ENV": str(prefix), **QUICK}


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A command line in its own process group. `output` is what stdout and stderr have shown so far.

    `apart` reads the two by pipes of their own. In one pipe a line of the access log may land within a JSON object of the
    console exporter, which is then none; where one waits for the other, such as in a script's output, order counts more."""

    def __init__(self, line: str, folder: Path, env: dict[str, str], apart: bool = False):
        self._bytes, self._stdout = bytearray(), bytearray()
        self._gone = threading.Event()
        self._news = threading.Condition()
        try:
            with undisturbed():
                self._begin(line, folder, env, apart)
        except (KeyboardInterrupt, SystemExit):
            self.kill()  # nobody will ever hold this object and could do it
            raise

    def _begin(self, line: str, folder: Path, env: dict[str, str], apart: bool) -> None:
        self._popen = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            start_new_session=True,
            # A shell starts background jobs with SIGINT ignored, and children inherit that: `pytest &` could not stop an app.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def output(self) -> str:
        return COLOR.sub("", self._bytes.decode(errors="replace"))

    @property
    def stdout(self) -> str:
        """What stdout alone has shown, if it is read apart, else the same as `output`."""
        return COLOR.sub("", self._stdout.decode(errors="replace"))

    @property
    def exit_code(self) -> int | None:
        """The command's exit status, None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> bool:
        """Wait until the command and all its children are gone; the pipe that they share tells. False if they are not."""
        gone = self._gone.wait(seconds)
        if gone:
            self._popen.wait()
        return gone

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds, looking again at each new output and 50 times a second."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not condition():
                if self._gone.is_set():
                    self._popen.wait()  # the pipe closes a moment before the exit status is there
                if self._gone.is_set() or time.monotonic() > deadline:
                    return condition()
                self._news.wait(0.02)
        return True

    def members(self) -> list:
        """The processes of the command that run now, as psutil knows them."""
        import psutil

        try:
            first = psutil.Process(self._popen.pid)
            return [first, *first.children(recursive=True)]
        except psutil.Error:
            return []

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT to every process of the group."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End every process of the group that is still there."""
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self._gone.wait(2)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._popen.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # all gone already; macOS says PermissionError of a group of zombies

    def _read(self) -> None:
        begun = {pipe: bytearray() for pipe in (self._popen.stdout, self._popen.stderr) if pipe}
        with selectors.DefaultSelector() as ready:
            for pipe in begun:
                ready.register(pipe, selectors.EVENT_READ)
            while ready.get_map():
                for pipe in [key.fileobj for key, _ in ready.select()]:
                    chunk = os.read(pipe.fileno(), 65536)
                    with self._news:
                        self._take(pipe, begun[pipe], chunk)
                        self._news.notify_all()
                    if not chunk:
                        ready.unregister(pipe)
                        pipe.close()
        with self._news:
            self._gone.set()
            self._news.notify_all()

    def _take(self, pipe, begun: bytearray, chunk: bytes) -> None:
        """Note what came. Of two pipes only whole lines go into the common output, the last one at the end of the pipe."""
        if pipe is self._popen.stdout:
            self._stdout += chunk
        begun += chunk
        whole = begun.rfind(b"\n") + 1 if chunk and self._popen.stderr else len(begun)
        self._bytes += begun[:whole]
        del begun[:whole]


@dataclass
class Answer:
    """One request of the check and what came back. `agent` is its own User-Agent, by which its span is found.

    `trace_id` and `parent_id` are what the request's `traceparent` header said, if it had one. `status` is 0 when the app
    did not answer, and `problem` says why. `wanted` holds the statuses that are right; `traced` is whether a span is due."""

    method: str
    path: str
    agent: str
    wanted: tuple[int, ...] = ()
    traced: bool = True
    trace_id: str | None = None
    parent_id: str | None = None
    status: int = 0
    headers: dict = field(default_factory=dict)
    text: str = ""
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Browser:
    """A visitor with cookies. Follows no redirect, so that each request is one request, and asks no proxy."""

    def __init__(self, url: str):
        import requests as http  # 50 ms that pass while the app starts

        self._http, self.url = http, url
        self.answers: list[Answer] = []
        self._session = http.Session()
        self._session.trust_env = False

    def ask(
        self,
        method: str,
        path: str,
        wanted: int | tuple[int, ...] = (),
        traceparent: bool = False,
        traced: bool = True,
        headers: dict | None = None,
        **how,
    ) -> Answer:
        """Send one request with a User-Agent of its own, and with `traceparent` a trace of its own to continue.

        `wanted` is the status, or statuses, that the app must answer with; `how` goes to `requests`."""
        wanted = (wanted,) if isinstance(wanted, int) else wanted
        answer = Answer(method, path, f"workshop-check/{secrets.token_hex(8)}", wanted, traced)
        sent = {"User-Agent": answer.agent, **(headers or {})}
        if traceparent:
            answer.trace_id, answer.parent_id = secrets.token_hex(16), secrets.token_hex(8)
            sent["traceparent"] = f"00-{answer.trace_id}-{answer.parent_id}-01"
        self.answers.append(answer)
        try:
            got = self._session.request(
                method, self.url + path, headers=sent, allow_redirects=False, timeout=ANSWER_SECONDS, **how
            )
        except self._http.RequestException as error:
            answer.problem = str(error)
            return answer
        answer.status, answer.headers, answer.text = got.status_code, got.headers, got.text
        return answer

    @property
    def cookies(self):
        """The visitor's cookies, to be given to another visitor."""
        return self._session.cookies

    @cookies.setter
    def cookies(self, cookies) -> None:
        self._session.cookies = cookies

    def get(self, path: str = "/", wanted: int | tuple[int, ...] = 200, **how) -> Answer:
        """Open a page."""
        return self.ask("GET", path, wanted, **how)

    def post(self, path: str, form: dict | None = None, wanted: int | tuple[int, ...] = (302, 303), **how) -> Answer:
        """Send a form as it is. Use `submit` to send it as a browser does, with the page's hidden fields."""
        return self.ask("POST", path, wanted, data=form, **how)

    def submit(self, path: str, form: dict | None = None, page: str = "/", **how) -> Answer:
        """Open a page, fill in its form that goes to `path`, and send it with the hidden fields that it carries."""
        return self.post(path, {**self.form(path, page), **(form or {})}, **how)

    def form(self, path: str, page: str = "/") -> dict[str, str]:
        """The hidden fields of the form on `page` that goes to `path`, such as its CSRF token."""
        return hidden_fields(self.get(page).text, path)


def hidden_fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of a page's form that is sent to `action`."""
    found: dict[str, str] = {}

    class Reader(HTMLParser):
        inside = False

        def handle_starttag(self, tag: str, attributes: list) -> None:
            values = dict(attributes)
            if tag == "form":
                self.inside = values.get("action") == action
            elif tag == "input" and self.inside and values.get("type") == "hidden":
                found[values.get("name", "")] = values.get("value", "")

    Reader().feed(page)
    return found
