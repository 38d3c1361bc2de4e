"""What happens is an event of its span, once; an exception in the log has its full type and its whole message."""

import shutil
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from opentelemetry.trace import Span

from workshop.course.requirements import requirements

OPT_IN = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
DONE, IMPORTED = "todo.task.done", "todo.file.imported"
RAISED = {
    "file": ("FileNotFoundError", "[Errno 2] No such file or directory: "),
    "own": ("raising.Shop.Closed", "come back on Monday"),
    "database": ("sqlalchemy.exc.NoResultFound", "no row"),
    "uncaught": ("LookupError", "no health"),
}
SENTENCE = "this release does what 300/600/300 and 300/400/200 announce; bring the tables of both pages up to date: "


def visited(checkpoint):
    """One run of the app: tasks that are ticked off, a file, and exceptions of each kind."""
    for helper in (checkpoint.lesson.folder / "raising.py", checkpoint.lesson.root / "300" / "500" / "200" / "failing.py"):
        shutil.copy(helper, checkpoint.folder)
    checkpoint.environment["FLASK_APP"] = "raising"
    if checkpoint.showing:
        checkpoint.environment[OPT_IN] = "logs"  # nobody reads it, as the lesson says
    with checkpoint.serve() as app:
        form = app.form("/add")
        run = SimpleNamespace(app=app)
        app.post("/add", {**form, "text": requirements().canaries[0]})
        run.done = app.post("/tasks/1/done", form)
        run.undone = app.post("/tasks/1/undo", form)
        run.missing = app.post("/tasks/4711/done", form, wanted=404)
        full = {"headers": {"X-Failing": "the disk is full"}, "wanted": 500}
        run.unkept = app.post("/tasks/1/done", form, **full)
        run.unkept_file = app.post("/import", form, files={"file": ("tasks.txt", b"Sit\n")}, **full)
        name, text = "canary-task-7f3a1c.txt", "\n".join(requirements().canaries)
        run.imported = app.post("/import", form, files={"file": (name, text.encode())})
        run.raised = {kind: app.get(f"/raise/{kind}", wanted=500 if kind == "uncaught" else 200) for kind in RAISED}
    return run


@pytest.mark.before("no-log")
def test_a_task_that_is_done_is_an_event_of_its_request(checkpoint):
    run = checkpoint.shared(visited)
    app = run.app
    span = app.server_span(run.done)
    record = app.log_record(span, event_name=DONE)
    checkpoint.must(
        record.attributes.get("todo.task.id") == 1 and record.severity_number == 9,
        "attribute",
        seen=f"{DONE}: severity number {record.severity_number}, attributes {record.attributes}",
        expected="9, which is INFO, and todo.task.id is 1",
        why="whoever reads events counts on the attributes that belong to a name",
    )
    nothing = (run.undone, DONE), (run.missing, DONE), (run.unkept, DONE), (run.unkept_file, IMPORTED)
    strange = [f"{answer}, answered with {answer.status}: {name}" for answer, name in nothing if told(app, answer, name)]
    checkpoint.must(
        not strange,
        "event-of-nothing",
        seen=f"{strange and strange[0]}",
        expected="this event only where it has happened: a task was done, a file was imported",
        why="an event says that something has happened; a wish, or a mistake, is none",
        do="emit it after the change is committed, and only for done",
    )
    old = [event.name for span in app.spans for event in span.events if event.name.startswith("todo.")]
    checkpoint.must(
        not old,
        "span-event",
        seen=f"{old and old[0]} as an event on a span",
        expected="a log record with this event name, and no more",
        why="`add_event` is being deprecated, and who counts both counts everything twice",
        do="take `add_event` out",
    )


@pytest.mark.before("no-log")
def test_an_imported_file_is_an_event_and_a_line_for_people(checkpoint):
    run = checkpoint.shared(visited)
    app = run.app
    span = app.server_span(run.imported)
    record = app.log_record(span, event_name=IMPORTED, text="A file was imported.", severity="INFO")
    checkpoint.must(
        record.attributes.get("todo.import.tasks") == len(requirements().canaries),
        "attribute",
        seen=f"{IMPORTED}: {record.attributes}",
        expected=f"todo.import.tasks is {len(requirements().canaries)}",
        why="whoever reads events counts on the attributes that belong to a name",
    )
    app.log_record(span, text="A file was imported.", logs=app.json_lines)


@pytest.mark.before("exception")
def test_an_exception_in_the_log_is_told_as_it_is(checkpoint):
    run = checkpoint.shared(visited)
    app = run.app
    for kind, (name, message) in RAISED.items():
        text = f"caught: {kind}" if kind != "uncaught" else "Exception on /raise/uncaught"
        span = app.server_span(run.raised[kind])
        for logs in (app.console.logs, app.json_lines):
            record = app.log_record(span, text=text, severity="ERROR", logs=logs)
            found = {part: str(record.attributes.get(f"exception.{part}")) for part in ("type", "message", "stacktrace")}
            checkpoint.must(
                found["type"] == name and found["message"].startswith(message),
                "exception",
                seen=f"exception.type {found['type']!r}, exception.message {found['message']!r}",
                expected=f"{name!r}, {message!r}",
                why="the instrumentation takes the bare name of the class, and its first argument for the message",
                do="let a filter of every handler write these fields before the handler sees the record",
            )
            checkpoint.must(
                found["stacktrace"].startswith("Traceback") and "in fail" in found["stacktrace"],
                "exception",
                seen=f"exception.stacktrace {found['stacktrace'][:60]!r}",
                expected="the whole traceback",
                why="type and message say what went wrong; the stack trace says where",
            )
    app.keeps_secrets()
    if checkpoint.showing:
        check_what_the_lesson_says_of_this_release(app, run)
        show(checkpoint)


def told(app, answer, event_name):
    """The events of this name in the trace of a request."""
    trace_id = app.server_span(answer).trace_id
    return [log for log in app.console.logs if log.event_name == event_name and log.trace_id == trace_id]


def check_what_the_lesson_says_of_this_release(app, run):
    recorded = [event.name for event in app.server_span(run.raised["uncaught"]).events]
    assert recorded == ["exception"], f"{SENTENCE}{OPT_IN} is read"
    assert find_spec("opentelemetry._events") is None
    for call in (Span.add_event, Span.record_exception):
        assert not hasattr(call, "__deprecated__"), f"{SENTENCE}{call.__name__} is deprecated"


def show(checkpoint):
    """What the page shows, before its filter is there and with it."""
    before, after = checkpoint.on_the_way("mkdir"), checkpoint.on_the_way("grep -o")
    with before.serve(shown=True) as app:
        app.submit("/add", {"text": "Buy milk"})
        app.submit("/tasks/1/done", page="/")
        before.run("mkdir")
        app.get("/")
    found = [log.attributes["exception.message"] for log in app.console.logs if "notice" in str(log.body)]
    assert found == ["21"], f"{SENTENCE}the instrumentation's exception.message is {found}"
    after.folder.joinpath("instance", "notice.txt").mkdir(parents=True)
    with after.serve("sh run.sh 2> lines.jsonl") as app:
        app.get("/")
    after.run("grep -o")
    after.run("rmdir")
