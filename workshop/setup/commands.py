"""Running the tools of others: what they get, what they said, and how they are ended; and what signals do meanwhile.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import os
import re
import select
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
