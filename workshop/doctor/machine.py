"""What a machine is like: looked at once, so that each finding is a pure function of it.

The standard library is enough to begin with, and Python 3.8 can read this file: an old Python may be what is wrong.
"""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from workshop.course.pins import canonical

ROOT = Path(__file__).resolve().parent.parent.parent
APP = 5001
GB = 1e9
PATIENCE = 1  # seconds for each thing that may be slow: Docker, a Jaeger elsewhere, the network
TYPED = ("flask", "gunicorn", "opentelemetry-instrument", "python")
NEEDED = ("bash", "curl", "git", "make")
SOMETIMES = {"jq": "300/600/400 asks lines of JSON with it, and so does `make test`"}
WORKSPACES = {"CODESPACES": "Codespaces", "GITPOD_WORKSPACE_URL": "Gitpod", "GITPOD_ENVIRONMENT_ID": "Ona"}
HOSTED = re.compile(r"^  (\w+):\n(?:(?:    .*)?\n)*?    network_mode: host$", re.MULTILINE)  # in docker-compose.yml
INSTALLERS = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "apk": "sudo apk add",
    "brew": "brew install",
}


@dataclass(frozen=True)
class Package:
    """An installed package. `requires` holds its requirements as its metadata words them."""

    version: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beside:
    """A program that the learner's lesson needs, and how it can come. Sizes are in bytes."""

    name: str
    title: str
    up: str  # the command that brings it
    ports: tuple[int, ...] = ()
    state: str = "not running"  # the first line of `workshop status`
    contained: bool = True  # whether there is a container of it
    here: bool = False  # whether its executable is on this machine
    archive: str = ""  # the host of its archive, if it can be reached
    go: str = ""  # a Go that can build it
    build: float = 0  # what Go's caches take for that
    memory: float = 0

    @property
    def runs(self) -> bool:
        return self.state.startswith("running")


@dataclass(frozen=True)
class Machine:
    """What `gather` saw. Sizes are in bytes; an empty text means that there is nothing to say against it."""

    system: str = "Linux"
    processor: str = ""
    place: str = ""
    page: str = ""
    python: tuple[int, ...] = (3, 11, 0)
    bits: int = 64
    newer: str = ""  # a Python on PATH that is new enough
    root: Path = ROOT
    folder: Path = ROOT
    prefix: Path = ROOT / ".venv"
    base_prefix: Path = Path("/usr")
    installed: bool = True  # whether the environment's folder is there
    typed: dict[str, str] = field(default_factory=dict)  # command: the folder in which the shell finds it
    missing: tuple[str, ...] = ()
    installer: str = ""
    requirements: str = ""
    packages: dict[str, Package] = field(default_factory=dict)
    listeners: dict[int, str] = field(default_factory=dict)  # taken port: by what
    own: tuple[int, ...] = ()  # the taken ports whose program was started in this src/
    programs: tuple[Beside, ...] = ()
    docker: str | None = None  # None: not installed; else why no engine answers
    desktop: bool = False  # whether that engine is Docker Desktop, whose containers run in a machine of their own
    hosted: tuple[str, ...] = ()  # the programs whose containers are on the host's network
    free: float = 100 * GB
    memory: float | None = 16 * GB  # None: not known
    exported: dict[str, str] = field(default_factory=dict)
    system_proxy: str = ""
    interrupts: bool = True
    encodings: tuple[str, ...] = ("utf-8",)
    unwritable: dict[str, OSError] = field(default_factory=dict)
    shadows: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()  # scripts of the learner's whose lines end as on Windows
    connection_strings: dict[str, str] = field(default_factory=dict)  # place: what it says to Azure's exporter


def gather(root: Path = ROOT, app: int = APP, ports: dict[str, dict[str, int]] | None = None) -> Machine:
    """Look at this machine. The port of the app and those of each program are the usual ones, unless a test takes others."""
    base = {
        "system": platform.system(),
        "processor": platform.machine(),
        "python": sys.version_info[:3],
        "bits": struct.calcsize("P") * 8,
        "newer": "" if (3, 10) <= sys.version_info < (3, 15) else _newer(),
        "root": root,
    }
    if sys.version_info < (3, 10) or os.name != "posix":
        return Machine(**base)  # the rest of the workshop cannot be read here

    from workshop.checks.sandbox import Sandbox
    from workshop.learner.workspace import Workspace
    from workshop.programs.lifecycle import docker_trouble, needed
    from workshop.setup.addresses import address
    from workshop.setup.cache import cache_folder
    from workshop.setup.ports import is_listening

    page = address(app)
    watched = {root / ".saved", root / "src", cache_folder()}
    prefix = Path(sys.prefix).resolve()
    wanted = needed(Workspace(root).progress()["current"], root)
    states = {
        program.name: lambda program=program: _state(program, root, (ports or {}).get(program.name)) for program in wanted
    }
    seen = _together(docker_=lambda: docker_trouble(PATIENCE), **states)
    docker = seen.get("docker_", "no engine answers in time")
    silent = lambda program: (f"{program.title} does not answer in time", ())  # noqa: E731
    programs = tuple(_beside(program, *seen.get(program.name, silent(program)), docker == "") for program in wanted)
    listening = [app, *(port for program in programs if not program.runs for port in program.ports)]
    owners = {port: _owner(port) if is_listening(port) else ("", None) for port in listening}
    return Machine(
        **base,
        place=_place(),
        page="" if "127.0.0.1" in page else page,
        folder=Path.cwd(),
        prefix=prefix,
        base_prefix=Path(sys.base_prefix).resolve(),
        installed=(root / ".venv" / "bin").exists(),
        typed={name: str(Path(found).parent.resolve()) for name in TYPED if (found := shutil.which(name))},
        missing=tuple(name for name in (*NEEDED, *SOMETIMES) if not shutil.which(name)),
        installer=_installer(),
        requirements=(root / "requirements.txt").read_text(encoding="utf-8"),
        packages=_packages(),
        listeners={port: owner for port, (owner, _) in owners.items()},
        own=tuple(port for port, (_, folder) in owners.items() if folder == root / "src"),
        programs=programs,
        docker=docker,
        desktop=docker == "" and _desktop(),
        hosted=_hosted(root / "docker-compose.yml"),
        free=min(shutil.disk_usage(_existing(path)).free for path in watched),
        memory=_memory(),
        exported=_exported(),
        system_proxy=_system_proxy(),
        interrupts=signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,
        encodings=(locale.getpreferredencoding(False), sys.getfilesystemencoding()),
        unwritable={str(path): error for path in sorted(set(map(_existing, watched))) if (error := _unwritable(path))},
        shadows=Sandbox(root / "src").shadows(),
        windows=tuple(f"src/{file.name}" for file in sorted((root / "src").glob("*.sh")) if b"\r\n" in file.read_bytes()),
        connection_strings=_connection_strings(root),
    )


def _hosted(compose: Path) -> tuple[str, ...]:
    return tuple(HOSTED.findall(compose.read_text(encoding="utf-8"))) if compose.exists() else ()


def _desktop() -> bool:
    from workshop.setup.commands import CommandFailed, run

    try:
        return "Docker Desktop" in run(["docker", "version", "--format", "{{.Server.Platform.Name}}"], seconds=PATIENCE)
    except CommandFailed:
        return False


def _newer() -> str:
    """A Python on PATH that the workshop is proved with."""
    runs = lambda name: subprocess.call([name, "-c", ""], stderr=subprocess.DEVNULL) == 0  # noqa: E731
    names = [f"python3.{minor}" for minor in range(14, 9, -1)]
    return next((name for name in names if shutil.which(name) and runs(name)), "")


def _state(program, root: Path, given: dict[str, int] | None) -> tuple[str, tuple[int, ...]]:
    """The first line of `workshop status` about a program, and its ports."""
    from workshop.programs.instance import ProgramError
    from workshop.programs.lifecycle import Service

    service = Service(program, root / ".saved", given)
    state = service.status()[0][1]
    try:
        return state, tuple(service.ports.values())
    except ProgramError:
        return state, ()  # the state says which setting is no port


def _beside(program, state: str, ports: tuple[int, ...], docker: bool) -> Beside:
    """What is known of a program; the far ways to it are looked for where there is no near one."""
    from workshop.programs.methods import at_hand

    contained = bool(program.image)
    seen = Beside(program.name, program.title, program.up, ports, state, contained, memory=program.memory)
    here = at_hand(program) is not None
    if seen.runs or (docker and contained) or here:
        return replace(seen, here=here)
    far = _together(archive=lambda: _archive(program), go=lambda: _go(program))
    build = program.go.disk if program.go else 0
    return replace(seen, archive=far.get("archive", ""), go=far.get("go", ""), build=build)


def _archive(program) -> str:
    """The host of a program's archive if it can be reached."""
    if not program.archive:
        return ""
    address = urllib.parse.urlsplit(program.archive_address)
    if address.scheme in urllib.request.getproxies():
        return f"{address.hostname} (by your proxy)"
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname, port), PATIENCE).close()
    except (OSError, KeyError):
        return ""
    return address.hostname


def _go(program) -> str:
    """The Go of this machine if it can build the program."""
    from workshop.setup.commands import CommandFailed, run

    if not program.go:
        return ""
    try:
        version = run(["go", "env", "GOVERSION"], seconds=PATIENCE).strip()
    except CommandFailed:
        return ""
    return version if tuple(map(int, re.findall(r"\d+", version)[:3])) >= program.go.needs else ""


def _together(**questions: Callable) -> dict:
    """The answers to several questions, asked side by side. One that takes more than two slow steps is left out."""
    answers, deadline = {}, time.monotonic() + 2.2 * PATIENCE

    def ask(name: str) -> None:
        answers[name] = questions[name]()

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in questions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return dict(answers)


def _packages() -> dict[str, Package]:
    from importlib.metadata import distributions

    found: dict[str, Package] = {}
    for distribution in distributions():
        metadata = distribution.metadata
        if metadata["Name"]:  # a half removed package leaves a folder without
            package = Package(metadata["Version"], tuple(metadata.get_all("Requires-Dist") or ()))
            found.setdefault(canonical(metadata["Name"]), package)  # the first on the path is the one that is imported
    return found


def _owner(port: int) -> tuple[str, Path | None]:
    """Who listens on a port, and the folder in which it was started; as far as the system tells."""
    try:
        import psutil
    except ImportError:
        return "another program", None
    from workshop.setup.ports import port_owner

    try:
        owner = port_owner(port)
        number = re.search(r"process (\d+)", owner)
        return owner or "another program", Path(psutil.Process(int(number[1])).cwd()) if number else None
    except (OSError, psutil.Error):
        return "another program", None


def _installer() -> str:
    how = next((how for name, how in INSTALLERS.items() if shutil.which(name)), "")
    return how.replace("sudo ", "") if os.geteuid() == 0 else how


def _place() -> str:
    """What this system runs in: a cloud workspace, WSL, a container, or nothing to speak of."""
    for variable, place in WORKSPACES.items():
        if os.environ.get(variable):
            return place
    if "microsoft" in platform.release().lower():
        return "WSL"
    return "a container" if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() else ""


def _memory() -> float | None:
    """Bytes that programs may still take: what is available, or a container's limit where that is less."""
    try:
        import psutil
    except ImportError:
        return None
    try:
        limit = float(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):
        limit = float("inf")
    return min(psutil.virtual_memory().available, limit)


def _exported() -> dict[str, str]:
    from workshop.checks.process import inherited

    found = {name: value for name, value in inherited().items() if not re.match(r"PYTHON(?!PATH$|HOME$)", name)}
    return {**found, **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}}


def _connection_strings(root: Path) -> dict[str, str]:
    from workshop.diagnosis.connection_string import NAME
    from workshop.diagnosis.settings import read

    scripts = sorted((root / "src").glob("*.sh"))
    settings = [read(file.read_text(errors="replace"), f"src/{file.name}").get(NAME) for file in scripts]
    found = {setting.where: setting.value for setting in settings if setting and setting.plain}
    return {**found, **({"your shell": os.environ[NAME]} if NAME in os.environ else {})}


def _system_proxy() -> str:
    """The proxy of macOS's settings, which `requests` asks where no variable names one."""
    if platform.system() != "Darwin" or urllib.request.proxy_bypass("localhost"):
        return ""
    return urllib.request.getproxies().get("http", "")


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _unwritable(folder: Path) -> OSError | None:
    """The error that making a file in this folder meets."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error
