"""The page that follows a change names the trace of that very change; what is not recorded is given no name."""

import re
from types import SimpleNamespace

import pytest

SHOWN = re.compile(r"workshop trace ([^<\s]+)")
NOT_RECORDED = f"00-{'c' * 32}-{'d' * 16}-00"
TRACE_PAGE = "http://localhost:16686/trace/"


@pytest.mark.before("no-trace-id")
def test_the_page_after_a_change_shows_the_trace_of_that_change(checkpoint):
    run = checkpoint.shared(traced)
    app, made = run.app, run.app.server_span(run.added)
    shown = SHOWN.findall(run.after.text)
    checkpoint.must(
        shown,
        "no-trace-id",
        seen="the page after POST /add shows no trace id",
        expected=f"{made.trace_id}, the trace of the POST",
        why="the page comes from the request after the redirect, which is another trace: the id has to travel along",
        do="flash the id in a function that the app runs after each request",
    )
    written_well(checkpoint, app, made, shown[0], "the page after POST /add")
    checkpoint.must(
        len(shown) == 1 and not SHOWN.search(run.reloaded.text),
        "shown-again",
        seen="a page that follows no change still shows a trace id, or one change shows several",
        expected="the id once, after the change",
        why="a flashed message is for one page",
        do="flash the id once, and only for a change",
    )
    checkpoint.must(
        not SHOWN.search(run.refused.text + run.after_refused.text),
        "not-saved",
        seen=f"{run.refused} was refused with 422, and the page says: Saved.",
        expected="no id: nothing was saved",
        why="a change is answered with a redirect; what is refused changes nothing",
        do="ask for the response's status before you flash",
    )
    for answer in (run.added, run.after):
        header = answer.headers.get("X-Trace-Id")
        checkpoint.must(
            header,
            "no-header",
            seen=f"{answer}: no header X-Trace-Id",
            expected="the trace id of each request, also of those that change nothing",
            why="this is your own step of the lesson",
            do="set it in the function that runs after each request, before you ask for the method",
        )
        written_well(checkpoint, app, app.server_span(answer), header, f"X-Trace-Id of {answer}")
    if checkpoint.showing:
        assert f'href="{TRACE_PAGE}{made.trace_id}"' in run.after.text


@pytest.mark.before("no-trace-id")
def test_what_is_not_recorded_works_and_shows_nothing(checkpoint):
    run = checkpoint.shared(traced)
    checkpoint.must(
        "X-Trace-Id" in run.added.headers,
        "no-trace-id",
        seen=f"{run.added}: no header X-Trace-Id",
        expected="the id of its trace",
        why="without the id on what is recorded, its absence elsewhere proves nothing",
    )
    checkpoint.must(
        "Buy oats" in run.after_unrecorded.text
        and "X-Trace-Id" not in run.unrecorded.headers
        and not SHOWN.search(run.after_unrecorded.text),
        "not-recorded",
        seen=f"{run.unrecorded} came with a `traceparent` that ends in 00, and shows a trace id",
        expected="no id: this request has no span",
        why="a valid id is no promise; the flags 00 say that whoever began this trace does not record it",
        do="ask the span whether it `is_recording()`",
    )
    with checkpoint.serve("flask run -p 5001") as bare:
        added = bare.submit("/add", {"text": "Buy bread"})
        after = bare.get("/")
    checkpoint.must(
        "Buy bread" in after.text and not SHOWN.search(after.text) and "X-Trace-Id" not in added.headers,
        "not-traced",
        seen="an app without the agent shows a trace id, or does not work",
        expected="the same app, and no id",
        why="without an SDK the current span is an empty one; its id is all zeros",
        do="ask the span whether it `is_recording()`",
    )


def traced(checkpoint):
    """The app under the agent: a change, one that is refused, one that is not recorded, and the page after each of them."""
    checkpoint.environment["FLASK_TRACE_PAGE"] = TRACE_PAGE
    with checkpoint.serve(shown=True) as app:
        form = app.form("/add")
        run = SimpleNamespace(app=app, added=app.post("/add", {**form, "text": "Buy milk"}))
        run.after, run.reloaded = app.get("/"), app.get("/")
        run.refused, run.after_refused = app.post("/add", {**form, "text": " "}, wanted=422), app.get("/")
        parent = {"traceparent": NOT_RECORDED}
        run.unrecorded = app.post("/add", {**form, "text": "Buy oats"}, headers=parent, traced=False)
        run.after_unrecorded = app.get("/")
        if checkpoint.showing:
            checkpoint.run("curl -sI")
    return run


def written_well(checkpoint, app, span, text, where):
    """What is shown is the trace id of that request, in the form that tools take."""
    bare = text.lower().removeprefix("0x").replace("-", "")
    other = next((s for s in app.spans if s.trace_id == bare.zfill(32)), None)
    if text in (str(int(span.trace_id, 16)), str(int(span.span_id, 16))):
        what = "it is the number in decimal"
    elif bare == span.span_id:
        what = "it is the id of the span, not of the trace"
    elif bare.zfill(32) == span.trace_id:
        what = "it is the right number, written otherwise"
    elif other:
        what = f"it is the trace of {other.name}"
    else:
        what = "no request of this run has it"
    checkpoint.must(
        text == span.trace_id,
        "wrong-id",
        seen=f"{where}: {text}: {what}",
        expected=f"{span.trace_id}",
        why="tools take the id as 32 hexadecimal digits, without 0x and dashes and with all its zeros",
        do="take the trace id of the current span's context, and write it by trace.format_trace_id(…)",
    )
