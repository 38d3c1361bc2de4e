"""Virtual environments that are made, filled with pinned packages, and repaired; and the two tools that this takes.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[str], None]
INHERITED = re.compile(r"^(OTEL_|PYTHON(HOME|PATH|STARTUP)$|VIRTUAL_ENV$|__PYVENV_LAUNCHER__$)")


class CommandFailed(Exception):
    """A tool ended with an error. The message is the end of what it said."""


class EnvironmentFailed(Exception):
    """A virtual environment could not be made or filled. The message says why and what to do."""


class Ticker:
    """Passes a line of progress on at most every few seconds, so that a log stays readable."""

    def __init__(self, progress: Progress, every: float = 5):
        self._progress, self._every = progress, every
        self._started = self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            minutes, seconds = divmod(int(now - self._started), 60)
            self._progress(f"{text}, {minutes}:{seconds:02}")


def inherited_environment() -> dict[str, str]:
    """The shell's environment without what would change how a tool of ours behaves (`OTEL_*`, `PYTHONPATH` ...)."""
    return {name: value for name, value in os.environ.items() if not INHERITED.match(name)}


def end_by_signals() -> None:
    """Let SIGTERM and a closed terminal end this process as an error would: what it started is stopped first."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


@contextmanager
def defer_signals() -> Iterator[None]:
    """Hold back Ctrl-C and the like until the end of the block: what it starts must be known before it is left."""
    came: list[int] = []
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def run(
    command: list,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Progress = lambda line: None,
    on_tick: Callable[[], None] = lambda: None,
    seconds: float = float("inf"),
) -> str:
    """Run a tool in a process group of its own and return what it printed; no process is left behind at any end.

    `on_line` gets each line of its error output, `on_tick` is called with each of them and at least once a second.
    Raises CommandFailed, also when it takes longer than `seconds`."""
    said: list[str] = []
    deadline = time.monotonic() + seconds
    process = None
    with tempfile.TemporaryFile() as answer:
        try:
            with defer_signals():
                process = _open([str(part) for part in command], answer, env, cwd)
            for line in _lines(process.stderr, on_tick, deadline):
                said.append(line)
                on_line(line)
            process.wait()
        finally:
            if process:
                kill_group(process.pid)
                process.stderr.close()
                process.wait()
        answer.seek(0)
        printed = answer.read().decode(errors="replace")
    if process.returncode:
        told = said or printed.splitlines()
        raise CommandFailed("\n".join(told[-8:]) or f"{command[0]} ended with {process.returncode} and said nothing")
    return printed


def _open(command: list[str], answer, env: dict[str, str] | None, cwd: Path | None) -> subprocess.Popen:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=inherited_environment() if env is None else env,
            start_new_session=True,
            close_fds=False,  # it keeps a lock of ours for as long as it lives, also when we are killed
        )
    except OSError as error:
        raise CommandFailed(f"{command[0]}: {error.strerror}") from None


def kill_group(leader: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to every process of a group; it is no error when all of them are gone."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        pass  # macOS says PermissionError of a group of zombies


def _lines(pipe, on_tick: Callable[[], None], deadline: float) -> Iterator[str]:
    unfinished = b""
    while True:
        on_tick()
        left = deadline - time.monotonic()
        if left <= 0:
            raise CommandFailed("it took too long and was ended")
        if not select.select([pipe], [], [], min(left, 1))[0]:
            continue
        chunk = os.read(pipe.fileno(), 65536)
        if not chunk:
            break
        *lines, unfinished = (unfinished + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if unfinished:
        yield unfinished.decode(errors="replace")


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only process between here and the end of the block; `on_wait` is called once if another one is there now.

    What `run` starts in the block holds the lock too, so that nothing begins beside the orphans of a killed process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
