"""Virtual environments that are made, filled with pinned packages, and mended, all by uv.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from workshop.setup.cache import cache_folder, locked
from workshop.setup.commands import CommandFailed, Progress, Ticker, run
from workshop.setup.uv import Uv, bring_uv, find_uv

# What a learner does with an environment: is it made active by that, and does its Python run?
USE = '. "$0/bin/activate" && exec python -I -c "$1" "$0"'
PROBE = "import os, sys; sys.exit(not (sys.version_info >= (3, 10) and os.path.samefile(sys.prefix, sys.argv[1])))"
ROOT = Path(__file__).resolve().parent.parent.parent


class EnvironmentFailed(Exception):
    """A virtual environment could not be made or filled. The message says why and what to do."""


def make_environment(folder: Path, *requirements: Path, progress: Progress, editable: Path | None = None) -> bool:
    """Make `folder` a virtual environment with the pinned packages of all these files. Returns False if nothing was to do.

    What else is installed there stays, and so does an environment that somebody else made, of whatever Python; only one
    that does not work is made anew. The files name all that is needed: nothing else is fetched. `editable` is a project
    to install as it lies there. Raises EnvironmentFailed."""
    unfinished = folder / "workshop-unfinished"
    try:
        uv = find_uv() or bring_uv(progress)
        if not _works(folder):
            if os.path.lexists(folder):
                progress(f"{folder.name} does not work here, so it is made anew")
                shutil.rmtree(folder)
            progress(f"making {folder.name} with uv")
            uv("venv", "--python", sys.executable, folder)
        mend = ["--reinstall"] if unfinished.exists() else []  # a package may be there in part, which uv does not see
        unfinished.touch()
        files = [part for file in requirements for part in ("-r", file)]
        # Python compiles what it imports, unless it has been told to write nothing; then every start would take seconds.
        compiled = ["--compile-bytecode"] * sys.dont_write_bytecode
        changed = _install(folder, uv, progress, *mend, *compiled, "--require-hashes", "--no-deps", *files)
        if editable and (mend or not _is_linked(folder, editable)):
            changed = _install(folder, uv, progress, "--no-deps", "--no-build-isolation", "-e", editable)
            _make_relative(folder, editable)
        unfinished.unlink()
    except CommandFailed as error:
        raise EnvironmentFailed(_explained(str(error), folder, requirements)) from None
    except OSError as error:
        raise EnvironmentFailed(f"{error.filename or folder}: {error.strerror}") from None
    return changed


def environment_of(*requirements: Path, progress: Progress) -> Path:
    """The folder of an environment with the pinned packages of these files and no others, in the user's cache.

    It is made at first use, and mended when it does not work any more. Raises EnvironmentFailed."""
    content = hashlib.sha256(b"\0".join(file.read_bytes() for file in requirements)).hexdigest()[:16]
    folder = cache_folder() / "environments" / f"{sys.version_info.major}.{sys.version_info.minor}-{content}"
    with locked(folder.with_name(f"{folder.name}.lock"), lambda: progress("another process is at it; waiting")):
        make_environment(folder, *requirements, progress=progress)
    return folder


def _works(folder: Path) -> bool:
    try:
        run(["sh", "-c", USE, folder, PROBE])
    except CommandFailed:
        return False
    return True


def _install(folder: Path, uv: Uv, progress: Progress, *arguments: object) -> bool:
    """`uv pip install` into an environment; returns False if all was there. It is told only when there is something to do."""
    ticker, said = Ticker(progress), []

    def tell(line: str) -> None:
        said.append(line)
        if found := re.match(r"Resolved (\d+) package", line):
            progress(f"installing {found[1]} package{'s' * (found[1] != '1')} with uv")

    uv.install("--python", folder / "bin" / "python", *arguments, on_line=tell, on_tick=lambda: ticker("still installing"))
    return any(line.startswith("Installed ") for line in said)


def _pointers(folder: Path) -> list[Path]:
    return list(folder.glob("lib/python*/site-packages/*.pth"))


def _is_linked(folder: Path, project: Path) -> bool:
    """Whether a project is installed as it lies there, and has not changed its commands since."""
    changed = (project / "pyproject.toml").stat().st_mtime
    return any(
        pointer.read_bytes() == _relative(pointer, project) and pointer.stat().st_mtime >= changed
        for pointer in _pointers(folder)
    )


def _make_relative(folder: Path, project: Path) -> None:
    """Let the environment name the project by a relative path.

    Before 3.13 Python reads such a file in the locale's encoding: in the C locale no Python of the environment would
    start if the repository's path had letters beyond ASCII."""
    for pointer in _pointers(folder):
        if pointer.read_bytes().strip() == os.fsencode(project):
            pointer.unlink()  # uv may have linked it to its cache
            pointer.write_bytes(_relative(pointer, project))


def _relative(pointer: Path, project: Path) -> bytes:
    return os.fsencode(os.path.relpath(project, pointer.parent)) + b"\n"


def _explained(said: str, folder: Path, requirements: tuple[Path, ...]) -> str:
    """What a tool said, and what a person can do about it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if "ensurepip" in said or "No module named venv" in said:
        return (
            f"This Python ({sys.executable}) has neither pip nor a complete venv module, and uv is not on PATH.\n"
            f"On Debian and Ubuntu: sudo apt install python{version}-venv\n"
            "Or install uv (docs.astral.sh/uv). Then run this again."
        )
    if re.search(r"hash", said, re.IGNORECASE) and re.search(r"mismatch|do not match", said, re.IGNORECASE):
        cure = "A package is not the one that is pinned, and was refused. Does a mirror change files?"
    elif re.search(r"No space left|os error 28|Errno 28", said):
        cure = "The disk is full. Free some space, then run this again."
    else:
        cure = "Is the network up, and the package index within reach? Then run this again; it mends what is half done."
    files = " and ".join(str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file) for file in requirements)
    return f"{folder.name} could not be filled from {files}:\n{said}\n{cure}"
