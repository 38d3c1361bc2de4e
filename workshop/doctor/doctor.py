"""Is this machine ready? `workshop doctor`, or `python3 -m workshop.doctor` where nothing is installed yet.

`gather` looks at the machine once. Each finding is a pure function of what it saw, so that a test can cause any fault.
The standard library is enough to begin with, and Python 3.8 can read this file: an old Python may be what is wrong.
"""

from __future__ import annotations

import ipaddress
import locale
import os
import platform
import re
import shlex
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
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill

OK, NOTE, FIX = "ok", "note", "fix"
COLORS = {OK: "green", NOTE: "yellow", FIX: "red"}
ROOT = Path(__file__).resolve().parent.parent.parent
APP = 5001
GB = 1e9
# Measured with empty caches: Go keeps 1.3 GB of Jaeger's modules and 1.6 GB of what it compiles.
GO_BUILD = 3.2 * GB
PLENTY, LEAST = 1 * GB, 0.3 * GB
APP_AND_JAEGER = 0.5 * GB
PATIENCE = 1  # seconds for each thing that may be slow: Docker, a Jaeger elsewhere, the network
TYPED = ("flask", "gunicorn", "opentelemetry-instrument", "python")
NEEDED = ("bash", "curl", "git", "make")
WORKSPACES = {"CODESPACES": "Codespaces", "GITPOD_WORKSPACE_URL": "Gitpod", "GITPOD_ENVIRONMENT_ID": "Ona"}
INSTALLERS = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "apk": "sudo apk add",
    "brew": "brew install",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `level` is OK, NOTE (it differs, and no lesson stops) or FIX (a lesson would stop).

    Unless it is OK, `expected` says what should be there, and `do` the cure."""

    level: str
    name: str
    seen: str
    expected: str = ""
    do: str = ""


@dataclass(frozen=True)
class Package:
    """An installed package. `requires` holds its requirements as its metadata words them."""

    version: str
    requires: tuple[str, ...] = ()


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
    jaeger: str = "not running"  # the first line of `workshop status`
    binary: bool = False  # whether Jaeger's program is on this machine
    docker: str | None = None  # None: not installed; else why no engine answers
    archive: str = ""  # the host of Jaeger's archive, if it can be reached
    go: str = ""  # a Go that can build Jaeger
    free: float = 100 * GB
    memory: float | None = 16 * GB  # None: not known
    exported: dict[str, str] = field(default_factory=dict)
    system_proxy: str = ""
    interrupts: bool = True
    encodings: tuple[str, ...] = ("utf-8",)
    unwritable: dict[str, OSError] = field(default_factory=dict)
    shadows: tuple[str, ...] = ()


# --- the findings ---------------------------------------------------------------------------------------------------


def examine(m: Machine) -> list[Finding]:
    """Every finding about a machine. Where it cannot run the workshop at all, only that."""
    first = [machine(m), python(m)]
    if any(finding.level == FIX for finding in first):
        return first
    installed = [packages(m)]
    if "packaging" in m.packages:
        installed += [release(m), sqlalchemy(m), dependencies(m)]
    here = [commands(m), *ports(m), jaeger(m), docker(m), disk(m), *memory(m)]
    shell = [*variables(m), *proxies(m), *interrupts(m), encoding(m)]
    return [*first, environment(m), *installed, *here, *shell, repository(m), *source(m)]


def machine(m: Machine) -> Finding:
    if m.system == "Windows":
        return Finding(
            FIX,
            "machine",
            "Windows itself",
            "Linux inside Windows (WSL), a dev container, or a cloud workspace",
            "`wsl --install` in PowerShell, restart, then clone the repository inside of it; see 200/100/README.md",
        )
    seen = f"{m.system} on {m.processor}" + (f", in {m.place}" if m.place else "")
    seen += f"; your app's page will be {m.page}" if m.page else ""
    if m.system not in ("Linux", "Darwin"):
        return Finding(NOTE, "machine", seen, "Linux or macOS, as in the proofs", "go on, or take a cloud workspace")
    if "WSL" in m.place and re.match(r"/mnt/[a-z]/", f"{m.root}/"):
        return Finding(
            NOTE,
            "machine",
            f"{seen}, and the repository on a drive of Windows",
            "a folder of Linux's own: it is many times faster",
            "`git clone` it again, below your home folder (`cd ~`)",
        )
    return Finding(OK, "machine", seen)


def python(m: Machine) -> Finding:
    seen = f"{'.'.join(map(str, m.python))}, {m.bits} bit"
    get = "install one of these: python.org, your package manager, or uv"
    get = f"`make clean install PYTHON={m.newer}`" if m.newer else get
    if m.python < (3, 10):
        return Finding(FIX, "python", seen, "3.10 to 3.14", get)
    if m.python >= (3, 15):
        return Finding(NOTE, "python", seen, "3.10 to 3.14: the packages are pinned for these", get)
    if m.bits != 64:
        return Finding(NOTE, "python", seen, "64 bit: not every package comes for less", "install a 64-bit Python")
    return Finding(OK, "python", seen)


def environment(m: Machine) -> Finding:
    """Whether what a learner types comes from the environment that runs this."""
    home = m.root / ".venv"
    wanted = home if m.prefix == m.base_prefix else m.prefix
    name = ".venv of this repository" if m.prefix == home else _short(m.prefix)
    activate = f"`source {shlex.quote(os.path.relpath(wanted / 'bin' / 'activate', m.folder))}`"
    if not m.installed:
        activate = f"`make install`, then {activate}"
    if m.folder != m.root and (m.folder / "workshop" / "doctor").exists():
        return Finding(
            FIX,
            "environment",
            f"you stand in {_short(m.folder)}, and this `workshop` belongs to {_short(m.root)}",
            "one clone: the lessons would change src/ of the other",
            "`make install`, then `source .venv/bin/activate`",
        )
    strange = next((command for command in TYPED if m.typed.get(command) != str(m.prefix / "bin")), None)
    if strange:
        found = m.typed.get(strange)
        seen = f"this shell finds `{strange}` in {_short(found)}" if found else f"this shell finds no `{strange}`"
        expected = f"the one in {_short(wanted / 'bin')}: what you type must be what is checked"
        return Finding(FIX, "environment", seen, expected, activate)
    if m.prefix == m.base_prefix:
        return Finding(NOTE, "environment", f"{name}: no virtual environment", "one for this workshop alone", activate)
    return Finding(OK, "environment", f"{name}, and it is active")


def packages(m: Machine) -> Finding:
    """What is installed against the pins of requirements.txt."""
    if "packaging" not in m.packages:
        return Finding(FIX, "packages", f"not in {_short(m.prefix)}", "what requirements.txt pins", _install(m))
    wanted = pins(m.requirements)
    wrong = [
        f"{name} {found.version if found else 'missing'} (pinned: {version})"
        for name, version in wanted.items()
        if (found := m.packages.get(name)) is None or found.version != version
    ]
    if wrong:
        return Finding(FIX, "packages", _some(wrong), "each as requirements.txt pins it", _install(m))
    return Finding(OK, "packages", f"{len(wanted)} packages, each as requirements.txt pins it")


def release(m: Machine) -> Finding:
    """Whether the OpenTelemetry packages are of one release train: 1.N goes with 0.(N+21)b."""
    trains: dict[int, list[str]] = {}
    pinned = pins(m.requirements)
    for name, package in m.packages.items():
        stable = re.match(r"1\.(\d+)\.\d+$", package.version)
        beta = re.match(r"0\.(\d+)b\d+$", package.version)
        if name.startswith("opentelemetry-") and (beta or stable and name in pinned):  # others number as they like
            train = int(stable[1]) if stable else int(beta[1]) - 21
            trains.setdefault(train, []).append(f"{name} {package.version}")
    if not trains:
        return Finding(FIX, "release", "no OpenTelemetry package", "those that requirements.txt pins", _install(m))
    most = max(trains, key=lambda train: len(trains[train]))
    name = f"OpenTelemetry 1.{most} and 0.{most + 21}b"
    if len(trains) > 1:
        other = [package for train, found in trains.items() if train != most for package in found]
        expected = "one release train: 1.N goes with 0.(N+21)b"
        return Finding(FIX, "release", f"{_some(other)} beside {name}", expected, _install(m))
    return Finding(OK, "release", f"{name}: one release train")


def sqlalchemy(m: Machine) -> Finding:
    """Whether SQLAlchemy is inside the range that its instrumentation declares in its own metadata."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    instrumentation, found = m.packages.get("opentelemetry-instrumentation-sqlalchemy"), m.packages.get("sqlalchemy")
    if not instrumentation or not found:
        return Finding(FIX, "sqlalchemy", "it or its instrumentation is missing", "both", _install(m))
    needs = map(Requirement, instrumentation.requires)
    known = next((need.specifier for need in needs if need.name.lower() == "sqlalchemy"), SpecifierSet())
    if not known.contains(found.version, prereleases=True):
        expected = f"{known}: outside of it no statement makes a span"
        return Finding(FIX, "sqlalchemy", found.version, expected, _install(m))
    return Finding(OK, "sqlalchemy", f"{found.version}, which is instrumented ({known})")


def dependencies(m: Machine) -> Finding:
    """Whether each package finds what it requires, as `pip check` sees it."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    unmet = {}
    for name, package in m.packages.items():
        for text in package.requires:
            try:
                need = Requirement(text)
                if need.marker and not need.marker.evaluate({"extra": ""}):
                    continue
                found = m.packages.get(_canonical(need.name))
                if found and need.specifier.contains(found.version, prereleases=True):
                    continue
            except (InvalidRequirement, InvalidVersion):
                continue  # of a package that pip itself could not have installed
            here = f"{found.version} is here" if found else "it is missing"
            unmet.setdefault(name, f"{name} needs {need.name}{need.specifier}, and {here}")
    if not unmet:
        return Finding(OK, "dependencies", "each package finds what it needs")
    level = FIX if unmet.keys() & pins(m.requirements).keys() else NOTE
    return Finding(level, "dependencies", _some(list(unmet.values())), "packages that fit together", _install(m))


def commands(m: Machine) -> Finding:
    if m.missing:
        get = f"`{m.installer} {' '.join(m.missing)}`" if m.installer else "on a Mac: `xcode-select --install`"
        return Finding(FIX, "commands", f"no {' and no '.join(m.missing)}", ", ".join(NEEDED), get)
    return Finding(OK, "commands", f"{', '.join(NEEDED)} are here")


def ports(m: Machine) -> list[Finding]:
    found, free = [], []
    for port, owner in m.listeners.items():
        number = re.search(r"process (\d+)", owner)
        if port in m.own:
            found.append(Finding(OK, "ports", f"{port} is your app's: {owner}"))
        elif owner:
            stop = f"`kill {number[1]}`" if number else f"`sudo lsof -nP -iTCP:{port} -sTCP:LISTEN` names it; stop it"
            wants = "your app listens there" if port == APP else "Jaeger listens there"
            do = f"{stop}, if you do not need it"
            found.append(Finding(FIX, "ports", f"{port} is taken by {owner}", f"free: {wants}", do))
        else:
            free.append(str(port))
    return found + ([Finding(OK, "ports", f"free: {', '.join(free)}")] if free else [])


def jaeger(m: Machine) -> Finding:
    """Whether a Jaeger runs, or which road leads to one."""
    if m.jaeger.startswith("running"):
        return Finding(OK, "jaeger", m.jaeger)
    if not m.jaeger.startswith("not running"):
        seen, _, do = m.jaeger.partition("\n")
        return Finding(FIX, "jaeger", seen, "a Jaeger that answers, or none", do or "`workshop status`")
    if m.docker == "":
        return Finding(OK, "jaeger", "`workshop up` starts it in a container")
    if m.binary:
        return Finding(OK, "jaeger", "its program is on this machine; `workshop up` starts it")
    far = [f"{m.archive} can be reached for its archive"] * bool(m.archive) + [f"{m.go} can build it"] * bool(m.go)
    if far:
        seen = f"not here yet; {' and '.join(far)}"
        return Finding(NOTE, "jaeger", seen, "Jaeger on this machine, from lesson 300/300/300 on", "`workshop up`")
    return Finding(
        FIX,
        "jaeger",
        "not here, no Docker, no Go, and its archive cannot be reached",
        "one of these roads",
        "`workshop up` tries them all and says why each one fails",
    )


def docker(m: Machine) -> Finding:
    if m.docker is None:
        return Finding(OK, "docker", "not installed; lessons do without, except where they say so")
    if not m.docker:
        return Finding(OK, "docker", "an engine answers, and it has compose")
    if "compose" in m.docker:
        do = "add the compose plugin: docs.docker.com/compose/install"
    elif "permission denied" in m.docker:
        do = "`sudo usermod -aG docker $USER`, then log out and in again"
    elif m.system == "Darwin":
        do = "`open -a Docker`"
    elif "WSL" in m.place:
        do = "start Docker Desktop on Windows and switch on its WSL integration for this distribution"
    elif m.place:
        do = "nothing, if the jaeger line is ok: the engine lives outside of this container"
    else:
        do = "`sudo systemctl start docker`"
    return Finding(NOTE, "docker", f"installed; {m.docker}", "an engine that answers, where you want to use it", do)


def disk(m: Machine) -> Finding:
    near = m.jaeger.startswith("running") or m.docker == "" or m.binary
    need = PLENTY if near or m.archive else PLENTY + GO_BUILD
    seen = f"{m.free / GB:.1f} GB free"
    if m.free >= need:
        return Finding(OK, "disk", seen)
    why = "" if need == PLENTY else ", of which Go's build of Jaeger takes 3.2, once"
    return Finding(
        FIX if m.free < LEAST else NOTE,
        "disk",
        seen,
        f"{need / GB:.1f} GB{why}",
        "free some space; in the end `go clean -cache -modcache` empties Go's caches" if m.go else "free some space",
    )


def memory(m: Machine) -> list[Finding]:
    if m.memory is None:
        return []
    seen = f"{m.memory / GB:.1f} GB available"
    if m.memory >= APP_AND_JAEGER:
        return [Finding(OK, "memory", seen)]
    expected = f"{APP_AND_JAEGER / GB:.1f} GB for the app, Jaeger and a browser"
    return [Finding(NOTE, "memory", seen, expected, "close some programs")]


def variables(m: Machine) -> list[Finding]:
    """What the shell exports and an app would read besides its own run.sh."""
    from workshop.diagnosis import settings

    found, others = [], []
    names_are_known = "opentelemetry-sdk" in m.packages
    for name, value in m.exported.items():
        unset = f"`unset {name}`, and take it out of your shell's start-up file"
        exporter = re.match(r"OTEL_(TRACES|METRICS|LOGS)_EXPORTER$", name) if names_are_known else None
        known = settings.exporters(exporter[1].lower()) if exporter else frozenset()
        wrong = [word for word in re.split(r"[,\s]+", value) if word and word not in known]
        if name.lower().endswith("_proxy"):
            continue
        if exporter and wrong:
            right = settings.nearest(wrong[0], known) or "console"
            expected = f"{right}: with a name that no exporter has, the agent gives up"
            found.append(Finding(FIX, "variables", f"{name}={value}", expected, unset))
        elif name == "OTEL_SDK_DISABLED" and value.lower() == "true":
            expected = "false, or nothing: it switches all telemetry off"
            found.append(Finding(FIX, "variables", f"{name}={value}", expected, unset))
        elif name == "FLASK_APP" and not value.startswith("wsgi"):
            expected = "nothing: `flask run` finds src/wsgi.py by itself"
            found.append(Finding(FIX, "variables", f"{name}={value}", expected, unset))
        elif name.startswith("OTEL_") and names_are_known and not settings.is_known(name):
            right = settings.nearest(name, settings.known())
            expected = right or "a name that OpenTelemetry knows"
            found.append(Finding(NOTE, "variables", f"{name}: no package reads it", expected, f"`unset {name}`"))
        else:
            others.append(name)
    if others:
        seen = f"your shell exports {', '.join(others)}"
        expected = "only what the lessons set: your app reads these too"
        found.append(Finding(NOTE, "variables", seen, expected, f"`unset {' '.join(others)}`"))
    return found or [Finding(OK, "variables", "none that an app would read: no OTEL_, FLASK_, PYTHONPATH")]


def proxies(m: Machine) -> list[Finding]:
    """A proxy that would get what an app sends to 127.0.0.1.

    Seen with OpenTelemetry 1.45: over HTTP both spellings count; over gRPC small letters alone, and `*` spares none."""
    get = m.exported.get
    lower, upper = get("no_proxy", ""), get("NO_PROXY", "")
    http = get("http_proxy") or get("HTTP_PROXY") or get("all_proxy") or get("ALL_PROXY") or m.system_proxy
    grpc = get("grpc_proxy") or get("https_proxy") or get("http_proxy")
    swallows = ["HTTP"] if http and not _spared(lower or upper, star=True) else []
    swallows += ["gRPC"] if grpc and not _spared(lower, star=False) else []
    if not (http or grpc):
        return []
    if not swallows:
        return [Finding(OK, "proxy", f"{http or grpc}, and 127.0.0.1 is spared")]
    kept = [entry.strip() for entry in (lower or upper).split(",") if entry.strip()]
    spared = ",".join(dict.fromkeys([*kept, "localhost", "127.0.0.1"]))
    return [
        Finding(
            FIX,
            "proxy",
            f"{http or grpc} would get your spans: OTLP over {' and over '.join(swallows)}",
            "none for what is on this machine",
            f"`export no_proxy={shlex.quote(spared)} NO_PROXY={shlex.quote(spared)}`",
        )
    ]


def interrupts(m: Machine) -> list[Finding]:
    if m.interrupts:
        return []
    return [
        Finding(
            NOTE,
            "interrupts",
            "Ctrl-C is ignored here, as in every background job (`... &`)",
            "a terminal's foreground: what you start here could not be stopped by Ctrl-C",
            "run it without `&`",
        )
    ]


def encoding(m: Machine) -> Finding:
    odd = [name for name in m.encodings if name.lower().replace("-", "") != "utf8"]
    if not odd:
        return Finding(OK, "encoding", "UTF-8")
    if str(m.root).isascii():
        return Finding(NOTE, "encoding", odd[0], "UTF-8: tasks may be in any language", "`export PYTHONUTF8=1`")
    return Finding(
        FIX,
        "encoding",
        f"{odd[0]}, and the repository's path is not in it",
        "UTF-8: else spans with this path cannot be sent",
        "`export PYTHONUTF8=1`",
    )


def repository(m: Machine) -> Finding:
    for path, error in m.unwritable.items():
        quoted = shlex.quote(path)
        do = {
            "NotADirectoryError": f"`mv {quoted} {quoted}.old`",
            "PermissionError": f'`sudo chown -R "$(id -un)" {quoted} && chmod -R u+rwX {quoted}`',
        }.get(type(error).__name__, "free some space, or clone the repository where you may write")
        return Finding(FIX, "repository", f"{_short(path)}: {error.strerror}", "a folder that you may write", do)
    return Finding(OK, "repository", f"{_short(m.root)}, which can be written")


def source(m: Machine) -> list[Finding]:
    """Files of the learner's that hide a package."""
    return [
        Finding(
            FIX,
            "src",
            f"{path} hides the package of that name",
            "a name that no package has",
            f"`mv {shlex.quote(path)} {shlex.quote('src/my_' + path[4:])}`, and mend the imports of it",
        )
        for path in m.shadows
    ]


def pins(requirements: str) -> dict[str, str]:
    """The versions that a hashed requirements file pins for this Python and this system."""
    from packaging.requirements import Requirement

    found = {}
    for line in requirements.replace("\\\n", " ").splitlines():
        text = re.split(r"\s--hash|^#", line)[0].strip()
        need = Requirement(text) if text else None
        if need and (need.marker is None or need.marker.evaluate()):
            found[_canonical(need.name)] = next(iter(need.specifier)).version
    return found


def _install(m: Machine) -> str:
    if m.prefix == m.root / ".venv":
        return "`make clean install`"
    if m.prefix == m.base_prefix:
        return "`make install`, then `source .venv/bin/activate`"
    pip = "python -m pip" if "pip" in m.packages else "uv pip"
    return f"`{pip} install --require-hashes -r requirements.txt`"


def _short(path: Path | str) -> str:
    """A path for reading, not for typing."""
    home = os.path.expanduser("~")
    return re.sub(rf"^{re.escape(home)}(?=/|$)", "~", str(path)) if home != "/" else str(path)


def _some(texts: list[str]) -> str:
    more = len(texts) - 3
    return ", ".join(texts[:3]) + (f", and {more} more" if more > 0 else "")


def _spared(no_proxy: str, star: bool) -> bool:
    entries = [entry.strip() for entry in no_proxy.split(",")]
    if star and "*" in entries:
        return True
    return "localhost" in entries and any(_holds_loopback(entry) for entry in entries)


def _holds_loopback(entry: str) -> bool:
    try:
        return ipaddress.ip_address("127.0.0.1") in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- looking at the machine -----------------------------------------------------------------------------------------


def gather(root: Path = ROOT, ports: dict[str, int] | None = None) -> Machine:
    """Look at this machine. `ports` are those of the app and of Jaeger, by what listens there; tests take others."""
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
    from workshop.programs import roads
    from workshop.programs.program import JAEGER
    from workshop.setup.addresses import address
    from workshop.setup.ports import is_listening

    ports = ports or {"app": APP, **JAEGER.ports}
    page = address(ports["app"])
    watched = {root / ".saved", root / "src", roads.cache_folder()}
    prefix = Path(sys.prefix).resolve()
    state, why_no_docker = _jaeger_and_docker(root, ports)
    wanted = [ports["app"]] if state.startswith("running") else list(ports.values())
    owners = {port: _owner(port) if is_listening(port) else ("", None) for port in wanted}
    binary = roads.at_hand(JAEGER) is not None
    near = state.startswith("running") or why_no_docker == "" or binary
    archive, go = ("", "") if near else _far_roads()
    return Machine(
        **base,
        place=_place(),
        page="" if "127.0.0.1" in page else page,
        folder=Path.cwd(),
        prefix=prefix,
        base_prefix=Path(sys.base_prefix).resolve(),
        installed=(root / ".venv" / "bin").exists(),
        typed={name: str(Path(found).parent.resolve()) for name in TYPED if (found := shutil.which(name))},
        missing=tuple(name for name in NEEDED if not shutil.which(name)),
        installer=_installer(),
        requirements=(root / "requirements.txt").read_text(encoding="utf-8"),
        packages=_packages(),
        listeners={port: owner for port, (owner, _) in owners.items()},
        own=tuple(port for port, (_, folder) in owners.items() if folder == root / "src"),
        jaeger=state,
        binary=binary,
        docker=why_no_docker,
        archive=archive,
        go=go,
        free=min(shutil.disk_usage(_existing(path)).free for path in watched),
        memory=_memory(),
        exported=_exported(),
        system_proxy=_system_proxy(),
        interrupts=signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,
        encodings=(locale.getpreferredencoding(False), sys.getfilesystemencoding()),
        unwritable={str(path): error for path in sorted(set(map(_existing, watched))) if (error := _unwritable(path))},
        shadows=Sandbox(root / "src").shadows(),
    )


def _newer() -> str:
    """A Python on PATH that the workshop is proved with."""
    runs = lambda name: subprocess.call([name, "-c", ""], stderr=subprocess.DEVNULL) == 0  # noqa: E731
    names = [f"python3.{minor}" for minor in range(14, 9, -1)]
    return next((name for name in names if shutil.which(name) and runs(name)), "")


def _jaeger_and_docker(root: Path, ports: dict[str, int]) -> tuple[str, str | None]:
    """The first line of `workshop status`, and why Docker cannot run Jaeger (None: it is not installed)."""
    from workshop.programs import jaeger

    own_ports = {name: port for name, port in ports.items() if name != "app"}
    answers = _together(status=lambda: jaeger.status(root / ".saved", own_ports)[0][1], docker=_docker)
    return answers.get("status", "Jaeger does not answer in time"), answers.get("docker", "no engine answers in time")


def _docker() -> str | None:
    from workshop.setup.environments import CommandFailed, run

    if not shutil.which("docker"):
        return None
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], seconds=PATIENCE)
    except CommandFailed as error:
        return f"no engine answers: {str(error).splitlines()[-1]}"
    try:
        run(["docker", "compose", "version"], seconds=PATIENCE)
    except CommandFailed:
        return "an engine answers, and it has no `docker compose`"
    return ""


def _far_roads() -> tuple[str, str]:
    """The host of Jaeger's archive if it can be reached, and the Go that can build Jaeger if it is here."""
    answers = _together(archive=_archive, go=_go)
    return answers.get("archive", ""), answers.get("go", "")


def _archive() -> str:
    from workshop.programs.program import JAEGER

    address = urllib.parse.urlsplit(JAEGER.archive_address(JAEGER.archive_sums))
    if address.scheme in urllib.request.getproxies():
        return f"{address.hostname} (by your proxy)"
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname, port), PATIENCE).close()
    except (OSError, KeyError):
        return ""
    return address.hostname


def _go() -> str:
    from workshop.programs.program import JAEGER
    from workshop.setup.environments import CommandFailed, run

    try:
        version = run(["go", "env", "GOVERSION"], seconds=PATIENCE).strip()
    except CommandFailed:
        return ""
    return version if tuple(map(int, re.findall(r"\d+", version)[:3])) >= JAEGER.go.needs else ""


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
            found.setdefault(_canonical(metadata["Name"]), package)  # the first on the path is the one that is imported
    return found


def _owner(port: int) -> tuple[str, Path | None]:
    """Who listens on a port, and the folder in which it was started; as far as the system tells."""
    try:
        import psutil

        from workshop.setup.ports import port_owner

        owner = port_owner(port)
        number = re.search(r"process (\d+)", owner)
        return owner or "another program", Path(psutil.Process(int(number[1])).cwd()) if number else None
    except (ImportError, OSError, psutil.Error):
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


# --- the report -----------------------------------------------------------------------------------------------------


def report(findings: list[Finding], paint: Callable[[str, str], str] = lambda text, color: text) -> str:
    """The findings as text for a terminal of 80 columns; `paint` colors the words of the levels."""
    lines = []
    for finding in findings:
        level = paint(finding.level, COLORS[finding.level]) + " " * (6 - len(finding.level))
        lines.append(level + _wrapped(finding.name, finding.seen)[6:])
        if finding.level != OK:
            lines += [_wrapped("  expected", finding.expected), _wrapped("  do", finding.do)]
    count = [sum(finding.level == level for finding in findings) for level in (FIX, NOTE)]
    if count[0]:
        end = paint(f"Not ready: {count[0]} to fix.", COLORS[FIX])
        end += " Begin with the first; one cause can have many effects."
    elif count[1]:
        end = paint("Ready.", COLORS[OK]) + f" {count[1]} to note; no lesson stops there."
    else:
        end = paint("Ready.", COLORS[OK])
    return "\n".join([*lines, "", end])


def _wrapped(name: str, text: str) -> str:
    secret = re.sub(r"://[^/@\s]+@", "://***@", text)
    together = re.sub(r"`[^`]+`", lambda command: command[0].replace(" ", "\0"), secret)  # a command stays on one line
    head = f"{'':<6}{name:<14}"
    indent = {"initial_indent": head, "subsequent_indent": " " * len(head)}
    return fill(together, 79, **indent, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def main(paint: Callable[[str, str], str] = lambda text, color: text, say: Callable[[str], object] = print) -> int:
    """Look, report, and return the exit status: 0 when there is nothing to fix."""
    findings = examine(gather())
    say(report(findings, paint))
    return int(any(finding.level == FIX for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
