"""The app, started by the lesson's command line, tells about each request on the console."""

import pytest


@pytest.mark.before("not-under-agent")
def test_every_request_makes_one_server_span_in_a_trace_of_its_own(checkpoint):
    with checkpoint.serve(shown=True) as app:
        page = app.get("/")
        added = app.submit("/add", {"text": "milk"})
        missing = app.get("/no-such-page", wanted=404)

    app.attribute(app.server_span(page, name="GET /", route="/"), "http.status_code", 200)
    app.attribute(app.server_span(added, name="POST /add", route="/add"), "http.status_code", 302)
    app.attribute(app.server_span(missing, name="GET /no-such-page"), "http.status_code", 404)


@pytest.mark.before("not-under-agent")
def test_a_request_that_carries_a_trace_continues_it(checkpoint):
    with checkpoint.serve() as app:
        page = app.get("/", traceparent=True)

    app.server_span(page)


@pytest.mark.before("not-under-agent")
def test_every_span_says_in_which_environment_it_was_made(checkpoint):
    with checkpoint.serve() as app:
        page = app.get("/")

    app.attribute(app.server_span(page), "deployment.environment.name", "workshop")


@pytest.mark.before("not-under-agent")
def test_metrics_come_too_and_output_log_keeps_a_copy_of_everything(checkpoint):
    with checkpoint.serve() as app:
        page = app.get("/")

    app.server_span(page)
    app.metric("http.server.duration")
    counted = checkpoint.run("grep -c SpanKind.SERVER output.log").output.strip()
    checkpoint.must(
        counted == "1",
        "no-copy",
        seen=f"output.log holds {counted} SERVER spans after one request",
        expected="1",
        why="what the app prints goes through `tee` into that file",
        do="end the command in src/run.sh with `| tee -i output.log`",
    )
