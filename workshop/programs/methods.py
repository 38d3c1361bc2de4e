"""How a program comes to this machine: it is on PATH, in the user's cache, in the official archive, or Go builds it.

The first install method that works is taken. What is brought is kept in the user's cache by name and version, and nothing lies
there under its final name that is not complete and checked. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from workshop.errors import UserError
from workshop.programs.program import Program
from workshop.setup.cache import cache_folder, locked
from workshop.setup.commands import CommandFailed, Progress, run
from workshop.setup.downloads import PATIENCE, Unavailable, download, fetch, this_platform, unpack
from workshop.setup.go import find_go


class NotInstalled(UserError):
    """No install method brings the program. The message lists each with the reason, and what helps."""

    def __init__(self, program: Program, tried: dict[str, str]):
        width = max(map(len, tried))
        indent = "\n" + " " * (width + 4)
        reasons = "\n".join(f"  {method:<{width}}  {why.strip().replace(chr(10), indent)}" for method, why in tried.items())
        mirror = ""
        if program.archive:
            host = program.archive.host
            mirror = f"  - behind a firewall: WORKSHOP_ARCHIVES=https://your-mirror in place of {host}\n"
        tools = " and ".join(program.executables)
        super().__init__(
            f"{program} could not be brought to this machine. Every way was tried:\n{reasons}\n"
            "Any one of these helps:\n"
            f"  - start Docker, or connect to the network; then run `{program.up}` again\n{mirror}"
            f"  - put {tools}, version {program.version}, on PATH or into\n    {kept(program).parent}\n"
            f"  - if {program.title} runs elsewhere: {program.setting('URL')}=http://host:{next(iter(program.numbers.values()))}"
        )


def kept(program: Program) -> Path:
    """Where the program's executable lies in the user's cache once it has been brought."""
    edition = program.go.edition if program.go else ""
    parts = [program.name, program.version, edition, this_platform()]
    return cache_folder() / "-".join(filter(None, parts)) / program.executables[0]


def at_hand(program: Program) -> Path | None:
    """The program's executable if it is on PATH in the right version or in the cache; nothing is fetched."""
    for method in NEAR.values():
        try:
            return method(program)
        except Unavailable:
            continue
    return None


def obtain(program: Program, progress: Progress = print, tried: dict[str, str] | None = None) -> Path:
    """Bring the program by the first method that works, and return its executable; its other tools lie beside it.

    `progress` gets one line at a time. Raises NotInstalled; `tried` holds what was tried before, and why it failed."""
    failed = dict(tried or {})
    for name, method in NEAR.items():
        try:
            return method(program)
        except Unavailable as why:
            failed[name] = str(why)
    folder = kept(program).parent
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        with locked(folder.with_name(f"{folder.name}.lock"), lambda: progress("another process is bringing it; waiting")):
            with suppress(Unavailable):
                return _in_cache(program)
            for name, method in FAR.items():
                shutil.rmtree(partial, ignore_errors=True)  # what an interrupted run left
                partial.mkdir()
                try:
                    method(program, partial, progress)
                    _keep(partial, program)
                    return kept(program)
                except Unavailable as why:
                    failed[name] = str(why)
                    progress(f"{name}: {str(why).splitlines()[0]}")
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        failed["cache"] = f"{error.filename or folder}: {error.strerror}; XDG_CACHE_HOME names another folder"
    raise NotInstalled(program, failed)


def _on_path(program: Program) -> Path:
    found = shutil.which(program.executables[0])
    if not found:
        raise Unavailable(f"no program called {program.executables[0]}")
    for tool in program.executables[1:]:
        if not os.access(Path(found).with_name(tool), os.X_OK):
            raise Unavailable(f"{found} has no {tool} beside it")
    if not _has_version(Path(found), program):
        raise Unavailable(f"{found} is not version {program.version}")
    return Path(found)


def _in_cache(program: Program) -> Path:
    for tool in program.executables:
        if not os.access(kept(program).with_name(tool), os.X_OK):
            raise Unavailable(f"nothing at {kept(program).with_name(tool)} yet")
    return kept(program)


def _from_archive(program: Program, folder: Path, progress: Progress) -> None:
    if not program.archive:
        raise Unavailable("none is published that we may use")
    if this_platform() not in program.archive.platforms:
        raise Unavailable(f"there is no archive for {this_platform()}")
    archive = folder / program.archive_name
    download(program.archive_address, archive, _sum(program), progress)
    unpack(archive, {program.filled(program.archive.member, tool): folder / tool for tool in program.executables})
    archive.unlink()


def _sum(program: Program) -> str:
    """The SHA-256 of the archive for this machine, pinned or from the official host; a mirror is not believed."""
    if pinned := program.archive.pinned.get(this_platform()):
        return pinned
    try:
        sums = fetch(program.sums_address).decode(errors="replace")
    except Unavailable as why:
        mirror = os.environ.get("WORKSHOP_ARCHIVES")
        raise Unavailable(f"{why}\nSums come from there alone, not from {mirror}." if mirror else str(why)) from None
    found = re.search(rf"^([0-9a-f]{{64}}) [ *]{re.escape(program.archive_name)}$", sums, re.MULTILINE)
    if not found:
        raise Unavailable(f"{program.sums_address} has no sum for {program.archive_name}")
    return found[1]


def _built_by_go(program: Program, folder: Path, progress: Progress) -> None:
    if not program.go:
        raise Unavailable("it is not built here")
    go = find_go(program.go.needs, progress)
    try:
        program.go.build(go, program.version, program.executables, folder, progress)
    except CommandFailed as error:
        if go.unreachable:
            raise Unavailable(f"{go.unreachable}, and Go's own cache does not hold all of {program.go}") from None
        raise Unavailable(f"Go could not build {program.go}:\n{error}") from None
    if go.command.is_relative_to(cache_folder()):
        progress(f"Go: its caches stay for later programs; `rm -rf '{cache_folder() / 'go'}'` frees 2 GB")


def _has_version(executable: Path, program: Program) -> bool:
    try:
        said = run([executable, *program.ask_version], seconds=PATIENCE)
    except CommandFailed:
        return False
    return re.search(rf"(?<![\d.]){re.escape(program.version)}(?![\d.])", said) is not None


def _keep(partial: Path, program: Program) -> None:
    """Give a folder of complete tools its final name in the cache, after the program has run and told the right version."""
    for tool in program.executables:
        (partial / tool).chmod(0o755)
    if not _has_version(partial / program.executables[0], program):
        raise Unavailable(f"what came does not run here as {program}")
    for tool in program.executables:
        with open(partial / tool, "rb") as written:
            os.fsync(written.fileno())
    shutil.rmtree(kept(program).parent, ignore_errors=True)
    os.replace(partial, kept(program).parent)


NEAR = {"PATH": _on_path, "cache": _in_cache}
FAR = {"archive": _from_archive, "Go": _built_by_go}
