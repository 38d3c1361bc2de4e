"""Running a command line of a lesson as a learner would.

The command runs in its own process group with a clean environment. It is stopped as Ctrl-C does it, by SIGINT to the whole
group: under `flask run` SIGTERM loses the spans that wait in a batch.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workshop.checks import warm
from workshop.setup.commands import defer_signals
from workshop.telemetry.console import COLOR

INHERITED = re.compile(
    r"^(OTEL_|APPLICATIONINSIGHTS_|FLASK_|GUNICORN_|WERKZEUG_|PYTHON(PATH|HOME|STARTUP)$|(https?|all|no|grpc)_proxy$)", re.I
)
# Settings of the check itself: short batches, and a dead endpoint that is given up at once, for an exporter of SDK 1.45 waits 0.8 s or
# more before it tries again, if so much time is left.
FAST_EXPORT = {
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "0.75",
    "PYTHONUTF8": "1",
}


def inherited() -> dict[str, str]:
    """What the shell exports and an app would notice: settings of OpenTelemetry, Azure and Flask, Python's paths, proxies."""
    return {name: value for name, value in sorted(os.environ.items()) if INHERITED.match(name)}


def shell_environment() -> dict[str, str]:
    """The environment of the learner's own shell, without what an app would notice and no lesson sets.

    Nor are PYTHONUNBUFFERED, which images of containers set (then threads that print at the same time tear what is long), and
    PYTEST_ADDOPTS, which would make a test of a lesson print something else."""
    unwanted = {"PYTHONUNBUFFERED", "PYTEST_ADDOPTS"}
    left = {name: value for name, value in os.environ.items() if not INHERITED.match(name) and name not in unwanted}
    return {**left, **FAST_EXPORT}


def environment(prefix: Path = Path(sys.prefix)) -> dict[str, str]:
    """The environment of a learner's fresh shell with the virtual environment at `prefix` active."""
    clean = shell_environment()
    own = [str(prefix / "bin"), str(Path(sys.prefix) / "bin")]  # `workshop` itself is in ours
    return {**clean, "PATH": os.pathsep.join([*own, clean.get("PATH", os.defpath)]), "VIRTUAL_ENV": str(prefix)}


def patient(seconds: float) -> float:
    """A time limit for this moment: longer where more programs want to run than there are cores, so that slow is not wrong."""
    return seconds * min(10, max(1, os.getloadavg()[0] / (os.cpu_count() or 1)))


def keep_children_interruptible() -> None:
    """Where SIGINT is ignored, as in a script's background job, handle it instead, by doing nothing.

    What a process ignores its children ignore, too, and an app could not be stopped as Ctrl-C does it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


class Process:
    """A command line in its own process group. `output` is what stdout and stderr have shown so far.

    `separate_stderr` reads the two by pipes of their own. In one pipe a line of the access log may land within a JSON object of the
    console exporter, which is then none; where one waits for the other, such as in a script's output, order counts more."""

    def __init__(self, line: str, folder: Path, env: dict[str, str], separate_stderr: bool = False):
        self._bytes, self._stdout = bytearray(), bytearray()
        self._gone = threading.Event()
        self._news = threading.Condition()
        try:
            with defer_signals():
                self._begin(line, folder, env, separate_stderr)
        except (KeyboardInterrupt, SystemExit):
            self.kill()  # nobody will ever hold this object and could do it
            raise

    def _begin(self, line: str, folder: Path, env: dict[str, str], separate_stderr: bool) -> None:
        self._popen = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if separate_stderr else subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def output(self) -> str:
        return COLOR.sub("", self._bytes.decode(errors="replace"))

    @property
    def stdout(self) -> str:
        """What stdout alone has shown, if it is read apart, else the same as `output`."""
        return COLOR.sub("", self._stdout.decode(errors="replace"))

    @property
    def exit_code(self) -> int | None:
        """The command's exit status, None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> bool:
        """Wait until the command and all its children are gone; the pipe that they share tells. False if they are not."""
        begun = time.monotonic()
        while not self._gone.wait(min(seconds, 0.5)):
            if time.monotonic() - begun > patient(seconds):
                return False
        self._popen.wait()
        return True

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds, looking again at each new output and 50 times a second."""
        begun = time.monotonic()
        with self._news:
            while not condition():
                if self._gone.is_set():
                    self._popen.wait()  # the pipe closes a moment before the exit status is there
                if self._gone.is_set() or time.monotonic() - begun > patient(seconds):
                    return condition()
                self._news.wait(0.02)
        return True

    def members(self) -> list:
        """The processes of the command that run now, as psutil knows them."""
        import psutil

        self._popen.poll()  # one that has ended, and whose end nobody has asked for, would still be known
        found: list[psutil.Process] = []

        def add(number: int) -> None:
            with suppress(psutil.Error):  # it has ended meanwhile
                process = psutil.Process(number)
                found.extend([process, *process.children(recursive=True)])

        add(self._popen.pid)
        for number in warm.forks([process.pid for process in found]):
            add(number)
        return found

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT to every process of the group."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End every process of the group that is still there."""
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self._gone.wait(2)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._popen.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # all gone already; macOS says PermissionError of a group of zombies

    def _read(self) -> None:
        begun = {pipe: bytearray() for pipe in (self._popen.stdout, self._popen.stderr) if pipe}
        with selectors.DefaultSelector() as ready:
            for pipe in begun:
                ready.register(pipe, selectors.EVENT_READ)
            while ready.get_map():
                for pipe in [key.fileobj for key, _ in ready.select()]:
                    chunk = os.read(pipe.fileno(), 65536)
                    with self._news:
                        self._take(pipe, begun[pipe], chunk)
                        self._news.notify_all()
                    if not chunk:
                        ready.unregister(pipe)
                        pipe.close()
        with self._news:
            self._gone.set()
            self._news.notify_all()

    def _take(self, pipe, begun: bytearray, chunk: bytes) -> None:
        """Note what came. Of two pipes only whole lines go into the common output, the last one at the end of the pipe."""
        if pipe is self._popen.stdout:
            self._stdout += chunk
        begun += chunk
        whole = begun.rfind(b"\n") + 1 if chunk and self._popen.stderr else len(begun)
        self._bytes += begun[:whole]
        del begun[:whole]
