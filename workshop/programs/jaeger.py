"""Jaeger: starting one, asking it, and the learner's own, which `workshop up` starts and `workshop down` ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workshop.course.fences import ROOT
from workshop.errors import UserError
from workshop.programs import roads
from workshop.programs.program import JAEGER
from workshop.setup.addresses import address
from workshop.setup.cache import locked
from workshop.setup.commands import CommandFailed, Progress, Ticker, defer_signals, inherited_environment, kill_group, run
from workshop.setup.ports import free_port, is_listening, port_owner
from workshop.telemetry.otlp import read_otlp
from workshop.telemetry.spans import Span

CONFIGURATION = Path(__file__).with_name("jaeger.yaml")
COMPOSE = ["docker", "compose", "--file", ROOT / "docker-compose.yml", "--project-name", "flask-opentelemetry-workshop"]
SAVED = ROOT / ".saved"
PURPOSES = {"query": "its page and API", "health": "its health", "grpc": "OTLP over gRPC", "http": "OTLP over HTTP"}
READY_SECONDS = 15
STOP_SECONDS = 5
ANSWER_SECONDS = 5
# Programs on this machine are asked directly, whatever proxy the shell names.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class JaegerError(UserError, OSError):
    """Jaeger cannot be started or does not answer. The message says why and what to do."""


class Jaeger:
    """A Jaeger on this machine, or wherever `query_url` says. One that `start` has started ends with `stop`."""

    def __init__(self, query_url: str, grpc_port: int = JAEGER.ports["grpc"], http_port: int = JAEGER.ports["http"]):
        self.query_url, self.grpc_port, self.http_port = query_url.rstrip("/"), grpc_port, http_port
        self.process: subprocess.Popen | None = None

    @classmethod
    def start(cls, binary: Path, *, folder: Path, ports: dict[str, int] | None = None) -> Jaeger:
        """Start a Jaeger of one's own and wait until it takes traces; its log is `jaeger.log` in `folder`.

        `ports` are those of query, health, grpc and http; without them four free ones are taken. Raises JaegerError."""
        for attempt in (1, 2, 3):
            chosen = ports or free_ports()
            refuse_taken(chosen)
            jaeger = cls(f"http://127.0.0.1:{chosen['query']}", chosen["grpc"], chosen["http"])
            try:
                with defer_signals():
                    jaeger.process = _launch(binary, chosen, folder / "jaeger.log")
                jaeger._await_ready(chosen["health"], folder / "jaeger.log")
                return jaeger
            except PortTaken:
                jaeger.stop()
                if ports or attempt == 3:
                    raise
            except BaseException:
                jaeger.stop()
                raise

    def stop(self) -> None:
        """End the Jaeger that `start` has started; any other one goes on."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            kill_group(self.process.pid, number)
            try:
                self.process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None

    def __enter__(self) -> Jaeger:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def query_port(self) -> int:
        return urllib.parse.urlsplit(self.query_url).port or 80

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, none if Jaeger does not know it. Raises JaegerError when Jaeger does not answer."""
        return self._spans(f"/api/v3/traces/{trace_id}")

    def traces(self, service: str, operation: str = "", limit: int = 1000) -> list[Span]:
        """The spans of a service's newest traces. A search by tag is not in `/api/v3` of Jaeger 2.13.

        Jaeger counts by arrival, and a batch of 512 spans has no order: below that limit the newest may be cut off."""
        query = {"service_name": service, "num_traces": limit, **({"operation_name": operation} if operation else {})}
        query |= {"start_time_min": "1970-01-01T00:00:00Z", "start_time_max": "2200-01-01T00:00:00Z"}
        return self._spans("/api/v3/traces", **{f"query.{name}": value for name, value in query.items()})

    def services(self) -> list[str]:
        """The names of the services that have sent spans."""
        return sorted(self._json("services", "/api/v3/services"))

    def operations(self, service: str, kind: str = "server") -> list[str]:
        """The names of a service's spans of one kind."""
        found = self._json("operations", "/api/v3/operations", service=service, span_kind=kind)
        return sorted(operation["name"] for operation in found)

    def dependencies(self) -> list[dict]:
        """Which service calls which in the last day: `{"parent", "child", "callCount"}`. `/api/v3` does not have it."""
        day = 24 * 3600 * 1000
        return self._json("data", "/api/dependencies", endTs=int(time.time() * 1000), lookback=day)

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            self.services()
        except JaegerError:
            return False
        return True

    def has_page(self) -> bool:
        """Whether it serves Jaeger's web page; one that Go built from its module does not."""
        try:
            with DIRECT.open(f"{self.query_url}/", timeout=ANSWER_SECONDS) as page:
                return b"This is not the Jaeger UI" not in page.read()
        except (OSError, http.client.HTTPException):
            return False

    def _spans(self, path: str, **query: object) -> list[Span]:
        found = self._ask(path, **query)
        try:
            return read_otlp(found).spans
        except ValueError as error:
            raise JaegerError(f"there is no Jaeger at {self.query_url}: {error}") from None

    def _json(self, key: str, path: str, **query: object) -> list:
        """The list that an answer holds under a key; an empty one may be left out."""
        found = self._ask(path, **query)
        try:
            return json.loads(found).get(key) or []
        except (ValueError, AttributeError):
            raise JaegerError(f"there is no Jaeger at {self.query_url}: {path} does not answer with {key}") from None

    def _ask(self, path: str, **query: object) -> str:
        """What Jaeger answers; nothing when it knows no such trace."""
        url = f"{self.query_url}{path}{'?' if query else ''}{urllib.parse.urlencode(query)}"
        try:
            with DIRECT.open(url, timeout=ANSWER_SECONDS) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(200).decode(errors="replace").strip()
            if error.code == 404 and "No traces found" in said:
                return ""
            raise JaegerError(f"Jaeger answered {error.code} to {url}: {said}") from None
        except urllib.error.URLError as error:
            raise JaegerError(f"no Jaeger answers at {self.query_url} ({error.reason}); `workshop up` starts one") from None
        except (ValueError, http.client.HTTPException) as error:
            raise JaegerError(f"there is no Jaeger at {self.query_url}: {error}") from None
        except OSError as error:
            raise JaegerError(f"Jaeger at {self.query_url} stopped answering ({error}); see `workshop status`") from None

    def _await_ready(self, health_port: int, log: Path) -> None:
        deadline, pause = time.monotonic() + READY_SECONDS, threading.Event()
        while not _healthy(health_port):
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise _not_ready(log.read_text(errors="replace"), "ended" if ended else f"was not ready in {READY_SECONDS} s")
            pause.wait(0.02)


class PortTaken(JaegerError):
    """A port that Jaeger needs belongs to another program."""


def for_checks() -> Jaeger:
    """A Jaeger for the checks of one session: its own on free ports where the binary is at hand, else the learner's.

    Raises JaegerError when there is neither."""
    if binary := roads.at_hand(JAEGER):
        with tempfile.TemporaryDirectory(prefix="workshop-jaeger-") as folder:
            return Jaeger.start(binary, folder=Path(folder))
    jaeger = configured()
    jaeger.services()
    return jaeger


def free_ports() -> dict[str, int]:
    """Four ports of 127.0.0.1, free now."""
    return {name: free_port() for name in PURPOSES}


def refuse_taken(ports: dict[str, int]) -> None:
    """Raise PortTaken, naming port, owner and purpose, if anything listens on one of these ports."""
    for name, port in ports.items():
        if is_listening(port):
            raise _taken(port, PURPOSES[name])


def _taken(port: int, purpose: str) -> PortTaken:
    by = port_owner(port) or "another program"
    return PortTaken(
        f"port {port} is taken by {by}, and Jaeger needs it for {purpose}.\n"
        f"End that program (`lsof -nP -iTCP:{port} -sTCP:LISTEN` shows it), then run `workshop up` again."
    )


def _not_ready(log: str, how: str) -> JaegerError:
    if match := re.search(r":(\d+): bind: address already in use", log):
        return _taken(int(match[1]), "its work")
    last = "\n".join(log.strip().splitlines()[-5:])
    return JaegerError(f"Jaeger {how}; it said last:\n{last}" if last else f"Jaeger {how} and said nothing")


def _healthy(port: int) -> bool:
    try:
        with DIRECT.open(f"http://127.0.0.1:{port}{JAEGER.health_path}", timeout=ANSWER_SECONDS) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False


def _launch(binary: Path, ports: dict[str, int], log: Path) -> subprocess.Popen:
    env = {**inherited_environment(), "JAEGER_HOST": "127.0.0.1", **_port_settings(ports)}
    with open(log, "wb") as output:
        try:
            return subprocess.Popen(
                [binary, f"--config={CONFIGURATION}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise JaegerError(f"{binary} does not start: {error.strerror}. Remove it, then run `workshop up`.") from None


def _port_settings(ports: dict[str, int]) -> dict[str, str]:
    return {f"JAEGER_{name.upper()}_PORT": str(port) for name, port in ports.items()}


# The learner's own Jaeger


def configured(ports: dict[str, int] = JAEGER.ports) -> Jaeger:
    """The learner's Jaeger, whether it is up or not: the one that JAEGER_URL names, else that on the well-known ports.

    JAEGER_GRPC_PORT and JAEGER_HTTP_PORT say where the one of JAEGER_URL takes OTLP, if not on 4317 and 4318."""
    if given := os.environ.get("JAEGER_URL", "").strip():
        grpc, http = (os.environ.get(f"JAEGER_{name.upper()}_PORT", ports[name]) for name in ("grpc", "http"))
        return Jaeger(given, int(grpc), int(http))
    return Jaeger(f"http://127.0.0.1:{ports['query']}", ports["grpc"], ports["http"])


@dataclass(frozen=True)
class Running:
    """What lessons call "your Jaeger". `road` says how it came, `started` whether this call started it."""

    jaeger: Jaeger
    road: str
    started: bool


def up(progress: Progress = print, *, saved: Path = SAVED, ports: dict[str, int] = JAEGER.ports) -> Running:
    """Make sure that a Jaeger runs, by the first road that works, and say by which and where it is.

    What this starts goes on after the command, until `down`. Raises JaegerError, with all roads when none works."""
    with _alone(saved, progress):
        running = _already(saved, ports)
        if running is None:
            refuse_taken(ports)
            running = _by_docker(progress, saved, ports)
            if isinstance(running, str):
                progress(f"Docker: {running.splitlines()[-1]}")
                running = _by_binary(_obtained(progress, running), saved, ports)
    for line in _addresses(running):
        progress(line)
    return running


def down(progress: Progress = print, *, saved: Path = SAVED, ports: dict[str, int] = JAEGER.ports) -> None:
    """End the Jaeger that `up` started, and no other. Its traces lay in memory and are gone with it."""
    with _alone(saved, progress):
        state = _state(saved)
        process = _recorded(state)
        if state.get("road") == "docker":
            try:
                run([*COMPOSE, "down"])
            except CommandFailed as error:
                if configured(ports).ready():
                    raise JaegerError(f"`docker compose down` failed: {error}") from None
            progress("stopped Jaeger's container")
        elif process:
            _end(process)
            progress(f"stopped Jaeger (process {process.pid})")
        elif configured(ports).ready():
            progress(f"left alone: a Jaeger that `workshop up` did not start, at {configured(ports).query_url}")
        else:
            progress("no Jaeger of `workshop up` is running")
        (saved / "jaeger.json").unlink(missing_ok=True)


def status(saved: Path = SAVED, ports: dict[str, int] = JAEGER.ports) -> list[tuple[str, str]]:
    """What is known of the learner's Jaeger, as rows of a table."""
    try:
        running = _already(saved, ports)
    except JaegerError as error:
        return [("Jaeger", str(error))]
    if running is None:
        taken = [f"{port} ({port_owner(port) or 'another program'})" for port in ports.values() if is_listening(port)]
        rows = [("Jaeger", "not running; `workshop up` starts it")]
        return rows + ([("ports in the way", ", ".join(taken))] if taken else [])
    rows = [("Jaeger", f"running: {running.road}")]
    if process := _recorded(_state(saved)):
        memory, log = process.memory_info().rss / 1e6, os.path.relpath(saved / "jaeger.log")
        rows.append(("process", f"{process.pid}, {memory:.0f} MB, log in {log}"))
    rows += [tuple(re.split(r"  +", line.strip(), maxsplit=1)) for line in _addresses(running)[1:]]
    return [*rows, ("services", ", ".join(running.jaeger.services()) or "none yet")]


@contextmanager
def _alone(saved: Path, progress: Progress) -> Iterator[None]:
    """One `up` or `down` at a time."""
    try:
        with locked(saved / "jaeger.lock", lambda: progress("another `workshop up` or `down` is at work; waiting")):
            yield
    except JaegerError:
        raise
    except OSError as error:
        raise JaegerError(f"{error.filename or saved} cannot be written: {error.strerror}") from None


def _already(saved: Path, ports: dict[str, int]) -> Running | None:
    """The Jaeger that is there without our doing anything."""
    jaeger = configured(ports)
    if url := os.environ.get("JAEGER_URL", "").strip():
        try:
            jaeger.services()
        except JaegerError as error:
            raise JaegerError(
                f"JAEGER_URL is {url}, and that fails: {error}\nStart that Jaeger, or `unset JAEGER_URL` to have one here."
            ) from None
        return Running(jaeger, "JAEGER_URL names it", False)
    if not jaeger.ready():
        return None
    if silent := [port for port in (ports["grpc"], ports["http"]) if not is_listening(port)]:
        raise JaegerError(
            f"a Jaeger answers on port {ports['query']}, and nothing listens on {' and '.join(map(str, silent))}, "
            f"where apps send spans.\nStart that one with OTLP on {ports['grpc']} and {ports['http']}, "
            "or end it and run `workshop up` again."
        )
    state = _state(saved)
    ours = _recorded(state) or state.get("road") == "docker"
    return Running(jaeger, "`workshop up` started it before" if ours else "somebody else started it", False)


def _by_docker(progress: Progress, saved: Path, ports: dict[str, int]) -> Running | str:
    """Start Jaeger's container, or say why not."""
    if not shutil.which("docker"):
        return "not installed"
    env = {**inherited_environment(), **_port_settings(ports)}
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], env, seconds=ANSWER_SECONDS)
    except CommandFailed as error:
        return f"no engine answers: {str(error).splitlines()[-1]}"
    try:
        run(["docker", "compose", "version"], env, seconds=ANSWER_SECONDS)
    except CommandFailed:
        return "an engine answers, and `docker compose` is not installed"
    progress(f"Docker: starting {JAEGER.image_tag}")
    ticker = Ticker(progress)
    _record(saved, {"road": "docker"})
    try:
        run([*COMPOSE, "up", "-d", "--wait", "jaeger"], env, on_tick=lambda: ticker("Docker: still starting"))
        jaeger = configured(ports)
        jaeger._await_ready(ports["health"], Path(os.devnull))
        return Running(jaeger, "a container by docker compose", True)
    except (CommandFailed, JaegerError, KeyboardInterrupt) as error:
        try:
            run([*COMPOSE, "down"], env)
        except CommandFailed:
            pass  # nothing was started
        (saved / "jaeger.json").unlink(missing_ok=True)
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"`docker compose up` failed: {error}"


def _obtained(progress: Progress, docker: str) -> Path:
    try:
        return roads.obtain(JAEGER, progress, {"Docker": docker})
    except roads.NoRoad as error:
        raise JaegerError(str(error)) from None


def _by_binary(binary: Path, saved: Path, ports: dict[str, int]) -> Running:
    """Start the binary so that it outlives this command, and write down which process it is."""
    import psutil

    jaeger, log = configured(ports), saved / "jaeger.log"
    try:
        with defer_signals():
            jaeger.process = _launch(binary, ports, log)
        created = psutil.Process(jaeger.process.pid).create_time()
        _record(saved, {"road": "binary", "pid": jaeger.process.pid, "created": created})
        jaeger._await_ready(ports["health"], log)
    except BaseException:
        jaeger.stop()
        (saved / "jaeger.json").unlink(missing_ok=True)
        raise
    jaeger.process.returncode = 0  # it goes on without this command, and Popen need not warn of that
    jaeger.process = None
    return Running(jaeger, f"started from {binary}", True)


def _addresses(running: Running) -> list[str]:
    jaeger = running.jaeger
    local = urllib.parse.urlsplit(jaeger.query_url).hostname in ("127.0.0.1", "localhost")
    page = address(jaeger.query_port) if local else jaeger.query_url
    if not jaeger.has_page():
        page = "none: this Jaeger was built by Go, without its web page; `workshop trace` draws traces here"
    host = urllib.parse.urlsplit(jaeger.query_url).hostname
    return [
        f"Jaeger is up: {running.road}",
        f"  page            {page}",
        f"  OTLP over gRPC  http://{host}:{jaeger.grpc_port}",
        f"  OTLP over HTTP  http://{host}:{jaeger.http_port}",
    ]


def _state(saved: Path) -> dict:
    """What `up` wrote down; empty when there is nothing, or nothing that can be read."""
    try:
        found = json.loads((saved / "jaeger.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _record(saved: Path, state: dict) -> None:
    partial = saved / "jaeger.partial"
    partial.write_text(json.dumps(state), encoding="utf-8")
    os.replace(partial, saved / "jaeger.json")


def _recorded(state: dict):
    """The process that `up` started, None if it has ended: its number may belong to another program by now."""
    import psutil

    try:
        process = psutil.Process(state["pid"])
        same = abs(process.create_time() - state["created"]) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None
    return process if same else None


def _end(process) -> None:
    import psutil

    pause = threading.Event()
    for end in (process.terminate, process.kill):
        try:
            end()
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                # In a container nobody may be there to collect what has ended: it stays in the table as a zombie.
                if process.status() == psutil.STATUS_ZOMBIE:
                    process.wait(0)
                    return
                pause.wait(0.02)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            return
