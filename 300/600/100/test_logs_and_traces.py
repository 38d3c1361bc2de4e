"""What the app logs is on the terminal, and is a log record that has the ids of its request."""

import json
import shutil
from types import SimpleNamespace

import pytest

from workshop.checks.fake_server import FakeServer
from workshop.checks.sandbox import OTLP_HTTP
from workshop.course.requirements import requirements
from workshop.programs.prometheus import PROMETHEUS

MARK = "a line of the check"
ERROR, INFO = "an error of the check", "a word of the check"


def visited(checkpoint):
    """One run of the app: pages, a task, and a request in which the check itself logs."""
    shutil.copy(checkpoint.lesson.folder / "told.py", checkpoint.folder)
    checkpoint.environment["FLASK_APP"] = "told"
    said = json.dumps([["WARNING", MARK, None], ["INFO", MARK, None], ["ERROR", ERROR, None], ["INFO", INFO, None]])
    with checkpoint.serve(shown=True) as app:
        run = SimpleNamespace(app=app)
        run.page = app.get("/")
        run.told = app.get("/told", traceparent=True, headers={"X-Told": said})
        run.missing = app.get("/no-such-page", wanted=404)
        run.added = app.submit("/add", {"text": " ".join(requirements().canaries)})
        if checkpoint.showing:
            checkpoint.run("curl")
    return run


@pytest.mark.before("console-silent")
def test_the_terminal_still_says_what_the_app_logs(checkpoint):
    app = checkpoint.shared(visited).app
    app.on_terminal(ERROR)


@pytest.mark.before("level-swallowed")
def test_a_record_has_the_ids_of_its_request(checkpoint):
    run = checkpoint.shared(visited)
    span = run.app.server_span(run.told)
    for severity in ("WARN", "INFO"):
        run.app.log_record(span, text=MARK, severity=severity)
    run.app.log_record(span, text=ERROR, severity="ERROR")
    run.app.on_terminal(INFO)


@pytest.mark.before("no-log")
def test_each_answer_is_logged_while_its_span_is_current(checkpoint):
    run = checkpoint.shared(visited)
    for answer, text in ((run.page, "GET / 200"), (run.added, "POST /add 302"), (run.missing, "GET - 404")):
        run.app.log_record(run.app.server_span(answer), text=text, severity="INFO")
    if checkpoint.showing:
        show(checkpoint)


@pytest.mark.before("no-log")
def test_a_new_task_is_logged_by_its_length_and_not_by_its_text(checkpoint):
    run = checkpoint.shared(visited)
    record = run.app.log_record(run.app.server_span(run.added), text="A task was added.", severity="INFO")
    length = len(" ".join(requirements().canaries))
    checkpoint.must(
        record.attributes.get("todo.task.length") == length,
        "attribute",
        seen=f"{record.body!r} with {record.attributes or 'no attributes'}",
        expected=f"todo.task.length is {length}",
        why="what `extra` holds becomes attributes of the record, by which you can search and count",
        do='add `extra={"todo.task.length": len(form.text.data)}` to the call',
    )
    run.app.keeps_secrets()


def show(checkpoint):
    """What the page shows: a terminal without a word, before anything is changed."""
    there = checkpoint.on_the_way("sh run.sh 2> terminal.log")
    with FakeServer() as backends:  # what cannot be sent is said as the app ends, on this very terminal
        there.sandbox.own_ports |= dict.fromkeys((OTLP_HTTP, *PROMETHEUS.numbers.values()), backends.port)
        with there.serve("sh run.sh 2> terminal.log") as app:
            app.get("/")
    there.run("grep -c . terminal.log")
