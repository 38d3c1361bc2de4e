"""Virtual environments that are made, filled with pinned packages, and repaired.

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


class EnvironmentFailed(Exception):
    """A virtual environment could not be made or filled. The message says why and what to do."""


def make_environment(folder: Path, requirements: Path, progress: Progress, editable: Path | None = None) -> bool:
    """Make `folder` a virtual environment with the pinned requirements, by uv if that is on PATH, else by venv and pip.

    `editable` is a project to install as it lies there, without what it depends on. Returns False when nothing was to
    do: a stamp inside remembers content and place. An environment that somebody else made there is used as it is; what
    an interrupted run left is made anew. Raises EnvironmentFailed."""
    stamp = folder / "workshop-stamp"
    place, content = str(folder), _digest(requirements, *([editable / "pyproject.toml"] if editable else []))
    was_place, was_content = _read_stamp(stamp)
    usable = was_place == place and (folder / "bin" / "python").exists()
    if usable and was_content == f"{content} {_installed(folder, requirements)}":
        return False
    theirs = not stamp.exists() and (folder / "bin" / "python").exists()
    uv = shutil.which("uv")
    try:
        if not (usable or theirs):
            progress(f"making {folder.name} with {'uv' if uv else 'venv'}")
            make = [uv, "venv", "--seed", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
            run([*make, "--clear", folder])
        stamp.write_text(f"unfinished\n{content}\n", encoding="utf-8")
        _install(folder, uv, requirements, progress, editable)
        stamp.write_text(f"{place}\n{content} {_installed(folder, requirements)}\n", encoding="utf-8")
    except CommandFailed as error:
        raise EnvironmentFailed(_explained(str(error), folder, requirements)) from None
    except OSError as error:
        raise EnvironmentFailed(f"{error.filename or folder}: {error.strerror}") from None
    return True


def add_requirements(folder: Path, requirements: Path, progress: Progress) -> None:
    """Install more pinned requirements into an environment that is there. Raises EnvironmentFailed.

    The file lists all that is to be added: what its packages need besides must be there already."""
    stamp = folder / f"workshop-stamp-{_digest(requirements)[:16]}"
    if stamp.exists():
        return
    try:
        _install(folder, shutil.which("uv"), requirements, progress, None, "--no-deps")  # uv wants a hash of each it needs
        stamp.touch()
    except CommandFailed as error:
        raise EnvironmentFailed(_explained(str(error), folder, requirements)) from None


def environment_of(base: Path, *more: Path, progress: Progress) -> Path:
    """The folder of an environment with these pinned requirements and no others, made at first use.

    Raises EnvironmentFailed."""
    content = hashlib.sha256(b"\0".join(file.read_bytes() for file in (base, *more))).hexdigest()[:16]
    folder = cache_folder() / "environments" / f"{sys.version_info.major}.{sys.version_info.minor}-{content}"
    with locked(folder.with_name(f"{folder.name}.lock")):
        make_environment(folder, base, progress)
        for file in more:
            add_requirements(folder, file, progress)
    return folder


def _install(
    folder: Path, uv: str | None, requirements: Path, progress: Progress, editable: Path | None, *options: str
) -> None:
    python = folder / "bin" / "python"
    count = len(set(re.findall(r"^([\w.-]+)==", requirements.read_text(encoding="utf-8"), re.MULTILINE)))
    packages = "1 package" if count == 1 else f"{count} packages"
    progress(f"installing {packages} with {'uv' if uv else 'pip'}")
    ticker = Ticker(progress)
    if uv:
        install = [uv, "pip", "install", "--python", python]
        fill = [*install, *options, "--require-hashes", "--compile-bytecode", "-r", requirements]
        link = [*install, "--no-deps", "--no-build-isolation", "-e", editable]
    else:
        install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--retries", "2"]
        fill = [*install, *options, "--quiet", "--require-hashes", "-r", requirements]
        link = [*install, "--quiet", "--no-deps", "--no-build-isolation", "-e", editable]
    run(fill, on_tick=lambda: ticker(f"still installing {packages}"))
    if editable:
        run(link)
        _make_relative(folder, editable)


def _make_relative(folder: Path, editable: Path) -> None:
    """Let the environment name the project by a relative path.

    Before 3.13 Python reads such a file in the locale's encoding: in the C locale no Python of the environment would
    start if the repository's path had letters beyond ASCII."""
    for pointer in folder.glob("lib/python*/site-packages/*.pth"):
        if pointer.read_bytes().strip() == os.fsencode(editable):
            pointer.write_text(os.path.relpath(editable, pointer.parent) + "\n", encoding="ascii")


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _installed(folder: Path, requirements: Path) -> str:
    """Which versions of the pinned packages the environment holds, as a digest: it changes when somebody installs another."""
    pinned = {_normal(name) for name in re.findall(r"^([\w.-]+)==", requirements.read_text(encoding="utf-8"), re.MULTILINE)}
    there = (path.name.removesuffix(".dist-info") for path in folder.glob("lib/python*/site-packages/*.dist-info"))
    held = sorted(name for name in there if _normal(name.split("-")[0]) in pinned)
    return hashlib.sha256("\n".join(held).encode()).hexdigest()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _read_stamp(stamp: Path) -> tuple[str, str]:
    try:
        place, content = stamp.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return "", ""
    return place, content


def _explained(said: str, folder: Path, requirements: Path) -> str:
    """What a tool said, and what a person can do about it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if "ensurepip" in said or "No module named venv" in said:
        return (
            f"This Python ({sys.executable}) cannot make a virtual environment: its venv module is not complete.\n"
            f"On Debian and Ubuntu: sudo apt install python{version}-venv\n"
            "Or install uv (docs.astral.sh/uv). Then run this again."
        )
    if re.search(r"hash", said, re.IGNORECASE) and re.search(r"mismatch|do not match", said, re.IGNORECASE):
        cure = f"A package is not the one that {requirements.name} pins, and was refused. Does a mirror change files?"
    elif "No module named pip" in said:
        cure = f"{folder} is a virtual environment without pip. Remove it, then run this again."
    elif re.search(r"No space left|Errno 28", said):
        cure = "The disk is full. Free some space, then run this again."
    else:
        cure = "Is the network up, and the package index within reach? Then run this again; it mends what is half done."
    return f"{folder.name} could not be filled from {requirements.name}:\n{said}\n{cure}"
