"""Forks a Python that has its heavy packages loaded, for each stand-in that asks. Runs by the Python of an environment: standard library only.

Those of OpenTelemetry read settings as they are imported: where one of those is another in a fork, the fork imports them itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path

COMMANDS = ("flask", "gunicorn", "opentelemetry-instrument")
MODULES = (
    *(
        "concurrent.futures",
        "flask.cli",
        "flask_sqlalchemy",
        "flask_wtf",
        "google.protobuf",
        "grpc",
        "importlib.metadata",
        "requests",
    ),
    *("sqlalchemy.dialects.sqlite", "sqlalchemy.ext.asyncio", "sqlite3", "werkzeug.debug", "werkzeug.serving", "wtforms"),
    *(f"opentelemetry.proto.collector.{of}.v1.{of}_service_pb2" for of in ("trace", "metrics", "logs")),
)
PATHS: list[str] = []  # where this Python looks for modules
OF_OPENTELEMETRY: set[str] = set()  # its modules that are loaded
INSTRUMENTATIONS: set[str] = set()  # those of them that only the agent or an app imports
WERE_READ: dict[tuple[str, str], str | None] = {}  # what a variable was when a module read it as it was imported


class Noting(type(os.environ)):
    """The environment's variables, which note in WERE_READ what is read."""

    def __getitem__(self, name: str) -> str:
        value = None
        try:
            value = super().__getitem__(name)
            return value
        finally:
            frame = sys._getframe()
            while frame and frame.f_code.co_name != "<module>":
                frame = frame.f_back
            if frame:  # else a thread reads, for the resource of a log record that has none
                WERE_READ[name, frame.f_globals["__name__"]] = value


def main(folder: Path) -> None:
    """Serve on a socket in this folder until stdin ends."""
    PATHS[:] = sys.path[1:]  # the first is that of this file
    sys.path[:] = PATHS
    for name in MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
    load_opentelemetry()
    sys.modules.pop("sitecustomize", None)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as ready:
        listener.bind(str(folder / "socket"))
        listener.listen(20)
        print(*{name.partition(".")[0] for name in sys.modules}, flush=True)
        ready.register(listener, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        while [key.fileobj for key, _ in ready.select()] == [listener]:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                break
            connection.close()
        else:
            return
    guard(connection, folder)


def load_opentelemetry() -> None:
    """Load what the agent looks for: all that the packages of this environment offer it."""
    before = set(sys.modules)
    os.environ.__class__ = Noting
    for point in (point for package in distributions() for point in package.entry_points):
        if point.group.startswith("opentelemetry_") and point.module.startswith("opentelemetry."):
            with suppress(Exception):  # what it instruments is not here, or does not fit
                importlib.import_module(point.module)
            if point.group == "opentelemetry_instrumentor":
                INSTRUMENTATIONS.add(point.module)
    os.environ.__class__ = Noting.__base__
    OF_OPENTELEMETRY.update(name for name in set(sys.modules) - before if name.startswith("opentelemetry."))


def forget_what_reads_others() -> None:
    """Forget the modules for which settings are others now than when they were imported: an instrumentation, or all that could know."""
    readers = {reader for (name, reader), value in WERE_READ.items() if os.environ.get(name) != value}
    forget(readers if readers <= INSTRUMENTATIONS else OF_OPENTELEMETRY)


def forget(modules: set[str]) -> None:
    """Let these modules be imported anew."""
    for module in modules & sys.modules.keys():
        within, _, last = module.rpartition(".")
        if within in sys.modules:
            vars(sys.modules[within]).pop(last, None)
        del sys.modules[module]


def guard(connection: socket.socket, folder: Path) -> None:
    """Fork once more to run what the stand-in asks for; pass its signals on, and tell it how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    whole = connection.makefile("rb").read(int.from_bytes(head, "big"))
    asking, name, arguments, place, variables, ignored = json.loads(whole)
    child = os.fork()
    if not child:
        connection.close()
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        os.chdir(place)
        variables["PATH"] = variables["PATH"].replace(f"{folder}{os.pathsep}", "", 1)
        os.environ.clear()
        os.environ.update(variables)
        time.tzset()  # else the zone would be the one of this process
        run(name, arguments)
    for stream in streams:
        os.close(stream)
    (folder / str(asking)).write_text(str(child))

    def pass_on() -> None:
        while number := connection.recv(1):
            with suppress(ProcessLookupError):
                os.kill(child, number[0])
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what it has left behind, or, when the stand-in was killed, itself

    passing = threading.Thread(target=pass_on)
    passing.start()
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    passing.join()
    os._exit(0)


def run(name: str, arguments: list[str]) -> None:
    """Be the program of this name from here on, as Python would be that starts it."""
    script = shutil.which(name)
    sys.argv = [script, *arguments]
    sys.path[:0] = [str(Path(script).parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    forget_what_reads_others()
    if "opentelemetry.util._importlib_metadata" in sys.modules:  # it remembers the entry points that it found on other paths
        importlib.reload(sys.modules["opentelemetry.util._importlib_metadata"])
    loaded, execl = set(sys.modules), os.execl

    def instead(path: str | None, *arguments: str) -> None:
        """The agent's command sets variables and then becomes the program that it was given."""
        if not path or os.path.basename(path) not in COMMANDS:
            execl(path, *arguments)
        os.execl = execl
        forget(set(sys.modules) - loaded)
        sys.path[:] = PATHS
        run(os.path.basename(path), list(arguments[1:]))

    if name == "opentelemetry-instrument":
        os.execl = instead
    with suppress(ImportError):
        import sitecustomize  # noqa: F401
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception as error:
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename != script:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
