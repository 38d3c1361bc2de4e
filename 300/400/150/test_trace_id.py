"""The page that follows a change names the trace of that very change; an app that is not traced names none."""

import re

import pytest

SHOWN = re.compile(r"workshop trace ([0-9a-f]{32})")


@pytest.mark.before("no-trace-id")
def test_the_page_after_a_change_shows_the_trace_of_that_change(checkpoint):
    with checkpoint.serve(shown=True) as app:
        added = app.submit("/add", {"text": "Buy milk"})
        after = app.get("/")
        reloaded = app.get("/")
        checkpoint.run("curl -sI")

    shown = SHOWN.findall(after.text)
    made = app.server_span(added).trace_id
    checkpoint.must(
        shown == [made],
        "no-trace-id",
        seen=f"the page after POST /add shows {', '.join(shown) or 'no trace id'}",
        expected=f"{made}, the trace of the POST",
        why="the page comes from the request after the redirect, which is another trace",
    )
    checkpoint.must(
        not SHOWN.search(reloaded.text),
        "shown-again",
        seen="a page that follows no change still shows a trace id",
        expected="the id once, after the change",
        why="a flashed message is for one page",
    )
    headers = [answer.headers.get("X-Trace-Id") for answer in (added, after)]
    checkpoint.must(
        headers == [made, app.server_span(after).trace_id],
        "no-header",
        seen=f"X-Trace-Id is {headers[0]} and {headers[1]}",
        expected="the trace id of each request, also of those that change nothing",
        why="this is your own step of the lesson",
    )


@pytest.mark.before("no-trace-id")
def test_an_app_that_is_not_traced_works_and_shows_nothing(checkpoint):
    with checkpoint.serve() as app:
        traced = app.submit("/add", {"text": "Buy milk"})
    app.server_span(traced)
    checkpoint.must(
        "X-Trace-Id" in traced.headers,
        "no-trace-id",
        seen="an answer without X-Trace-Id",
        expected="the id of its trace",
        why="without the id on the traced app, its absence on the other proves nothing",
    )
    with checkpoint.serve("flask run -p 5001") as bare:
        added = bare.submit("/add", {"text": "Buy bread"})
        after = bare.get("/")

    checkpoint.must(
        "Buy bread" in after.text and not SHOWN.search(after.text) and "X-Trace-Id" not in added.headers,
        "not-traced",
        seen="an app without the agent shows a trace id, or does not work",
        expected="the same app, and no id",
        why="without a tracer the context of the current span is not valid: ask `is_valid` first",
    )
