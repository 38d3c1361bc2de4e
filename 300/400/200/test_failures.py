"""What fails is marked on its own span, what is worth a note is an event, and no message quotes what people typed."""

import pytest
from opentelemetry.instrumentation.utils import http_status_to_status_code
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, StatusCode
from werkzeug.exceptions import NotFound

from workshop.course.requirements import requirements

NOTICE = "read notice"


@pytest.mark.before("no-notice")
def test_a_failure_is_marked_on_the_span_that_failed_and_a_mistake_of_a_visitor_on_none(checkpoint):
    use_database_of_the_app(checkpoint)
    with checkpoint.serve(shown=True, jaeger=True) as app:
        form = app.form("/add")
        refused = [
            app.get("/no-such-page", wanted=404),
            app.post("/tasks/4711/done", form, wanted=404),
            app.post("/add", {**form, "text": " "}, wanted=422),
            app.post("/add", {"text": "forged"}, wanted=400),
        ]
        checkpoint.run("curl -s -o /dev/null")
        bare = app.get("/")
        checkpoint.run("echo")
        noticed = app.get("/")
        checkpoint.run("python -c")
        long = app.get("/")
        checkpoint.run("mv instance/todo.db")
        broken = app.post("/add", {**form, "text": "Buy milk"}, wanted=500)
        checkpoint.run("mv instance/away.db")
        mended = app.post("/add", {**form, "text": "Buy milk"})
        checkpoint.run("printf")
        unreadable = app.get("/")

    checkpoint.must(
        "Back on Monday" in noticed.text and 150 < 8 * long.text.count("Closed.") <= 200,
        "no-notice",
        seen="a page without the notice in instance/notice.txt, or with more than 200 characters of it",
        expected="the notice above the list, cut to 200 characters",
        why="the view hands the notice to the page, and the page shows it",
    )
    for answer in [*refused, bare, noticed, mended]:
        tells(checkpoint, app, answer)
    tells(checkpoint, app, unreadable, failed=[NOTICE], events=[(NOTICE, "exception")])
    tells(checkpoint, app, long, events=[(NOTICE, "todo.notice.cut")])
    tells(checkpoint, app, broken, failed=["INSERT", "POST /add"], events=[("POST /add", "exception")])

    app.in_jaeger(unreadable)
    tells(checkpoint, app, unreadable, failed=[NOTICE], events=[(NOTICE, "exception")], where="jaeger")
    checkpoint.run("workshop trace", JAEGER_URL=checkpoint.jaeger.query_url)
    checkpoint.run("sh search.sh")
    check_what_the_lesson_says_of_this_release()


@pytest.mark.before("private")
def test_no_exception_takes_along_what_was_typed(checkpoint):
    use_database_of_the_app(checkpoint)
    with checkpoint.serve(jaeger=True) as app:
        form = app.form("/add")
        checkpoint.run("mv instance/todo.db")
        broken = [app.post("/add", {**form, "text": canary}, wanted=500) for canary in requirements().canaries]
        checkpoint.run("mv instance/away.db")

    for answer in broken:
        tells(checkpoint, app, answer, failed=["INSERT", "POST /add"], events=[("POST /add", "exception")])
    app.keeps_secrets()
    checkpoint.run("grep -c 'parameters")


def use_database_of_the_app(checkpoint):
    """The lesson's commands move src/instance/todo.db: let the app use that one, in the copy of src/."""
    del checkpoint.environment["FLASK_SQLALCHEMY_DATABASE_URI"]


def tells(checkpoint, app, answer, failed=(), events=(), where="console"):
    """Of the request, the notice and the statements, exactly these spans failed, and exactly these have events."""
    request = app.server_span(answer, where=where)
    named = [(request.name, request)]
    named += [(span.name, span) for span in app.below(request, where) if span.name == NOTICE]
    named += [(span.statement.split()[0], span) for span in app.below(request, where) if span.statement]
    marked = sorted(name for name, span in named if span.status == "ERROR")
    checkpoint.must(
        marked == sorted(failed),
        "status",
        seen=f"{answer}: ERROR on {' and '.join(marked) or 'no span'}",
        expected=f"on {' and '.join(sorted(failed)) or 'none'}",
        why="a status is a verdict on one piece of work; a 4xx is the visitor's mistake, and a request that goes well "
        "although a part of it failed is no failed request",
    )
    told = sorted((name, event.name) for name, span in named for event in span.events)
    checkpoint.must(
        told == sorted(events),
        "events",
        seen=f"{answer}: " + (", ".join(f"{event!r} on {name}" for name, event in told) or "no event"),
        expected=", ".join(f"{event!r} on {name}" for name, event in sorted(events)) or "none",
        why="an event is for what happened, once, on the span in which it happened, and only when it did",
    )


def check_what_the_lesson_says_of_this_release():
    assert http_status_to_status_code(404, server_span=False) is StatusCode.ERROR
    assert not any(hasattr(call, "__deprecated__") for call in (Span.add_event, Span.record_exception))
    with pytest.raises(NotFound), TracerProvider().get_tracer(__name__).start_as_current_span("aborted") as span:
        raise NotFound
    assert span.status.status_code is StatusCode.ERROR and [event.name for event in span.events] == ["exception"]
