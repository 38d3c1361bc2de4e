"""What fails says so and of what, on its own span; the log tells the rest, and no message quotes what people typed."""

import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from opentelemetry.instrumentation.utils import http_status_to_status_code
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv.attributes import exception_attributes
from opentelemetry.trace import Span, StatusCode
from werkzeug.exceptions import NotFound

from workshop.course.requirements import requirements

NOTICE, OPT_IN = "read notice", "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
MESSAGE = "can't decode byte"


@pytest.mark.before("no-notice")
def test_a_failure_and_its_type_are_on_the_span_that_failed_and_the_story_is_in_the_log(checkpoint):
    run = checkpoint.shared(visited)
    app = run.app
    times, length = run.noticed.text.count("Back on Monday"), len("Closed. ") * run.long.text.count("Closed.")
    checkpoint.must(
        times == 1 and 150 < length <= 200,
        "no-notice",
        seen=f"a page that shows {f'{length} characters' if times == 1 else f'{times} times'} what is in instance/notice.txt",
        expected="the notice once, above the list, cut to 200 characters",
        why="the view hands the notice to the page, and the page shows it",
    )
    checkpoint.must(
        "closed on Monday" not in run.unreadable.text,
        "notice-guessed",
        seen="a page that shows a notice which is not UTF-8, with another sign in the place of é",
        expected="no notice",
        why="a byte that is no UTF-8 may be any letter; who guesses shows something wrong, and nobody hears of it",
        do='read the file with `encoding="utf-8"` and without `errors=`',
    )
    checkpoint.must(
        own_spans(app, run.noticed),
        "own-span",
        seen=f"{run.noticed}: no span of its own below its SERVER span; one that is never ended is never exported",
        expected=f"the INTERNAL span {NOTICE!r}",
        why="the verdict on a piece of work stands on the span of that work",
        do="read the file inside `with tracer.start_as_current_span(…) as span:`",
    )
    app.sql_below(app.server_span(run.noticed))
    for answer in [*run.refused, run.bare, run.noticed, run.long, run.mended]:
        tells(checkpoint, app, answer)
    tells(checkpoint, app, run.unreadable, failed=[NOTICE])
    tells(checkpoint, app, run.broken, failed=["INSERT", "POST /add"], events=[("POST /add", "exception")])
    [failed] = own_spans(app, run.unreadable)
    kind = failed.attributes.get("error.type")
    checkpoint.must(
        str(kind).rpartition(".")[2] == "UnicodeDecodeError",
        "error-type",
        seen=f"{failed.name}: error.type is {kind!r}" if kind else f"{failed.name}: has no error.type",
        expected="'UnicodeDecodeError', the type of the exception",
        why="a type can be searched for and counted; a message differs from failure to failure, and may quote what people typed",
        do="set the attribute `error.type` to `type(error).__qualname__` where you set the status",
    )
    strange = [
        span.name for answer in (run.bare, run.noticed) for span in own_spans(app, answer) if "error.type" in span.attributes
    ]
    checkpoint.must(
        not strange,
        "error-type",
        seen=f"{strange and strange[0]}: has an error.type, and did not fail",
        expected="none on a span that went well",
        why="whoever counts failures by their type counts this one, too",
        do="set `error.type` only where you set the status ERROR",
    )
    for span in own_spans(app, run.long):
        app.attribute(span, "todo.notice.length", 399)
    told = [line for line in app.output.splitlines() if MESSAGE in line and not line.lstrip().startswith('"description"')]
    checkpoint.must(
        told,
        "not-logged",
        seen="a notice that cannot be read, and no line of the log says why",
        expected=f"the exception and its message: UnicodeDecodeError: 'utf-8' codec {MESSAGE} …",
        why="the span says that it failed and of what type; the message and the stack trace belong into the log",
        do="call `current_app.logger.exception(…)` in the `except` block",
    )
    app.in_jaeger(run.unreadable)
    tells(checkpoint, app, run.unreadable, failed=[NOTICE], where="jaeger")
    if checkpoint.showing:
        checkpoint.run("workshop trace", JAEGER_URL=checkpoint.jaeger.query_url)
        checkpoint.run("sh search.sh")
        check_what_the_lesson_says_of_this_release()


@pytest.mark.before("values-in-message")
def test_no_exception_takes_along_what_was_typed(checkpoint):
    run = checkpoint.shared(visited)
    app = run.app
    checkpoint.must(
        "[parameters: (" not in app.server_span(run.broken).status_text,
        "values-in-message",
        seen="POST /add: the description of its status ends with [parameters: (…)], the text of the task",
        expected="a message without the values of the statement",
        why="SQLAlchemy writes them into the message of its exception, and that goes into the status, the event and the log",
        do="set the option in `SQLALCHEMY_ENGINE_OPTIONS`, in src/todo/__init__.py above `init_app`, which reads it once",
    )
    app.keeps_secrets()
    if checkpoint.showing:
        app.checkpoint.run("grep -c 'parameters")


def visited(checkpoint):
    """One run of the app: what it refuses, its notices, and a database that is away for one request."""
    del checkpoint.environment["FLASK_SQLALCHEMY_DATABASE_URI"]  # the lesson's commands move src/instance/todo.db
    if checkpoint.showing:
        checkpoint.environment[OPT_IN] = "logs"  # nobody reads it, as the lesson says
    with checkpoint.serve(shown=True, jaeger=True) as app:
        form = app.form("/add")
        run = SimpleNamespace(app=app)
        run.refused = [
            app.get("/no-such-page", wanted=404),
            app.post("/tasks/4711/done", form, wanted=404),
            app.post("/add", {**form, "text": " "}, wanted=422),
            app.post("/add", {"text": "forged"}, wanted=400),
        ]
        if checkpoint.showing:
            checkpoint.run("curl -s -o /dev/null")
        run.bare = app.get("/")
        checkpoint.run("echo")
        run.noticed = app.get("/")
        checkpoint.run("python -c")
        run.long = app.get("/")
        checkpoint.run("rm")
        folder = checkpoint.folder / "instance" / "notice.txt"
        folder.mkdir()
        app.get("/")  # what cannot be opened takes no page down
        folder.rmdir()
        checkpoint.run("mv instance/todo.db")
        run.broken = app.post("/add", {**form, "text": " ".join(requirements().canaries)}, wanted=500)
        checkpoint.run("mv instance/away.db")
        run.mended = app.post("/add", {**form, "text": "Buy milk"})
        checkpoint.run("printf")
        run.unreadable = app.get("/")
    return run


def own_spans(app, answer, where="console"):
    return [span for span in app.below(app.server_span(answer, where=where), where) if span.kind == "internal"]


def tells(checkpoint, app, answer, failed=(), events=(), where="console"):
    """Of the request, the notice and the statements, exactly these spans failed, and exactly these have events."""
    request = app.server_span(answer, where=where)
    named = [(request.name, request)]
    named += [(NOTICE, span) for span in own_spans(app, answer, where)]
    named += [(span.statement.split()[0], span) for span in app.below(request, where) if span.statement]
    marked = sorted(name for name, span in named if span.status == "ERROR")
    if NOTICE in failed and NOTICE not in marked:
        do = "call `span.set_status(StatusCode.ERROR, …)` in the `except` block; a span that is OK by then stays OK"
    elif NOTICE in marked and NOTICE not in failed:
        do = "catch `FileNotFoundError` before `OSError`, and set no status there: without a file all is well"
    else:
        do = "set the status on the span of the work that failed, and only there"
    checkpoint.must(
        marked == sorted(failed),
        "status",
        seen=f"{answer}: ERROR on {' and '.join(marked) or 'no span'}",
        expected=f"on {' and '.join(sorted(failed)) or 'none'}",
        why="a status is a verdict on one piece of work; a 4xx is the visitor's mistake, and a request that goes well "
        "although a part of it failed is no failed request",
        do=do,
    )
    told = sorted((name, event.name) for name, span in named for event in span.events)
    checkpoint.must(
        told == sorted(events),
        "events",
        seen=f"{answer}: " + (", ".join(f"{event!r} on {name}" for name, event in told) or "no event"),
        expected=", ".join(f"{event!r} on {name}" for name, event in sorted(events)) or "no event",
        why="what nobody catches is recorded for you, once; what you handle yourself is told by a status, a type and the log",
        do="take `record_exception` and `add_event` out of your own code"
        if len(told) > len(events)
        else "let such an exception pass: your own code has caught it before the agent could see it",
    )


def check_what_the_lesson_says_of_this_release():
    assert http_status_to_status_code(404, server_span=False) is StatusCode.ERROR
    assert not any(hasattr(call, "__deprecated__") for call in (Span.add_event, Span.record_exception))
    with pytest.raises(NotFound), TracerProvider().get_tracer(__name__).start_as_current_span("aborted") as span:
        raise NotFound
    assert span.status.status_code is StatusCode.ERROR and [event.name for event in span.events] == ["exception"]
    assert "no longer recommended to record exceptions that are handled" in inspect.getsource(exception_attributes)
    packages = [Path(folder, "opentelemetry") for folder in sys.path if folder.endswith("site-packages")]
    files = [file for folder in packages for file in folder.rglob("*.py")]
    assert files and not any(OPT_IN in file.read_text(encoding="utf-8") for file in files)
