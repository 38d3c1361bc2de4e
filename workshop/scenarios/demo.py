"""The finished app with Jaeger, in one command: a fresh replay of all lessons, never the learner's `src/`."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event

from workshop.checks.app import App
from workshop.checks.checkpoint import Checkpoint
from workshop.checks.sandbox import APP, END
from workshop.course import lessons
from workshop.diagnosis.facts import Response
from workshop.programs import methods
from workshop.programs.instance import PortTaken
from workshop.programs.jaeger import JAEGER, Jaeger
from workshop.programs.lifecycle import Service, start
from workshop.setup.addresses import address
from workshop.setup.ports import is_listening, port_owner
from workshop.telemetry.spans import Span

ARRIVE_SECONDS = 15
AUDIT_ROWS = 200  # read three times over: some tenths of a second


@contextmanager
def finished_app(behind: Jaeger, folder: Path, beside: bool = False, closed: int = 0, trace_page: str = "") -> Iterator[App]:
    """Serve the finished app in `folder`, with a Jaeger behind it, until the block ends.

    It takes port 5001 where that is free and the app is not to run `beside` another. The port `closed` leads to nothing.
    `trace_page` is where the app's trace links lead: the id is put behind it. Without one it is Jaeger's page, if it has one.
    Saving a task with the word "report" is slow: see `slow_reports`. Raises Broken when the app does not start."""
    checkpoint = Checkpoint(lessons.lessons()[-1], END, folder, lambda name: behind, prefix=Path(sys.prefix))
    if not beside and not is_listening(APP):
        checkpoint.sandbox.own_ports[APP] = APP
    if not trace_page and behind.has_page():
        trace_page = f"{address(behind.query_port)}/trace/"
    if trace_page:
        checkpoint.environment["FLASK_TRACE_PAGE"] = trace_page
    app = App(checkpoint, "sh run.sh", "todo", APP, behind, closed)
    try:
        app.start()
        slow_reports(folder / "check.db")
        yield app
    finally:
        app.stop()


def slow_reports(database: Path) -> None:
    """Make the saving of some tasks slow where no line of the app shows it: by a trigger in the database."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE audit (entry INTEGER)")
        connection.executemany("INSERT INTO audit VALUES (?)", [(number,) for number in range(AUDIT_ROWS)])
        connection.execute(
            "CREATE TRIGGER audit_reports BEFORE INSERT ON task WHEN NEW.text LIKE '%report%' BEGIN "
            "INSERT INTO audit SELECT count(*) FROM audit AS one, audit AS two, audit AS three; END"
        )


def add_a_task(app: App) -> tuple[Response, list[Span]]:
    """Add a task as a browser does, and wait for that very request's trace in Jaeger.

    Raises Broken with the first broken rung when it does not arrive."""
    answer = app.submit("/add", {"text": "Buy milk"})
    deadline, pause = time.monotonic() + ARRIVE_SECONDS, Event()
    while time.monotonic() < deadline:
        if spans := app.find(answer):
            return answer, spans
        pause.wait(0.1)
    app.stop()
    app.in_jaeger(answer)
    return answer, app.find(answer)


def show(progress: Callable[[str], None], stay: bool, beside: bool = False) -> None:
    """Start everything, add a task, draw its trace, say where things are; `stay` keeps serving until Ctrl-C, its usual end."""
    from rich.console import Console

    from workshop.telemetry import waterfall

    with (
        tempfile.TemporaryDirectory(prefix="workshop-demo-") as folder,
        _jaeger(progress, Path(folder)) as running,
    ):
        if not beside and is_listening(APP):
            progress(f"Port {APP} is taken by {port_owner(APP) or 'another program'}: the to-do app listens on another one.")
        with finished_app(running, Path(folder), beside) as app:
            progress("The to-do app runs under opentelemetry-instrument. Adding a task …")
            answer, spans = add_a_task(app)
            progress(f"{answer} was answered with {answer.status}. Its trace, as Jaeger stored it:\n")
            waterfall.terminal(spans, Console(highlight=False))
            progress(f"\nThe to-do app   {address(app.port)}")
            page = address(running.query_port)
            if running.has_page():
                progress(f"Jaeger's page   {page}")
                progress(f"This trace      {page}/trace/{spans[0].trace_id}")
                progress(f"                or: workshop trace {spans[0].trace_id}")
            else:
                progress(f"Jaeger          {page}")
                progress("                This build of it has no web page; `workshop trace` draws a trace.")
                progress(f"This trace      workshop trace {spans[0].trace_id}")
            if stay:
                progress("\nAdd tasks in the browser; `workshop trace` in a second terminal draws the newest one.")
                progress("Ctrl-C ends it.")
                with suppress(KeyboardInterrupt):
                    app.wait()
                progress("")


@contextmanager
def _jaeger(progress: Callable[[str], None], folder: Path) -> Iterator[Jaeger]:
    """The learner's Jaeger, brought up if need be; where a stranger holds its ports, one of our own beside it."""
    service = Service(JAEGER)
    try:
        running = service.up(progress)
    except PortTaken as taken:
        progress(f"{str(taken).splitlines()[0]}\nA Jaeger on other ports will do.")
        with start(JAEGER, methods.obtain(JAEGER, progress), folder) as own:
            yield own
        return
    try:
        yield running.instance
    finally:
        if running.started:
            service.down(progress)
