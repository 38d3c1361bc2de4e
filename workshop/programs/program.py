"""What is known of a program that runs beside the learner's app: its version, where it can be had, where it listens.

A version is pinned in the program's own file and nowhere else. Standard library only: this is read before anything is installed.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from workshop.errors import UserError
from workshop.setup.commands import Progress
from workshop.setup.downloads import this_platform
from workshop.setup.go import Go


class Port(NamedTuple):
    """A TCP port, and what it is for, as in "Jaeger needs it for `purpose`". Whether an `optional` one is used is the
    configuration's choice."""

    number: int
    purpose: str
    optional: bool = False


@dataclass(frozen=True)
class Archive:
    """The official release archives of a program, `.tar.gz` or `.zip`.

    In `folder` (the release's path on the host), `name`, `member` (a tool's path inside the archive) and `sums` the words
    `{version}`, `{os}`, `{arch}` and `{tool}` are filled in. `sums` is the published file with the SHA-256 sums of the
    archives; `pinned` holds those that are known here, by platform, and the file is not asked for them."""

    folder: str
    name: str
    member: str
    platforms: tuple[str, ...]
    sums: str = ""
    pinned: dict[str, str] = field(default_factory=dict)
    host: str = "https://github.com"


class GoBuild(Protocol):
    """How Go builds a program: `needs` is the oldest Go that can, `disk` what its caches take for it in bytes. Builds of one
    version that differ have different names of an `edition`."""

    needs: tuple[int, ...]
    disk: float
    edition: str

    def build(self, go: Go, version: str, tools: tuple[str, ...], folder: Path, progress: Progress) -> None:
        """Build the tools of a version into `folder`. Raises CommandFailed."""


@dataclass(frozen=True)
class Program:
    """One program. Its `name` is also that of its service in docker-compose.yml, and its settings begin with it.

    `ports` are the well-known ones by what listens there; at the first of them it is asked. `health` is the port and the
    path that answer 200 once it is ready. In `arguments` each port's name, `{host}`, `{configuration}` and `{data}` (a folder
    of its own) are filled in; its configuration finds host and ports in variables such as JAEGER_HOST and JAEGER_HTTP_PORT,
    that folder in JAEGER_DATA, and in JAEGER_SRC the one above its own: `src/` for what a lesson has written in `src/otel/`.
    `configuration` is a path from the repository's root, and `default` that of the file that counts while no lesson has
    written the first. `tools` are its executables, the first of which is what runs. `instance` is the class that asks a
    running one (see `instance.Instance`); `memory` is what it takes, in bytes. A program that is `for_all_lessons` comes
    by `workshop up` in each of them; any other one from the lesson on that names it: `workshop up NAME`."""

    name: str
    title: str
    version: str
    ports: dict[str, Port]
    health: tuple[str, str]
    ask_version: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    configuration: str = ""
    default: str = ""
    tools: tuple[str, ...] = ()
    image: str = ""
    archive: Archive | None = None
    go: GoBuild | None = None
    instance: type | None = None
    memory: float = 0.1e9
    for_all_lessons: bool = False

    def __str__(self) -> str:
        return f"{self.title} {self.version}"

    @property
    def image_tag(self) -> str:
        return self.image.format(version=self.version)

    @property
    def executables(self) -> tuple[str, ...]:
        return self.tools or (self.name,)

    @property
    def up(self) -> str:
        """The command that brings it."""
        return "workshop up" if self.for_all_lessons else f"workshop up {self.name}"

    @property
    def numbers(self) -> dict[str, int]:
        """The well-known ports, without what they are for."""
        return {name: port.number for name, port in self.ports.items()}

    def setting(self, what: str) -> str:
        """The name of one of its settings, such as JAEGER_URL."""
        return f"{self.name}_{what}".upper()

    @property
    def archive_name(self) -> str:
        """The file name of the archive for this machine."""
        return self.filled(self.archive.name)

    @property
    def archive_address(self) -> str:
        """Where that archive is downloaded; WORKSHOP_ARCHIVES names a mirror of the archive host."""
        host = os.environ.get("WORKSHOP_ARCHIVES") or self.archive.host
        return f"{host.rstrip('/')}/{self.filled(self.archive.folder)}/{self.archive_name}"

    @property
    def sums_address(self) -> str:
        """Where the published sums lie: on the official host, whatever mirror serves the archives."""
        return f"{self.archive.host}/{self.filled(self.archive.folder)}/{self.filled(self.archive.sums)}"

    def filled(self, pattern: str, tool: str = "") -> str:
        """A pattern of the archive's, for this machine."""
        system, _, machine = this_platform().partition("-")
        return pattern.format(version=self.version, os=system, arch=machine, tool=tool)


def programs() -> dict[str, Program]:
    """All programs by name, those of all lessons first: each file beside this one may define some."""
    package = importlib.import_module(__package__)
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Program)}
    return dict(sorted(found.items(), key=lambda item: (not item[1].for_all_lessons, item[0])))


def with_tool(tool: str) -> Program:
    """The program one of whose executables has this name. Raises UserError, naming all."""
    by_tool = {name: program for program in programs().values() for name in program.executables}
    if tool not in by_tool:
        raise UserError(f"no tool is called {tool}; there are: {', '.join(by_tool)}")
    return by_tool[tool]


def find(name: str) -> Program:
    """The program of that name. Raises UserError, naming all."""
    everything = programs()
    if name not in everything:
        raise UserError(f"no program is called {name}; there are: {', '.join(everything)}")
    return everything[name]
