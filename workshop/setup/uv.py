"""uv, the one installer: the one on PATH, or one that pip brings as a pinned wheel into the user's cache.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workshop.setup.cache import cache_folder, locked
from workshop.setup.commands import CommandFailed, Progress, inherited_environment, run

REQUIREMENTS = Path(__file__).with_name("uv-requirements.txt")
OLDEST = (0, 5)  # that was tried with what is asked of it here
# pip's settings and the variables by which uv takes the same, with what parts several values.
SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("ALL_PROXY", " "),
}
NOT_HERE = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}  # settings that forbid a folder of one's own


@dataclass(frozen=True)
class Uv:
    """A uv that works here. `brought`: pip brought it, so it goes to the package index that pip goes to."""

    path: Path
    brought: bool

    def __call__(self, *arguments: object, on_line: Progress = lambda line: None) -> str:
        """Run a command that needs nothing but what is on this machine. Raises CommandFailed."""
        return self._run(["--offline", *arguments], {}, on_line, lambda: None)

    def install(self, *arguments: object, on_line: Progress, on_tick: Callable[[], None]) -> None:
        """`uv pip install`: from uv's cache if all is there, else from the package index. Raises CommandFailed."""
        command = ["pip", "install", *arguments]
        try:
            self._run(["--offline", *command], {}, on_line, on_tick)
        except CommandFailed:
            self._run(command, _settings_of_pip() if self.brought else {}, on_line, on_tick)

    def _run(self, arguments: list, env: dict[str, str], on_line: Progress, on_tick: Callable[[], None]) -> str:
        env = {**env, **inherited_environment(), "UV_PYTHON_DOWNLOADS": "never"}
        return run([self.path, *arguments], env, on_line=on_line, on_tick=on_tick)


def find_uv() -> Uv | None:
    """The uv on PATH if it works and is new enough, else the one in the cache; nothing is fetched."""
    found = shutil.which("uv")
    if found and _version(found) >= OLDEST:
        return Uv(Path(found), brought=False)
    return Uv(_kept(), brought=True) if _kept().exists() else None


def bring_uv(progress: Progress) -> Uv:
    """Let pip bring the pinned uv into the user's cache: complete, or not at all. Raises CommandFailed and OSError."""
    folder = _kept().parent.parent
    partial = folder.with_name(f"{folder.name}.partial")
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not _kept().exists():
            progress(f"pip brings {folder.name.rpartition('-')[0]}, which installs the rest")
            shutil.rmtree(partial, ignore_errors=True)  # what an interrupted run left
            install = [*_pip(partial), "install", "--quiet", "--disable-pip-version-check", "--retries", "2", "--no-compile"]
            install += ["--require-hashes", "--only-binary", ":all:", "--target", partial, "-r", REQUIREMENTS]
            run(install, {**inherited_environment(), **NOT_HERE})
            run([partial / "bin" / "uv", "--version"])
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
    return Uv(_kept(), brought=True)


def _settings_of_pip() -> dict[str, str]:
    """pip's settings (files and variables) as uv's variables; it looks for certificates where the system has them."""
    try:
        listed = run([sys.executable, "-m", "pip", "config", "list"])
    except CommandFailed:
        return {}
    found = {"UV_SYSTEM_CERTS": "true"}
    for section in ("global", "install", ":env:"):  # the later, the more it counts
        for name, (variable, joint) in SETTINGS.items():
            if value := re.search(rf"^{section}\.{name}='(.+)'$", listed, re.MULTILINE):
                values = value[1].replace("\\n", " ").split()
                if name == "find-links":  # pip passes over a folder that is not there
                    values = [place for place in values if "://" in place or Path(place).exists()]
                found[variable] = joint.join(values)
    if "UV_NO_INDEX" in found:  # to pip that means none at all, to uv only not the usual one
        found.pop("UV_DEFAULT_INDEX", None)
        found.pop("UV_INDEX", None)
    return found


def _pip(partial: Path) -> list:
    """The pip of this Python; where it has none, the one that comes with its venv module."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    run([sys.executable, "-m", "venv", partial / "pip"])
    return [partial / "pip" / "bin" / "python", "-m", "pip"]


def _kept() -> Path:
    """Where uv lies in the user's cache once it has been brought."""
    pinned = re.search(r"^uv==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)[1]
    return cache_folder() / f"uv-{pinned}-{sysconfig.get_platform().replace('-', '_')}" / "bin" / "uv"


def _version(tool: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, re.findall(r"\d+", run([tool, "--version"], seconds=10))[:2]))
    except CommandFailed:
        return ()
