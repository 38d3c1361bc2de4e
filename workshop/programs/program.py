"""The programs that run beside the learner's app: which version, where each can be had, where it listens.

A version is pinned here and nowhere else. Standard library only: this is read before anything is installed.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

# The host of every official archive; a mirror keeps the paths below it.
ARCHIVES = "https://github.com"


@dataclass(frozen=True)
class Archive:
    """The official release archives of a program; `{version}`, `{os}` and `{arch}` are filled in.

    `folder` is the release's path on the archive host, `member` the program inside the archive, `sums` the published
    file with the SHA-256 sums of the archives."""

    folder: str
    name: str
    member: str
    sums: str
    platforms: tuple[str, ...]


@dataclass(frozen=True)
class GoBuild:
    """How Go builds a program inside its own downloaded module. `needs` is the oldest Go that can.

    `stamp` is the variable that the linker sets to the version, because a build inside a module knows no tag."""

    module: str
    version: str
    package: str
    needs: tuple[int, ...]
    stamp: str


@dataclass(frozen=True)
class Program:
    """One program. `ports` are the well-known ones by what listens there; `ask_version` makes it print its version."""

    name: str
    title: str
    version: str
    image: str
    ports: dict[str, int]
    health_path: str
    ask_version: tuple[str, ...]
    archive: Archive
    go: GoBuild

    def __str__(self) -> str:
        return f"{self.title} {self.version}"

    @property
    def image_tag(self) -> str:
        return f"{self.image}:{self.version}"

    def archive_name(self, place: str) -> str:
        """The archive's file name for a platform such as `linux-amd64`."""
        return self._filled(self.archive.name, place)

    def archive_member(self, place: str) -> str:
        """The program's path inside that archive."""
        return self._filled(self.archive.member, place)

    def archive_address(self, name: str) -> str:
        """Where a file of the release is downloaded; `WORKSHOP_ARCHIVES` names a mirror of the archive host."""
        host = os.environ.get("WORKSHOP_ARCHIVES") or ARCHIVES
        return f"{host.rstrip('/')}/{self.archive.folder}/{name}"

    @property
    def archive_sums(self) -> str:
        return self._filled(self.archive.sums)

    @property
    def go_flags(self) -> str:
        """The linker's flags: no debug tables, and the version that the program then reports."""
        return f"-s -w -X {self.go.stamp}=v{self.version}"

    def _filled(self, pattern: str, place: str = "-") -> str:
        system, _, machine = place.partition("-")
        return pattern.format(version=self.version, os=system, arch=machine)


def this_platform() -> str:
    """This machine as release archives name it, such as `linux-amd64` or `darwin-arm64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


JAEGER = Program(
    name="jaeger",
    title="Jaeger",
    version="2.13.0",
    image="jaegertracing/jaeger",
    ports={"query": 16686, "health": 13133, "grpc": 4317, "http": 4318},
    health_path="/status",
    ask_version=("version",),
    # Jaeger 2.13.0 and 1.76.0 are one commit and one release; the release and the Go module bear the tag of 1.x.
    archive=Archive(
        folder="jaegertracing/jaeger/releases/download/v1.76.0",
        name="jaeger-{version}-{os}-{arch}.tar.gz",
        member="jaeger-{version}-{os}-{arch}/jaeger",
        sums="jaeger-{version}.sha256sum.txt",
        platforms=("linux-amd64", "linux-arm64", "linux-s390x", "linux-ppc64le", "darwin-amd64", "darwin-arm64"),
    ),
    go=GoBuild(
        module="github.com/jaegertracing/jaeger",
        version="v1.76.0",
        package="./cmd/jaeger",
        needs=(1, 24, 6),
        stamp="github.com/jaegertracing/jaeger/internal/version.latestVersion",
    ),
)

PROGRAMS = {program.name: program for program in (JAEGER,)}
