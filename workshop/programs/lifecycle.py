"""The life of any program: started for checks on ports of its own; or the learner's own, by `workshop up` and `down`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from workshop.course import lessons
from workshop.course.fences import ROOT
from workshop.programs import methods
from workshop.programs.instance import ANSWER_SECONDS, STOP_SECONDS, Instance, PortTaken, ProgramError, taken
from workshop.programs.program import Program, find, programs
from workshop.setup.cache import locked, write_whole
from workshop.setup.commands import CommandFailed, Progress, Ticker, defer_signals, inherited_environment, run
from workshop.setup.ports import free_port, is_listening, port_owner

SAVED = ROOT / ".saved"
# A project of its own for each clone: what one starts and stops in Docker is no business of another.
PROJECT = f"flask-opentelemetry-workshop-{hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:8]}"
COMPOSE = ["docker", "compose", "--file", ROOT / "docker-compose.yml", "--project-name", PROJECT]


def start(
    program: Program,
    executable: Path,
    folder: Path,
    ports: dict[str, int] | None = None,
    configuration: Path | None = None,
    settings: dict[str, str] | None = None,
    on_ports: Callable[[dict[str, int]], object] = lambda ports: None,
):
    """Start a program of one's own, and wait until it is ready; its log and its data lie in `folder`.

    Without `ports` free ones are taken, and `on_ports` is told them before it starts; without `configuration` it is the file
    that the program names; `settings` are variables besides those of its own ports. Raises ProgramError."""
    for attempt in (1, 2, 3):
        chosen = ports or free_ports(program)
        _refuse_taken(program, chosen)
        on_ports(chosen)
        instance = _instance(program, chosen, folder)
        try:
            with defer_signals():
                launch = partial(_launch, instance, executable, configuration or configuration_of(program), settings)
                instance.process, instance.launch = launch(), launch
            instance.await_ready()
            return instance
        except PortTaken:
            instance.stop()
            if ports or attempt == 3:
                raise
        except BaseException:
            instance.stop()
            raise


def for_checks(
    program: Program,
    configuration: Path | None = None,
    settings: dict[str, str] | None = None,
    progress: Progress | None = None,
    on_ports: Callable[[dict[str, int]], object] | None = None,
):
    """A program for checks, with a `configuration` or that of the workshop: on free ports where it is at hand.

    Where it is not, it is the learner's, unless the configuration is given, or `on_ports`, which is told the ports before it
    starts; else it is brought, if there is `progress` to tell. Raises ProgramError when there is none of these."""
    executable = methods.at_hand(program)
    if executable is None:
        learners = Service(program).configured()
        if not progress or (not configuration and not on_ports and learners.ready()):
            learners.check()
            return learners
        executable = _obtained(program, progress)
    folder = tempfile.TemporaryDirectory(prefix=f"workshop-{program.name}-")
    try:
        configuration = configuration or (ROOT / program.default if program.default else None)
        instance = start(
            program, executable, Path(folder.name), None, configuration, settings, on_ports or (lambda ports: None)
        )
    except BaseException:
        folder.cleanup()
        raise
    instance._folder = folder
    return instance


def free_ports(program: Program) -> dict[str, int]:
    """A port of 127.0.0.1 for each that the program needs, free now."""
    return {name: free_port() for name in program.ports}


def needed(current: str | None, root: Path = ROOT) -> list[Program]:
    """What the lesson `current` needs: the programs of all lessons, and each that this lesson or an earlier one starts by name."""
    pages = [lesson for lesson in lessons.lessons(root) if current and lesson.name <= current]
    commands = "\n".join(block.text for lesson in pages for block in lesson.blocks if block.language == "shell")
    named = {name for words in re.findall(r"^workshop up +([\w ]+)", commands, re.MULTILINE) for name in words.split()}
    return [program for name, program in programs().items() if program.for_all_lessons or name in named]


def docker_trouble(seconds: float) -> str | None:
    """Why Docker cannot start a container here: empty when it can, None when it is not installed."""
    if not shutil.which("docker"):
        return None
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], seconds=seconds)
    except CommandFailed as error:
        return f"no engine answers: {str(error).splitlines()[-1]}"
    try:
        run(["docker", "compose", "version"], seconds=seconds)
    except CommandFailed:
        return "an engine answers, and it has no `docker compose`"
    return ""


def _instance(program: Program, ports: dict[str, int], folder: Path, url: str = ""):
    url = url or f"http://127.0.0.1:{ports[next(iter(program.ports))]}"
    return (program.instance or Instance)(program, url, ports, folder)


def _launch(
    instance: Instance, executable: Path, configuration: Path | None, settings: dict[str, str] | None = None
) -> subprocess.Popen:
    program, data = instance.program, instance.data
    words = {"host": "127.0.0.1", "configuration": configuration, "data": data, **instance.ports}
    data.mkdir(exist_ok=True)
    own = {program.setting("HOST"): "127.0.0.1", program.setting("DATA"): str(data), **port_settings(program, instance.ports)}
    if configuration:
        own[program.setting("SRC")] = str(configuration.parent.parent)
    with open(instance.log, "wb") as output:
        try:
            return subprocess.Popen(
                [executable, *(argument.format(**words) for argument in program.arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=instance.folder,
                env={**inherited_environment(), **(settings or {}), **own},
                start_new_session=True,
            )
        except OSError as error:
            again = f"Remove it, then run `{program.up}`."
            raise ProgramError(f"{executable} does not start: {error.strerror}. {again}") from None


def configuration_of(program: Program) -> Path | None:
    """The file that configures the program: the one that a lesson writes, else the workshop's. Raises ProgramError for none."""
    names = [name for name in (program.configuration, program.default) if name]
    found = next((ROOT / name for name in names if (ROOT / name).is_file()), None)
    if names and not found:
        raise ProgramError(
            f"{program.title} reads {program.configuration}, and there is no such file.\n"
            "A lesson writes it: go back to the one that does, or bring it with `workshop solve` of that lesson."
        )
    return found


def _read(program: Program) -> str:
    """A sum of what the program reads and lessons change: its configuration, and of the files beside it those that it names."""
    if not program.default:
        return ""
    own = configuration_of(program)
    named = [Path(word).name for word in re.findall(r"""[^\s"'[\]{},]+""", own.read_text(encoding="utf-8", errors="replace"))]
    beside = sorted(own.parent.glob("*.y*ml"))
    files = [own, *(file for file in beside if file != own and any(fnmatchcase(file.name, name) for name in named))]
    return hashlib.sha256(b"".join(os.fsencode(file) + file.read_bytes() for file in files)).hexdigest()


def _obtained(program: Program, progress: Progress, tried: dict[str, str] | None = None) -> Path:
    try:
        return methods.obtain(program, progress, tried)
    except methods.NotInstalled as error:
        raise ProgramError(str(error)) from None


def port_settings(program: Program, ports: dict[str, int]) -> dict[str, str]:
    return {program.setting(f"{name}_PORT"): str(port) for name, port in ports.items()}


def _refuse_taken(program: Program, ports: dict[str, int], saved: Path | None = None) -> None:
    """Raise PortTaken, naming port, owner and purpose, if anything listens on one of these ports."""
    for name, port in ports.items():
        if not is_listening(port):
            continue
        end = ""
        for other in programs().values() if saved else ():
            if other.name != program.name and port in Service(other, saved).ours().get("ports", {}).values():
                end = f"`workshop down {other.name}` ends that program"
        raise taken(program, port, program.ports[name].purpose, end)


# The learner's own


@dataclass(frozen=True)
class Running:
    """The learner's program that `up` found or brought. `method` says how it came, `started` whether this call started it."""

    instance: Instance
    method: str
    started: bool


class Service:
    """The learner's own program: what `workshop up`, `down` and `status` do with it.

    `saved` is where it is written down what was started, `ports` are for tests: without them those count that variables
    such as JAEGER_GRPC_PORT name, then those on which it was started, then the well-known ones."""

    def __init__(self, program: Program, saved: Path = SAVED, ports: dict[str, int] | None = None):
        self.program, self.saved, self._given = program, saved, ports
        self._record = saved / f"{program.name}.json"

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens, or will listen. Raises ProgramError for a setting that is no port."""
        if self._given:
            return self._given
        found = {**self.program.numbers, **self.ours().get("ports", {})}
        for name in found:
            setting = self.program.setting(f"{name}_PORT")
            text = os.environ.get(setting, "").strip()
            if text and not (re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) < 65536):
                raise ProgramError(
                    f"{setting} is {text!r}, and a port is a number from 1 to 65535.\n"
                    f"Name the right one, or `unset {setting}`: then it is {self.program.numbers[name]}."
                )
            found[name] = int(text or found[name])
        return found

    def configured(self):
        """The program whether it is up or not: the one that its setting names (JAEGER_URL), else the one on its ports."""
        return _instance(self.program, self.ports, self.saved, self._named())

    def up(self, progress: Progress = print) -> Running:
        """Make sure that it runs, by the first method that works, and say by which and where it is.

        What this starts goes on after the command, until `down`, or an `up` after its configuration has changed. Raises
        ProgramError, with all methods when none works."""
        with self._alone(progress):
            if self.ours().get("read", now := _read(self.program)) != now:
                progress(f"{self.program.title} is started anew: its configuration has changed")
                self._end_ours(progress)
            running = self._already() or self._brought(progress)
        progress(f"{self.program.title} is up: {running.method}")
        rows = running.instance.addresses()
        width = max([14, *(len(label) for label, _ in rows)])
        for label, value in rows:
            progress(f"  {label:<{width}}  {value}")
        return running

    def down(self, progress: Progress = print) -> bool:
        """End what `up` started, and nothing else. Returns False, without a word, when nothing of it runs here."""
        with self._alone(progress):
            if self._end_ours(progress):
                return True
            stranger = self.configured()
            if not stranger.ready():
                return False
            progress(f"left alone: {self.program.title} at {stranger.url}, which `workshop up` did not start")
            return True

    def _end_ours(self, progress: Progress) -> bool:
        ours = self.ours()
        if ours.get("method") == "docker":
            self._remove_container()
            progress(f"stopped {self.program.title}'s container")
        elif ours:
            _end(_recorded(ours))
            progress(f"stopped {self.program.title} (process {ours['pid']})")
        self._record.unlink(missing_ok=True)
        return bool(ours)

    def status(self) -> list[tuple[str, str]]:
        """What is known of it, as rows of a table."""
        title = self.program.title
        try:
            running = self._already()
            if running is None:
                taken = [
                    f"{port} ({port_owner(port) or 'another program'})" for port in self.ports.values() if is_listening(port)
                ]
                rows = [(title, f"not running; `{self.program.up}` starts it")]
                return rows + ([("ports in the way", ", ".join(taken))] if taken else [])
            rows = [(title, f"running: {running.method}")]
            if process := _recorded(self.ours()):
                log = os.path.relpath(running.instance.log)
                rows.append(("process", f"{process.pid}, {process.memory_info().rss / 1e6:.0f} MB, log in {log}"))
            return [*rows, *running.instance.addresses(), *running.instance.details()]
        except ProgramError as error:
            return [(title, str(error))]

    def ours(self) -> dict:
        """What `up` wrote down of the program that it started and that still runs; else nothing.

        A container counts as running until `down`: Docker is not asked for that."""
        try:
            found = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        known = isinstance(found, dict) and isinstance(found.get("ports"), dict)
        return found if known and (found.get("method") == "docker" or _recorded(found)) else {}

    @contextmanager
    def _alone(self, progress: Progress) -> Iterator[None]:
        """One `up` or `down` at a time."""
        try:
            lock = self.saved / f"{self.program.name}.lock"
            with locked(lock, lambda: progress("another `workshop up` or `down` is at work; waiting")):
                yield
        except ProgramError:
            raise
        except OSError as error:
            raise ProgramError(f"{error.filename or self.saved} cannot be written: {error.strerror}") from None

    def _named(self) -> str:
        return os.environ.get(self.program.setting("URL"), "").strip()

    def _already(self) -> Running | None:
        """The program that is there without our doing anything."""
        instance, title = self.configured(), self.program.title
        if url := self._named():
            setting = self.program.setting("URL")
            try:
                instance.check()
            except ProgramError as error:
                raise ProgramError(
                    f"{setting} is {url}, and that fails: {error}\nStart that {title}, or `unset {setting}` to have one here."
                ) from None
            return Running(instance, f"{setting} names it", False)
        if not instance.ready():
            return None
        ours = self.ours()
        need = [name for name, port in self.program.ports.items() if not port.optional and name != self.program.health[0]]
        if silent := {name: instance.ports[name] for name in need if not is_listening(instance.ports[name])}:
            end = f"`workshop down {self.program.name}`" if ours else "End it"
            where = " and ".join(map(str, silent.values()))
            purposes = " and ".join(self.program.ports[name].purpose for name in silent)
            raise ProgramError(
                f"{title} answers on port {instance.port}, and nothing listens on {where}, where it should for {purposes}.\n"
                f"{end}, then run `{self.program.up}` again."
            )
        return Running(instance, "`workshop up` started it before" if ours else "somebody else started it", False)

    def _brought(self, progress: Progress) -> Running:
        configuration_of(self.program)
        ports = self.ports
        _refuse_taken(self.program, ports, self.saved)
        found = self._by_docker(progress, ports)
        if isinstance(found, Running):
            return found
        progress(f"Docker: {found.splitlines()[-1]}")
        return self._by_executable(_obtained(self.program, progress, {"Docker": found}), ports)

    def _by_docker(self, progress: Progress, ports: dict[str, int]) -> Running | str:
        """Start the program's container, or say why not."""
        if not self.program.image:
            return "there is no container of it"
        trouble = docker_trouble(ANSWER_SECONDS)
        if trouble != "":
            return trouble or "not installed"
        progress(f"Docker: starting {self.program.image_tag}")
        ticker = Ticker(progress)
        env = {**inherited_environment(), **port_settings(self.program, ports)}
        if self.program.configuration:
            env[self.program.setting("FOLDER")] = str(configuration_of(self.program).parent)
        self._write({"method": "docker", "ports": ports})
        try:
            up = [*COMPOSE, "up", "-d", "--wait", self.program.name]
            run(up, env, on_tick=lambda: ticker("Docker: still starting"))
            instance = _instance(self.program, ports, self.saved)
            instance.await_ready()
            return Running(instance, "a container by docker compose", True)
        except BaseException as error:
            with suppress(ProgramError):
                self._remove_container()
            self._record.unlink(missing_ok=True)
            if not isinstance(error, (CommandFailed, ProgramError)):
                raise
            return f"`docker compose up` failed: {error}"

    def _remove_container(self) -> None:
        """Remove this program's container, and the network of this clone's containers after the last of them."""
        try:
            run([*COMPOSE, "rm", "--stop", "--force", self.program.name])
        except CommandFailed as error:
            if _instance(self.program, self.ports, self.saved).ready():
                raise ProgramError(f"`docker compose rm` failed: {error}") from None
        with suppress(CommandFailed):
            run(["docker", "network", "rm", f"{PROJECT}_default"])  # refused while another container is in it

    def _by_executable(self, executable: Path, ports: dict[str, int]) -> Running:
        """Start the executable so that it outlives this command, and write down which process it is."""
        import psutil

        instance = _instance(self.program, ports, self.saved)
        try:
            with defer_signals():
                instance.process = _launch(instance, executable, configuration_of(self.program))
            pid = instance.process.pid
            self._write({"method": "process", "pid": pid, "created": psutil.Process(pid).create_time(), "ports": ports})
            instance.await_ready()
        except BaseException:
            instance.stop()
            self._record.unlink(missing_ok=True)
            raise
        instance.process.returncode = 0  # it goes on without this command, and Popen need not warn of that
        instance.process = None
        return Running(instance, f"started from {executable}", True)

    def _write(self, state: dict) -> None:
        write_whole(self._record, json.dumps({**state, "read": _read(self.program)}))


def up(names: tuple[str, ...], current: str | None, progress: Progress = print) -> None:
    """Bring the programs of these names, else those that the lesson `current` needs. Raises UserError."""
    for program in [find(name) for name in names] or needed(current):
        Service(program).up(progress)


def down(names: tuple[str, ...], progress: Progress = print) -> None:
    """End what `up` started of the programs of these names, else of all. Raises UserError."""
    chosen = [find(name) for name in names] or programs().values()
    idle = [program.title for program in chosen if not Service(program).down(progress)]
    if names:
        for title in idle:
            progress(f"no {title} of `workshop up` is running")
    elif len(idle) == len(chosen):
        progress("nothing that `workshop up` started is running")


def status() -> list[tuple[str, str]]:
    """What is known of each program, as rows of a table."""
    return [row for program in programs().values() for row in Service(program).status()]


def _recorded(state: dict):
    """The process that `up` started, None if it has ended: its number may belong to another program by now."""
    try:
        import psutil
    except ImportError:
        return None  # nothing is installed yet, and so `up` has started nothing
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
