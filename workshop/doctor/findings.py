"""What is said about a machine: each finding is a pure function, so that a test can cause any fault.

Python 3.8 can read this file: an old Python may be what is wrong.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workshop.course.pins import canonical, pins
from workshop.doctor.machine import GB, NEEDED, SOMETIMES, TYPED, Beside, Machine

OK, NOTE, FIX = "ok", "note", "fix"
CONNECTION_STRING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
PLENTY, LEAST = 1 * GB, 0.3 * GB
APP_AND_BROWSER = 0.4 * GB


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `level` is OK, NOTE (it differs, and no lesson stops) or FIX (a lesson would stop).

    Unless it is OK, `expected` says what should be there, and `do` the cure."""

    level: str
    name: str
    seen: str
    expected: str = ""
    do: str = ""


def examine(m: Machine) -> list[Finding]:
    """Every finding about a machine. Where it cannot run the workshop at all, only that."""
    first = [machine(m), python(m)]
    if any(finding.level == FIX for finding in first):
        return first
    installed = [packages(m)]
    if "packaging" in m.packages:
        installed += [release(m), sqlalchemy(m), dependencies(m)]
    here = [commands(m), *ports(m), *map(partial(program, m), m.programs), docker(m), disk(m), *memory(m)]
    shell = [*variables(m), *connection_strings(m), *proxies(m), *interrupts(m), encoding(m)]
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
                found = m.packages.get(canonical(need.name))
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
    needed = [name for name in m.missing if name in NEEDED]
    if m.missing:
        get = f"`{m.installer} {' '.join(m.missing)}`" if m.installer else "on a Mac: `xcode-select --install`"
        expected = ", ".join(NEEDED) if needed else "; ".join(f"{name}: {SOMETIMES[name]}" for name in m.missing)
        return Finding(FIX if needed else NOTE, "commands", f"no {' and no '.join(m.missing)}", expected, get)
    return Finding(OK, "commands", f"{', '.join([*NEEDED, *SOMETIMES])} are here")


def ports(m: Machine) -> list[Finding]:
    found, free = [], []
    for port, owner in m.listeners.items():
        number = re.search(r"process (\d+)", owner)
        if port in m.own:
            found.append(Finding(OK, "ports", f"{port} is your app's: {owner}"))
        elif owner:
            stop = f"`kill {number[1]}`" if number else f"`sudo lsof -nP -iTCP:{port} -sTCP:LISTEN` names it; stop it"
            listener = next((program.title for program in m.programs if port in program.ports), "your app")
            do = f"{stop}, if you do not need it"
            found.append(Finding(FIX, "ports", f"{port} is taken by {owner}", f"free: {listener} listens there", do))
        else:
            free.append(str(port))
    return found + ([Finding(OK, "ports", f"free: {', '.join(free)}")] if free else [])


def program(m: Machine, p: Beside) -> Finding:
    """Whether a program runs that the lesson needs, or how it can come."""
    if p.runs:
        return Finding(OK, p.name, p.state)
    if not p.state.startswith("not running"):
        seen, _, do = p.state.partition("\n")
        return Finding(FIX, p.name, seen, "one that answers, or none", do or "`workshop status`")
    if m.docker == "" and p.contained:
        return Finding(OK, p.name, f"`{p.up}` starts it in a container")
    if p.here:
        return Finding(OK, p.name, f"its program is on this machine; `{p.up}` starts it")
    far = [f"{p.archive} can be reached for its archive"] * bool(p.archive) + [f"{p.go} can build it"] * bool(p.go)
    if far:
        seen = f"not here yet; {' and '.join(far)}"
        return Finding(NOTE, p.name, seen, f"{p.title} on this machine, from the lesson on that starts it", f"`{p.up}`")
    return Finding(
        FIX,
        p.name,
        "not here, no Docker, no Go, and its archive cannot be reached",
        "one of these ways to it",
        f"`{p.up}` tries them all and says why each one fails",
    )


def docker(m: Machine) -> Finding:
    if m.docker is None:
        return Finding(OK, "docker", "not installed; lessons do without, except where they say so")
    if not m.docker:
        seen, hosted = "an engine answers, and it has compose", [p.title for p in m.programs if p.name in m.hosted]
        if m.desktop and hosted:
            seen += f"; for {' and '.join(hosted)} it wants Settings, Resources, Network, Enable host networking; without that "
            seen += "`workshop up` takes another way"
        return Finding(OK, "docker", seen)
    if "compose" in m.docker:
        do = "add the compose plugin: docs.docker.com/compose/install"
    elif "permission denied" in m.docker:
        do = "`sudo usermod -aG docker $USER`, then log out and in again"
    elif m.system == "Darwin":
        do = "`open -a Docker`"
    elif "WSL" in m.place:
        do = "start Docker Desktop on Windows and switch on its WSL integration for this distribution"
    elif m.place:
        do = "nothing, if the lines of the programs are ok: the engine lives outside of this container"
    else:
        do = "`sudo systemctl start docker`"
    return Finding(NOTE, "docker", f"installed; {m.docker}", "an engine that answers, where you want to use it", do)


def disk(m: Machine) -> Finding:
    built = [p for p in m.programs if p.build and not (p.runs or p.here or p.archive or (m.docker == "" and p.contained))]
    need = PLENTY + sum(p.build for p in built)
    seen = f"{m.free / GB:.1f} GB free"
    if m.free >= need:
        return Finding(OK, "disk", seen)
    why = "".join(f", of which Go's build of {p.title} takes {p.build / GB:.1f}, once" for p in built)
    return Finding(
        FIX if m.free < LEAST else NOTE,
        "disk",
        seen,
        f"{need / GB:.1f} GB{why}",
        "free some space"
        + ("; in the end `go clean -cache -modcache` empties Go's caches" if any(p.go for p in built) else ""),
    )


def memory(m: Machine) -> list[Finding]:
    if m.memory is None:
        return []
    seen = f"{m.memory / GB:.1f} GB available"
    need = APP_AND_BROWSER + sum(p.memory for p in m.programs)
    if m.memory >= need:
        return [Finding(OK, "memory", seen)]
    beside = ", ".join(["the app", *(p.title for p in m.programs)])
    return [Finding(NOTE, "memory", seen, f"{need / GB:.1f} GB for {beside} and a browser", "close some programs")]


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
        if name.lower().endswith("_proxy") or (name == CONNECTION_STRING and "your shell" in m.connection_strings):
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


def connection_strings(m: Machine) -> list[Finding]:
    """Whether the exporter for Azure can read what it is told, and is told where to send."""
    from workshop.diagnosis.connection_string import fault

    found = []
    for place, value in m.connection_strings.items():
        if wrong := fault(value):
            seen = f"{CONNECTION_STRING} of {place} has {wrong.seen}"
            found.append(Finding(FIX, "azure", seen, wrong.expected, f"{wrong.do}, in {place}"))
        elif place == "your shell":
            found.append(Finding(OK, "azure", f"{CONNECTION_STRING} of {place} has a key and an address"))
    return found


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
    """Files of the learner's that hide a package, and scripts that a shell reads with a character too many in each line."""
    windows = [
        Finding(
            FIX,
            "src",
            f"{path}: its lines end as on Windows, with a carriage return",
            "lines that end with a line feed alone: for the shell the other character is part of the value before it",
            f"in your editor choose LF instead of CRLF; or `tr -d '\\r' < {shlex.quote(path)} > new.sh && mv new.sh {shlex.quote(path)}`",
        )
        for path in m.windows
    ]
    return windows + [
        Finding(
            FIX,
            "src",
            f"{path} hides the package of that name",
            "a name that no package has",
            f"`mv {shlex.quote(path)} {shlex.quote('src/my_' + path[4:])}`, and mend the imports of it",
        )
        for path in m.shadows
    ]


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
