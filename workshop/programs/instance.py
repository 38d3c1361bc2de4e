"""A program that runs: how it is asked over HTTP, awaited and ended. Each program's own file may have a subclass of `Instance`."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from workshop.errors import UserError
from workshop.programs.program import Program
from workshop.setup.addresses import address
from workshop.setup.commands import defer_signals, kill_group
from workshop.setup.ports import is_listening, port_owner

READY_SECONDS = 15
STOP_SECONDS = 5
ANSWER_SECONDS = 5
# Programs on this machine are asked directly, whatever proxy the shell names.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Answer = TypeVar("Answer")


class ProgramError(UserError, OSError):
    """A program cannot be started or does not answer. The message says why and what to do.

    `code` is the HTTP status of an answer that is an error; `log` is all that a `program` said that did not start."""

    code = 0
    log = ""
    program: Program | None = None


class NotReady(ProgramError):
    """A program has been started, and ended or did not get ready. The message has what it said last."""


class PortTaken(ProgramError):
    """A port that a program needs belongs to another one."""


class Instance:
    """A running program, on this machine or wherever `url` says. One that `start` has started ends with `stop`.

    A program's own file may have a subclass, which asks it. `folder` is where one of this machine keeps its log and data.
    `file` is what configures one of a check's own, as a path below `src/`; `launch` starts its process."""

    file = ""
    launch: Callable[[], subprocess.Popen]

    def __init__(self, program: Program, url: str, ports: dict[str, int], folder: Path):
        self.program, self.url, self.ports, self.folder = program, url.rstrip("/"), ports, folder
        self.process: subprocess.Popen | None = None
        self._said = ""
        self._folder: tempfile.TemporaryDirectory | None = None

    def kill(self) -> None:
        """End what `start` has started as `kill -9` does: it has no time to put anything in order."""
        kill_group(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def hang(self) -> None:
        """Let what `start` has started take connections, and neither read nor answer, until `kill`."""
        import psutil

        self.process.send_signal(signal.SIGSTOP)
        self.until(lambda: psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)

    def again(self) -> None:
        """Start it once more after `kill`, with the ports and the data that it had. Raises ProgramError."""
        with defer_signals():
            self.process = self.launch()
        self.await_ready()

    def stop(self) -> None:
        """End what `start` has started; any other one goes on."""
        if self.process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                kill_group(self.process.pid, number)
                try:
                    self.process.wait(STOP_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    continue
            self.process = None
            self._said = self.said
        if self._folder:
            self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port of its address."""
        return urllib.parse.urlsplit(self.url).port or 80

    @property
    def page(self) -> str:
        """Its address for a browser, which may sit elsewhere than this machine."""
        return address(self.port) if urllib.parse.urlsplit(self.url).hostname in ("127.0.0.1", "localhost") else self.url

    @property
    def log(self) -> Path:
        """What it says of itself, unless it runs in a container."""
        return self.folder / f"{self.program.name}.log"

    @property
    def said(self) -> str:
        """What it has said of itself so far, or until it was stopped."""
        return self.log.read_text(errors="replace") if self.log.exists() else self._said

    @property
    def data(self) -> Path:
        """The folder of its own that it has."""
        return self.folder / f"{self.program.name}-data"

    def check(self) -> None:
        """Raise ProgramError unless it answers as this program does."""
        self.ask(self.program.health[1])

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            self.check()
        except ProgramError:
            return False
        return True

    def addresses(self) -> list[tuple[str, str]]:
        """Where it is, as rows of a table: what for, and the address."""
        host, known = urllib.parse.urlsplit(self.url).hostname, self.program.ports.items()
        used = {name: port for name, port in known if not port.optional or is_listening(self.ports[name])}
        return [(port.purpose, f"http://{host}:{self.ports[name]}") for name, port in used.items()]

    def details(self) -> list[tuple[str, str]]:
        """What `workshop status` says of it besides, as rows of a table."""
        return []

    def ask(self, path: str, **query: object) -> str:
        """What it answers to a GET. Raises ProgramError."""
        url = f"{self.url}{path}{'?' if query else ''}{urllib.parse.urlencode(query, doseq=True)}"
        title = self.program.title
        try:
            with DIRECT.open(url, timeout=ANSWER_SECONDS) as response:
                return response.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(200).decode(errors="replace").strip()
            failed = ProgramError(f"{title} answered {error.code} to {url}: {said}")
            failed.code = error.code
            raise failed from None
        except urllib.error.URLError as error:
            raise ProgramError(f"no {title} answers at {self.url} ({error.reason}); `{self.program.up}` starts one") from None
        except (ValueError, http.client.HTTPException) as error:
            raise ProgramError(f"there is no {title} at {self.url}: {error}") from None
        except OSError as error:
            raise ProgramError(f"{title} at {self.url} stopped answering ({error}); see `workshop status`") from None

    def post(self, url: str, message: dict) -> None:
        """Send it JSON, at one of its addresses. Raises ProgramError unless it answers 200."""
        request = urllib.request.Request(url, json.dumps(message).encode(), {"Content-Type": "application/json"})
        try:
            DIRECT.open(request, timeout=ANSWER_SECONDS).close()
        except (OSError, http.client.HTTPException) as error:
            raise ProgramError(f"{self.program.title} does not take what is sent to {url}: {error}") from None

    def json(self, path: str, **query: object) -> dict:
        """The JSON object that it answers to a GET. Raises ProgramError."""
        try:
            found = json.loads(self.ask(path, **query))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProgramError(f"there is no {self.program.title} at {self.url}: {path} does not answer with JSON")
        return found

    def until(self, question: Callable[[], Answer], seconds: float = 10) -> Answer:
        """Ask until the answer holds, or time is over: what it is sent can be found only a moment later."""
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while not (answer := question()) and time.monotonic() < deadline:
            pause.wait(0.05)
        return answer

    def await_ready(self) -> None:
        """Wait until it says itself that it is ready. Raises ProgramError with the end of its log."""
        ended = lambda: self.process is not None and self.process.poll() is not None  # noqa: E731
        if self.until(lambda: self._healthy() or ended() or self.hopeless(), READY_SECONDS) and not ended() and self._healthy():
            return
        waited = "is not ready" if self.hopeless() else f"was not ready in {READY_SECONDS} s"
        how = "ended" if ended() else f"{waited}, for {self.health} does not answer"
        raise _not_ready(self.program, self.log.read_text(errors="replace") if self.process else "", how)

    @property
    def health(self) -> str:
        """The address that answers 200 once it is ready."""
        port, path = self.program.health
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def hopeless(self) -> bool:
        """Whether it runs, and says by itself that it will never answer at its health port."""
        return False

    def _healthy(self) -> bool:
        try:
            with DIRECT.open(self.health, timeout=ANSWER_SECONDS) as response:
                return response.status == 200
        except (OSError, http.client.HTTPException):
            return False


def taken(program: Program, port: int, purpose: str, end: str = "") -> PortTaken:
    """What is said of a port that the program needs; `end` is how to end its owner, where that is known."""
    by = port_owner(port) or "another program"
    end = end or f"End that program (`lsof -nP -iTCP:{port} -sTCP:LISTEN` shows it)"
    return PortTaken(
        f"port {port} is taken by {by}, and {program.title} needs it for {purpose}.\n{end}, then run `{program.up}` again."
    )


def _not_ready(program: Program, log: str, how: str) -> ProgramError:
    told = re.split(r"^goroutine \d+ \[", log, maxsplit=1, flags=re.MULTILINE)[0]  # behind it Go lists its own calls
    last = "\n".join(told.strip().splitlines()[-5:])
    error = NotReady(f"{program.title} {how}; it said last:\n{last}" if last else f"{program.title} {how} and said nothing")
    if match := re.search(r":(\d+): bind: address already in use", log):
        error = taken(program, int(match[1]), "its work")
    error.log, error.program = log, program
    return error
