"""What the app counts and measures is what was done, after a restart and with two workers, by a few series."""

import shutil
import sqlite3
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest

from workshop.checks.browser import Browser
from workshop.checks.fake_server import FakeServer
from workshop.checks.sandbox import OTLP_HTTP
from workshop.course.requirements import requirements
from workshop.scenarios import traffic

ADDED, OPEN, TIME = "todo.tasks.added", "todo.tasks.open", "todo.task.time_to_done"
TASKS, IMPORTED = 100, 3
HOUR, DAY = 3600, 86400
AHEAD = 9 * HOUR
AGES = (HOUR / 2, 5 * HOUR, 3 * DAY, 20 * DAY)
FAILING = {"X-Failing": "1"}
TWO_WORKERS = "SERVER='gunicorn -w 2"
LISTED = "workshop metrics --log output.log"


def runs(checkpoint):
    """A run in which much is done with a hundred tasks, and one with two workers on the database that it leaves."""
    with FakeServer(port=checkpoint.sandbox.own_ports[OTLP_HTTP]):  # who is not answered stops later
        return served(checkpoint)


def served(checkpoint):
    run = SimpleNamespace()
    checkpoint.environment["OTEL_METRIC_EXPORT_INTERVAL"] = "60000"  # also what the last collection may take
    shutil.copy(checkpoint.lesson.folder / "failing.py", checkpoint.folder)
    checkpoint.environment["FLASK_APP"] = "failing"
    checkpoint.environment["TZ"] = f"TST-{AHEAD // HOUR}"  # where the clock on the wall is not that of the table
    with checkpoint.serve() as run.app:
        form = run.app.form("/add")
        run.app.get("/collect")
        canaries = requirements().canaries
        for text in [*canaries, *(f"Call number {number}" for number in range(TASKS - len(canaries)))]:
            run.app.post("/add", {**form, "text": text})
        run.app.post("/add", {**form, "text": " "}, wanted=422)
        run.app.post("/import", form, files={"file": ("tasks.txt", b"Run\nWait\nTidy up\n")})
        older(checkpoint.database)
        for number in range(1, len(AGES) + 1):
            run.app.post(f"/tasks/{number}/done", form)
        run.app.post("/tasks/1/done", form)  # a second click
        run.app.post("/tasks/4711/done", form, wanted=404)
        run.app.post("/tasks/8/undo", form)  # which is open
        with traffic.trouble(checkpoint.database):
            run.app.post("/add", {**form, "text": f"workshop-{traffic.TROUBLE[0]}"}, wanted=500)
        run.app.post("/add", {**form, "text": "Buy tea"}, headers=FAILING, wanted=500)
        run.app.post("/import", form, files={"file": ("tasks.txt", b"Sit\n")}, headers=FAILING, wanted=500)
        run.app.post("/tasks/10/done", form, headers=FAILING, wanted=500)
        run.app.post("/tasks/9/delete", form)
    run.open = TASKS + IMPORTED - len(AGES) - 1
    with checkpoint.serve(TWO_WORKERS) as run.workers:
        form = run.workers.form("/add")
        for _ in range(8):
            with another(run.workers) as visitor:
                visitor.post("/add", {**form, "text": "Buy milk"})
        run.workers.until(lambda: len(tellers(run.workers)) > 1)  # a worker that is stopped while it starts tells nothing
        checkpoint.run("kill")
        run.workers.until(lambda: not run.workers.processes(), 10)
    if checkpoint.showing:
        checkpoint.run(f"{LISTED} {OPEN}")
    return run


@pytest.mark.before("no-metric")
def test_added_are_as_many_as_were_added_and_the_series_stay_few(checkpoint):
    run = checkpoint.shared(runs)
    run.app.series(ADDED, at_most=2)
    run.app.metric(ADDED, unit="{task}", kind="sum")
    run.app.total(ADDED, {"todo.task.source": "form"}, exactly=TASKS)
    run.app.total(ADDED, {"todo.task.source": "file"}, exactly=IMPORTED)
    run.workers.total(ADDED, exactly=8)
    run.app.keeps_secrets()
    if checkpoint.showing:
        explode(checkpoint)


@pytest.mark.before("no-metric")
def test_open_are_as_many_as_the_table_has_also_after_a_restart_and_with_two_workers(checkpoint):
    run = checkpoint.shared(runs)
    run.app.value(OPEN, exactly=run.open)
    run.app.series(OPEN, at_most=1)
    run.workers.value(OPEN, exactly=run.open + 8)
    looks = [span for span in run.app.spans if not span.parent_id and span.kind == "client" and "count" in span.statement]
    checkpoint.must(
        not looks,
        "looks-are-traced",
        seen=f"{len(looks)} traces that are nothing but {looks[0].statement[:60] if looks else ''}",
        expected="none: a look at the table is no request",
        why="the statement is watched like any other, and the function is called each time that metrics leave, for ever",
        do="put what the function asks into `with suppress_instrumentation():`",
    )


@pytest.mark.before("no-metric")
def test_the_time_to_done_is_measured_once_in_buckets_that_tell_hours_from_days(checkpoint):
    run = checkpoint.shared(runs)
    run.app.metric(TIME, unit="s", kind="histogram")
    run.app.series(TIME, at_most=1)
    point = run.app.histogram(TIME, count=len(AGES))
    ahead = (point.sum - sum(AGES)) / len(AGES)
    checkpoint.must(
        abs(abs(ahead) - AHEAD) > 60,
        "other-clock",
        seen=f"{TIME}: each task was open for {ahead / HOUR:g} hours more than it was",
        expected="the same time wherever the server stands",
        why=f"this check runs the app where the clock is {AHEAD // HOUR} hours ahead of UTC; the table has times in UTC, without saying so",
        do="give the table's time its zone, and compare it with `now()`, which has one",
    )
    factor = point.sum / sum(AGES)
    checkpoint.must(
        abs(factor - 1) < 0.01,
        "other-unit",
        seen=f"{TIME}: {point.sum:g} for tasks that were open for {sum(AGES):g} s together; that is {factor:g} times as much",
        expected="seconds, as its unit says",
        why="nobody converts what an instrument is given: its unit is a promise",
    )
    run.app.histogram(TIME, bounds=[HOUR, DAY, 7 * DAY])


def tellers(app):
    """The processes of which there are spans so far: in each that makes the app, of the statements that make the tables."""
    return {span.resource["service.instance.id"] for span in app.console_so_far.spans}


@contextmanager
def another(app):
    """Another visitor with the same cookies, by a connection of their own: any worker may take it."""
    visitor = Browser(app.url)
    visitor.cookies = app.cookies
    yield visitor
    app.responses += visitor.responses


def older(database):
    """Let the first tasks have been there for a while, each for another time."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for number, age in enumerate(AGES, 1):
            connection.execute(
                "UPDATE task SET created_at = datetime(created_at, ?) WHERE id = ?", (f"-{age:.0f} seconds", number)
            )


def explode(checkpoint):
    """What the page shows of a metric that has the task's id."""
    there = checkpoint.on_the_way("workshop traffic")
    with there.serve() as app:
        there.run("workshop traffic")
    there.run(f"{LISTED} {ADDED} | head")
    assert app.series(ADDED, at_most=100) == app.total(ADDED) > 50  # of visits that come on time, each adds one
