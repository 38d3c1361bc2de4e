"""The program under examination: where it is, how it is started, asked and stopped.

It runs in its own folder with the settings of the user's own shell. What is turned is where its exporters send to. All its
processes carry a mark in their environment, by which also those are found, and ended, that leave the group."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workshop.checks.browser import Browser
from workshop.checks.process import Process, patient
from workshop.diagnosis.facts import Response
from workshop.errors import UserError

LISTENS = re.compile(r"(?:[Rr]unning on|Listening at:|Serving on) (https?)://[^\s(]+:(\d+)")
PROMETHEUS_EXPORTER = 9464  # where metrics are fetched by default: the app is elsewhere
STOP_SECONDS = 10
ANSWER_SECONDS = 30  # for the whole of it: an answer may trickle for ever
KEPT = 2_000_000  # bytes of the beginning, and of the end, of what a program prints
MARK = "WORKSHOP_EXAMINE"
ENDPOINT = re.compile(r"(OTEL_EXPORTER_OTLP_(?:\w+_)?ENDPOINT)=.*")
FLAG = re.compile(r"--exporter_otlp_(?:\w+_)?endpoint")


@dataclass(frozen=True)
class Plan:
    """What to start, where, and what to ask it. `requests` are a method, a path and a form's text, empty for none.

    `port` is 0 where the program may choose; `seconds` is how long it may take until it listens."""

    command: tuple[str, ...]
    folder: Path
    requests: tuple[tuple[str, str, str], ...] = (("GET", "/", ""),)
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    seconds: float = 20
    venv: Path | None = None

    @property
    def line(self) -> str:
        """The command for a shell. One word with blanks in it is a whole line already."""
        return self.command[0] if len(self.command) == 1 else shlex.join(self.command)


@dataclass
class Asked:
    """One request, and when it was sent and answered, in nanoseconds since the epoch."""

    response: Response
    begun_ns: int
    ended_ns: int


@dataclass
class Run:
    """What was seen of one life of the program.

    `gone` is whether it ended before it listened, `exit_code` with which status. `elsewhere` are all ports on which it listens.
    `stopped_by` is "SIGINT", "SIGTERM" or "SIGKILL", or empty where it ended by itself. `detached` is whether it went on after
    its command had returned."""

    output: str = ""
    stdout: str = ""
    exit_code: int | None = None
    gone: bool = False
    listened: bool = False
    address: tuple[str, int] = ("", 0)
    elsewhere: tuple[int, ...] = ()
    programs: tuple[str, ...] = ()
    under_agent: bool = False
    detached: bool = False
    start_seconds: float = 0
    stop_seconds: float = 0
    stopped_by: str = ""
    asked: list[Asked] = field(default_factory=list)
    canary: str = ""


class Subject(Process):
    """The program while it runs. Of what it prints only beginning and end are kept, so it may print what it likes."""

    def __init__(self, plan: Plan, endpoint: str):
        self._mark = secrets.token_hex(8)
        self._begun = time.time()
        env = {**environment(plan, endpoint), MARK: self._mark}
        super().__init__(_turned(plan, endpoint), plan.folder, env, separate_stderr=True)

    def members(self) -> list:
        """All its processes: the group, and those that bear its mark elsewhere."""
        import psutil

        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def is_gone(self) -> bool:
        """Whether none of its processes is left. Who forks during a look and ends may be missed by it, and is seen by the next one."""
        return not any(self.members() for _ in range(3))

    def listening(self) -> dict[int, str]:
        """The ports on which it listens, each with an address that leads there."""
        import psutil

        found = {}
        for process in self.members():
            try:
                for connection in process.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN:
                        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(connection.laddr.ip, connection.laddr.ip)
                        found.setdefault(connection.laddr.port, f"[{host}]" if ":" in host else host)
            except psutil.Error:
                pass
        return found

    def ended(self, seconds: float) -> bool:
        """Wait until none of its processes is left; False if some are."""
        return self._wait_for(self.is_gone, patient(seconds))

    def terminate(self) -> None:
        """What a container's engine does first: SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        super().kill()
        self._wait_for(self.is_gone, 5)

    def _wait_for(self, condition, seconds: float) -> bool:
        # Not `wait_until`, which is over with the command: a daemon outlives it.
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)  # the pause of a poll with a deadline: nobody is told when a daemon's processes end
        return True

    def _signal(self, number: int) -> None:
        """Send it to all, but to gunicorn's workers from their first process alone, unless it is to end them by force.

        The second of two that reach a worker interrupts what sends its telemetry at its end, which is lost then."""
        import psutil

        members = self.members()
        by_gunicorn = {process.pid for process in members if _is_gunicorn(process)} if number != signal.SIGKILL else set()
        workers = [process for process in members if process.pid in by_gunicorn and _parent(process) in by_gunicorn]
        told = [process for process in members if process not in workers]
        if not workers:
            super()._signal(number)
            told = [process for process in told if _group(process.pid) != self._popen.pid]
        for process in told:
            try:
                process.send_signal(number)
            except psutil.Error:
                pass

    def _is_ours(self, process) -> bool:
        import psutil

        try:
            if process.create_time() < self._begun - 1 or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return _group(process.pid) == self._popen.pid or process.environ().get(MARK) == self._mark
        except (psutil.Error, OSError):
            return False

    def _take(self, pipe, begun: bytearray, chunk: bytes) -> None:
        super()._take(pipe, begun, chunk)
        for kept in (self._bytes, self._stdout, begun):
            if len(kept) > 3 * KEPT:
                del kept[KEPT:-KEPT]


def _is_gunicorn(process) -> bool:
    import psutil

    try:
        return any(Path(word).name.partition(":")[0] == "gunicorn" for word in process.cmdline()[:3])
    except psutil.Error:
        return False


def _parent(process) -> int:
    import psutil

    try:
        return process.ppid()
    except psutil.Error:
        return 0


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def environment(plan: Plan, endpoint: str) -> dict[str, str]:
    """The user's own shell, with the program's virtual environment first where it has one, and exporters turned to us."""
    env = {name: value for name, value in os.environ.items() if not ENDPOINT.match(f"{name}=")}
    if plan.venv:
        ours = {str(Path(sys.prefix) / "bin"), str(Path(env.get("VIRTUAL_ENV", "/")) / "bin")}
        path = [part for part in env.get("PATH", os.defpath).split(os.pathsep) if part not in ours]
        env |= {"PATH": os.pathsep.join([str(plan.venv / "bin"), *path]), "VIRTUAL_ENV": str(plan.venv)}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1", "localhost"]))
    return {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


def _turned(plan: Plan, endpoint: str) -> str:
    """The command line, where it names an address of an exporter, with ours instead."""
    words, turned = list(plan.command), []
    if len(words) == 1:
        return words[0]
    for before, word in zip(["", *words], words):
        if FLAG.fullmatch(before):
            word = endpoint
        elif FLAG.fullmatch(word.partition("=")[0]) and "=" in word:
            word = f"{word.partition('=')[0]}={endpoint}"
        elif ENDPOINT.fullmatch(word):
            word = f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}"
        turned.append(word)
    return shlex.join(turned)


def run(plan: Plan, endpoint: str, end: signal.Signals = signal.SIGINT) -> Run:
    """Let the program live once: start it, ask it, stop it. Whatever happens, none of its processes is left."""
    seen = Run(canary=f"workshop-canary-{secrets.token_hex(8)}")
    begun = time.monotonic()
    subject = Subject(plan, endpoint)
    try:
        _listen(subject, plan, seen)
        seen.start_seconds = time.monotonic() - begun
        if seen.listened:
            seen.asked = list(_ask(plan, seen, subject))
            seen.programs = tuple(dict.fromkeys(filter(None, map(_name, subject.members()))))
            seen.under_agent = any(map(_has_agent, subject.members()))
            if not seen.asked[-1].response.status:
                subject.ended(1)  # it may be dying
            stopping = time.monotonic()
            seen.stopped_by = _stop(subject, end)
            seen.stop_seconds = time.monotonic() - stopping
    finally:
        subject.kill()
    seen.output, seen.stdout = subject.output, subject.stdout
    return seen


def _listen(subject: Subject, plan: Plan, seen: Run) -> None:
    """Wait until it listens, or is gone, or it has taken too long."""
    deadline, pause = time.monotonic() + patient(plan.seconds), 0.02
    while time.monotonic() < deadline:
        over = subject.exit_code is not None
        ports = subject.listening()
        seen.elsewhere = tuple(sorted(ports))
        chosen = _chosen(ports, plan.port, subject)
        if chosen:
            seen.address, seen.listened = (ports[chosen], chosen), True
            seen.detached = over
            return
        if over and subject.is_gone():
            subject.wait(1)  # until its last words are read
            seen.gone, seen.exit_code = True, subject.exit_code
            return
        time.sleep(pause)  # the pause of a poll with a deadline: nobody is told when another program listens
        pause = min(0.1, 1.02 * pause)


def _chosen(ports: dict[int, str], wanted: int, subject: Subject) -> int:
    """Which port is the app's: the wanted one, the one that it names, or the only one that it can be; 0 for none yet."""
    if wanted:
        return wanted if wanted in ports else 0
    if not ports:
        return 0
    named = [int(port) for _, port in LISTENS.findall(subject.output) if int(port) in ports]
    others = [port for port in ports if port != PROMETHEUS_EXPORTER]
    return named[0] if named else others[0] if len(others) == 1 else 0


def _ask(plan: Plan, seen: Run, subject: Subject) -> Iterator[Asked]:
    """Each request three times, one of them as part of a trace that the asker has begun. Who never ends an answer is ended."""
    host, port = seen.address
    browser = Browser(f"http://{host}:{port}")
    browser.cookies.set("workshop", seen.canary)
    for method, path, form in plan.requests:
        for continues in (False, True, False):
            how = (
                {"data": form, "headers": {"Content-Type": "application/x-www-form-urlencoded", **plan.headers}} if form else {}
            )
            begun, patience = time.time_ns(), threading.Timer(patient(ANSWER_SECONDS), subject.kill)
            patience.start()
            try:
                response = browser.ask(method, path, traceparent=continues, **{"headers": plan.headers, **how})
            finally:
                patience.cancel()
            yield Asked(response, begun, time.time_ns())


def _stop(subject: Subject, first: signal.Signals) -> str:
    """End it in good order, or by force; says what it took, and nothing where it has ended by itself."""
    if subject.is_gone():
        return ""
    for number, seconds in ((first, STOP_SECONDS), (signal.SIGTERM, STOP_SECONDS / 2)):
        subject._signal(number)
        if subject.ended(seconds):
            return number.name
    subject.kill()
    return "SIGKILL"


def _name(process) -> str:
    import psutil

    try:
        return Path(process.exe()).name or process.name()
    except (psutil.Error, OSError):
        return ""


def _has_agent(process) -> bool:
    """Whether `opentelemetry-instrument` has started it: by then its folder is where Python looks first."""
    import psutil

    try:
        return "auto_instrumentation" in process.environ().get("PYTHONPATH", "")
    except (psutil.Error, OSError):
        return False


def found_environment(folder: Path) -> Path | None:
    """The virtual environment that lies in the program's folder."""
    return next((folder / name for name in (".venv", "venv") if (folder / name / "bin" / "python").exists()), None)


def must_be_startable(plan: Plan) -> None:
    """Raises UserError where there is no such folder or environment."""
    if not plan.folder.is_dir():
        raise UserError(f"{plan.folder}: no such folder. Name the one in which you start your app, with `--folder`.")
    if plan.venv and not (plan.venv / "bin").is_dir():
        raise UserError(
            f"{plan.venv}: no virtual environment, for it has no folder bin. Name the one of your app with `--venv`."
        )
