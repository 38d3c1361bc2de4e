"""The app under check: how it is started and stopped, and what is known of its run."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from workshop.checks.background import Background
from workshop.checks.browser import Browser
from workshop.checks.logs import Logs
from workshop.checks.metrics import Metrics
from workshop.checks.privacy import Privacy
from workshop.checks.process import Process, patient
from workshop.checks.sandbox import JAEGER_QUERY, OTLP_GRPC, OTLP_HTTP
from workshop.checks.stored import Stored
from workshop.checks.traces import Traces
from workshop.course.fences import LessonError
from workshop.course.pins import compared
from workshop.diagnosis import facts, stages
from workshop.diagnosis.background import BACKGROUND
from workshop.diagnosis.configuration import misspelt_setting
from workshop.diagnosis.facts import Broken, Diagnosis, Dropped, Facts, Rung, Stage
from workshop.diagnosis.starting import STARTS
from workshop.setup.ports import free_port, is_listening, port_owner
from workshop.telemetry.console import Console, read_console, unfolded
from workshop.telemetry.spans import Span

if TYPE_CHECKING:
    from workshop.checks.checkpoint import Checkpoint

LISTENS = re.compile(r"(?:Running on|Listening at:) (https?://[^\s(]+:(\d+))")
LISTEN_SECONDS = 10
STOP_SECONDS = 10


class App(Traces, Metrics, Stored, Logs, Privacy, Background, Browser):
    """The app under check. While the block of `serve` lasts it is asked; after it its telemetry is read."""

    begun = 0.0  # when it was started, in seconds since the epoch

    def __init__(self, checkpoint: Checkpoint, line: str, service: str, port: int, jaeger, closed: int = 0):
        self.checkpoint, self.line, self.service, self.jaeger = checkpoint, line, service, jaeger
        sandbox = checkpoint.sandbox
        others = {}
        if jaeger:
            others = {OTLP_GRPC: jaeger.grpc_port, OTLP_HTTP: jaeger.http_port, JAEGER_QUERY: jaeger.query_port}
        if closed:
            others[closed] = free_port()
        sandbox.use_ports(others)
        self.shown_port, self.port = port, sandbox.ports[port]
        self._environment = checkpoint.environment
        self._files = sandbox.files()
        self._process: Process | None = None
        self._listened = self._taken = False
        self._stopped, self._over = True, False
        self._stored: list[Span] = []

    def start(self) -> None:
        """Start the command and wait until the app listens. Raises Broken when it does not."""
        sandbox = self.checkpoint.sandbox
        if self.shown_port in sandbox.own_ports and not sandbox.running and is_listening(self.port):
            sandbox.renew_port(self.shown_port)
            self.port = sandbox.ports[self.shown_port]
        sandbox.running += 1
        self.begun = time.time()
        self._taken = is_listening(self.port)  # by another program: what answers there is not this app
        env = self.checkpoint.variables(**self._default_endpoint())
        self._process = Process(sandbox.swap(self.line), sandbox.folder, env, separate_stderr=True)
        super().__init__(f"http://127.0.0.1:{self.port}")
        self._process.wait_until(self._known_to_listen_or_not, LISTEN_SECONDS)
        if self._process.exit_code is not None:
            self._process.wait(1)  # until its last words are read
        self._listened = self._process.exit_code is None and not self._taken and is_listening(self.port)
        self.require(STARTS)

    def _default_endpoint(self) -> dict[str, str]:
        """The exporter's default endpoint with this run's port, where the script names none.

        A script that assigns the variable is left alone: of one that forgets `export` the shell would pass on the value."""
        script = self._files.get(facts.script(self.line), "")
        if "OTEL_EXPORTER_OTLP_ENDPOINT" in script:
            return {}
        port = self.checkpoint.sandbox.ports[OTLP_HTTP if "http/protobuf" in script else OTLP_GRPC]
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{port}"}

    def stop(self) -> None:
        """Stop the app as Ctrl-C does, and whatever of it does not stop by force."""
        if self._process is None or self._over:
            return
        self._over = True
        self.checkpoint.sandbox.running -= 1
        try:
            if self._listened:
                self._process.interrupt()
                self._stopped = self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()

    def terminate(self) -> None:
        """End a server of several processes as a service manager does: SIGTERM to the first, which tells the others.

        Ctrl-C reaches gunicorn's workers twice, from the terminal and from the first process. Where the second interrupts
        `ThreadPoolExecutor.shutdown` in `handle_quit` of a worker with threads, it waits for the lock that it holds itself, until
        it is ended by force after half a minute: 8 of 80 stops of gunicorn 27.0.1 with telemetry, and none of 40 by SIGTERM."""
        import psutil

        parents = {}
        for process in self.processes():
            try:
                if "python" in process.exe():
                    parents[process] = process.parent()
            except psutil.Error:
                pass  # it has ended
        first = {parent for parent in parents.values() if parent in parents and parents[parent] not in parents}
        for process in first:
            process.terminate()
        psutil.wait_procs(first, patient(STOP_SECONDS))

    def processes(self) -> list:
        """The running processes of the app, as psutil knows them."""
        return self._process.members()

    @property
    def under_agent(self) -> bool:
        """Whether `opentelemetry-instrument` has started Python in this copy, and not the app called what it calls."""
        return any("agent" in note for note in self._notes())

    @property
    def variables(self) -> dict[str, str]:
        """The settings of OpenTelemetry and Flask with which the newest Python of the app has begun; to be read while it runs."""
        running = {process.pid for process in self.processes()}
        return next((note["variables"] for note in reversed(self._notes()) if note.get("began") in running), {})

    def wait(self) -> None:
        """Serve until the app ends by itself or the user presses Ctrl-C."""
        while not self._process.wait(1):
            pass

    def until(self, condition: Callable[[], bool], seconds: float = 5) -> bool:
        """Serve until something in the background is done; False if it is not in time."""
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                return False
            pause.wait(0.05)
        return True

    @property
    def output(self) -> str:
        """What the app has printed so far, with the learner's own ports and paths."""
        return self._last_words if self._over else self.checkpoint.sandbox.unswap(self._process.output if self._process else "")

    @cached_property
    def _last_words(self) -> str:
        return self.checkpoint.sandbox.unswap(self._process.output)

    @cached_property
    def console(self) -> Console:
        """What the app printed in its whole life, by signal; to be read after it has stopped.

        Raises LessonError before: a check that reads too early would judge half of it."""
        if not self._over:
            raise LessonError(f"{self.checkpoint.lesson.name}: a test reads the console of an app that still runs")
        return replace(read_console(self.checkpoint.sandbox.unswap(self._process.stdout)), text=self.output)

    @property
    def console_so_far(self) -> Console:
        """What the app has printed until now, while it runs: to wait for something, and not to judge by."""
        return read_console(self._process.stdout)

    @property
    def spans(self) -> list[Span]:
        return self.console.spans

    def facts(self, **more) -> Facts:
        """All that is known about this run, for the ladder; `more` is what the asking verb knows besides."""
        listening = tuple(port for port in _listening(self._process.output) if port != self.port)
        known = {
            "lesson": self.checkpoint.lesson.name,
            "command": self.line,
            "files": self._files,
            "output": unfolded(self.output),
            "exit_code": self._process.exit_code,
            "listened": self._listened,
            "port": self.shown_port,
            "listening_ports": listening,
            "port_owner": _port_owner(self.output),
            "stopped": self._stopped,
            "responses": self.responses,
            "spans": self.spans if self._over else [],
            "metrics": self.console.metrics if self._over else [],
            "service": self.service,
            "shadows": self.checkpoint.sandbox.shadows(),
            "packages": lambda: compared(self.checkpoint.lesson, self.checkpoint.active),
            "inactive": self._inactive(),
            **self._noted(),
        }
        return Facts(**{**known, **more})

    def require(self, *wanted: Stage | Rung, otherwise: Diagnosis | None = None, **more) -> None:
        """Raise Broken with the first broken rung of these stages, or with `otherwise` when all of them hold."""
        rungs = stages.expanded(self.checkpoint.lesson, wanted)
        if found := facts.climb(self.facts(**more), rungs):
            raise Broken(found)
        if otherwise:
            raise Broken(self.explained(otherwise))

    def explained(self, found: Diagnosis) -> Diagnosis:
        """What lies behind something that a check found: work that failed where no request shows it, or a misspelt setting.

        Else it is what the check found."""
        rungs = stages.expanded(self.checkpoint.lesson, [BACKGROUND, misspelt_setting])
        return facts.climb(self.facts(lacks=found.rung), rungs, found)

    def broken(self, rung: str, seen: str, expected: str, why: str, lesson: str = "300/300/100") -> Broken:
        """What a verb raises when no rung of the ladder explains what it found."""
        return Broken(self.explained(self.diagnosis(rung, seen, expected, why, lesson)))

    def diagnosis(self, rung: str, seen: str, expected: str, why: str, lesson: str) -> Diagnosis:
        return Diagnosis(rung, seen, expected, why, self.checkpoint.where_it_differs(), lesson)

    def _inactive(self) -> str:
        """The repository's own environment, where the shell of the app does not find the commands that it has."""
        root = self.checkpoint.lesson.root
        there = [name for name in ("flask", "opentelemetry-instrument") if (root / ".venv" / "bin" / name).exists()]
        return ".venv" if any(shutil.which(name, path=self._environment["PATH"]) is None for name in there) else ""

    def _noted(self) -> dict:
        """What ended threads of the app, and what was raised into a Future that nobody asked for it, as tracebacks; dropped log records."""
        ended: list[str] = []
        dropped: list[Dropped] = []
        held: dict[str, str] = {}
        unswap = self.checkpoint.sandbox.unswap
        for note in self._notes():
            if "filter" in note:
                dropped.append(Dropped(unswap(note["filter"]), note["returned"], unswap(note["said"])))
            elif "thread" in note:
                ended.append(note["raised"])
            elif note.get("raised"):
                held[note["future"]] = note["raised"]
            elif "future" in note:
                held.pop(note["future"], None)
        return {"ended": unswap("\n".join(ended)), "held": unswap("\n".join(held.values())), "dropped": dropped}

    def _notes(self) -> list[dict]:
        """What `observe/` has noted of this copy's processes."""
        path = self.checkpoint.held
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _known_to_listen_or_not(self) -> bool:
        said = LISTENS.findall(self._process.output)
        return self._process.exit_code is not None or bool(said) or (not self._taken and is_listening(self.port))


@lru_cache(maxsize=4)
def _listening(output: str) -> list[int]:
    """The ports on which a server says that it listens."""
    return [int(port) for _, port in LISTENS.findall(output)]


def _port_owner(output: str) -> str:
    """Who listens on the port that the output says is in use; empty where the system does not tell."""
    match = re.search(r"Port (\d+) is in use", output)
    return port_owner(int(match[1])) if match else ""
