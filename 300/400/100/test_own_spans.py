"""The search makes a span of its own, which tells how much was done and never what was typed."""

import sqlite3
from contextlib import closing
from pathlib import PurePath

import pytest

from workshop.course.requirements import requirements

TASKS = 400
FACTS = "todo.search."


@pytest.mark.before("wrong-status")
def test_every_search_is_a_span_of_the_same_name_that_tells_how_much_and_never_what(checkpoint):
    typed = ["Buy milk", *requirements().canaries]
    with checkpoint.serve(shown=True, jaeger=True) as app:
        form = app.form("/add")
        for number in range(10):
            app.post("/search", {**form, "words": f"milk {number}"}, wanted=200)
        by_get = app.get("/?words=mlik")
        many_tasks(checkpoint.database, TASKS - len(typed))
        added = {text: app.post("/add", {**form, "text": text}) for text in typed}
        for text in typed:
            app.post("/search", {**form, "words": text}, wanted=200)
        found = app.post("/search", {**form, "words": "mlik"}, wanted=200)

    listed(checkpoint, found)
    span = own_span(checkpoint, app, found)
    app.attribute(span, "todo.search.length", len("mlik"))
    app.attribute(span, "todo.search.compared", TASKS)
    app.attribute(span, "todo.search.found", 1)
    app.sql_below(span)
    once(checkpoint, app, found, span)
    names = {span.name for span in app.spans if span.kind == "internal" and "todo.search.found" in span.attributes}
    checkpoint.must(
        len(names) == 1,
        "span-names",
        seen=f"{len(names)} names for different searches: {', '.join(sorted(names)[:3])} …",
        expected="one name",
        why="a name groups what is alike; what differs from search to search belongs into an attribute",
        do="give the span one name, and set what differs by `set_attribute`",
    )
    app.keeps_secrets()
    for text, answer in added.items():
        app.attribute(app.server_span(answer, name="POST /add"), "todo.task.length", len(text))
    assert "mlik" in str(app.server_span(by_get).attributes)  # as the lesson says of a search by GET

    app.in_jaeger(found, name="POST /search", route="/search")
    stored = own_span(checkpoint, app, found, where="jaeger")
    modules = modules_of(checkpoint)
    checkpoint.must(
        stored.scope in modules,
        "scope",
        seen=f"the span {stored.name!r} has the instrumentation scope {stored.scope!r}",
        expected=f"the module that made it, one of {', '.join(sorted(modules))}",
        why="a tracer gives its name to its spans; who reads one wants to know which code made it",
        do="make the tracer of this module with trace.get_tracer(__name__)",
    )
    if checkpoint.showing:
        checkpoint.picture("trace.svg", app.find(found))
        checkpoint.run("workshop trace", JAEGER_URL=checkpoint.jaeger.query_url)


@pytest.mark.before("wrong-status")
def test_without_the_agent_the_app_finds_the_same_and_makes_no_span(checkpoint):
    with checkpoint.serve("flask run -p 5001") as app:
        app.submit("/add", {"text": "Buy milk"})
        found = app.submit("/search", {"words": "mlik"}, wanted=200)

    listed(checkpoint, found)
    checkpoint.must(
        not app.spans,
        "sdk-in-app",
        seen=f"{len(app.spans)} spans, though nothing but `flask run` was started",
        expected="none: the app calls the API, and the agent brings the SDK",
        why="an app that sets up an SDK decides for everybody who runs it where telemetry goes",
        do="take what comes from `opentelemetry.sdk` out of src/todo/",
    )


def many_tasks(database, count):
    """As many tasks at once, written behind the app's back."""
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = [(f"Call number {number}", "2026-11-21 09:00:00") for number in range(count)]
        connection.executemany("INSERT INTO task (text, created_at) VALUES (?, ?)", rows)


def listed(checkpoint, page):
    checkpoint.must(
        page.status == 200 and "Buy milk" in page.text and "Call number" not in page.text,
        "not-found",
        seen="a search for 'mlik' that does not find 'Buy milk', or finds more",
        expected="the one task with a word like it",
        why="who misspells one word still wants the task",
    )


def own_span(checkpoint, app, answer, where="console"):
    """The INTERNAL span below the request that the search makes itself, with its facts."""
    request = app.server_span(answer, where=where)
    own = [span for span in app.below(request, where) if span.kind == "internal"]
    checkpoint.must(
        any(has_facts(span) for span in own),
        "own-span",
        seen=f"{answer}: {instead(app, request, own)}",
        expected="one INTERNAL span below its SERVER span, with the attributes todo.search.…",
        why="the instrumentations know Flask and SQLAlchemy; a span for what your own code does is begun and ended by your code",
        do="do the search, and set its attributes, inside `with tracer.start_as_current_span(…) as span:`",
    )
    return max(own, key=lambda span: sum(name.startswith(FACTS) for name in span.attributes))


def instead(app, request, own):
    """What a run has in the place of the search's own span."""
    told = next((span for span in app.spans if span.trace_id == request.trace_id and has_facts(span)), None)
    if told:
        return f"{FACTS}… is on the {told.kind.upper()} span {told.name!r}"
    if own:
        return f"the INTERNAL span {own[0].name!r} has {', '.join(own[0].attributes) or 'no attribute'}"
    if apart := next((span for span in app.spans if has_facts(span)), None):
        return f"{FACTS}… is on {apart.name!r}, in a trace of its own"
    return "no span of its own; one that is never ended is never exported"


def has_facts(span):
    return any(name.startswith(FACTS) for name in span.attributes)


def once(checkpoint, app, answer, span):
    """One piece of work is one span: no second one of its name, and none that only wraps it."""
    request = app.server_span(answer)
    own = [other for other in app.below(request) if other.kind == "internal" and other is not span]
    wraps = [other for other in own if not other.attributes and children(app, other) == [span]]
    double = next((other for other in own if other.name == span.name or other in wraps), None)
    checkpoint.must(
        not double,
        "two-spans",
        seen=f"{answer}: {double and double.name!r} and {span.name!r}, one inside the other, for the same work",
        expected="one span for one piece of work",
        why="two bars of the same length tell no more than one, and a list of operations counts the search twice",
        do="keep the `with` block or the decorator, not both",
    )


def children(app, span):
    return [other for other in app.spans if other.parent_id == span.span_id]


def modules_of(checkpoint):
    """The names by which the files in src/ are imported."""
    paths = [PurePath(name).with_suffix("") for name in checkpoint.sandbox.files() if name.endswith(".py")]
    return {".".join(path.parent.parts if path.name == "__init__" else path.parts) for path in paths}
